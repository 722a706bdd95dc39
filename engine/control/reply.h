#pragma once

#include <optional>
#include <string>

#include "engine/control/tree.h"
#include "engine/runtime/task.h"

namespace sluice::control {

struct Command;

/// A long answer on its way: rows go out as they are made, in the form the command asks for, so that no answer is ever
/// held as a whole. A command that never calls add() has a short Answer instead.
/// Thread: the control shard. Limits: holds about kSliceBytes and what one add() brings.
class Reply {
 public:
  static constexpr std::size_t kSliceBytes = 32 * 1024;
  /// Where the bytes go.
  class Sink {
   public:
    /// The next bytes of the answer. False: nobody reads any more.
    [[nodiscard]] virtual runtime::Task<bool> take(std::string bytes) = 0;

   protected:
    ~Sink() = default;
  };

  /// `sink` outlives it.
  Reply(const Command& command, Sink& sink);

  /// A few rows. Only the form that is asked for has to be filled: see for_people().
  struct Part {
    std::string text;  ///< for people
    Tree tree;         ///< for programs: the next children of the root
  };
  /// The answer is text; else a tree.
  [[nodiscard]] bool for_people() const { return !stream_; }
  /// Sends a part on, when there is enough of it, and empties it. False: the answer is in vain.
  [[nodiscard]] runtime::Task<bool> add(Part& part);
  /// The answer is complete. Requires begun().
  [[nodiscard]] runtime::Task<bool> end();
  [[nodiscard]] bool begun() const { return begun_; }

 private:
  runtime::Task<bool> pass_on();
  std::optional<TreeStream> stream_;
  Sink& sink_;
  std::string waiting_;
  bool begun_ = false;
  bool lost_ = false;
};

}  // namespace sluice::control
