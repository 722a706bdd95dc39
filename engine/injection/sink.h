#pragma once
// The built-in sink (`dummy-smtp-*`): takes mail and drops it, for tests of whatever sends.

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "engine/delivery/session_log.h"
#include "engine/queue/snapshot.h"
#include "engine/runtime/stream.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"
#include "policy/config/sink_replies.h"

namespace sluice::injection {

class SinkSession;

/// What it has taken with `dummy-smtp-update-stats yes`.
struct SinkCounters {
  std::uint64_t messages = 0;
  std::uint64_t recipients = 0;
  std::uint64_t bytes = 0;
};

/// What a sink is like; immutable, sessions keep the one they began with.
struct SinkSettings {
  Endpoint at;
  config::DummySmtp smtp;
  std::string host;
  std::vector<config::SinkReply> replies;
};

/// The listener of one sink, on one shard. Nothing of a message is kept.
/// Thread:   its shard. Lifetime: stop() has answered before destruction (asserted).
/// Limits:   kSessionsMax connections, counted apart from total-max-smtp-in; above them 421, or with
///           `dummy-smtp-await-slot` clients wait unaccepted. kTimeout for a client that says nothing or takes
///           longer over a command; see ClientClock.
class Sink {
 public:
  static constexpr std::size_t kSessionsMax = 1000;
  static constexpr Duration kTimeout = 5min;

  Sink(runtime::Reactor& reactor, std::shared_ptr<const SinkSettings> settings, SinkCounters& counters,
       delivery::LogLine log);
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;
  ~Sink();

  /// Errors: as SmtpListener::open().
  [[nodiscard]] Status open();
  [[nodiscard]] const SinkSettings& settings() const { return *settings_; }
  /// For connections that come later; not another endpoint.
  void set_settings(std::shared_ptr<const SinkSettings> settings) { settings_ = std::move(settings); }
  void start() { tasks_.spawn(accept_all()); }
  /// Accepts no more; sessions go on to their own end.
  void close();
  [[nodiscard]] bool is_idle() const { return tasks_.running() == 0; }
  /// Ends sessions at once: nothing of theirs is worth a wait.
  [[nodiscard]] runtime::Task<void> stop();

 private:
  runtime::Task<void> accept_all();
  runtime::Task<void> serve(runtime::Stream stream);

  runtime::Reactor& reactor_;
  std::shared_ptr<const SinkSettings> settings_;
  SinkCounters& counters_;
  delivery::LogLine log_;
  runtime::Listener listener_;
  runtime::TaskGroup tasks_;
  std::vector<SinkSession*> running_;
  bool stopping_ = false;
};

/// The sink of a node as configurations come and go: as the listeners of a shard, prepared first, then in
/// use. Thread and lifetime: as Sink.
class SinkPlace {
 public:
  SinkPlace(runtime::Reactor& reactor, delivery::LogLine log) : reactor_(reactor), log_(std::move(log)) {}
  /// Opens what `next` needs and is not open. Errors: in words for the operator.
  [[nodiscard]] std::expected<void, std::string> prepare(const queue::Snapshot& next);
  void drop_prepared();
  /// Takes what was prepared for `now` into use.
  void apply(const queue::Snapshot& now);
  [[nodiscard]] runtime::Task<void> stop();
  [[nodiscard]] const SinkCounters& counters() const { return counters_; }

 private:
  [[nodiscard]] static std::shared_ptr<const SinkSettings> settings_of(const queue::Snapshot& snapshot);
  runtime::Reactor& reactor_;
  delivery::LogLine log_;
  SinkCounters counters_;
  std::unique_ptr<Sink> sink_;
  std::unique_ptr<Sink> prepared_;
  std::vector<std::unique_ptr<Sink>> closed_;  // perhaps with sessions
};

}  // namespace sluice::injection
