#pragma once
// Copies of delivered messages (`bcc-upon-delivery`): through our own intake, like any other message.

#include <cstdint>
#include <deque>
#include <functional>
#include <string>

#include "engine/delivery/copy_sink.h"
#include "engine/injection/intake.h"
#include "engine/runtime/task.h"

namespace sluice::shard {

/// Stores the copies of one shard as messages of their own, by the virtual MTA of the delivery and with its
/// sender; a copy that is delivered makes no other copy. A copy exists once it is stored, which is some
/// milliseconds after the delivery was recorded: a crash in between leaves it out.
/// Thread:   one shard. Lifetime: stop() before destruction (asserted).
/// Limits:   kAtOnceMax are being stored, so that they share commits; kWaitingBytesMax wait for that or are
///           stored, then has_room() says no and queues that want copies wait.
/// Errors:   a copy the spool has no room for is tried again every kAgain, and given up at the end with a
///           line in the log; so is one that cannot be accepted at all, and one that an exception ends.
class Copies final : public delivery::CopySink {
 public:
  static constexpr std::size_t kAtOnceMax = 64;
  static constexpr std::size_t kWaitingBytesMax = 64 * kMiB;
  static constexpr Duration kAgain = 1s;

  Copies(runtime::Reactor& reactor, injection::Intake& intake, std::function<void(std::string)> log)
      : reactor_(reactor), intake_(intake), log_(std::move(log)) {}
  Copies(const Copies&) = delete;
  Copies& operator=(const Copies&) = delete;

  [[nodiscard]] bool has_room() const override { return bytes_ < kWaitingBytesMax; }
  void add(delivery::Copy copy) noexcept override;
  void left_out(const std::string& to) noexcept override;
  /// Stores what waits, each tried once more. Call when nothing is delivered any more.
  [[nodiscard]] runtime::Task<void> stop();

 private:
  runtime::Task<void> store_all();
  runtime::Task<void> store(const delivery::Copy& copy);
  runtime::Task<injection::Verdict> submit(const delivery::Copy& copy);

  runtime::Reactor& reactor_;
  injection::Intake& intake_;
  std::function<void(std::string)> log_;
  std::deque<delivery::Copy> waiting_;
  std::size_t bytes_ = 0;    // of the texts that wait or are being stored
  std::size_t at_once_ = 0;  // store_all() under way
  bool stopping_ = false;
  runtime::TaskGroup tasks_;
};

}  // namespace sluice::shard
