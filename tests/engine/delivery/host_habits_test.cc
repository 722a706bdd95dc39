// Goal: what was learned of a host is remembered for a while and for it alone, adds up, and takes bounded memory; so
//       does where a queue's search for a host goes on.
// How:  the table alone, with a clock of its own.
#include "engine/delivery/host_habits.h"

#include <gtest/gtest.h>

namespace sluice::delivery {
namespace {

Endpoint host(std::uint32_t number, std::uint16_t port = 25) {
  const auto byte = [number](int shift) { return static_cast<std::uint8_t>(number >> shift); };
  return {IpAddress::from_v4({10, byte(16), byte(8), byte(0)}), port};
}
constexpr MonoTime kNow{std::chrono::hours(100)};

TEST(HostHabits, AddUpAndBelongToOneHostAndPort) {
  HostHabits habits;
  EXPECT_FALSE(habits.of(host(1), kNow).no_chunking);
  habits.note(host(1), {.no_chunking = true}, kNow);
  habits.note(host(1), {.no_pipelining = true}, kNow);
  EXPECT_TRUE(habits.of(host(1), kNow).no_chunking);
  EXPECT_TRUE(habits.of(host(1), kNow).no_pipelining);
  EXPECT_FALSE(habits.of(host(2), kNow).no_chunking);
  EXPECT_FALSE(habits.of(host(1, 587), kNow).no_chunking);
}

TEST(HostHabits, AreForgottenAfterAWhile) {
  HostHabits habits;
  habits.note(host(1), {.no_chunking = true}, kNow);
  EXPECT_TRUE(habits.of(host(1), kNow + HostHabits::kKept).no_chunking);
  EXPECT_FALSE(habits.of(host(1), kNow + HostHabits::kKept + 1s).no_chunking);
  // What was forgotten does not come back with the next lesson.
  habits.note(host(1), {.no_pipelining = true}, kNow + HostHabits::kKept + 1s);
  EXPECT_FALSE(habits.of(host(1), kNow + HostHabits::kKept + 1s).no_chunking);
  EXPECT_TRUE(habits.of(host(1), kNow + HostHabits::kKept + 1s).no_pipelining);
}

TEST(HostHabits, ALessonIsKeptForAsLongAsItIsRenewed) {
  HostHabits habits;
  habits.note(host(1), {.no_chunking = true}, kNow);
  habits.note(host(1), {.no_chunking = true}, kNow + 5h);
  EXPECT_TRUE(habits.of(host(1), kNow + 10h).no_chunking);
}

TEST(HostHabits, WhenFullTheOldestGoAndTheNewestStays) {
  HostHabits habits;
  constexpr std::uint32_t kMax = HostHabits::kHostsMax;
  for (std::uint32_t i = 0; i < kMax; ++i) habits.note(host(i), {.no_chunking = true}, kNow);
  // All of them are over by now: they make room at once.
  const MonoTime later = kNow + HostHabits::kKept + 1s;
  habits.note(host(kMax), {.no_chunking = true}, later);
  EXPECT_TRUE(habits.of(host(kMax), later).no_chunking);
  for (std::uint32_t i = 1; i < 3 * kMax; ++i) habits.note(host(kMax + i), {.no_chunking = true}, later);
  EXPECT_TRUE(habits.of(host(4 * kMax - 1), later).no_chunking);
  std::uint32_t known = 0;
  for (std::uint32_t i = 0; i < 4 * kMax; ++i) known += habits.of(host(i), later).no_chunking ? 1 : 0;
  EXPECT_EQ(known, kMax);
}

TEST(HostHabits, ASearchGoesOnWhereItStopped) {
  HostHabits habits;
  EXPECT_FALSE(habits.next_of("a/v"));
  habits.go_on_with("a/v", std::nullopt);
  habits.go_on_with("a/v", host(3));
  EXPECT_EQ(habits.next_of("a/v"), host(3));
  EXPECT_FALSE(habits.next_of("b/v"));
  habits.go_on_with("a/v", host(4));
  EXPECT_EQ(habits.next_of("a/v"), host(4));
  habits.go_on_with("a/v", std::nullopt);
  EXPECT_FALSE(habits.next_of("a/v"));
}

TEST(HostHabits, SearchesTakeBoundedMemory) {
  HostHabits habits;
  constexpr std::size_t kMax = HostHabits::kHostsMax;
  for (std::size_t i = 0; i < 2 * kMax; ++i) habits.go_on_with("q" + std::to_string(i), host(1));
  EXPECT_TRUE(habits.next_of("q" + std::to_string(2 * kMax - 1)));
  std::size_t known = 0;
  for (std::size_t i = 0; i < 2 * kMax; ++i) known += habits.next_of("q" + std::to_string(i)) ? 1 : 0;
  EXPECT_EQ(known, kMax);
  // One that is known is renewed without a victim.
  const std::string last = "q" + std::to_string(2 * kMax - 1);
  habits.go_on_with(last, host(2));
  known = 0;
  for (std::size_t i = 0; i < 2 * kMax; ++i) known += habits.next_of("q" + std::to_string(i)) ? 1 : 0;
  EXPECT_EQ(known, kMax);
}

}  // namespace
}  // namespace sluice::delivery
