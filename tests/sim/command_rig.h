#pragma once
// A node whose commands are asked and whose answers are read.

#include <string>
#include <vector>

#include "tests/sim/identity_rig.h"

namespace sluice::test {

struct CommandRig : IdentityRig {
  using IdentityRig::IdentityRig;
  control::Answer ask(const std::vector<std::string>& words) {
    const auto answer =
        finish(scenario.world, scenario.node->node().execute(*control::Command::of(words)), 10min);
    return answer ? *answer : control::Answer::error("hangs");
  }
  std::string text(const std::vector<std::string>& words) { return ask(words).text; }
  /// Lines of an answer that have `part` in them.
  std::size_t lines_with(const std::vector<std::string>& words, const std::string& part) {
    const std::string all = text(words);
    std::size_t count = 0;
    for (std::size_t at = 0; at < all.size();) {
      const std::size_t end = std::min(all.find('\n', at), all.size());
      count += all.substr(at, end - at).find(part) != std::string::npos ? 1 : 0;
      at = end + 1;
    }
    return count;
  }
  std::vector<std::string> order() {
    std::vector<std::string> out;
    for (const std::string& one : scenario.ledger.order) out.push_back(one.substr(1, one.find('@') - 1));
    return out;
  }
};

inline constexpr const char* kSettings = R"(
<source 0/0>
    process-x-job yes
    process-x-virtual-mta yes
</source>
<virtual-mta v1>
    smtp-source-host 10.255.0.7 v1.node.sim
    max-smtp-out 77
</virtual-mta>
<virtual-mta-pool p1>
    virtual-mta v1
    max-smtp-out 55
</virtual-mta-pool>
<domain a.test>
    max-smtp-out 1
    max-rcpt-per-message 1
</domain>
)";

/// Three messages with five recipients wait, one of them in the queue of v1.
inline void fill(CommandRig& rig) {
  ASSERT_TRUE(rig.ask({"pause", "job", "x"}).ok);
  ASSERT_EQ(rig.send("m1", {"a1@a.test", "b1@b.test"}, {"X-Job: x"}, "one@s.sim"), "250");
  ASSERT_EQ(rig.send("m2", {"a2@a.test", "a3@a.test"}, {"X-Job: x"}, "two@s.sim"), "250");
  ASSERT_EQ(rig.send("m3", {"a4@a.test"}, {"X-Job: x", "X-Virtual-MTA: v1"}, "two@s.sim"), "250");
  rig.scenario.world.run_for(1s);
}

}  // namespace sluice::test
