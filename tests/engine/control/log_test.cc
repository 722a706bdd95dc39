// Goal: the main log keeps as many files as it should, gives each day its own, and never costs more than it
// may. How:  a log on the simulated disk, whose content is looked at; time is the simulated world's.
#include "engine/control/log.h"

#include <gtest/gtest.h>

#include "engine/runtime/mailbox.h"
#include "tests/support/sim_test.h"

namespace sluice::control {
namespace {

constexpr const char* kPath = "/var/log/main";

class LogTest : public test::SimTest {
 protected:
  LogTest() : SimTest(1, {.machine = {.reactors = 2}}) { world.disk().put("/var/log/.made", ""); }
  ~LogTest() override { EXPECT_TRUE(test::finish(world, log.stop())); }
  void open(LogOptions options = {}) {
    options.path = kPath;
    const auto opened = test::finish(world, log.open(options));
    ASSERT_TRUE(opened && opened->has_value());
  }
  void rotate() {
    const auto rotated = test::finish(world, log.rotate());
    ASSERT_TRUE(rotated && rotated->has_value());
  }
  std::string text(const std::string& suffix = "") {
    world.run_for(1s);
    return world.disk().content(kPath + suffix);
  }
  bool exists(const std::string& suffix) {
    const auto all = world.disk().files_below("/var/log");
    return std::ranges::find(all, kPath + suffix) != all.end();
  }
  /// A line without its time.
  static std::string words(const std::string& line) {
    return line.substr(std::min<std::size_t>(20, line.size()));
  }

  accounting::TimeZone zone;
  Log log{here(0), zone};
};

TEST_F(LogTest, LinesHaveTheirTimeAndNoControlBytes) {
  open();
  log.write("one\r\ntwo\x7f\n");
  const std::string line = text();
  ASSERT_EQ(line.size(), 20 + 11u) << line;
  EXPECT_EQ(words(line), "one | two?\n");
  EXPECT_EQ(line[4], '-');
  EXPECT_EQ(line[10], ' ');
  EXPECT_EQ(line[13], ':');
}

TEST_F(LogTest, AsManyFilesAreKeptAsAskedFor) {
  open({.kept = 3});
  for (const char* day : {"a", "b", "c", "d"}) {
    log.write(day);
    text();
    rotate();
  }
  log.write("e");
  EXPECT_EQ(words(text()), "e\n");
  EXPECT_EQ(words(text(".1")), "d\n");
  EXPECT_EQ(words(text(".2")), "c\n");
  EXPECT_FALSE(exists(".3"));
  open({.kept = 2});
  rotate();
  EXPECT_EQ(text(), "");
  EXPECT_EQ(words(text(".1")), "e\n");
  EXPECT_FALSE(exists(".2")) << "more were kept before";
}

TEST_F(LogTest, OneFileBeginsAnewAndNoneIsNeverTouched) {
  open({.kept = 1});
  log.write("a");
  text();
  rotate();
  log.write("b");
  EXPECT_EQ(words(text()), "b\n");
  EXPECT_FALSE(exists(".1"));
  open({.kept = 0});
  rotate();
  world.run_for(48h);
  log.write("c");
  EXPECT_NE(text().find(" b\n"), std::string::npos);
  EXPECT_FALSE(exists(".1"));
}

TEST_F(LogTest, EveryDayHasItsFile) {
  open();
  log.write("before");
  const WallTime midnight = zone.next_midnight(here(0).wall_now());
  world.run_for(midnight - here(0).wall_now() - 1s);
  log.write("still before");
  world.run_for(2min);
  EXPECT_EQ(text(), "") << "rotated though nothing was written";
  log.write("after");
  EXPECT_EQ(words(text()), "after\n");
  EXPECT_NE(text(".1").find("still before\n"), std::string::npos);
  EXPECT_FALSE(exists(".2"));
  open({.daily = false});
  world.run_for(48h);
  EXPECT_EQ(words(text()), "after\n");
}

TEST_F(LogTest, AReopenedLogFollowsItsPath) {
  open();
  log.write("old");
  text();
  world.disk().put("/var/log/other", "");
  LogOptions other;
  other.path = "/var/log/other";
  const auto opened = test::finish(world, log.open(other));
  ASSERT_TRUE(opened && opened->has_value());
  log.write("new");
  EXPECT_EQ(words(text()), "old\n");
  EXPECT_EQ(words(world.disk().content("/var/log/other")), "new\n");
}

TEST_F(LogTest, StormsAreCutAndSaid) {
  open();
  const std::string line(4000, 'x');
  for (int i = 0; i < 3000; ++i) log.write(line);
  const std::string all = text();
  EXPECT_LE(all.size(), Log::kBacklogBytesMax + 4096);
  EXPECT_NE(all.find(" log lines left out: too many at once\n"), std::string::npos);
}

TEST_F(LogTest, AShardsStormIsCutOnItsOwnSide) {
  open();
  ShardLog shard(here(1), ShardId{0}, log, zone);
  const std::string line(4000, 'x');
  for (int i = 0; i < 1000; ++i) shard.write(line);
  shard.write(std::string(4000, 'z'));
  world.run_for(1s);
  shard.write("later");
  const std::string all = text();
  // The first line left at once, 1 MiB of 4,021 bytes each waited.
  const auto count = std::ranges::count(all, '\n');
  EXPECT_GT(count, 250);
  EXPECT_LT(count, 270);
  EXPECT_NE(all.find(" log lines left out"), std::string::npos);
  EXPECT_EQ(all.find('z'), std::string::npos);
  EXPECT_TRUE(all.ends_with(" later\n")) << all.substr(all.size() - 50);
}

}  // namespace
}  // namespace sluice::control
