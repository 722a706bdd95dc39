// Goal: made messages are valid RFC 5322 text of the wanted size, unique, and repeatable from number and seed.
// How: made and looked at line by line; the receiver's own intake has to find the same id and hash.
#include "bench/load/message_maker.h"

#include <gtest/gtest.h>

#include <set>

#include "bench/sink/message_intake.h"

namespace sluice::bench {
namespace {

constexpr WallTime kNow{std::chrono::milliseconds(1'795'287'540'917)};

LoadPlan plan_of(std::string_view sizes) {
  LoadPlan plan;
  plan.run = "t1";
  plan.sizes = *parse_sizes(sizes);
  plan.domains = {{*NameRange::parse("d[0-99].example"), 3}, {*NameRange::parse("big.example"), 1}};
  plan.vmtas = {{"v1", 1}, {"v2", 1}};
  plan.jobs = {{"job7", 1}};
  return plan;
}

std::string text_of(const LoadMessage& message) {
  return message.head + std::string(message.middle) + std::string(message.tail);
}

TEST(MessageMaker, SizesAreMetWithinOneByte) {
  for (const std::uint64_t size : {600U, 601U, 1024U, 4000U, 10'240U, 100'000U}) {
    const LoadPlan plan = plan_of(std::to_string(size));
    MessageMaker maker(plan);
    for (std::uint64_t number = 0; number < 20; ++number) {
      const std::size_t bytes = maker.make(number, kNow).bytes();
      EXPECT_LE(bytes, size);
      EXPECT_GE(bytes + 1, size);
    }
  }
}

TEST(MessageMaker, LinesAreValid) {
  const LoadPlan plan = plan_of("1k..20k");
  MessageMaker maker(plan);
  for (std::uint64_t number = 0; number < 50; ++number) {
    std::string text = text_of(maker.make(number, kNow));
    ASSERT_TRUE(text.ends_with("\r\n"));
    text.pop_back();
    for (const std::string_view line : split(text, '\n')) {
      ASSERT_TRUE(line.ends_with('\r')) << line;
      ASSERT_LE(line.size(), 100U);
      ASSERT_FALSE(line.starts_with('.'));
      ASSERT_EQ(line.find('\r'), line.size() - 1);
    }
    EXPECT_NE(text.find("Date: Sat, 21 Nov 2026 18:59:00 +0000\r\n"), std::string::npos);
    EXPECT_NE(text.find("x-virtual-mta: v"), std::string::npos);
    EXPECT_NE(text.find("x-job: job7\r\n"), std::string::npos);
  }
}

TEST(MessageMaker, TheReceiverFindsTheSame) {
  const LoadPlan plan = plan_of("600..30k");
  MessageMaker maker(plan);
  std::set<std::uint64_t> hashes;
  for (std::uint64_t number = 0; number < 200; ++number) {
    const LoadMessage message = maker.make(number, kNow);
    MessageIntake intake;
    intake.begin(MessageIntake::Framing::Dot);
    const std::string text = text_of(message) + ".\r\n";
    EXPECT_EQ(intake.take(text), text.size());
    EXPECT_EQ(intake.id(), message.id);
    EXPECT_EQ(intake.body_hash(), message.body_hash);
    EXPECT_EQ(intake.body_bytes(), message.body_bytes);
    hashes.insert(message.body_hash);
  }
  EXPECT_EQ(hashes.size(), 200U);
}

TEST(MessageMaker, RepeatableAndUnique) {
  LoadPlan plan = plan_of("10k");
  plan.recipients_low = 1;
  plan.recipients_high = 5;
  MessageMaker one(plan);
  MessageMaker two(plan);
  std::set<std::string> recipients;
  std::size_t count = 0;
  std::size_t big = 0;
  for (std::uint64_t number = 0; number < 2000; ++number) {
    const LoadMessage message = one.make(number, kNow);
    EXPECT_EQ(text_of(message), text_of(two.make(number, kNow)));
    for (const std::string& recipient : message.recipients) {
      recipients.insert(recipient);
      ++count;
      big += recipient.ends_with("@big.example") ? 1 : 0;
    }
  }
  EXPECT_EQ(recipients.size(), count);
  EXPECT_NEAR(static_cast<double>(count), 6000.0, 300.0);
  EXPECT_NEAR(static_cast<double>(big) / static_cast<double>(count), 0.25, 0.03);
}

}  // namespace
}  // namespace sluice::bench
