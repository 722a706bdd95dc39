// Goal: the name server tells of providers, hand-made records and absence what RFC 1034, 2308 and 7505 want, and every
//       fault of the provider file looks as it should.
// How: query bytes in; the answer's code, counts and flags are looked at.
#include "bench/dns/dns_responder.h"

#include <gtest/gtest.h>

#include "bench/provider/provider_file.h"

namespace sluice::bench {
namespace {

constexpr std::string_view kInternet = R"(
provider p
  domain p.example d[0-99999].bulk.example
  mx 10 mx1.p.example 127.0.1.1 ::1
  mx 20 mx2.p.example 127.0.1.2
end
provider a-only
  domain a.example
  address 127.0.3.1
end
record TXT p.example "hello"
record CNAME alias.example p.example
record CNAME self.example self.example
dns-fault null.example null-mx
dns-fault fail.example servfail
dns-fault gone.example nxdomain
dns-fault refused.example refused
dns-fault drop.example drop
dns-fault late.example delay 2s
dns-fault id.example wrong-id
dns-fault question.example wrong-question
dns-fault tc.example truncate
dns-fault tcx.example truncate-always
dns-fault many.example many-mx 1000
dns-fault huge.example huge 70000
dns-fault loop.example cname-loop
)";

struct Answer {
  DnsAnswer raw;
  [[nodiscard]] unsigned at(std::size_t i) const { return static_cast<unsigned char>(raw.bytes.at(i)); }
  [[nodiscard]] unsigned code() const { return at(3) & 0xf; }
  [[nodiscard]] bool truncated() const { return (at(2) & 2) != 0; }
  [[nodiscard]] unsigned answers() const { return at(6) << 8 | at(7); }
  [[nodiscard]] unsigned authorities() const { return at(8) << 8 | at(9); }
  [[nodiscard]] unsigned additionals() const { return at(10) << 8 | at(11); }
};

class Responder : public ::testing::Test {
 protected:
  Internet internet_ = *parse_provider_file(kInternet);
  Directory directory_{internet_};
  DnsResponder responder_{directory_};

  Answer ask(std::string_view dotted, RecordType type, DnsTransport transport = DnsTransport::Udp) {
    std::string query("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00", 12);
    for (const std::string_view label : split(dotted, '.')) {
      query += static_cast<char>(label.size());
      query += label;
    }
    query += '\0';
    query += static_cast<char>(static_cast<unsigned>(type) >> 8);
    query += static_cast<char>(static_cast<unsigned>(type) & 0xff);
    query += std::string("\0\1", 2);
    return {responder_.answer(std::as_bytes(std::span(query)), transport, 7)};
  }
};

TEST_F(Responder, KnownNames) {
  struct Row {
    const char* name;
    RecordType type;
    unsigned answers;
    unsigned additionals;
  };
  const Row rows[] = {
      {"p.example", RecordType::Mx, 2, 3},        {"P.eXample", RecordType::Mx, 2, 3},
      {"d77.bulk.example", RecordType::Mx, 2, 3}, {"mx1.p.example", RecordType::A, 1, 0},
      {"mx1.p.example", RecordType::Aaaa, 1, 0},  {"a.example", RecordType::A, 1, 0},
      {"p.example", RecordType::Txt, 1, 0},       {"p.example", RecordType::Soa, 1, 0},
      {"p.example", RecordType::Ns, 1, 0},        {"alias.example", RecordType::Mx, 3, 3},
      {"alias.example", RecordType::Cname, 1, 0},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    const Answer answer = ask(row.name, row.type);
    EXPECT_EQ(answer.code(), 0U);
    EXPECT_EQ(answer.answers(), row.answers);
    EXPECT_EQ(answer.additionals(), row.additionals);
  }
}

TEST_F(Responder, AbsenceComesWithSoa) {
  for (const auto& [name, type, code] :
       {std::tuple("nope.example", RecordType::Mx, 3U),
        std::tuple("d100000.bulk.example", RecordType::Mx, 3U), std::tuple("a.example", RecordType::Mx, 0U),
        std::tuple("mx1.p.example", RecordType::Mx, 0U), std::tuple("bulk.example", RecordType::A, 0U)}) {
    SCOPED_TRACE(name);
    const Answer answer = ask(name, type);
    EXPECT_EQ(answer.code(), code);
    EXPECT_EQ(answer.answers(), 0U);
    EXPECT_EQ(answer.authorities(), 1U);
  }
}

TEST_F(Responder, SimpleFaults) {
  EXPECT_EQ(ask("fail.example", RecordType::Mx).code(), 2U);
  EXPECT_EQ(ask("refused.example", RecordType::Mx).code(), 5U);
  EXPECT_EQ(ask("gone.example", RecordType::Mx).code(), 3U);
  EXPECT_TRUE(ask("drop.example", RecordType::Mx).raw.bytes.empty());
  EXPECT_EQ(ask("late.example", RecordType::Mx).raw.delay, 2s);
  EXPECT_EQ(ask("id.example", RecordType::Mx).at(1), 0x35U);
  EXPECT_EQ(ask("question.example", RecordType::Mx).raw.bytes.substr(12, 6), "\5other");
}

TEST_F(Responder, NullMx) {
  const Answer answer = ask("null.example", RecordType::Mx);
  EXPECT_EQ(answer.answers(), 1U);
  // RFC 7505: preference 0 and the root as host.
  EXPECT_TRUE(answer.raw.bytes.ends_with(std::string("\0\3\0\0\0", 5)));
}

TEST_F(Responder, Truncation) {
  EXPECT_TRUE(ask("tc.example", RecordType::Mx).truncated());
  EXPECT_FALSE(ask("tc.example", RecordType::Mx, DnsTransport::Tcp).truncated());
  EXPECT_TRUE(ask("tcx.example", RecordType::Mx).truncated());
  EXPECT_TRUE(ask("tcx.example", RecordType::Mx, DnsTransport::Tcp).raw.close);
}

TEST_F(Responder, ManyAndHuge) {
  EXPECT_TRUE(ask("many.example", RecordType::Mx).truncated());
  EXPECT_EQ(ask("many.example", RecordType::Mx, DnsTransport::Tcp).answers(), 1000U);
  const Answer huge = ask("huge.example", RecordType::Mx, DnsTransport::Tcp);
  EXPECT_GT(huge.raw.bytes.size(), 60'000U);
  EXPECT_LE(huge.raw.bytes.size(), 65'535U);
}

TEST_F(Responder, CnameLoopsEnd) {
  EXPECT_EQ(ask("loop.example", RecordType::Mx).answers(), 2U);
  EXPECT_EQ(ask("self.example", RecordType::Mx).answers(), DnsResponder::kChainMax);
}

}  // namespace
}  // namespace sluice::bench
