#pragma once

#include <optional>

#include "engine/queue/queue.h"
#include "engine/runtime/task.h"
#include "policy/base/ip_address.h"

namespace sluice::delivery {

struct Slots;

/// Takes recipients of a queue out: an SMTP connection or, for the other queue types, a local worker. The
/// dispatcher starts as many as the queue may have and knows nothing more of what they do. Thread:   one
/// shard. Lifetime: run() has ended before destruction.
class Deliverer {
 public:
  Deliverer() = default;
  Deliverer(const Deliverer&) = delete;
  Deliverer& operator=(const Deliverer&) = delete;
  virtual ~Deliverer() = default;

  /// Until there is nothing left to do, or the queue failed, or finish().
  [[nodiscard]] virtual runtime::Task<void> run() = 0;
  /// Dispatcher::established() was called for it.
  [[nodiscard]] virtual bool established() const = 0;
  /// The queue it works for.
  [[nodiscard]] virtual queue::Queue& queue() const = 0;
  [[nodiscard]] virtual const config::DomainSettings& settings() const = 0;
  /// What it holds of the counts that connections are part of; null: it is part of none.
  [[nodiscard]] virtual Slots* slots() { return nullptr; }
  /// The address it connects from, which is empty when the system chose it; null: it is not connected yet, or
  /// never is.
  [[nodiscard]] virtual const std::optional<IpAddress>* source_in_use() const = 0;
  /// The host it tries to reach or has reached; null: none yet.
  [[nodiscard]] virtual const IpAddress* target() const { return nullptr; }
  [[nodiscard]] virtual bool is_finishing() const = 0;
  /// Nothing is under way, and nothing is lost when it ends now: whoever stands in line for its slot may have
  /// it.
  [[nodiscard]] virtual bool rests() const { return false; }
  /// How long its host has done nothing in the middle of what can be broken off without delivering anything
  /// twice; zero: it waits for no such thing.
  [[nodiscard]] virtual Duration stalled_for() { return Duration{0}; }
  /// Ends what stalled_for() spoke of, as its time-out would.
  virtual void stop_waiting() {}
  /// Mail is on its way to a host.
  [[nodiscard]] virtual bool transfers() const { return false; }
  /// A configuration has come into force, and its queue has its new settings: it follows them after what it
  /// is doing, or ends then.
  virtual void renew() = 0;
  /// Behind renew(): is counted where the configuration says now, and ends when it is one too many there.
  virtual void count_anew() {}
  /// Takes nothing new and ends when what is under way has ended.
  virtual void finish() = 0;
  /// Ends at once; attempts under way get the outcome that their interruption means.
  virtual void cut() = 0;
};

[[nodiscard]] inline bool is_smtp(config::QueueType type) { return type == config::QueueType::Smtp; }
/// Delivered on this host, without a connection: no source address, no slot and no rate of connections has a
/// part in it.
[[nodiscard]] inline bool is_local(config::QueueType type) {
  return !is_smtp(type) && type != config::QueueType::HttpDelivery;
}
[[nodiscard]] inline bool is_local(const queue::Queue& queue) { return is_local(queue.settings->type); }

}  // namespace sluice::delivery
