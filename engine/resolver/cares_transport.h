#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/resolver/dns_transport.h"
#include "engine/runtime/reactor.h"

namespace sluice::resolver {

/// Name servers and how to ask them.
struct CaresOptions {
  /// `name-server`, in turn for every question. Port 0 means 53. Empty: those of the operating system
  /// (resolv.conf, read once by open()).
  std::vector<Endpoint> servers;
  /// `edns-udp-length`: the UDP answer size offered by EDNS(0), clamped to 512..2048. Absent: no EDNS, 512
  /// bytes.
  std::optional<std::uint16_t> edns_udp_bytes;
  Duration timeout = 3s;      ///< of the first try at a server; later rounds wait twice as long each
  unsigned tries = 3;         ///< rounds over the servers
  Duration tcp_timeout = 5s;  ///< for one TCP exchange, connecting included
};

/// c-ares over the shard's reactor: its sockets are the reactor's, its waiting is Poll operations and one
/// timer. UDP is c-ares' (retries, server choice, matching of answers). By TCP, with a runtime::Stream, come
/// truncated answers, and those about names c-ares may refuse to ask for: with other bytes than letters,
/// digits, '-' and '_'.
/// Thread:   one shard.
/// Lifetime: `reactor` outlives it; stop() has been awaited before destruction (asserted).
/// Limits:   kTcpQueriesMax TCP exchanges at once, later ones wait; one UDP socket for each server, closed
///           when idle, so that source ports change. Memory: 73 KB for the channel.
/// Real world only: c-ares reads the system's clock itself. Simulated worlds use TableTransport.
class CaresTransport final : public DnsTransport {
 public:
  static constexpr std::size_t kTcpQueriesMax = 64;
  static constexpr std::size_t kTcpServersMax = 2;  ///< asked one after the other

  /// Reads resolv.conf when no server is given. Errors: NotFound - no name server known; NoMemory; BadInput.
  [[nodiscard]] static Result<std::unique_ptr<CaresTransport>> open(runtime::Reactor& reactor,
                                                                    CaresOptions options);
  ~CaresTransport() override;

  runtime::Task<Result<std::vector<std::byte>>> query(std::string name, net::dns::Type type) override;
  /// May take up to tcp_timeout when a name server is just being connected to.
  runtime::Task<void> stop() override;

  [[nodiscard]] std::vector<Endpoint> servers() const;

  struct Counters {
    std::uint64_t udp_queries = 0;
    std::uint64_t tcp_queries = 0;
    std::uint64_t timeouts = 0;         ///< queries that no server answered
    std::uint64_t stray_datagrams = 0;  ///< not from the server asked, or too short to be an answer
  };
  [[nodiscard]] Counters counters() const;

 private:
  class State;
  explicit CaresTransport(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace sluice::resolver
