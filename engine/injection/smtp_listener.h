#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/delivery/session_log.h"
#include "engine/injection/intake.h"
#include "engine/queue/snapshot.h"
#include "engine/runtime/stream.h"
#include "engine/runtime/task.h"

namespace sluice::injection {

class SmtpSession;

/// One `smtp-listener` on one shard. Every shard listens on the same endpoint and the kernel spreads
/// connections. Thread:   one shard. Lifetime: stop() has answered before destruction (asserted). Limits:
/// total-max-smtp-in and the source groups over all shards: above them 421, or, with `smtp-await-slot`, the
/// client waits, unaccepted where that is possible, at most kWaitingMax of them accepted and without a
/// greeting. A client that takes one of the process's last descriptors is told 421, too. Errors: an exception
/// ends the session it came from.
class SmtpListener {
 public:
  static constexpr std::uint32_t kWaitingMax = 1000;
  /// `settings.address` is a single address here; a network was expanded before.
  SmtpListener(runtime::Reactor& reactor, Intake& intake, queue::SharedState& shared,
               config::SmtpListener settings, delivery::LogLine log);
  SmtpListener(const SmtpListener&) = delete;
  SmtpListener& operator=(const SmtpListener&) = delete;
  ~SmtpListener();

  /// Errors: Exists (port in use), Permission (port below 1024 without the capability), Io.
  [[nodiscard]] Status open();
  [[nodiscard]] Endpoint endpoint() const { return listener_.endpoint(); }
  /// What it was made from. set_settings() changes everything but the address, for connections that come
  /// later.
  [[nodiscard]] const config::SmtpListener& settings() const { return settings_; }
  void set_settings(config::SmtpListener settings);
  void start();
  /// Accepts no more; sessions go on to their own end. Needs start(), and stop() all the same.
  void close();
  [[nodiscard]] bool is_idle() const { return tasks_.running() == 0; }
  /// Accepts no more, ends sessions with 421 when they have no message under way, the others after `grace`.
  [[nodiscard]] runtime::Task<void> stop(Duration grace);
  [[nodiscard]] std::size_t sessions() const { return running_.size(); }

 private:
  runtime::Task<void> accept_all();
  runtime::Task<void> serve(runtime::Stream stream);
  runtime::Task<void> serve_client(runtime::Stream stream);
  [[nodiscard]] bool is_last_descriptor(int fd);
  runtime::Task<std::optional<queue::InboundSlots::Slot>> wait_for_slot(
      std::shared_ptr<queue::SourceGroupSlots> group);
  [[nodiscard]] std::shared_ptr<const ClientRules> rules_for(const IpAddress& client);
  [[nodiscard]] bool waits_for_slot() const;

  runtime::Reactor& reactor_;
  Intake& intake_;
  queue::SharedState& shared_;
  config::SmtpListener settings_;
  runtime::Listener listener_;
  runtime::TaskGroup tasks_;
  std::vector<SmtpSession*> running_;
  bool stopping_ = false;
  // The rules of the client seen last: injectors come back from the same few addresses.
  IpAddress rules_client_;
  std::uint64_t rules_snapshot_ = 0;
  std::shared_ptr<const ClientRules> rules_;
  delivery::LogLine log_;
  std::uint64_t sessions_begun_ = 0;
  std::uint32_t waiting_ = 0;
};

}  // namespace sluice::injection
