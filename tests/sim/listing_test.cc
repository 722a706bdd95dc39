// Goal: pages of long lists are what one sorted list would be, however rows are offered; slices of a table that changes
//       between them show each entry that stays exactly once.
// How:  random rows in random order against std::sort; a table of jobs that random hands add to and take from between
//       slices. Seeds are printed.
#include "engine/shard/listing.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

#include "engine/spool/job.h"

namespace sluice::shard {
namespace {

TEST(Listing, PagesAreTheSortedList) {
  for (std::uint32_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::minstd_rand random(seed);
    std::vector<int> rows(random() % 300);
    // Each value once: a page begins behind the last row of the one before.
    for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int>(i * 3);
    const std::size_t page_rows = 1 + random() % 40;
    FirstRows<int> first([](int a, int b) { return a < b; }, page_rows);
    std::vector<int> seen;
    for (std::vector<int> page; seen.empty() || !page.empty();) {
      std::shuffle(rows.begin(), rows.end(), random);
      for (int row : rows) first.offer(std::move(row));
      page = first.take();
      EXPECT_LE(page.size(), page_rows);
      if (page.empty()) break;
      seen.insert(seen.end(), page.begin(), page.end());
      first.start_behind(page.back());
    }
    std::sort(rows.begin(), rows.end());
    EXPECT_EQ(seen, rows);
  }
}

TEST(Listing, SlicesOfJobsMissNoneThatStays) {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::minstd_rand random(seed);
    spool::JobTable table;
    std::set<std::string> stay, shown;
    std::vector<spool::Job*> passing;
    const auto name = [&random] { return "job" + std::to_string(random() % 1000); };
    for (std::size_t i = 0; i < 50; ++i) {
      std::string one = "s" + name();
      if (random() % 4 == 0)
        table.pause(one, true);
      else
        table.enter(one, 1, 1);
      stay.insert(std::move(one));
    }
    std::string after;
    do {
      after = table.visit_some(after, 1 + random() % 7, [&](const spool::Job*, std::string_view one) {
        EXPECT_TRUE(shown.insert(std::string(one)).second) << one << " was shown twice";
      });
      for (std::size_t i = random() % 5; i > 0; --i) passing.push_back(&table.enter("t" + name(), 0, 0));
      for (std::size_t i = random() % 5; i > 0 && !passing.empty(); --i) {
        table.leave(*passing.back());
        passing.pop_back();
      }
    } while (!after.empty());
    for (const std::string& one : stay) EXPECT_TRUE(shown.contains(one)) << one;
  }
}

}  // namespace
}  // namespace sluice::shard
