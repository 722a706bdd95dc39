// Goal: a line among the headers that is no header hides nothing: control headers below it are obeyed and never
// leave, and text without headers arrives as text.
// How: whole messages by SMTP through a simulated node; a table, and random orders of good, bad and control lines.
#include <algorithm>
#include <random>

#include "policy/base/ascii.h"
#include "tests/sim/identity_rig.h"

namespace sluice::test {
namespace {

constexpr const char* kTwoSources = R"(
<virtual-mta v1>
    smtp-source-host 10.255.0.6 v1.node.sim
</virtual-mta>
<source 0/0>
    process-x-virtual-mta yes
    process-x-job yes
    allow-loose-dots yes
    allow-smtputf8 yes
</source>
)";

/// Sends `lines` as a message; the reply to its end.
std::string send_lines(IdentityRig& rig, const std::vector<std::string>& lines,
                       const std::string& recipient = "joe@a.test") {
  std::vector<std::string> all{"EHLO injector.sim", "MAIL FROM:<sender@sim.test>",
                               "RCPT TO:<" + recipient + ">", "DATA"};
  all.insert(all.end(), lines.begin(), lines.end());
  all.emplace_back(".");
  return rig.talk(std::move(all)).back();
}

/// The header section of what a receiver got.
std::string header_of(const std::string& message) { return message.substr(0, message.find("\r\n\r\n") + 2); }

TEST(StrangeHeaders, ControlHeadersBehindABadLineAreObeyedAndStay) {
  const std::string bad_lines[] = {"X Y: 1",
                                   "X-\xc3\xa9: 1",
                                   "\xef\xbb\xbfX-A: 1",
                                   "From a@shop.example Mon Nov 30 10:00:00 2026",
                                   ">From a@shop.example Mon Nov 30 10:00:00 2026",
                                   "no colon at all",
                                   ": no name",
                                   "\xef\xbb\xbf",
                                   "X-\x01: 1"};
  IdentityRig rig(kTwoSources);
  ASSERT_TRUE(rig.boot());
  std::size_t number = 0;
  std::vector<std::string> ids;
  for (const std::string& bad : bad_lines) {
    for (const bool first : {true, false}) {
      SCOPED_TRACE(testing::PrintToString(bad) + (first ? " first" : " behind"));
      ids.push_back("m" + std::to_string(number++));
      std::vector<std::string> lines{"Message-ID: <" + ids.back() + "@sim>"};
      lines.insert(first ? lines.begin() : lines.end(), bad);
      lines.insert(lines.end(),
                   {"x-virtual-mta: v1", "X-Job: j7", "From: a@sim.test", "", "x-job: in the body"});
      EXPECT_EQ(send_lines(rig, lines).substr(0, 3), "250");
    }
  }
  rig.settle();
  for (const std::string& id : ids) {
    SCOPED_TRACE(id);
    const std::string got = rig.body(id);
    EXPECT_NE(got, "");
    EXPECT_EQ(to_lower(header_of(got)).find("x-virtual-mta"), std::string::npos) << got;
    EXPECT_EQ(to_lower(header_of(got)).find("x-job"), std::string::npos) << got;
    EXPECT_TRUE(got.ends_with("\r\n\r\nx-job: in the body\r\n")) << got;
    Row row = rig.rows_of(id, "d")["joe@a.test"];
    EXPECT_EQ(row["vmta"], "v1");
    EXPECT_EQ(row["jobId"], "j7");
  }
}

TEST(StrangeHeaders, TextWithoutHeadersArrivesAsText) {
  const struct {
    std::vector<std::string> lines;
    std::string text;
  } rows[] = {
      {{" Dear Ann,", "your order is on its way."}, " Dear Ann,\r\nyour order is on its way.\r\n"},
      {{"\tDear Ann:"}, "\tDear Ann:\r\n"},
      {{"Dear Ann,", "", "bye"}, "Dear Ann,\r\n\r\nbye\r\n"},
      {{"Dear Ann,", "Note: your order", "", "bye"}, "Dear Ann,\r\nNote: your order\r\n\r\nbye\r\n"},
      {{"\xef\xbb\xbf"
        "Dear Ann,"},
       "Dear Ann,\r\n"},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(testing::PrintToString(row.text));
    IdentityRig rig(kTwoSources);
    ASSERT_TRUE(rig.boot());
    EXPECT_EQ(send_lines(rig, row.lines).substr(0, 3), "250");
    rig.settle();
    const std::string got = rig.scenario.ledger.bodies["(none)"];
    EXPECT_TRUE(got.starts_with("Received: ")) << got;
    EXPECT_EQ(got.substr(std::min(header_of(got).size() + 2, got.size())), row.text) << got;
  }
}

// Whatever stands in which order above the empty line: the first of each control header counts, none leaves, and
// what is neither ours nor in front of the message arrives as it was.
TEST(StrangeHeaders, AnyOrder) {
  std::mt19937 random(20261130);
  const std::string pool[] = {"Subject: s",
                              "X Y: 1",
                              "garbage",
                              "Folded: a\r\n b",
                              "X-\xff: 1",
                              "x-virtual-mta: v1",
                              "x-virtual-mta: {default}",
                              "x-job: j1",
                              "X-JOB : j2",
                              "From: a@x",
                              "From nobody",
                              "\xef\xbb\xbfx-job: j3",
                              "garbage\r\n\tx-job: folded"};
  IdentityRig rig(kTwoSources);
  ASSERT_TRUE(rig.boot());
  struct Sent {
    std::string id, vmta, job, kept;
  };
  std::vector<Sent> sent;
  for (int i = 0; i < 60; ++i) {
    Sent one{.id = "r" + std::to_string(i), .vmta = {}, .job = {}, .kept = {}};
    std::vector<std::string> lines;
    for (auto n = random() % 8; n > 0; --n) lines.push_back(pool[random() % std::size(pool)]);
    lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(random() % (lines.size() + 1)),
                 "Message-ID: <" + one.id + "@sim>");
    lines.emplace_back("From: end@x");  // so that it is no text without headers
    std::vector<std::string> wire;
    bool at_front = true;
    for (const std::string& line : lines) {
      at_front = at_front && line == "From nobody";
      std::string_view name(line);
      while (name.starts_with("\xef\xbb\xbf")) name.remove_prefix(3);
      if (istarts_with(name, "x-virtual-mta")) {
        if (one.vmta.empty()) one.vmta = name.substr(name.find(": ") + 2);
      } else if (istarts_with(name, "x-job")) {
        if (one.job.empty()) one.job = name.substr(name.find(": ") + 2);
      } else if (!at_front) {
        one.kept += line + "\r\n";
      }
      wire.push_back(line);
    }
    wire.insert(wire.end(), {"", "x-job: body"});
    ASSERT_EQ(send_lines(rig, wire).substr(0, 3), "250");
    sent.push_back(one);
  }
  rig.settle();
  for (const Sent& one : sent) {
    SCOPED_TRACE(one.id);
    Row row = rig.rows_of(one.id, "d")["joe@a.test"];
    EXPECT_EQ(row["vmta"], one.vmta.empty() ? "{default}" : one.vmta);
    EXPECT_EQ(row["jobId"], one.job);
    EXPECT_TRUE(rig.body(one.id).ends_with(one.kept + "\r\nx-job: body\r\n"))
        << rig.body(one.id) << "\nwanted\n"
        << one.kept;
  }
}

TEST(StrangeAddresses, LooseDotsAndLongLocalPartsTravelAsTheyWere) {
  IdentityRig rig(kTwoSources);
  ASSERT_TRUE(rig.boot());
  const std::string addresses[] = {"a..b@a.test", "a.@a.test", ".a@a.test", "\"a..b\"@a.test",
                                   std::string(200, 'l') + "@a.test"};
  for (std::size_t i = 0; i < std::size(addresses); ++i) {
    EXPECT_EQ(rig.send("s" + std::to_string(i), {addresses[i]}), "250") << addresses[i];
  }
  rig.settle();
  for (std::size_t i = 0; i < std::size(addresses); ++i) {
    EXPECT_EQ(rig.sender("s" + std::to_string(i), addresses[i]), "sender@sim.test") << addresses[i];
  }
}

}  // namespace
}  // namespace sluice::test
