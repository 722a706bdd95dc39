#pragma once
// What goes wrong in a simulated world: by chance (FaultPlan) and by script (FaultRule).

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/runtime/op.h"
#include "engine/runtime/sim/random.h"
#include "policy/base/ip_address.h"
#include "policy/base/units.h"

namespace sluice::runtime::sim {

/// Chances, 0 to 1, each asked once for every operation of its kind. All zero: a world in which all goes well.
struct FaultPlan {
  double connect_refused = 0;
  double connect_silent = 0;     ///< the SYN is never answered
  double send_reset = 0;         ///< the connection is reset when something is sent
  double receive_reset = 0;      ///< ... when something is awaited
  double receive_hang = 0;       ///< what is awaited never comes
  double operation_delayed = 0;  ///< the operation starts up to `delay_max` later
  Duration delay_max = 200ms;
  double write_short = 0;  ///< fewer bytes than asked for, as the kernel may always do
  double read_error = 0;   ///< EIO
  double write_error = 0;  ///< EIO; any part of the sectors may have changed
  double sync_error = 0;   ///< EIO; as on Linux the pages count as clean afterwards but are not on the disk
  double cancel_lost = 0;     ///< a cancel meets the operation between two of its steps, and passes
  double no_descriptors = 0;  ///< EMFILE on accept and open
};

/// What a rule does to the operation it strikes.
enum class Strike : std::uint8_t {
  Error,  ///< fails with `sys_errno`
  Reset,  ///< network: the connection is reset, both ends learn of it
  Hang,   ///< never ends by itself; cancel and timeout still end it
  Delay,  ///< starts `delay` later
  Short,  ///< Write: only a part (at least a byte) is written
};

/// A scripted fault: strikes operations that match everything that is set.
/// Example: the third send to 10.0.0.5 resets:  {.kind = OpKind::Send, .peer = Cidr::parse("10.0.0.5"), .skip = 2,
/// .strike = Strike::Reset}. Send also covers SendVector and SendZeroCopy, Recv also RecvMulti.
struct FaultRule {
  static constexpr std::uint64_t kForever = std::numeric_limits<std::uint64_t>::max();
  OpKind kind = OpKind::Send;
  std::optional<Cidr> peer = std::nullopt;  ///< the other side, seen from the operation's socket
  std::optional<std::uint16_t> peer_port = std::nullopt;
  std::optional<std::size_t> machine = std::nullopt;  ///< only operations of this machine
  std::string path_contains = {};                     ///< files: part of the path given to Open
  std::uint64_t skip = 0;                             ///< so many matching operations pass first
  std::uint64_t times = 1;                            ///< then so many are struck
  double chance = 1;                                  ///< each of them only with this chance
  Strike strike = Strike::Error;
  int sys_errno = 5;  ///< EIO
  Duration delay{0};
};

/// Where an operation is about to be carried out.
struct FaultSite {
  OpKind kind = OpKind::Send;
  std::size_t machine = 0;
  const Endpoint* peer = nullptr;
  std::string_view path;
};

/// What to do instead of carrying an operation out as asked.
struct Fault {
  Strike strike = Strike::Error;
  int sys_errno = 0;
  Duration delay{0};
};

/// Thread: the world's only one. Lifetime: the world's.
class Faults {
 public:
  using RuleId = std::size_t;
  FaultPlan plan;

  RuleId add(FaultRule rule);
  /// Ends a rule. Operations that hang because of it stay as they are.
  void remove(RuleId id);
  [[nodiscard]] std::uint64_t hits(RuleId id) const;
  /// No chance, no rules: from here on all goes well.
  void clear();

  /// Rules first, then the plan.
  [[nodiscard]] std::optional<Fault> judge(const FaultSite& site, Random& random);

 private:
  struct State {
    FaultRule rule;
    bool active = true;
    std::uint64_t seen = 0;
    std::uint64_t hits = 0;
  };
  [[nodiscard]] std::optional<Fault> by_plan(const FaultSite& site, Random& random) const;
  std::vector<State> rules_;
};

}  // namespace sluice::runtime::sim
