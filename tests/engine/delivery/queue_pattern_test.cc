// Goal: which queues a command means by "domain[/vmta]" with stars.
// How:  a table.
#include "engine/delivery/queue_pattern.h"

#include <gtest/gtest.h>

namespace sluice::delivery {
namespace {

TEST(QueuePattern, Table) {
  struct Row {
    const char* pattern;
    const char* name;
    bool matches;
  };
  static constexpr Row kRows[] = {
      {"*", "gmail.com/v1", true},
      {"gmail.com", "gmail.com/{default}", true},
      {"gmail.com", "gmail.com/v1", false},
      {"gmail.com/*", "gmail.com/v1", true},
      {"GMAIL.com/V1", "gmail.com/v1", true},
      {"*/v1", "gmail.com/v1", true},
      {"*/v1", "gmail.com/v11", false},
      {"*.com/v*", "mail.gmail.com/v11", true},
      {"*mail*/v1", "gmail.com/v1", true},
      {"*mail*/v1", "gmx.net/v1", false},
      {"a*b*c/v1", "aXbXbXc/v1", true},
      {"a*b*c/v1", "aXbXbX/v1", false},
      {"", "gmail.com/{default}", false},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(std::string(row.pattern) + " on " + row.name);
    EXPECT_EQ(matches_queue(row.pattern, row.name), row.matches);
  }
}

}  // namespace
}  // namespace sluice::delivery
