// Goal: names, rotation, deletion and the queue filter.
// How: tables with both sides of each boundary.
#include <gtest/gtest.h>

#include "policy/accounting/file_naming.h"
#include "policy/accounting/queue_filter.h"
#include "policy/accounting/rotation.h"

namespace sluice::accounting {
namespace {

using namespace std::chrono;

local_days day(int y, unsigned m, unsigned d) { return local_days{year(y) / month(m) / std::chrono::day(d)}; }

TEST(FileNaming, Names) {
  const FileNaming csv("/var/log/sluice/acct.csv");
  EXPECT_EQ(csv.directory(), "/var/log/sluice");
  EXPECT_EQ(csv.path_of({day(2019, 2, 8), 7}), "/var/log/sluice/acct-2019-02-08-0007.csv");
  EXPECT_EQ(csv.name_of({day(2019, 12, 31), 12345}), "acct-2019-12-31-12345.csv");
  EXPECT_EQ(FileNaming("log.d/bounces").path_of({day(2024, 2, 29), 0}), "log.d/bounces-2024-02-29-0000");
  EXPECT_EQ(FileNaming("a.b.csv").path_of({day(2024, 2, 29), 0}), "./a.b-2024-02-29-0000.csv");
}

TEST(FileNaming, ParsesItsOwnNamesOnly) {
  const FileNaming csv("/x/acct.csv");
  for (const FileId id :
       {FileId{day(2019, 2, 8), 0}, FileId{day(2024, 2, 29), 9999}, FileId{day(2030, 1, 1), 10000}}) {
    EXPECT_EQ(csv.parse(csv.name_of(id)), id);
  }
  for (const char* name :
       {"acct.csv", "acct-2019-02-08.csv", "acct-2019-02-30-0001.csv", "acct-2019-02-08-0001.csv.gz",
        "x-2019-02-08-0001.csv", "acct-2019-02-08-.csv", "acct-2019-02-08-00a1.csv",
        "acct-2019-2-08-00001.csv", "acct-2019-02-08-99999999999.csv", "acct-b-2019-02-08-0001.csv", ".csv",
        "", "acct-2019-02-08--001.csv"}) {
    EXPECT_FALSE(csv.parse(name)) << name;
  }
}

TEST(Rotation, Table) {
  const TimeZone utc;
  const WallTime noon{sys_days{year(2026) / 3 / 10} + 12h};
  config::AcctFile plain;
  plain.max_size = config::ByteCount{1000};
  config::AcctFile moved = plain;
  moved.move_to = "/done";
  moved.move_interval = 5min;
  config::AcctFile given = plain;
  given.move_interval = 5min;
  given.move_interval_given = true;
  config::AcctFile not_given = plain;
  not_given.move_interval = 5min;
  const struct {
    const char* name;
    const config::AcctFile* spec;
    WallTime now;
    std::uint64_t bytes, next;
    std::optional<RotationReason> want;
  } rows[] = {
      {"nothing", &plain, noon + 1s, 500, 100, std::nullopt},
      {"just fits", &plain, noon, 900, 100, std::nullopt},
      {"one byte too many", &plain, noon, 900, 101, RotationReason::Size},
      {"a fresh file takes anything", &plain, noon, 0, 5000, std::nullopt},
      {"last ms of the day", &plain, noon + 12h - 1ms, 500, 1, std::nullopt},
      {"midnight", &plain, noon + 12h, 500, 1, RotationReason::Midnight},
      {"clock set back a day", &plain, noon - 24h, 500, 1, RotationReason::Midnight},
      {"before the interval", &moved, noon + 5min - 1ms, 500, 1, std::nullopt},
      {"interval with move-to", &moved, noon + 5min, 500, 1, RotationReason::Interval},
      {"interval written, no move-to", &given, noon + 5min, 500, 1, RotationReason::Interval},
      {"default interval, no move-to", &not_given, noon + 5min, 500, 1, std::nullopt},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    const OpenFile file{day(2026, 3, 10), noon, row.bytes};
    EXPECT_EQ(decide_rotation(*row.spec, utc, file, row.now, row.next), row.want);
  }
  const OpenFile file{day(2026, 3, 10), noon, 1};
  EXPECT_EQ(next_rotation_check(plain, utc, file), noon + 12h);
  EXPECT_EQ(next_rotation_check(moved, utc, file), noon + 5min);
}

TEST(Rotation, Outdated) {
  config::AcctFile spec;
  spec.delete_after = 8 * 24h;
  EXPECT_FALSE(is_outdated(spec, day(2026, 3, 2), day(2026, 3, 10)));
  EXPECT_TRUE(is_outdated(spec, day(2026, 3, 1), day(2026, 3, 10)));
  EXPECT_FALSE(is_outdated(spec, day(2027, 1, 1), day(2026, 3, 10)));
  spec.move_to = "/done";
  EXPECT_FALSE(is_outdated(spec, day(2020, 1, 1), day(2026, 3, 10)));
  spec.move_to.clear();
  spec.delete_after.reset();
  EXPECT_FALSE(is_outdated(spec, day(2020, 1, 1), day(2026, 3, 10)));
}

TEST(QueueFilter, Table) {
  using Filter = std::vector<config::QueueFilter>;
  const struct {
    const char* name;
    Filter filter;
    const char* queue;
    bool want;
  } rows[] = {
      {"no filter", {}, "a.example/v1", true},
      {"match", {{false, "a.example", "*"}}, "a.example/v1", true},
      {"case does not matter", {{false, "A.Example", "V1"}}, "a.example/v1", true},
      {"another domain", {{false, "a.example", "*"}}, "b.example/v1", false},
      {"another vmta", {{false, "a.example", "v2"}}, "a.example/v1", false},
      {"exclusions alone let nothing through", {{true, "a.example", "*"}}, "b.example/v1", false},
      {"exclusion, then all", {{true, "a.example", "*"}, {false, "*", "*"}}, "b.example/v1", true},
      {"exclusion first", {{true, "a.example", "*"}, {false, "*", "*"}}, "a.example/v1", false},
      {"first match decides", {{false, "*", "*"}, {true, "a.example", "*"}}, "a.example/v1", true},
      {"wildcards inside", {{false, "*.example", "v*1"}}, "a.b.example/v-x1", true},
      {"wildcards inside, no", {{false, "*.example", "v*1"}}, "a.b.example/v-x2", false},
      {"backtracking", {{false, "a*b*c", "*"}}, "aXbXbXc/v", true},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.name);
    EXPECT_EQ(passes_filter(row.filter, row.queue), row.want);
  }
}

}  // namespace
}  // namespace sluice::accounting
