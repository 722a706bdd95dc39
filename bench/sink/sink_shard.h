#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench/dns/dns_server.h"
#include "bench/lib/ledger.h"
#include "bench/provider/directory.h"
#include "bench/provider/limits.h"
#include "bench/sink/counters.h"
#include "bench/sink/sink_session.h"
#include "engine/runtime/stream.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"

namespace sluice::bench {

/// What all shards of a sink share.
/// Thread: the vectors are filled before the shards run; what they point to is atomic or one shard's.
struct SinkShared {
  explicit SinkShared(Internet the_internet, std::size_t shards);
  Internet internet;
  Directory directory;
  std::vector<std::unique_ptr<ProviderState>> states;                ///< by provider
  std::vector<std::unique_ptr<std::vector<SinkCounters>>> counters;  ///< by shard, then by provider
  MonoTime start;
  bool record_refusals = true;
  bool record_connections = true;
  bool ledger_sync = false;
};

/// One address to listen on.
struct SinkListen {
  Endpoint at;
  std::uint32_t provider = 0;
  std::string host;
};
/// Every address of an Internet once, with the file's port where none is given.
/// Errors: two providers share an address, or a provider has none.
[[nodiscard]] Parsed<std::vector<SinkListen>> listens_of(const Internet& internet);

/// The sessions of one shard.
/// Thread: its own. Lifetime: stop() has answered before destruction; the shared parts outlive it.
class SinkShard {
 public:
  SinkShard(runtime::Reactor& reactor, SinkShared& shared, std::unique_ptr<LedgerLog> ledger, int ledger_fd);
  ~SinkShard();

  /// Listens at every entry; port 0 is replaced by the port the system chose (`listens` changes).
  /// Errors: names the address that cannot be had.
  [[nodiscard]] Parsed<void> open(std::vector<SinkListen>& listens);
  [[nodiscard]] runtime::Task<void> stop();
  [[nodiscard]] std::size_t sessions() const { return connections_.size(); }

 private:
  struct Connection;
  Result<runtime::Listener> listen(const SinkListen& at);
  runtime::Task<void> accept(std::size_t index);
  runtime::Task<void> serve(runtime::Stream stream, std::uint32_t provider, std::string host);
  runtime::Task<bool> converse(Connection& connection, SinkSession& session);
  runtime::Task<bool> take_input(Connection& connection, SinkSession& session);
  runtime::Task<bool> take_input_slowly(Connection& connection, SinkSession& session);
  runtime::Task<bool> send_replies(Connection& connection, SinkSession& session);
  runtime::Task<void> drain_until_end(Connection& connection);
  runtime::Task<void> wait_until(Connection& connection, MonoTime due);
  runtime::Task<void> sync_ledger();
  [[nodiscard]] Moment moment() const;

  runtime::Reactor& reactor_;
  SinkShared& shared_;
  std::unique_ptr<LedgerLog> ledger_;
  int ledger_fd_;
  std::vector<SessionWorld> worlds_;  // by provider
  std::vector<runtime::Listener> listeners_;
  std::vector<SinkListen> listens_;
  runtime::TaskGroup tasks_;
  std::vector<Connection*> connections_;
  std::uint64_t next_session_ = 0;
  std::uint64_t wall_base_us_ = 0;
  MonoTime mono_base_;
  bool stopping_ = false;

  // Group sync: everyone who comes while one runs is answered by the next.
  std::uint64_t sync_wanted_ = 0;
  std::uint64_t sync_done_ = 0;
  bool sync_running_ = false;
  std::vector<std::coroutine_handle<>> sync_waiting_;
};

}  // namespace sluice::bench
