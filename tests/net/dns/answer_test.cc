// Goal: what an answer means for the question that was asked.
// How: one row is one message (zone-file-like lines, parsed here) and the meaning it must have.

#include <gtest/gtest.h>

#include <sstream>

#include "net/dns/answer.h"

namespace sluice::net::dns {
namespace {

/// "name ttl TYPE data": A, CNAME, MX ("10 host"), SOA (data = minimum), NS.
Record record_of(const std::string& line) {
  std::istringstream in(line);
  std::string name, type, data;
  long ttl_sec = 0;
  in >> name >> ttl_sec >> type >> data;
  Record record{name, Type::A, kClassInternet, std::chrono::seconds{ttl_sec}, NameData{data}};
  if (type == "A") {
    record.data = *IpAddress::parse(data);
  } else if (type == "CNAME") {
    record.type = Type::Cname;
  } else if (type == "NS") {
    record.type = Type::Ns;
  } else if (type == "SOA") {
    record.type = Type::Soa;
    SoaData soa;
    soa.minimum = std::chrono::seconds{std::stol(data)};
    record.data = soa;
    if (name == ".") record.name.clear();
  }
  return record;
}

using Kind = Answer::Kind;
struct Row {
  const char* name;
  Rcode rcode;
  bool authoritative;
  bool recursive;
  std::vector<std::string> answers;
  std::vector<std::string> authority;
  Kind kind;
  std::optional<int> ttl_sec;
};

TEST(DnsAnswer, Table) {
  // clang-format off
  const Row rows[] = {
      {"records", Rcode::NoError, false, true, {"d 300 A 192.0.2.1", "d 100 A 192.0.2.2"}, {}, Kind::Records, 100},
      {"records of another name do not count", Rcode::NoError, true, true, {"e 300 A 192.0.2.1"}, {}, Kind::NoData, std::nullopt},
      {"alias with its records", Rcode::NoError, false, true, {"d 50 CNAME e", "e 300 A 192.0.2.1"}, {}, Kind::Records, 50},
      {"alias behind its records", Rcode::NoError, false, true, {"e 300 A 192.0.2.1", "d 50 CNAME e"}, {}, Kind::Records, 50},
      {"alias alone", Rcode::NoError, true, false, {"d 50 CNAME e"}, {}, Kind::Alias, 50},
      {"alias into nothing", Rcode::NoError, false, true, {"d 50 CNAME e"}, {"e 60 SOA 20"}, Kind::NoData, 20},
      {"alias of a name that is not there", Rcode::NxDomain, false, true, {"d 50 CNAME e"}, {". 60 SOA 90"}, Kind::NxDomain, 50},
      {"alias to itself", Rcode::NoError, false, true, {"d 50 CNAME d"}, {}, Kind::Bad, 50},
      {"aliases in a circle", Rcode::NoError, false, true, {"d 50 CNAME e", "e 50 CNAME d"}, {}, Kind::Bad, 50},
      {"nothing, with SOA", Rcode::NoError, false, true, {}, {"d 60 SOA 30"}, Kind::NoData, 30},
      {"nothing, SOA's own TTL is less", Rcode::NoError, false, true, {}, {"d 10 SOA 30"}, Kind::NoData, 10},
      {"nothing, without SOA", Rcode::NoError, false, true, {}, {}, Kind::NoData, std::nullopt},
      {"a referral", Rcode::NoError, false, false, {}, {"d 300 NS e"}, Kind::Failure, std::nullopt},
      {"no such name, SOA", Rcode::NxDomain, false, true, {}, {". 60 SOA 30"}, Kind::NxDomain, 30},
      {"no such name, authoritative", Rcode::NxDomain, true, false, {}, {}, Kind::NxDomain, std::nullopt},
      {"no such name, says who", Rcode::NxDomain, false, true, {}, {}, Kind::Failure, std::nullopt},
      {"no such name, SOA of another zone", Rcode::NxDomain, false, true, {}, {"example 60 SOA 30"}, Kind::Failure, std::nullopt},
      {"server failure", Rcode::ServFail, true, true, {"d 300 A 192.0.2.1"}, {}, Kind::Failure, std::nullopt},
      {"refused", Rcode::Refused, false, false, {}, {}, Kind::Failure, std::nullopt},
      {"unknown rcode", static_cast<Rcode>(11), false, false, {}, {}, Kind::Failure, std::nullopt},
  };
  // clang-format on
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    Message message;
    message.header.response = true;
    message.header.rcode = row.rcode;
    message.header.authoritative = row.authoritative;
    message.header.recursion_available = row.recursive;
    message.questions = {{"d", Type::A, kClassInternet}};
    for (const auto& line : row.answers) message.answers.push_back(record_of(line));
    for (const auto& line : row.authority) message.authority.push_back(record_of(line));
    const Answer answer = interpret_answer(std::move(message), "D", Type::A);
    EXPECT_EQ(answer.kind, row.kind);
    EXPECT_EQ(answer.ttl.has_value(), row.ttl_sec.has_value());
    if (answer.ttl && row.ttl_sec) {
      EXPECT_EQ(answer.ttl->count(), *row.ttl_sec);
    }
    EXPECT_EQ(answer.records.empty(), row.kind != Kind::Records);
    EXPECT_EQ(answer.alias, row.kind == Kind::Alias ? "e" : "");
  }
}

TEST(DnsAnswer, ALongChainEnds) {
  Message message;
  message.header.response = true;
  message.questions = {{"n0", Type::A, kClassInternet}};
  for (int i = 0; i < 2000; ++i) {
    message.answers.push_back(record_of("n" + std::to_string(i) + " 1 CNAME n" + std::to_string(i + 1)));
  }
  EXPECT_EQ(interpret_answer(std::move(message), "n0", Type::A).kind, Kind::Bad);
}

TEST(DnsAnswer, OnlyAnAnswerToThisQuestion) {
  const auto kind_of = [](auto change) {
    Message message;
    message.header.response = true;
    message.questions = {{"d", Type::A, kClassInternet}};
    message.answers = {record_of("d 300 A 192.0.2.1")};
    change(message);
    return interpret_answer(std::move(message), "d", Type::A).kind;
  };
  EXPECT_EQ(kind_of([](Message&) {}), Kind::Records);
  EXPECT_EQ(kind_of([](Message& m) { m.questions[0].name = "e"; }), Kind::Bad);
  EXPECT_EQ(kind_of([](Message& m) { m.questions[0].type = Type::Mx; }), Kind::Bad);
  EXPECT_EQ(kind_of([](Message& m) { m.questions[0].klass = 3; }), Kind::Bad);
  EXPECT_EQ(kind_of([](Message& m) { m.questions.clear(); }), Kind::Bad);
  EXPECT_EQ(kind_of([](Message& m) { m.questions.push_back(m.questions[0]); }), Kind::Bad);
  EXPECT_EQ(kind_of([](Message& m) { m.header.response = false; }), Kind::Bad);
  EXPECT_EQ(kind_of([](Message& m) { m.header.opcode = 4; }), Kind::Bad);
}

}  // namespace
}  // namespace sluice::net::dns
