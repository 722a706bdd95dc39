#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/journal/journal.h"
#include "engine/journal/journal_directory.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"

namespace sluice::journal {
class LiveSet;
}

namespace sluice::delivery {

/// Ends recipients whose stored message is damaged. The message cannot say any more who they are, so the journals and
/// the checkpoint are asked first: a final record names its recipient, or it is not written. Who cannot be named keeps
/// his place in the spool, is said in the log, and comes back with the next start.
/// Thread:   its shard.
/// Lifetime: stop() before destruction (asserted); what is passed in outlives it.
/// Limits:   all that come during one look into the journals share the next one.
class LostRecipients {
 public:
  static constexpr Duration kLookAgain = 5s;  ///< after a read error

  LostRecipients(runtime::Reactor& reactor, journal::Journal& journal,
                 const journal::JournalDirectory& directory, std::string root,
                 std::function<void(std::string)> log);
  LostRecipients(const LostRecipients&) = delete;
  LostRecipients& operator=(const LostRecipients&) = delete;
  ~LostRecipients();

  /// `event` is the ending without names; copied. `message` stays until the ending is durable.
  void add(const journal::Event& event, spool::StoredMessage& message);
  [[nodiscard]] runtime::Task<void> stop();

  struct Counters {
    std::uint64_t ended = 0;    ///< with a record that names them
    std::uint64_t unnamed = 0;  ///< nothing names them: kept
  };
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  struct One {
    journal::Event event;  // its texts point into `texts`
    std::string queue, vmta, status, diag, category;
    spool::StoredMessage* message = nullptr;
  };
  runtime::Task<void> run();
  void end(std::vector<One>& all, const journal::LiveSet& names);

  runtime::Reactor& reactor_;
  journal::Journal& journal_;
  const journal::JournalDirectory& directory_;
  std::string root_;
  std::function<void(std::string)> log_;
  std::vector<One> waiting_;
  Counters counters_;
  bool running_ = false;
  bool stopping_ = false;
  runtime::TaskGroup tasks_;
};

}  // namespace sluice::delivery
