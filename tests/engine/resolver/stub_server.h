#pragma once
// A name server that says what the test wants, on the test's own reactor: UDP, and TCP on the same port when
// asked for.

#include <poll.h>

#include <array>
#include <functional>
#include <optional>
#include <vector>

#include "engine/runtime/stream.h"
#include "net/dns/message.h"
#include "tests/engine/resolver/real_world.h"

namespace sluice::test {

class StubServer {
 public:
  /// The answers to one query, as raw datagrams; none = silence. `by_tcp`: one is sent, with its length in
  /// front.
  using Answer =
      std::function<std::vector<std::vector<std::byte>>(const net::dns::Message& query, bool by_tcp)>;

  StubServer(runtime::Reactor& reactor, Answer answer) : reactor_(reactor), answer_(std::move(answer)) {
    const Endpoint any{*IpAddress::parse("127.0.0.1"), 0};
    udp_ = *reactor_.udp_socket(true, &any);
    endpoint_ = *reactor_.local_endpoint(udp_);
  }
  ~StubServer() { reactor_.close_now(udp_); }
  [[nodiscard]] Endpoint endpoint() const { return endpoint_; }
  [[nodiscard]] std::size_t udp_queries() const { return udp_queries_; }
  [[nodiscard]] std::size_t tcp_queries() const { return tcp_queries_; }
  /// Where the last query came from.
  [[nodiscard]] Endpoint last_client() const { return last_client_; }
  [[nodiscard]] int udp_fd() const { return udp_; }

  void start(bool with_tcp) {
    tasks_.spawn(serve_udp(*this));
    if (!with_tcp) return;
    listener_ = *runtime::Listener::open(reactor_, endpoint_);
    tasks_.spawn(serve_tcp(*this));
  }
  runtime::Task<void> stop() {
    stopping_ = true;
    reactor_.cancel(poll_);
    if (with_listener()) listener_.stop();
    co_await tasks_.join();
  }

  /// A reply to `query` with its id and question.
  static net::dns::Message reply_to(const net::dns::Message& query) {
    net::dns::Message reply;
    reply.header = query.header;
    reply.header.response = true;
    reply.header.recursion_available = true;
    reply.questions = query.questions;
    return reply;
  }
  static std::vector<std::byte> with_address(const net::dns::Message& query, std::string_view address) {
    net::dns::Message reply = reply_to(query);
    reply.answers.push_back({query.questions[0].name, net::dns::Type::A, 1, std::chrono::seconds{300},
                             *IpAddress::parse(address)});
    return *net::dns::build_message(reply);
  }

 private:
  [[nodiscard]] bool with_listener() const { return tcp_; }

  static runtime::Task<void> serve_udp(StubServer& self) {
    std::array<std::byte, 4096> buffer{};
    while (!self.stopping_) {
      self.poll_ = runtime::Op{};
      self.poll_.kind = runtime::OpKind::Poll;
      self.poll_.fd = self.udp_;
      self.poll_.poll_events = POLLIN;
      co_await runtime::perform(self.reactor_, self.poll_);
      while (const auto got = self.reactor_.receive_datagram(self.udp_, buffer)) {
        const auto query = net::dns::parse_message(std::span(buffer).first(got->size));
        if (!query) continue;
        ++self.udp_queries_;
        self.last_client_ = got->from;
        for (const auto& bytes : self.answer_(*query, false)) {
          (void)self.reactor_.send_datagram(self.udp_, bytes, &got->from);
        }
      }
    }
  }

  static runtime::Task<void> serve_tcp(StubServer& self) {
    self.tcp_ = true;
    for (;;) {
      auto accepted = co_await self.listener_.accept();
      if (!accepted) break;
      runtime::Stream stream = std::move(*accepted);
      std::vector<std::byte> in;
      while (in.size() < 2 || in.size() < 2 + (std::to_integer<std::size_t>(in[0]) << 8 |
                                               std::to_integer<std::size_t>(in[1]))) {
        const auto part = co_await stream.receive();
        if (!part || part->bytes().empty()) break;
        in.insert(in.end(), part->bytes().begin(), part->bytes().end());
      }
      const auto query = net::dns::parse_message(std::span(in).subspan(std::min<std::size_t>(2, in.size())));
      if (!query) continue;
      ++self.tcp_queries_;
      for (const auto& bytes : self.answer_(*query, true)) {
        const std::byte length[2] = {static_cast<std::byte>(bytes.size() >> 8),
                                     static_cast<std::byte>(bytes.size() & 0xff)};
        (void)co_await stream.send(std::span(length));
        // In small pieces, so that the reader has to put them together.
        for (std::size_t at = 0; at < bytes.size(); at += 7000) {
          (void)co_await stream.send(
              std::span(bytes).subspan(at, std::min<std::size_t>(7000, bytes.size() - at)));
        }
      }
    }
    self.tcp_ = false;
  }

  runtime::Reactor& reactor_;
  Answer answer_;
  int udp_ = -1;
  Endpoint endpoint_;
  Endpoint last_client_;
  runtime::Op poll_;
  runtime::Listener listener_;
  runtime::TaskGroup tasks_;
  std::size_t udp_queries_ = 0;
  std::size_t tcp_queries_ = 0;
  bool stopping_ = false;
  bool tcp_ = false;
};

}  // namespace sluice::test
