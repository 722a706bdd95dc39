#pragma once

#include <cstdint>

#include "bench/dns/dns_responder.h"
#include "bench/lib/counter.h"
#include "engine/runtime/stream.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"

namespace sluice::bench {

struct DnsCounters {
  Counter queries;
  Counter answers;
  Counter tcp_connections;
};

/// A DnsResponder on a UDP and a TCP port of the same number.
/// Thread: its reactor's shard. Lifetime: stop() has answered before destruction.
/// Limits: kLateMax delayed answers at once (more are dropped), kTcpMax connections (more are closed),
///         kTcpIdle without a query.
class DnsServer {
 public:
  static constexpr std::size_t kLateMax = 10'000;
  static constexpr std::size_t kTcpMax = 256;
  static constexpr Duration kTcpIdle = 10s;

  DnsServer(runtime::Reactor& reactor, const DnsResponder& responder, std::uint64_t seed);
  /// Port 0: the system chooses one that is free for both. Errors: of the sockets.
  [[nodiscard]] Result<Endpoint> open(const Endpoint& at);
  [[nodiscard]] runtime::Task<void> stop();
  [[nodiscard]] const DnsCounters& counters() const { return counters_; }

 private:
  struct TcpPeer;
  runtime::Task<void> serve_udp();
  runtime::Task<void> answer_late(std::string bytes, Endpoint to, Duration delay);
  runtime::Task<void> accept_tcp();
  runtime::Task<void> serve_tcp(runtime::Stream stream);
  [[nodiscard]] DnsAnswer answer(std::span<const std::byte> query, DnsTransport transport);

  runtime::Reactor& reactor_;
  const DnsResponder& responder_;
  std::uint64_t seed_;
  std::uint64_t draws_ = 0;
  int udp_ = -1;
  runtime::Op poll_;
  runtime::Listener tcp_;
  runtime::TaskGroup tasks_;
  std::size_t late_ = 0;
  std::vector<runtime::Stream*> peers_;
  bool stopping_ = false;
  DnsCounters counters_;
};

}  // namespace sluice::bench
