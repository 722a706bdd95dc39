#include "bench/dns/dns_server.h"

#include <poll.h>

#include <algorithm>

#include "bench/lib/hash.h"

namespace sluice::bench {

using runtime::Stream;
using runtime::Task;

namespace {
constexpr std::size_t kDatagramMax = 4096;
constexpr std::size_t kDatagramsPerTurnMax = 256;
constexpr unsigned kPortTries = 16;
constexpr std::size_t kTcpQueryMax = 4096;
}  // namespace

DnsServer::DnsServer(runtime::Reactor& reactor, const DnsResponder& responder, std::uint64_t seed)
    : reactor_(reactor), responder_(responder), seed_(seed) {}

Result<Endpoint> DnsServer::open(const Endpoint& at) {
  // The port UDP is given may be taken for TCP: then another one is tried.
  for (unsigned tries = 0; tries < (at.port == 0 ? kPortTries : 1U); ++tries) {
    const Result<int> udp = reactor_.udp_socket(at.address.is_v4(), &at);
    if (!udp) return std::unexpected(udp.error());
    const Result<Endpoint> bound = reactor_.local_endpoint(*udp);
    auto listener = bound ? runtime::Listener::open(reactor_, *bound, {.reuse_port = false, .backlog = 256})
                          : Result<runtime::Listener>(std::unexpected(bound.error()));
    if (!listener) {
      reactor_.close_now(*udp);
      if (tries + 1 < kPortTries && at.port == 0) continue;
      return std::unexpected(listener.error());
    }
    udp_ = *udp;
    tcp_ = *std::move(listener);
    tasks_.spawn(serve_udp());
    tasks_.spawn(accept_tcp());
    return *bound;
  }
  return fail(Errc::Exists, "dns: no port free for both UDP and TCP");
}

Task<void> DnsServer::stop() {
  stopping_ = true;
  if (udp_ >= 0) {
    reactor_.cancel(poll_);
    tcp_.stop();
  }
  for (Stream* peer : peers_) peer->abort();
  co_await tasks_.join();
  if (udp_ >= 0) reactor_.close_now(std::exchange(udp_, -1));
}

DnsAnswer DnsServer::answer(std::span<const std::byte> query, DnsTransport transport) {
  counters_.queries.add();
  DnsAnswer out = responder_.answer(query, transport, mix(seed_, draws_++));
  if (!out.bytes.empty()) counters_.answers.add();
  return out;
}

Task<void> DnsServer::serve_udp() {
  std::array<std::byte, kDatagramMax> buffer;
  while (!stopping_) {
    poll_ = runtime::Op();
    poll_.kind = runtime::OpKind::Poll;
    poll_.fd = udp_;
    poll_.poll_events = POLLIN;
    const std::int32_t ready = co_await perform(reactor_, poll_);
    if (ready < 0 || stopping_) continue;
    for (std::size_t i = 0; i < kDatagramsPerTurnMax; ++i) {
      const auto got = reactor_.receive_datagram(udp_, buffer);
      if (!got) break;
      DnsAnswer reply = answer(std::span(buffer).first(got->size), DnsTransport::Udp);
      if (reply.bytes.empty()) continue;
      if (reply.delay > 0s) {
        if (late_ < kLateMax) tasks_.spawn(answer_late(std::move(reply.bytes), got->from, reply.delay));
        continue;
      }
      // A full socket buffer loses the answer, as the net does; the asker asks again.
      std::ignore = reactor_.send_datagram(udp_, std::as_bytes(std::span(reply.bytes)), &got->from);
    }
  }
}

Task<void> DnsServer::answer_late(std::string bytes, Endpoint to, Duration delay) {
  static constexpr Duration kStep = 100ms;  // how long stop() may have to wait
  ++late_;
  const MonoTime due = reactor_.now() + delay;
  while (!stopping_ && reactor_.now() < due)
    co_await sleep_until(reactor_, std::min(due, reactor_.now() + kStep));
  if (!stopping_) std::ignore = reactor_.send_datagram(udp_, std::as_bytes(std::span(bytes)), &to);
  --late_;
}

Task<void> DnsServer::accept_tcp() {
  while (!stopping_) {
    auto stream = co_await tcp_.accept();
    if (!stream) continue;
    if (peers_.size() >= kTcpMax) continue;
    counters_.tcp_connections.add();
    tasks_.spawn(serve_tcp(*std::move(stream)));
  }
}

Task<void> DnsServer::serve_tcp(Stream stream) {
  peers_.push_back(&stream);
  std::string input;
  bool open = true;
  while (open && !stopping_) {
    stream.set_deadline(reactor_.now() + kTcpIdle);
    const auto got = co_await stream.receive();
    if (!got || got->bytes().empty()) break;
    input.append(reinterpret_cast<const char*>(got->bytes().data()), got->bytes().size());
    // RFC 1035 4.2.2: two bytes of length in front of every message.
    while (open && input.size() >= 2) {
      const std::size_t size = static_cast<std::size_t>(static_cast<unsigned char>(input[0])) << 8 |
                               static_cast<unsigned char>(input[1]);
      if (size > kTcpQueryMax) open = false;
      if (!open || input.size() < size + 2) break;
      DnsAnswer reply = answer(std::as_bytes(std::span(input)).subspan(2, size), DnsTransport::Tcp);
      input.erase(0, size + 2);
      if (reply.close) open = false;
      if (reply.bytes.empty()) continue;
      if (reply.delay > 0s) co_await sleep_for(reactor_, reply.delay);
      const char length[2] = {static_cast<char>(reply.bytes.size() >> 8),
                              static_cast<char>(reply.bytes.size() & 0xff)};
      reply.bytes.insert(0, length, 2);
      const Status sent = co_await stream.send(std::string_view(reply.bytes));
      if (!sent) open = false;
    }
  }
  std::erase(peers_, &stream);
}

}  // namespace sluice::bench
