// Goal: a start that does not fit its limits is refused in words that say what, how much and what to do.
// How: limits and control groups of both versions as tables.
#include "tools/sluiced/memory_limit.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <map>

namespace sluice::tools {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

ReadFile files(std::map<std::string, std::string> all) {
  return [all = std::move(all)](const std::string& path) {
    const auto found = all.find(path);
    return found == all.end() ? std::string() : found->second;
  };
}

TEST(MemoryLimit, TheTightestCounts) {
  EXPECT_FALSE(memory_limit(RLIM_INFINITY, RLIM_INFINITY, files({})));
  const auto space = memory_limit(100 * kMiB, RLIM_INFINITY, files({}));
  ASSERT_TRUE(space);
  EXPECT_EQ(space->bytes, 100 * kMiB);
  EXPECT_EQ(space->what, "the address space (ulimit -v, LimitAS)");
  // The group itself has none, the one around it has.
  const auto two = memory_limit(RLIM_INFINITY, RLIM_INFINITY,
                                files({{"/proc/self/cgroup", "0::/mail/sluice\n"},
                                       {"/sys/fs/cgroup/mail/sluice/memory.max", "max\n"},
                                       {"/sys/fs/cgroup/mail/memory.max", "67108864\n"}}));
  ASSERT_TRUE(two);
  EXPECT_EQ(two->bytes, 64 * kMiB);
  EXPECT_EQ(two->what, "the control group (memory.max)");
  const auto one =
      memory_limit(1000 * kMiB, 900 * kMiB,
                   files({{"/proc/self/cgroup", "3:cpu:/x\n5:blkio,memory:/docker/1\nbroken\n:\n"},
                          {"/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "50000000\n"},
                          {"/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"}}));
  ASSERT_TRUE(one);
  EXPECT_EQ(one->bytes, 50'000'000u);
  // In a container the group is the root.
  const auto root =
      memory_limit(RLIM_INFINITY, RLIM_INFINITY,
                   files({{"/proc/self/cgroup", "0::/\n"}, {"/sys/fs/cgroup/memory.max", "1048576"}}));
  ASSERT_TRUE(root);
  EXPECT_EQ(root->bytes, kMiB);
}

TEST(MemoryLimit, AsksTheSystem) {
  EXPECT_TRUE(is_given(kMiB));
  EXPECT_FALSE(is_given(std::uint64_t{1} << 60));
}

TEST(MemoryLimit, SaysWhatIsNeededAndWhatToDo) {
  const MemoryNeed need{.shards = 2, .shard_bytes = 128 * kMiB};
  EXPECT_EQ(too_little_memory(need, std::nullopt), "");
  EXPECT_EQ(too_little_memory(need, MemoryLimit{need.bytes(), "x"}), "");
  EXPECT_EQ(too_little_memory(need, MemoryLimit{100 * kMiB, "the control group (memory.max)"}),
            "not enough memory: 2 shards need 304 MB to start, and the control group (memory.max) is limited "
            "to 100 "
            "MB.\nRaise the limit, or set `shards` to fewer: each needs 128 MB");
  EXPECT_EQ(memory_refused({.shards = 1, .shard_bytes = kMiB}, std::nullopt),
            "not enough memory: 1 shard needs 49 MB to start.\nRaise the limit");
}

}  // namespace
}  // namespace sluice::tools
