#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "bench/dns/dns_message.h"
#include "bench/provider/directory.h"
#include "policy/base/units.h"

namespace sluice::bench {

/// What to do with a query.
struct DnsAnswer {
  std::string bytes;  ///< empty: no answer, the asker runs into its timeout
  Duration delay{0};
  bool close = false;  ///< over TCP: end the connection without an answer
};

enum class DnsTransport : std::uint8_t { Udp, Tcp };

/// Answers queries about an Internet, as an authoritative server for everything that also says it recurses, so that a
/// stub resolver and c-ares can be pointed at it. Pure.
/// Thread: any. Lifetime: borrows the Directory.
/// Limits: CNAMEs are followed at most kChainMax times.
class DnsResponder {
 public:
  static constexpr unsigned kChainMax = 8;

  explicit DnsResponder(const Directory& directory) : directory_(directory) {}
  /// `draw`: this query's chance.
  [[nodiscard]] DnsAnswer answer(std::span<const std::byte> query, DnsTransport transport,
                                 std::uint64_t draw) const;

 private:
  struct Look;
  void fill(const DnsQuestion& question, const DnsFault* fault, DnsResponse& out) const;
  bool add_records(Look& look) const;
  void add_hosts(const Look& look) const;
  const Directory& directory_;
};

}  // namespace sluice::bench
