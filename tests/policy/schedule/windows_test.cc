// Goal: what an x-schedule header may say, what a client is told when it says something else, and what each
// moment around the windows means. How: tables; local time is tested with Berlin's rule, given as a zone file
// of no transitions and a POSIX footer.
#include "policy/schedule/windows.h"

#include <gtest/gtest.h>

#include <cstring>

namespace sluice::schedule {
namespace {

using accounting::TimeZone;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;

/// 2026-01-05 00:00 UTC and what lies behind it.
WallTime at(Duration after) {
  return WallTime(std::chrono::sys_days(std::chrono::year(2026) / 1 / 5)) +
         std::chrono::duration_cast<std::chrono::milliseconds>(after);
}

TimeZone berlin() {
  // Two blocks (version 2): a header with one type and one character each, its type record, and the rule.
  std::string file;
  const auto block = [&file] {
    file += "TZif2" + std::string(15, '\0');
    for (const char* count : {"\0", "\0", "\0", "\0", "\1", "\4"}) {
      file += std::string(3, '\0') + std::string(count, 1);
    }  // isut isstd leap time type char
    file += std::string("\0\0\x0e\x10\0\0", 6) + std::string("CET\0", 4);  // 3600 s
  };
  block();
  block();
  file += "\nCET-1CEST,M3.5.0,M10.5.0/3\n";
  const auto zone = TimeZone::parse_tzif(std::as_bytes(std::span(file)));
  EXPECT_TRUE(zone.has_value());
  return zone.value_or(TimeZone());
}

TEST(Schedule, Parses) {
  struct Row {
    const char* text;
    std::vector<Window> want;
  };
  const Row rows[] = {
      {"2026-01-05 08:00:00/2026-01-05 09:30:00", {{at(8h), at(9h + 30min)}}},
      {"  2026-01-05 08:00:00 / 2026-01-05 09:00:00 ", {{at(8h), at(9h)}}},
      {"2026-01-05 08:00:00/2026-01-05 09:00:00, 2026-01-06 08:00:00/2026-01-06 09:00:00",
       {{at(8h), at(9h)}, {at(32h), at(33h)}}},
      {"2026-01-05 08:00:00/2026-01-05 09:00:00,\r\n\t2026-01-06 08:00:00 /\r\n 2026-01-06 09:00:00",
       {{at(8h), at(9h)}, {at(32h), at(33h)}}},
      {"2026-01-06 08:00:00/2026-01-06 09:00:00,2026-01-05 08:00:00/2026-01-05 09:00:00",  // order is free
       {{at(8h), at(9h)}, {at(32h), at(33h)}}},
      {"2026-01-05 08:00:00/2026-01-05 10:00:00,2026-01-05 09:00:00/2026-01-05 12:00:00",
       {{at(8h), at(12h)}}},
      {"2026-01-05 08:00:00/2026-01-05 10:00:00,2026-01-05 08:30:00/2026-01-05 09:00:00",
       {{at(8h), at(10h)}}},
      {"2026-01-05 08:00:00/2026-01-05 09:00:00,2026-01-05 09:00:00/2026-01-05 10:00:00",
       {{at(8h), at(10h)}}},
      {"2026-01-05  08:00:00/2026-01-05 08:00:01", {{at(8h), at(8h + 1s)}}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.text);
    const auto got = Windows::parse(row.text, TimeZone());
    ASSERT_TRUE(got.has_value()) << got.error();
    EXPECT_EQ(got->list(), row.want);
    EXPECT_EQ(Windows::decode(got->encode()), *got);
  }
}

TEST(Schedule, SaysWhatIsWrong) {
  struct Row {
    const char* text;
    const char* want;
  };
  const Row rows[] = {
      {"", "no window; expected START/END, START/END"},
      {" \r\n ", "no window; expected START/END, START/END"},
      {"tomorrow", "\"tomorrow\" is no window; expected START/END, each YYYY-MM-DD HH:MM:SS"},
      {"2026-01-05 08:00:00/", "\"\" is no time; expected YYYY-MM-DD HH:MM:SS"},
      {"2026-01-05/2026-01-06", "\"2026-01-05\" is no time; expected YYYY-MM-DD HH:MM:SS"},
      {"2026-02-30 08:00:00/2026-03-01 08:00:00",
       "\"2026-02-30 08:00:00\" is no time; expected YYYY-MM-DD HH:MM:SS"},
      {"2026-01-05 24:00:00/2026-01-06 08:00:00",
       "\"2026-01-05 24:00:00\" is no time; expected YYYY-MM-DD HH:MM:SS"},
      {"2026-01-05 08:00:00Z/2026-01-06 08:00:00",
       "\"2026-01-05 08:00:00Z\" is no time; expected YYYY-MM-DD HH:MM:SS"},
      {"2026-01-05 08:00:00/2026-01-05 08:00:00",
       "window \"2026-01-05 08:00:00/2026-01-05 08:00:00\" ends before it starts"},
      {"2026-01-05 08:00:00/2026-01-05 09:00:00,",
       "\"\" is no window; expected START/END, each YYYY-MM-DD HH:MM:SS"},
      {"a\tb/c", "\"a?b\" is no time; expected YYYY-MM-DD HH:MM:SS"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.text);
    const auto got = Windows::parse(row.text, TimeZone());
    ASSERT_FALSE(got.has_value());
    EXPECT_EQ(got.error(), row.want);
  }
}

TEST(Schedule, IsLimited) {
  std::string text;
  for (int i = 0; i <= 100; ++i) text += ",2026-01-05 08:00:00/2026-01-05 09:00:00";
  EXPECT_EQ(Windows::parse(text.substr(1), TimeZone()).error(), "more than 100 windows");
  EXPECT_TRUE(Windows::parse(text.substr(41), TimeZone()).has_value());
  EXPECT_EQ(Windows::parse(std::string(8193, ' '), TimeZone()).error(), "longer than 8192 bytes");
}

TEST(Schedule, StandingAroundTheEdges) {
  const auto windows = Windows::parse(
      "2026-01-05 08:00:00/2026-01-05 09:00:00,2026-01-06 08:00:00/2026-01-06 09:00:00", TimeZone());
  ASSERT_TRUE(windows.has_value());
  struct Row {
    Duration now;
    Standing::Kind want;
    Duration until;
  };
  using Kind = Standing::Kind;
  const Row rows[] = {
      {0s, Kind::Waits, 8h},        {8h - 1ms, Kind::Waits, 8h}, {8h, Kind::Open, 9h},
      {9h - 1ms, Kind::Open, 9h},   {9h, Kind::Waits, 32h},      {32h, Kind::Open, 33h},
      {33h - 1ms, Kind::Open, 33h},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.now / 1ms);
    EXPECT_EQ(windows->at(at(row.now)).kind, row.want);
    EXPECT_EQ(windows->at(at(row.now)).until, at(row.until));
  }
  EXPECT_EQ(windows->at(at(33h)).kind, Kind::Over);
}

TEST(Schedule, TimesOutOfReachAreForEver) {
  const WallTime now = at(0s);
  const auto always = Windows::parse("1900-01-01 00:00:00/9999-12-31 23:59:59", TimeZone());
  ASSERT_TRUE(always.has_value());
  EXPECT_EQ(always->at(now).kind, Standing::Kind::Open);
  EXPECT_EQ(always->encode(), "0-8796093022");
  EXPECT_EQ(Windows::decode(always->encode()), *always);
  EXPECT_GT(Duration(always->list().back().end - WallTime{}), 278 * 365 * 24h);
  const auto later = Windows::parse("9000-01-01 00:00:00/9999-12-31 23:59:59", TimeZone());
  ASSERT_TRUE(later.has_value());
  EXPECT_EQ(later->at(now).kind, Standing::Kind::Waits);
  EXPECT_GT(Duration(later->at(now).until - now), 200 * 365 * 24h);
  EXPECT_EQ(Windows::decode(later->encode()), *later);
  const auto before = Windows::parse("1900-01-01 00:00:00/1901-01-01 00:00:00", TimeZone());
  ASSERT_TRUE(before.has_value());
  EXPECT_EQ(before->at(now).kind, Standing::Kind::Over);
  EXPECT_EQ(Windows::decode(before->encode()), *before);
}

TEST(Schedule, TimesAreLocal) {
  const TimeZone zone = berlin();
  const auto first_start = [&zone](const char* text) {
    const auto got = Windows::parse(text, zone);
    return got ? got->list().front().start : WallTime{};
  };
  EXPECT_EQ(first_start("2026-01-05 08:00:00/2026-01-06 08:00:00"), at(7h));
  const auto date = [](int month, unsigned day) {
    return WallTime(std::chrono::sys_days(std::chrono::year(2026) / month / static_cast<int>(day)));
  };
  EXPECT_EQ(first_start("2026-07-05 08:00:00/2026-07-06 08:00:00"), date(7, 5) + 6h);
  // On 2026-03-29 clocks go from 02:00 to 03:00: 02:30 does not exist and is an hour later, 03:30.
  EXPECT_EQ(first_start("2026-03-29 01:59:59/2026-03-30 08:00:00"), date(3, 29) + 59min + 59s);
  EXPECT_EQ(first_start("2026-03-29 02:30:00/2026-03-30 08:00:00"), date(3, 29) + 1h + 30min);
  EXPECT_EQ(first_start("2026-03-29 03:00:00/2026-03-30 08:00:00"), date(3, 29) + 1h);
  // On 2026-10-25 clocks go from 03:00 back to 02:00: 02:30 comes twice, the first is meant.
  EXPECT_EQ(first_start("2026-10-25 02:30:00/2026-10-26 08:00:00"), date(10, 25) + 30min);
  EXPECT_EQ(first_start("2026-10-25 03:00:00/2026-10-26 08:00:00"), date(10, 25) + 2h);
}

TEST(Schedule, StoredTextIsChecked) {
  for (const char* bad : {"", "1", "1-", "-1", "2-1", "1-1", "1-2 ", " 1-2", "1-2  3-4", "1-2,3-4", "a-b",
                          "1-2x", "-5-6", "1-99999999999999"}) {
    EXPECT_FALSE(Windows::decode(bad).has_value()) << bad;
  }
  EXPECT_EQ(Windows::decode("10-20 30-40")->encode(), "10-20 30-40");
}

}  // namespace
}  // namespace sluice::schedule
