// Goal: what reactor.h and op.h promise about time and sockets holds in both worlds.
// How: every test is a coroutine that runs on a simulated reactor (plainly, and with everything split and
// delayed) and on a real io_uring (loopback, ports chosen by the system).
#include <poll.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "tests/engine/runtime/contract_parts.h"

namespace sluice::runtime {
namespace {

INSTANTIATE_TEST_SUITE_P(Worlds, InEitherWorld,
                         ::testing::Values(Which::Sim, Which::SimInPieces, Which::Uring), world_name);

// --- Time.

Task<void> sleeps_in_order(Reactor& reactor) {
  std::vector<int> order;
  TaskGroup group;
  const auto sleeper = [](Reactor& on, Duration time, int number, std::vector<int>& log) -> Task<void> {
    const MonoTime begin = on.now();
    co_await sleep_for(on, time);
    EXPECT_GE(on.now() - begin, time);
    log.push_back(number);
  };
  group.spawn(sleeper(reactor, 12ms, 3, order));
  group.spawn(sleeper(reactor, 1ms, 1, order));
  group.spawn(sleeper(reactor, 6ms, 2, order));
  group.spawn(sleeper(reactor, 0ns, 0, order));
  co_await group.join();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3}));
  const MonoTime frozen = reactor.now();
  EXPECT_EQ(reactor.now(), frozen);
  EXPECT_GE(reactor.read_clock(), frozen);
}
TEST_P(InEitherWorld, SleepersWakeInOrderAndNeverEarly) { run(sleeps_in_order(env.reactor())); }

// --- Connections.

Task<void> moves_many_bytes(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  const std::string sent = pattern_text(200'000);
  std::string got;
  TaskGroup group;
  group.spawn(receive_all_into(pair.server, got));
  for (std::size_t at = 0; at < sent.size(); at += 50'000) {
    EXPECT_TRUE((co_await pair.client.send(std::string_view(sent).substr(at, 50'000))).has_value());
  }
  pair.client.close();
  co_await group.join();
  EXPECT_EQ(got.size(), sent.size());
  EXPECT_TRUE(got == sent);
  // The end stays the end.
  const Result<ReceivedBytes> again = co_await pair.server.receive();
  EXPECT_TRUE(again.has_value() && again->bytes().empty());
}
TEST_P(InEitherWorld, BytesArriveInOrderAndThenTheEnd) { run(moves_many_bytes(env.reactor())); }

Task<void> sends_a_list(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  const std::string text = pattern_text(9000);
  std::vector<iovec> parts;
  for (std::size_t at = 0; at < text.size(); at += 6) {
    parts.push_back({const_cast<char*>(text.data()) + at, std::min<std::size_t>(6, text.size() - at)});
  }
  EXPECT_GT(parts.size(), 1024u);
  std::string got;
  TaskGroup group;
  group.spawn(receive_all_into(pair.server, got));
  EXPECT_TRUE((co_await pair.client.send(std::span(parts))).has_value());
  pair.client.close();
  co_await group.join();
  EXPECT_EQ(got, text);
}
TEST_P(InEitherWorld, ListsLongerThanTheKernelsLimitAreSentWhole) { run(sends_a_list(env.reactor())); }

Task<void> knows_its_endpoints(Reactor& reactor) {
  Result<Listener> listener = Listener::open(reactor, kAnyLocalPort);
  Pair pair;
  TaskGroup group;
  group.spawn(accept_into(*listener, pair.server));
  const IpAddress source = IpAddress::from_v4({127, 0, 0, 9});
  Result<Stream> client = co_await Stream::connect(reactor, listener->endpoint(), &source, 10s);
  co_await group.join();
  EXPECT_TRUE(client.has_value());
  if (!client) co_return;
  EXPECT_EQ(reactor.local_endpoint(client->fd())->address, source);
  EXPECT_NE(reactor.local_endpoint(client->fd())->port, 0);
  EXPECT_EQ(*reactor.peer_endpoint(client->fd()), listener->endpoint());
  EXPECT_EQ(*reactor.peer_endpoint(pair.server.fd()), *reactor.local_endpoint(client->fd()));
  const int alone = *reactor.tcp_socket(true, nullptr);
  EXPECT_EQ(reactor.peer_endpoint(alone).error().sys_errno, ENOTCONN);
  reactor.close_now(alone);
}
TEST_P(InEitherWorld, BothEndsKnowBothAddresses) { run(knows_its_endpoints(env.reactor())); }

Task<void> refused(Reactor& reactor) {
  Endpoint closed;
  {
    Result<Listener> listener = Listener::open(reactor, kAnyLocalPort);
    closed = listener->endpoint();
  }
  co_await sleep_for(reactor, 2ms);
  const Result<Stream> stream = co_await Stream::connect(reactor, closed, nullptr, 10s);
  EXPECT_FALSE(stream.has_value());
  if (!stream) {
    EXPECT_EQ(stream.error().code, Errc::Refused);
  }
}
TEST_P(InEitherWorld, AClosedPortRefuses) { run(refused(env.reactor())); }

Task<void> listens_twice(Reactor& reactor) {
  const Result<int> first = reactor.tcp_listener(kAnyLocalPort, {.reuse_port = false});
  const Endpoint at = *reactor.local_endpoint(*first);
  EXPECT_NE(at.port, 0);
  EXPECT_EQ(reactor.tcp_listener(at, {.reuse_port = false}).error().sys_errno, EADDRINUSE);
  EXPECT_EQ(reactor.tcp_listener(at, {.reuse_port = true}).error().sys_errno, EADDRINUSE);
  EXPECT_EQ(reactor.is_free(at).error().code, Errc::Exists);
  reactor.close_now(*first);
  EXPECT_TRUE(reactor.is_free(at).has_value());
  const Result<int> shared = reactor.tcp_listener(kAnyLocalPort, {.reuse_port = true});
  const Result<int> also = reactor.tcp_listener(*reactor.local_endpoint(*shared), {.reuse_port = true});
  EXPECT_TRUE(also.has_value());
  EXPECT_EQ(reactor.is_free(*reactor.local_endpoint(*shared)).error().code, Errc::Exists);
  reactor.close_now(*shared);
  reactor.close_now(*also);
  co_return;
}
TEST_P(InEitherWorld, APortIsSharedOnlyWhenAllAgree) { run(listens_twice(env.reactor())); }

Task<void> accepts_many(Reactor& reactor) {
  static constexpr int kCount = 20;
  Result<Listener> listener = Listener::open(reactor, kAnyLocalPort);
  std::vector<Stream> clients;
  for (int i = 0; i < kCount; ++i) {
    Result<Stream> one = co_await Stream::connect(reactor, listener->endpoint(), nullptr, 10s);
    EXPECT_TRUE(one.has_value());
    clients.push_back(std::move(*one));
  }
  std::vector<Stream> servers;
  for (int i = 0; i < kCount; ++i) {
    Result<Stream> one = co_await listener->accept();
    EXPECT_TRUE(one.has_value());
    servers.push_back(std::move(*one));
  }
  listener->stop();
  const Result<Stream> after = co_await listener->accept();
  EXPECT_EQ(after.error().code, Errc::Cancelled);
}
TEST_P(InEitherWorld, OneAcceptServesManyAndStopEndsIt) { run(accepts_many(env.reactor())); }

Task<void> resets(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  EXPECT_TRUE((co_await pair.client.send("never read")).has_value());
  co_await sleep_for(reactor, 20ms);
  pair.server.close();  // with unread bytes: the kernel says reset, not end
  co_await sleep_for(reactor, 20ms);
  const Result<ReceivedBytes> got = co_await pair.client.receive();
  EXPECT_FALSE(got.has_value());
  if (!got) {
    EXPECT_EQ(got.error().code, Errc::PeerClosed);
  }
}
TEST_P(InEitherWorld, ClosingWithUnreadBytesResets) { run(resets(env.reactor())); }

Task<void> sends_to_nobody(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  pair.server.close();
  Status status;
  for (int i = 0; i < 100 && status; ++i) {
    status = co_await pair.client.send("is anybody there?");
    co_await sleep_for(reactor, 2ms);
  }
  EXPECT_FALSE(status.has_value());
  if (!status) {
    EXPECT_EQ(status.error().code, Errc::PeerClosed);
  }
}
TEST_P(InEitherWorld, SendingToAClosedEndFailsSoon) { run(sends_to_nobody(env.reactor())); }

Task<void> shuts_down(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  Recorded receive;
  std::array<std::byte, 10> memory;
  receive.kind = OpKind::Recv;
  receive.fd = pair.client.fd();
  receive.data = memory.data();
  receive.size = memory.size();
  reactor.submit(receive);
  co_await sleep_for(reactor, 2ms);
  reactor.shutdown_socket(pair.client.fd());
  co_await until_ended(reactor, receive);
  EXPECT_EQ(receive.completions.back().result, 0);
  EXPECT_FALSE((co_await pair.client.send("too late")).has_value());
  const Result<ReceivedBytes> end = co_await pair.server.receive();
  EXPECT_TRUE(end.has_value() && end->bytes().empty());
}
TEST_P(InEitherWorld, ShutdownEndsWhatIsPending) { run(shuts_down(env.reactor())); }

Task<void> ends_its_output(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  EXPECT_TRUE((co_await pair.client.send("a question")).has_value());
  reactor.end_output(pair.client.fd());
  EXPECT_EQ(co_await receive_all(pair.server), "a question");
  EXPECT_FALSE((co_await pair.client.send("more")).has_value());
  EXPECT_TRUE((co_await pair.server.send("an answer")).has_value());
  pair.server.close();
  EXPECT_EQ(co_await receive_all(pair.client), "an answer");
}
TEST_P(InEitherWorld, EndingTheOutputLeavesTheInputOpen) { run(ends_its_output(env.reactor())); }

}  // namespace
}  // namespace sluice::runtime
