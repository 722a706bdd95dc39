// Goal: a window with one event too many is found, and a perfectly paced stream is not.
// How: lines with given times.
#include "bench/audit/rate_check.h"

#include <gtest/gtest.h>

namespace sluice::bench {
namespace {

LedgerLine message(std::uint64_t time_us, std::string_view id, std::string_view provider = "gmail",
                   std::string_view source = "127.0.0.1") {
  LedgerLine line;
  line.kind = LedgerKind::Received;
  line.time_us = time_us;
  line.message = id;
  line.provider = provider;
  line.source = source;
  return line;
}

TEST(RateCheck, PacedStreamKeepsIt) {
  RateCheck check(*parse_rate_rule("messages gmail 100/s"));
  for (std::uint64_t i = 0; i < 1000; ++i) check.take(message(i * 10'000, std::to_string(i)));
  EXPECT_EQ(check.broken_windows(), 0U);
  EXPECT_EQ(check.worst().events, 100U);
}

TEST(RateCheck, OneTooManyIsFound) {
  RateCheck check(*parse_rate_rule("messages gmail 100/s"));
  for (std::uint64_t i = 0; i < 101; ++i) check.take(message(i * 9'000, std::to_string(i)));
  EXPECT_GT(check.broken_windows(), 0U);
}

TEST(RateCheck, RecipientsOfOneMessageCountOnce) {
  RateCheck check(*parse_rate_rule("messages * 1/s"));
  for (int i = 0; i < 5; ++i) check.take(message(1000, "same"));
  EXPECT_EQ(check.broken_windows(), 0U);
}

TEST(RateCheck, Scopes) {
  struct Row {
    const char* rule;
    std::uint64_t most;
  };
  for (const Row& row : {Row{"messages * 1/s", 1}, Row{"messages * 1/s per-provider", 2},
                         Row{"messages * 1/s per-source", 2}, Row{"messages yahoo 1/s", 1}}) {
    SCOPED_TRACE(row.rule);
    RateCheck check(*parse_rate_rule(row.rule));
    check.take(message(1000, "1", "gmail", "127.0.0.1"));
    check.take(message(2000, "2", "gmail", "127.0.0.2"));
    check.take(message(3000, "3", "yahoo", "127.0.0.1"));
    EXPECT_EQ(check.worst().events, row.most);
  }
}

TEST(RateCheck, Connections) {
  RateCheck check(*parse_rate_rule("connections * 2/m"));
  LedgerLine line = message(0, "-");
  line.kind = LedgerKind::Connected;
  for (std::uint64_t i = 0; i < 3; ++i) {
    line.time_us = i * 1'000'000;
    check.take(line);
  }
  EXPECT_EQ(check.worst().events, 3U);
}

TEST(RateCheck, Mistakes) {
  for (const char* wrong :
       {"", "messages gmail", "mails gmail 1/s", "messages gmail fast", "messages * 1/s per-moon"}) {
    EXPECT_FALSE(parse_rate_rule(wrong)) << wrong;
  }
}

}  // namespace
}  // namespace sluice::bench
