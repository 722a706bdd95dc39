#pragma once
// Notices to operators by mail: through our own intake, like any other message.

#include <deque>
#include <functional>
#include <string>

#include "engine/delivery/queue_modes.h"
#include "engine/injection/intake.h"
#include "engine/runtime/task.h"

namespace sluice::shard {

/// Sends the notices of one shard (`backoff-notify`, `disabled-source-ip-notify`): null sender, From: the
/// postmaster, by the virtual MTA {default}. Stored and accounted for like all mail.
/// Thread:   one shard. Lifetime: stop() before destruction (asserted).
/// Limits:   kPerHourMax begun in an hour, and kWaitingMax waiting to be stored; more are counted and the
///           next notice says how many: a provider that pushes thousands of queues back at once must not fill
///           a mailbox.
/// Errors:   a notice that the intake refuses (no space), or that an exception ends, counts as left out; the log has
///           the exception.
class Notices {
 public:
  static constexpr std::size_t kPerHourMax = 60;
  static constexpr std::size_t kWaitingMax = 100;

  Notices(runtime::Reactor& reactor, injection::Intake& intake, std::function<void(std::string)> log)
      : reactor_(reactor), intake_(intake), log_(std::move(log)) {}
  Notices(const Notices&) = delete;
  Notices& operator=(const Notices&) = delete;

  void send(delivery::Notice notice);
  /// Takes no more, and waits for those being stored.
  [[nodiscard]] runtime::Task<void> stop();

 private:
  void add(delivery::Notice notice);
  runtime::Task<void> submit_all();
  runtime::Task<void> submit(const delivery::Notice& notice);
  [[nodiscard]] std::string message_text(const delivery::Notice& notice, const std::string& host);

  runtime::Reactor& reactor_;
  injection::Intake& intake_;
  std::function<void(std::string)> log_;
  std::deque<delivery::Notice> waiting_;
  std::uint64_t left_out_ = 0;
  std::uint64_t number_ = 0;
  MonoTime hour_began_{};
  std::size_t this_hour_ = 0;
  bool stopping_ = false;
  bool submitting_ = false;
  runtime::TaskGroup tasks_;
};

}  // namespace sluice::shard
