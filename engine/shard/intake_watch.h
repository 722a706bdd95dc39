#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/injection/intake.h"
#include "engine/spool/spool.h"
#include "policy/base/units.h"

namespace sluice::shard {

/// A shard takes no new mail at this moment.
struct Refused {
  injection::Intake::Refusing::Cause cause{};
  std::string reply;  ///< "452 4.3.1 ..."
  std::string why;    ///< for the operator
};

/// What `refusing` means, with what the spool says of itself.
[[nodiscard]] Refused refused_of(const injection::Intake::Refusing& refusing, bool spool_failed,
                                 const std::optional<Error>& no_room);

/// What keeps new mail out and since when; a line for the log when it begins and when it ends. Causes that come and go
/// faster than kCalm are one. Thread: the control shard.
class IntakeWatch {
 public:
  static constexpr Duration kCalm = 10s;
  /// What holds now, on any shard; `now` on the lasting line. Answers lines for the log.
  [[nodiscard]] std::vector<std::string> look(const std::vector<Refused>& now_refused, WallTime now);
  struct Standing {
    Refused refused;
    WallTime since{};
    WallTime seen{};  ///< last
  };
  /// In the order they began; what has ended within kCalm is still among them.
  [[nodiscard]] const std::vector<Standing>& standing() const { return standing_; }

 private:
  std::vector<Standing> standing_;
};

}  // namespace sluice::shard
