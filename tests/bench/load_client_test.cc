// Goal: the injecting client writes what its mode promises, reads replies in order, and judges every ending right.
// How: replies are scripted; what it writes is compared; no socket, no clock.
#include "bench/load/load_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr MonoTime kNow{1000s};

class Desk final : public LoadDesk {
 public:
  explicit Desk(const LoadPlan& plan) : maker_(plan) {}
  Ticket next_ticket(MonoTime now) override {
    if (left == 0) return {};
    if (due > now) return {Ticket::Kind::Later, 0, due};
    --left;
    return {Ticket::Kind::Go, number_++, now};
  }
  LoadMessage make_message(std::uint64_t number) override { return maker_.make(number, WallTime{}); }
  void finished(Attempt&& attempt, Injection how, std::string_view reply, MonoTime) override {
    ends.push_back(how);
    replies.emplace_back(reply);
    accepted.push_back(attempt.accepted);
  }
  std::uint64_t left = 100;
  MonoTime due{};
  std::vector<Injection> ends;
  std::vector<std::string> replies;
  std::vector<std::vector<bool>> accepted;

 private:
  MessageMaker maker_;
  std::uint64_t number_ = 0;
};

struct Script {
  explicit Script(InjectMode mode, std::uint64_t recipients = 1) {
    plan.mode = mode;
    plan.run = "t";
    plan.sizes = *parse_sizes("600");
    plan.domains = {{*NameRange::parse("d.example"), 1}};
    plan.recipients_low = plan.recipients_high = recipients;
    plan.window = 3;
    desk.emplace(plan);
    client.emplace(plan, *desk);
  }
  /// Replies come; what the client then writes is answered, bodies shortened to "BODY".
  std::string reply(std::string_view text) {
    client->on_bytes(text, kNow);
    client->fill(kNow);
    std::string out;
    for (const iovec& part : client->output())
      out.append(static_cast<const char*>(part.iov_base), part.iov_len);
    client->on_sent();
    for (std::size_t from = out.find("From:"); from != std::string::npos; from = out.find("From:")) {
      const std::size_t end = out.find("xx\r\n", from);
      out.replace(from, end + 4 - from, "BODY ");
    }
    std::erase(out, '\r');
    std::ranges::replace(out, '\n', '|');
    return out;
  }
  void greet() {
    EXPECT_EQ(reply("220 hi\r\n"), "EHLO load.example|");
    first = reply("250-hi\r\n250 PIPELINING\r\n");
  }
  LoadPlan plan;
  std::optional<Desk> desk;
  std::optional<LoadClient> client;
  std::string first;
};

TEST(LoadClient, Pipelined) {
  Script script(InjectMode::Pipelined, 2);
  script.greet();
  const std::string envelope =
      "MAIL FROM:<bounce@load.example>|RCPT TO:<r.t.0.0@d.example>|RCPT TO:<r.t.0.1@d.example>|DATA|";
  EXPECT_EQ(script.first, envelope);
  const std::string next = script.reply("250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n");
  EXPECT_THAT(next, HasSubstr("BODY .|MAIL FROM:<bounce@load.example>|RCPT TO:<r.t.1.0@d.example>"));
  script.reply("250 2.0.0 taken\r\n250 ok\r\n");
  EXPECT_THAT(script.desk->ends, ElementsAre(Injection::Accepted));
  EXPECT_EQ(script.desk->replies[0], "250 2.0.0 taken");
  EXPECT_EQ(script.desk->accepted[0], (std::vector<bool>{true, false}));
}

TEST(LoadClient, LockstepOneCommandAtATime) {
  Script script(InjectMode::Lockstep, 2);
  script.greet();
  EXPECT_EQ(script.first, "MAIL FROM:<bounce@load.example>|");
  EXPECT_EQ(script.reply("250 ok\r\n"), "RCPT TO:<r.t.0.0@d.example>|");
  EXPECT_EQ(script.reply("250 ok\r\n"), "RCPT TO:<r.t.0.1@d.example>|");
  EXPECT_EQ(script.reply("250 ok\r\n"), "DATA|");
  EXPECT_EQ(script.reply("354 go\r\n"), "BODY .|");
  EXPECT_EQ(script.reply("250 ok\r\n"), "MAIL FROM:<bounce@load.example>|");
  EXPECT_EQ(script.reply("451 later\r\n"), "MAIL FROM:<bounce@load.example>|");
  EXPECT_THAT(script.desk->ends, ElementsAre(Injection::Accepted, Injection::Refused));
}

TEST(LoadClient, ChunkedKeepsItsWindowFull) {
  Script script(InjectMode::Chunked);
  script.greet();
  EXPECT_EQ(script.client->under_way(), 3U);
  EXPECT_THAT(script.first, HasSubstr("BDAT 600 LAST|BODY MAIL FROM"));
  script.reply("250 ok\r\n250 ok\r\n250 taken\r\n");
  EXPECT_EQ(script.client->under_way(), 3U);
  EXPECT_THAT(script.desk->ends, ElementsAre(Injection::Accepted));
}

TEST(LoadClient, RefusedDataIsFollowedByReset) {
  Script script(InjectMode::Pipelined);
  script.greet();
  EXPECT_EQ(script.reply("250 ok\r\n550 5.1.1 who\r\n554 no valid recipients\r\n"), "RSET|");
  EXPECT_THAT(script.desk->ends, ElementsAre(Injection::Refused));
  EXPECT_EQ(script.desk->replies[0], "550 5.1.1 who");
  EXPECT_THAT(script.reply("250 reset\r\n"), HasSubstr("MAIL FROM"));
}

TEST(LoadClient, LossBeforeAndAfterTheBody) {
  Script script(InjectMode::Pipelined);
  script.greet();
  script.reply("250 ok\r\n250 ok\r\n354 go\r\n");  // body of the first and envelope of the second are out
  script.client->on_lost(kNow);
  EXPECT_THAT(script.desk->ends, ElementsAre(Injection::Unknown, Injection::Unsent));
  EXPECT_TRUE(script.client->over());
}

TEST(LoadClient, ServerClosing) {
  Script script(InjectMode::Chunked);
  script.greet();
  script.reply("250 ok\r\n421 closing\r\n");
  EXPECT_THAT(script.desk->ends, ElementsAre(Injection::Refused, Injection::Unknown, Injection::Unknown));
  EXPECT_TRUE(script.client->over());
}

TEST(LoadClient, NoWelcome) {
  Script script(InjectMode::Pipelined);
  EXPECT_EQ(script.reply("554 go away\r\n"), "");
  EXPECT_TRUE(script.client->over());
  EXPECT_FALSE(script.client->greeted());
}

TEST(LoadClient, QuitsWhenAllIsSaid) {
  Script script(InjectMode::Pipelined);
  script.desk->left = 1;
  script.greet();
  script.reply("250 ok\r\n250 ok\r\n354 go\r\n");
  EXPECT_EQ(script.reply("250 taken\r\n"), "QUIT|");
  EXPECT_TRUE(script.client->done());
  script.reply("221 bye\r\n");
  EXPECT_TRUE(script.client->over());
}

TEST(LoadClient, WaitsForTheNextArrival) {
  Script script(InjectMode::Pipelined);
  script.desk->due = kNow + 1s;
  script.greet();
  EXPECT_EQ(script.first, "");
  EXPECT_EQ(script.client->next_time(), kNow + 1s);
  script.client->fill(kNow + 1s);
  EXPECT_FALSE(script.client->next_time());
  EXPECT_EQ(script.client->under_way(), 1U);
}

TEST(LoadClient, RepliesByteByByte) {
  Script script(InjectMode::Pipelined);
  for (const char c : std::string_view("220 hi\r\n250-hi\r\n250 x\r\n"))
    script.client->on_bytes({&c, 1}, kNow);
  script.reply("");
  for (const char c : std::string_view("250 ok\r\n250 ok\r\n354 go\r\n250-two\r\n250 lines\r\n")) {
    script.client->on_bytes({&c, 1}, kNow);
  }
  EXPECT_THAT(script.desk->replies, ElementsAre("250 lines"));
}

TEST(LoadClient, NonsenseEndsIt) {
  for (const std::string_view text : {"hello\r\n", "2x0 a\r\n", "\r\n"}) {
    Script script(InjectMode::Pipelined);
    script.client->on_bytes(text, kNow);
    EXPECT_TRUE(script.client->over()) << text;
  }
  Script script(InjectMode::Pipelined);
  script.client->on_bytes(std::string(1 << 20, 'x'), kNow);
  EXPECT_TRUE(script.client->over());
}

}  // namespace
}  // namespace sluice::bench
