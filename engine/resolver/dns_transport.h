#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/runtime/task.h"
#include "net/dns/message.h"
#include "policy/base/result.h"

namespace sluice::resolver {

/// Carries one question to a name server and its raw answer back.
/// Thread:   one shard. Any number of queries at once; the Resolver above caps them.
/// Lifetime: stop() has been awaited before destruction, and no query is under way then.
class DnsTransport {
 public:
  virtual ~DnsTransport() = default;
  DnsTransport() = default;
  DnsTransport(const DnsTransport&) = delete;
  DnsTransport& operator=(const DnsTransport&) = delete;

  /// Asks for `name` (a host name, no dot at the end). The answer is whatever a server sent to this question,
  /// any rcode; it has been retried, asked elsewhere and fetched by TCP where that helps, but not been
  /// judged: parse with net::dns::parse_message and expect lies.
  /// Errors: Timeout - no server answered. Refused - servers cannot be reached, or all of them failed and the
  ///         library does not say how. Cancelled - stop() was called. Others as the system calls give them.
  [[nodiscard]] virtual runtime::Task<Result<std::vector<std::byte>>> query(std::string name,
                                                                            net::dns::Type type) = 0;

  /// Ends queries under way with Cancelled, refuses new ones, and resolves once nothing is held any more.
  [[nodiscard]] virtual runtime::Task<void> stop() = 0;
};

}  // namespace sluice::resolver
