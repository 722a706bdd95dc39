#include "engine/resolver/tcp_query.h"

#include <algorithm>

#include "net/dns/message.h"
#include "policy/base/assert.h"

namespace sluice::resolver {

using runtime::Stream;
using runtime::Task;

namespace {

constexpr std::size_t kLengthBytes = 2;
constexpr std::size_t kHeaderBytes = 12;

std::size_t length_of(std::span<const std::byte> prefix) {
  return (std::to_integer<std::size_t>(prefix[0]) << 8) | std::to_integer<std::size_t>(prefix[1]);
}

}  // namespace

void TcpQuery::cancel() {
  cancelled = true;
  if (stream) stream.abort();
}

Task<Result<std::vector<std::byte>>> ask_by_tcp(runtime::Reactor& reactor, TcpQuery& query, Endpoint server,
                                                std::span<const std::byte> wire, Duration timeout) {
  SLUICE_ASSERT(wire.size() >= kHeaderBytes && wire.size() <= net::dns::kMessageBytesMax);
  const MonoTime deadline = reactor.now() + timeout;
  auto stream = co_await Stream::connect(reactor, server, nullptr, timeout);
  if (!stream) co_return std::unexpected(stream.error());
  if (query.cancelled) co_return fail(Errc::Cancelled, "dns tcp");
  query.stream = std::move(*stream);
  query.stream.set_deadline(deadline);

  // Length and query in one write: some servers answer a lone length byte with a reset (RFC 7766 8).
  std::vector<std::byte> out;
  out.reserve(kLengthBytes + wire.size());
  out.push_back(static_cast<std::byte>(wire.size() >> 8));
  out.push_back(static_cast<std::byte>(wire.size() & 0xff));
  out.insert(out.end(), wire.begin(), wire.end());
  if (const Status sent = co_await query.stream.send(std::span<const std::byte>(out)); !sent) {
    co_return std::unexpected(sent.error());
  }

  std::vector<std::byte> in;
  std::size_t wanted = kLengthBytes;
  while (in.size() < wanted) {
    const auto part = co_await query.stream.receive();
    if (!part) co_return std::unexpected(part.error());
    const auto bytes = part->bytes();
    if (bytes.empty()) co_return fail(Errc::PeerClosed, "dns tcp");
    in.insert(in.end(), bytes.begin(), bytes.end());
    if (in.size() >= kLengthBytes) wanted = kLengthBytes + length_of(in);
  }
  query.stream.close();
  in.resize(wanted);
  in.erase(in.begin(), in.begin() + kLengthBytes);
  if (in.size() < kHeaderBytes || !std::equal(in.begin(), in.begin() + 2, wire.begin())) {
    co_return fail(Errc::BadInput, "dns tcp");
  }
  co_return in;
}

}  // namespace sluice::resolver
