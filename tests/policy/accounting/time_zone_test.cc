// Goal: local time from a zone file: table, rule behind it, both hemispheres, broken files.
// How: zone files are made here byte by byte (RFC 8536); every truncation and every flipped byte is tried as well.
#include "policy/accounting/time_zone.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::accounting {
namespace {

using namespace std::chrono;

struct Made {
  std::vector<std::pair<std::int64_t, std::uint8_t>> transitions;
  std::vector<std::int32_t> offsets;
  std::string rule;
};

void put(std::string& out, std::int64_t value, int size) {
  for (int shift = (size - 1) * 8; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

std::string block(const Made& made, int time_bytes) {
  std::string out = "TZif2";
  out.append(15, '\0');
  for (const std::size_t count : {std::size_t{0}, std::size_t{0}, std::size_t{0}, made.transitions.size(),
                                  made.offsets.size(), std::size_t{4}}) {
    put(out, static_cast<std::int64_t>(count), 4);
  }
  for (const auto& [at, type] : made.transitions) put(out, at, time_bytes);
  for (const auto& [at, type] : made.transitions) out += static_cast<char>(type);
  for (const std::int32_t offset : made.offsets) {
    put(out, offset, 4);
    out += '\0';
    out += '\0';
  }
  out.append("ABC\0", 4);
  return out;
}

std::string file_of(const Made& made) {
  return block({{}, {0}, {}}, 4) + block(made, 8) + '\n' + made.rule + '\n';
}

std::optional<TimeZone> parse(const std::string& bytes) {
  return TimeZone::parse_tzif(std::as_bytes(std::span(bytes)));
}

sys_seconds at(int y, unsigned m, unsigned d, int hour, int minute = 0) {
  return sys_days{year(y) / month(m) / day(d)} + hours(hour) + minutes(minute);
}

TEST(TimeZone, TableThenRule) {
  // One table entry in 2000, the rule of central Europe from then on.
  const auto zone = parse(file_of({{{946684800, 1}}, {3000, 3600}, "CET-1CEST,M3.5.0,M10.5.0/3"}));
  ASSERT_TRUE(zone);
  EXPECT_EQ(zone->offset_at(at(1999, 12, 31, 23, 59)), seconds(3000));
  EXPECT_EQ(zone->offset_at(at(2026, 1, 1, 0)), hours(1));
  EXPECT_EQ(zone->offset_at(at(2026, 3, 29, 0, 59)), hours(1));
  EXPECT_EQ(zone->offset_at(at(2026, 3, 29, 1)), hours(2));
  EXPECT_EQ(zone->offset_at(at(2026, 10, 25, 0, 59)), hours(2));
  EXPECT_EQ(zone->offset_at(at(2026, 10, 25, 1)), hours(1));
}

TEST(TimeZone, DaysAndMidnights) {
  const auto zone = parse(file_of({{}, {3600}, "CET-1CEST,M3.5.0,M10.5.0/3"}));
  ASSERT_TRUE(zone);
  const WallTime evening{at(2026, 3, 28, 23, 30)};
  EXPECT_EQ(zone->day_of(evening), (local_days{year(2026) / 3 / 29}));
  EXPECT_EQ(zone->next_midnight(evening), WallTime{at(2026, 3, 29, 22)}) << "a day of 23 hours";
  EXPECT_EQ(zone->next_midnight(WallTime{at(2026, 10, 24, 22)}), WallTime{at(2026, 10, 25, 23)})
      << "one of 25";
  EXPECT_EQ(TimeZone().next_midnight(WallTime{at(2026, 5, 5, 0)}), WallTime{at(2026, 5, 6, 0)});
  EXPECT_EQ(TimeZone().day_of(WallTime{at(2026, 5, 5, 0) - 1s}), (local_days{year(2026) / 5 / 4}));
}

TEST(PosixTimeRule, Table) {
  const struct {
    const char* rule;
    sys_seconds time;
    seconds want;
  } rows[] = {
      {"UTC0", at(2026, 7, 1, 0), 0s},
      {"<+0530>-5:30", at(2026, 7, 1, 0), 5h + 30min},
      {"<-03>3", at(2026, 7, 1, 0), -3h},
      {"EST5EDT,M3.2.0,M11.1.0", at(2026, 3, 8, 6, 59), -5h},
      {"EST5EDT,M3.2.0,M11.1.0", at(2026, 3, 8, 7), -4h},
      {"EST5EDT,M3.2.0,M11.1.0", at(2026, 11, 1, 5, 59), -4h},
      {"EST5EDT,M3.2.0,M11.1.0", at(2026, 11, 1, 6), -5h},
      {"AEST-10AEDT,M10.1.0,M4.1.0/3", at(2026, 1, 1, 0), 11h},
      {"AEST-10AEDT,M10.1.0,M4.1.0/3", at(2026, 7, 1, 0), 10h},
      {"AEST-10AEDT,M10.1.0,M4.1.0/3", at(2026, 4, 4, 16), 10h},
      {"X0Y-2,J60/0,J61/0", at(2024, 3, 1, 1), 2h},
      {"X0Y-2,J60/0,J61/0", at(2023, 3, 1, 1), 2h},
      {"X0Y-2,59/0,60/0", at(2024, 2, 29, 1), 2h},
      {"X0Y-2,59/0,60/0", at(2023, 3, 1, 1), 2h},
      {"IST-2IDT,M3.4.4/26,M10.5.0", at(2026, 3, 26, 23, 59), 2h},
      {"IST-2IDT,M3.4.4/26,M10.5.0", at(2026, 3, 27, 0), 3h},
      {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", at(2026, 3, 29, 1), -1h},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.rule);
    const auto rule = PosixTimeRule::parse(row.rule);
    ASSERT_TRUE(rule);
    EXPECT_EQ(rule->offset_at(row.time), row.want);
  }
  for (const char* bad : {"", "5", "EST", "EST5EDT", "EST5EDT,", "EST5EDT,M3.2.0", "EST5EDT,M13.2.0,M11.1.0",
                          "EST5EDT,M3.0.0,M11.1.0", "EST5EDT,M3.2.7,M11.1.0", "EST5x", "<EST5", "EST999",
                          "EST5EDT,J0,J5", "EST5EDT,M3.2.0,M11.1.0,", "EST5EDT,M3.2.0/,M11.1.0"}) {
    EXPECT_FALSE(PosixTimeRule::parse(bad)) << bad;
  }
}

TEST(TimeZone, ARuleAsInTheVariableTz) {
  const auto at = [](const char* rule, std::chrono::sys_days day) {
    const auto zone = TimeZone::parse_rule(rule);
    EXPECT_TRUE(zone) << rule;
    return zone ? zone->offset_at(day) / std::chrono::minutes(1) : 0;
  };
  const std::chrono::sys_days winter{std::chrono::year(2026) / 1 / 15};
  const std::chrono::sys_days summer{std::chrono::year(2026) / 7 / 15};
  EXPECT_EQ(at("UTC0", winter), 0);
  EXPECT_EQ(at("<+0530>-5:30", winter), 330);
  EXPECT_EQ(at("CET-1CEST,M3.5.0,M10.5.0/3", winter), 60);
  EXPECT_EQ(at("CET-1CEST,M3.5.0,M10.5.0/3", summer), 120);
  // Without dates: those of the United States.
  EXPECT_EQ(at("EST5EDT", winter), -300);
  EXPECT_EQ(at("EST5EDT", summer), -240);
  for (const char* bad : {"", "Europe/Berlin", "UTC", "A-100", "CET-1CEST,", "CET-1CEST,M3.5.0"})
    EXPECT_FALSE(TimeZone::parse_rule(bad)) << bad;
}

TEST(TimeZone, BrokenFilesAreRefusedOrHarmless) {
  const std::string good = file_of({{{0, 0}, {1000, 1}}, {-3600, 7200}, "CET-1CEST,M3.5.0,M10.5.0/3"});
  ASSERT_TRUE(parse(good));
  EXPECT_FALSE(parse(""));
  EXPECT_FALSE(parse("not a zone file"));
  EXPECT_FALSE(parse(file_of({{{1000, 0}, {0, 0}}, {0}, ""}))) << "times out of order";
  EXPECT_FALSE(parse(file_of({{{0, 7}}, {0}, ""}))) << "a type that is not there";
  EXPECT_FALSE(parse(file_of({{}, {200'000}, ""}))) << "an offset of two days";
  for (std::size_t size = 0; size + 1 < good.size(); ++size) {
    if (const auto zone = parse(good.substr(0, size))) (void)zone->offset_at(at(2026, 1, 1, 0));
  }
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bent = good;
    bent[i] = static_cast<char>(bent[i] ^ 0xff);
    if (const auto zone = parse(bent)) (void)zone->next_midnight(WallTime{at(2026, 1, 1, 0)});
  }
}

}  // namespace
}  // namespace sluice::accounting
