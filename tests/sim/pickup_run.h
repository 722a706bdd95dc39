#pragma once
// A whole node in the simulated world with a pickup directory on its disk.

#include <string>
#include <vector>

#include "tests/sim/scenario.h"

namespace sluice::test {

inline constexpr const char* kPickup = R"(
pickup /in/ /bad
<source {pickup}>
    default-virtual-mta v2
    add-message-id-header no
</source>
<acct-file /var/log/src.csv>
    records r,d,b
    record-fields r orig,rcpt,srcType,srcMta,jobId,envId,vmta
    record-fields d orig,rcpt,srcType,srcMta,jobId,envId,vmta
    record-fields b orig,rcpt,srcType,srcMta,jobId,envId,vmta,dsnStatus
</acct-file>
)";

inline std::string message(const std::string& id, const std::string& to = "joe@a.test") {
  return "x-sender: sender@sim.test\nx-receiver: " + to + "\nMessage-ID: <" + id +
         "@sim>\nSubject: x\n\nbody of " + id + "\n";
}

class PickupRun {
 public:
  explicit PickupRun(std::uint64_t seed = 5, const std::string& extra = {})
      : scenario(seed, kPickup + extra), disk(scenario.world.disk()) {
    disk.put("/in/.made", "");
    disk.put("/bad/.made", "");
    scenario.open_receivers({});
  }
  bool boot() { return scenario.boot(); }
  /// Names in the directory whose turn is over or has not come; not those under way.
  std::vector<std::string> left() { return names("/in"); }
  std::vector<std::string> bad() { return names("/bad"); }
  std::string log() { return disk.content("/var/log/sluice.log"); }
  bool logged(const std::string& text) { return times_logged(text) > 0; }
  int times_logged(const std::string& text) {
    const std::string all = log();
    int times = 0;
    for (std::size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++times;
    return times;
  }
  int delivered(const std::string& id, const std::string& to = "joe@a.test") {
    const auto found = scenario.ledger.delivered.find('<' + id + "@sim> " + to);
    return found == scenario.ledger.delivered.end() ? 0 : found->second;
  }
  std::string records() {
    std::string out;
    for (const std::string& name : disk.files_below("/var/log")) {
      if (name.find("/src-") != std::string::npos) out += disk.content(name);
    }
    return out;
  }

  Scenario scenario;
  runtime::sim::Disk& disk;

 private:
  std::vector<std::string> names(const std::string& directory) {
    std::vector<std::string> out = disk.files_below(directory);
    std::erase(out, directory + "/.made");
    return out;
  }
};

inline std::string batch_of(int messages, const std::string& id = "b") {
  std::string out = "EHLO app.test\n";
  for (int i = 0; i < messages; ++i) {
    out += "MAIL FROM:<s@sim.test>\nRCPT TO:<joe@a.test>\nDATA\nMessage-ID: <" + id + std::to_string(i) +
           "@sim>\n\nx\n.\n";
  }
  return out;
}

}  // namespace sluice::test
