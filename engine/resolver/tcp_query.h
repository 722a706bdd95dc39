#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "engine/runtime/stream.h"
#include "policy/base/ip_address.h"
#include "policy/base/result.h"

namespace sluice::resolver {

/// A TCP exchange under way, so that it can be ended from outside.
struct TcpQuery {
  runtime::Stream stream;
  bool cancelled = false;
  /// Ends the exchange with Cancelled; while connecting only once that has ended.
  void cancel();
};

/// Sends `wire` (a query of less than 64 KiB) over a new TCP connection and reads one answer (RFC 1035 4.2.2,
/// RFC 7766). `query` and `wire` are borrowed until the task ends. Errors: Timeout, Refused, Unreachable,
/// PeerClosed, Cancelled, BadInput - the answer has another id or is shorter than a header.
[[nodiscard]] runtime::Task<Result<std::vector<std::byte>>> ask_by_tcp(runtime::Reactor& reactor,
                                                                       TcpQuery& query, Endpoint server,
                                                                       std::span<const std::byte> wire,
                                                                       Duration timeout);

}  // namespace sluice::resolver
