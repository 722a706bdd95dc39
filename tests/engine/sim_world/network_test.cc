// Goal: the simulated network delays, blocks, splits, resets and hides as configured, and as Linux would.
// How: two machines; every test sets one property and looks at times, bytes and errors.
#include "engine/runtime/sim/network.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>
#include <vector>

#include "engine/runtime/sim/world.h"
#include "engine/runtime/stream.h"
#include "tests/support/sim_test.h"

namespace sluice::runtime::sim {
namespace {

const IpAddress kHost = IpAddress::from_v4({192, 0, 2, 25});
const Endpoint kServer{kHost, 25};

Cidr block(std::string_view text) { return *Cidr::parse(text); }

struct Far {
  Stream stream;
  std::string heard;
  bool ended = false;
  std::optional<Error> error;
};

class NetworkTest : public test::SimTest {
 protected:
  NetworkTest() {
    world.network().default_link.jitter = 0ns;
    world.network().default_link.latency = 10ms;
    world.network().default_link.read_cut = 0;
  }
  Listener listen(const Endpoint& at = kServer) { return *Listener::open(there(), at); }
  /// A stream may not go while somebody waits in it.
  template <class... Streams>
  void hang_up(Streams&... streams) {
    (streams.abort(), ...);
    world.run_for(1s);
  }
};

Task<void> accept_one(Listener& listener, Stream& into) {
  Result<Stream> got = co_await listener.accept();
  if (got) into = std::move(*got);
}
Task<void> listens_to(Far& far) {
  for (;;) {
    const Result<ReceivedBytes> got = co_await far.stream.receive();
    if (!got) far.error = got.error();
    if (!got || got->bytes().empty()) break;
    far.heard.append(reinterpret_cast<const char*>(got->bytes().data()), got->bytes().size());
  }
  far.ended = true;
}
Task<Result<Stream>> connect_to(Reactor& reactor, Endpoint to, Duration timeout = 10min) {
  co_return co_await Stream::connect(reactor, to, nullptr, timeout);
}
/// An open connection from the first machine to the second.
struct Link {
  Listener listener;
  Stream near;
  Far far;
};
Task<void> open_link(Reactor& from, Link& link, Endpoint to) {
  test::start(accept_one(link.listener, link.far.stream));
  Result<Stream> got = co_await Stream::connect(from, to, nullptr, 1min);
  EXPECT_TRUE(got.has_value());
  if (got) link.near = std::move(*got);
  while (!link.far.stream) co_await sleep_for(from, 1ms);
}
Task<Status> send_text(Stream& stream, std::string text) { co_return co_await stream.send(text); }

// --- Hosts.

TEST_F(NetworkTest, AHandshakeTakesARoundTrip) {
  const Listener listener = listen();
  const MonoTime begin = world.now();
  const auto stream = test::finish(world, connect_to(here(), kServer));
  EXPECT_TRUE(stream && *stream);
  EXPECT_GE(world.now() - begin, 20ms);
  EXPECT_LT(world.now() - begin, 21ms);
}

struct HostRow {
  const char* name;
  std::optional<HostState> state;
  Duration timeout;
  Errc want;
  Duration at_least;
  Duration at_most;
};
TEST_F(NetworkTest, HostsThatDoNotServe) {
  // clang-format off
  static const HostRow kRows[] = {
      // name                   state                    timeout  error              after
      {"nobody listens",        std::nullopt,            60s,     Errc::Refused,     20ms, 21ms},
      {"all ports closed",      HostState::Refusing,     60s,     Errc::Refused,     20ms, 21ms},
      {"black hole",            HostState::Silent,       30s,     Errc::Timeout,     30s,  31s},
      {"black hole, patient",   HostState::Silent,       1h,      Errc::Timeout,     127s, 128s},
      {"no route",              HostState::Unreachable,  60s,     Errc::Unreachable, 20ms, 21ms},
  };
  // clang-format on
  for (const HostRow& row : kRows) {
    SCOPED_TRACE(row.name);
    if (row.state) world.network().set_host(block("192.0.2.0/24"), *row.state);
    const MonoTime begin = world.now();
    const auto stream = test::finish(world, connect_to(here(), kServer, row.timeout));
    ASSERT_TRUE(stream && !*stream);
    EXPECT_EQ(stream->error().code, row.want);
    EXPECT_GE(world.now() - begin, row.at_least);
    EXPECT_LE(world.now() - begin, row.at_most);
    world.network().set_host(block("192.0.2.0/24"), HostState::Up);
  }
}

TEST_F(NetworkTest, ASilentPathHoldsBytesBackAndDeliversThemLaterInOrder) {
  Link link{.listener = listen(), .near = {}, .far = {}};
  ASSERT_TRUE(test::finish(world, open_link(here(), link, kServer)));
  test::start(listens_to(link.far));
  world.network().set_host(block("192.0.2.25"), HostState::Silent);
  std::string expected;
  for (int i = 0; i < 50; ++i) {
    const std::string text = "line " + std::to_string(i) + "\n";
    expected += text;
    ASSERT_TRUE(test::finish(world, send_text(link.near, text)));
    world.run_for(1s);
    if (i == 25) {
      EXPECT_EQ(link.far.heard, "");
    }
    if (i == 40) world.network().set_host(block("192.0.2.25"), HostState::Up);
  }
  world.run_for(20s);
  EXPECT_EQ(link.far.heard, expected);
  link.near.close();
  world.run_for(1s);
  EXPECT_TRUE(link.far.ended);
  hang_up(link.far.stream);
}

TEST_F(NetworkTest, APathSilentForTooLongEndsTheConnection) {
  Link link{.listener = listen(), .near = {}, .far = {}};
  ASSERT_TRUE(test::finish(world, open_link(here(), link, kServer)));
  world.network().set_host(block("192.0.2.25"), HostState::Silent);
  ASSERT_TRUE(test::finish(world, send_text(link.near, "lost")));
  const MonoTime begin = world.now();
  Far near{.stream = std::move(link.near), .heard = {}, .error = {}};
  test::start(listens_to(near));
  world.run_until([&] { return near.ended; });
  ASSERT_TRUE(near.error.has_value());
  EXPECT_EQ(near.error->sys_errno, ETIMEDOUT);
  EXPECT_GE(world.now() - begin, Network::kStallMax);
  EXPECT_LT(world.now() - begin, Network::kStallMax + 15s);
  hang_up(near.stream);
}

// --- Bytes.

TEST_F(NetworkTest, BandwidthLimitsTheWay) {
  LinkOptions slow = world.network().default_link;
  slow.bytes_per_second = 100'000;
  world.network().set_link(block("192.0.2.0/24"), slow);
  Link link{.listener = listen(), .near = {}, .far = {}};
  ASSERT_TRUE(test::finish(world, open_link(here(), link, kServer)));
  test::start(listens_to(link.far));
  const MonoTime begin = world.now();
  ASSERT_TRUE(test::finish(world, send_text(link.near, std::string(1'000'000, 'x'))));
  world.run_until([&] { return link.far.heard.size() == 1'000'000; });
  EXPECT_GE(world.now() - begin, 10s);
  EXPECT_LT(world.now() - begin, 11s);
  hang_up(link.far.stream);
}

Task<void> send_then_mark(Stream& stream, std::string text, bool& done) {
  EXPECT_TRUE((co_await stream.send(text)).has_value());
  done = true;
}
TEST_F(NetworkTest, AReaderThatStopsStopsTheSender) {
  Link link{.listener = listen(), .near = {}, .far = {}};
  ASSERT_TRUE(test::finish(world, open_link(here(), link, kServer)));
  const std::string text(3 * world.network().default_link.window_bytes, 'x');
  bool sent = false;
  test::start(send_then_mark(link.near, text, sent));
  world.run_for(1h);
  EXPECT_FALSE(sent);
  test::start(listens_to(link.far));
  world.run_for(10s);
  EXPECT_TRUE(sent);
  EXPECT_EQ(link.far.heard, text);
  hang_up(link.far.stream);
}

Task<void> count_pieces(Stream& stream, std::size_t& pieces, std::size_t& largest) {
  for (;;) {
    const Result<ReceivedBytes> got = co_await stream.receive();
    if (!got || got->bytes().empty()) co_return;
    ++pieces;
    largest = std::max(largest, got->bytes().size());
  }
}
TEST_F(NetworkTest, OneByteReads) {
  LinkOptions crumbs = world.network().default_link;
  crumbs.read_max = 1;
  world.network().set_link(block("192.0.2.0/24"), crumbs);
  Link link{.listener = listen(), .near = {}, .far = {}};
  ASSERT_TRUE(test::finish(world, open_link(here(), link, kServer)));
  std::size_t pieces = 0;
  std::size_t largest = 0;
  test::start(count_pieces(link.far.stream, pieces, largest));
  ASSERT_TRUE(test::finish(world, send_text(link.near, std::string(2000, 'x'))));
  world.run_for(10s);
  EXPECT_EQ(pieces, 2000u);
  EXPECT_EQ(largest, 1u);
  hang_up(link.far.stream);
}

TEST_F(NetworkTest, HalfCloseLetsTheOtherDirectionGoOn) {
  Link link{.listener = listen(), .near = {}, .far = {}};
  ASSERT_TRUE(test::finish(world, open_link(here(), link, kServer)));
  there().end_output(link.far.stream.fd());
  Far near{.stream = std::move(link.near), .heard = {}, .error = {}};
  test::start(listens_to(near));
  world.run_for(1s);
  EXPECT_TRUE(near.ended);
  EXPECT_FALSE(near.error);
  test::start(listens_to(link.far));
  ASSERT_TRUE(test::finish(world, send_text(near.stream, "still with you")));
  world.run_for(1s);
  EXPECT_EQ(link.far.heard, "still with you");
  EXPECT_FALSE(*test::finish(world, send_text(link.far.stream, "after the FIN")));
  hang_up(link.far.stream);
}

// --- Resets.

TEST_F(NetworkTest, AResetReachesBothEnds) {
  Link link{.listener = listen(), .near = {}, .far = {}};
  ASSERT_TRUE(test::finish(world, open_link(here(), link, kServer)));
  test::start(listens_to(link.far));
  Far near{.stream = std::move(link.near), .heard = {}, .error = {}};
  test::start(listens_to(near));
  world.run_for(1s);
  EXPECT_EQ(world.network().open_connections(block("192.0.2.0/24")), 1u);
  EXPECT_EQ(world.network().reset_connections(block("198.51.100.0/24")), 0u);
  EXPECT_EQ(world.network().reset_connections(block("192.0.2.0/24")), 1u);
  world.run_for(1s);
  EXPECT_EQ(near.error->sys_errno, ECONNRESET);
  EXPECT_EQ(link.far.error->sys_errno, ECONNRESET);
  EXPECT_EQ(world.network().open_connections(block("192.0.2.0/24")), 0u);
}

TEST_F(NetworkTest, BytesSentBeforeAResetAreStillRead) {
  Link link{.listener = listen(), .near = {}, .far = {}};
  ASSERT_TRUE(test::finish(world, open_link(here(), link, kServer)));
  ASSERT_TRUE(test::finish(world, send_text(link.near, "last words")));
  here().reset_connection(link.near.fd());
  world.run_for(1s);
  test::start(listens_to(link.far));
  world.run_for(1s);
  EXPECT_EQ(link.far.heard, "last words");
  EXPECT_EQ(link.far.error->sys_errno, ECONNRESET);
}

// --- Limits of a machine.

class SmallMachine : public test::SimTest {
 protected:
  static WorldOptions small() {
    WorldOptions options;
    options.machine.ports_first = 40000;
    options.machine.ports_last = 40003;
    options.machine.descriptors_max = 12;
    return options;
  }
  SmallMachine() : SimTest(1, small()) {}
};

TEST_F(SmallMachine, PortsRunOutForEachPairAndComeBackAfterTimeWait) {
  Listener listener = *Listener::open(there(), kServer);
  Listener other = *Listener::open(there(), Endpoint{kHost, 26});
  std::vector<Stream> open;
  for (int i = 0; i < 4; ++i) {
    auto one = test::finish(world, connect_to(here(), kServer));
    ASSERT_TRUE(one && *one) << i;
    open.push_back(std::move(**one));
  }
  auto fifth = test::finish(world, connect_to(here(), kServer));
  ASSERT_TRUE(fifth && !*fifth);
  EXPECT_EQ(fifth->error().code, Errc::NoDescriptors);
  EXPECT_EQ(fifth->error().sys_errno, EADDRNOTAVAIL);
  auto elsewhere = test::finish(world, connect_to(here(), Endpoint{kHost, 26}));
  EXPECT_TRUE(elsewhere && *elsewhere) << "ports count for each pair of source and destination";
  open.clear();  // we end first: TIME_WAIT is ours
  world.run_for(30s);
  fifth = test::finish(world, connect_to(here(), kServer));
  EXPECT_FALSE(fifth && *fifth);
  world.run_for(31s);
  fifth = test::finish(world, connect_to(here(), kServer));
  EXPECT_TRUE(fifth && *fifth);
}

TEST_F(SmallMachine, AcceptAnswersEmfileAndGoesOnWhenADescriptorIsFree) {
  Listener listener = *Listener::open(here(), kServer);
  std::vector<Stream> clients;
  for (int i = 0; i < 15; ++i) {
    auto one = test::finish(world, connect_to(there(), kServer));
    ASSERT_TRUE(one && *one);  // the backlog takes them
    clients.push_back(std::move(**one));
  }
  std::vector<Stream> servers;
  const auto accept_next = [](Listener& from) -> Task<Result<Stream>> { co_return co_await from.accept(); };
  for (int i = 0; i < 11; ++i) {
    auto one = test::finish(world, accept_next(listener));
    ASSERT_TRUE(one && *one) << i;
    servers.push_back(std::move(**one));
  }
  auto refused = test::finish(world, accept_next(listener));
  ASSERT_TRUE(refused && !*refused);
  EXPECT_EQ(refused->error().sys_errno, EMFILE);
  EXPECT_EQ(here().tcp_socket(true, nullptr).error().sys_errno, EMFILE);
  servers.pop_back();
  world.run_for(1s);
  auto again = test::finish(world, accept_next(listener));
  EXPECT_TRUE(again && *again);
}

TEST_F(NetworkTest, AFullBacklogMakesClientsTryAgain) {
  const Result<int> fd = there().tcp_listener(kServer, {.backlog = 2});
  std::vector<Stream> clients;
  for (int i = 0; i < 2; ++i)
    clients.push_back(std::move(**test::finish(world, connect_to(here(), kServer))));
  auto third = test::finish(world, connect_to(here(), kServer, 5s));
  ASSERT_TRUE(third && !*third);
  EXPECT_EQ(third->error().code, Errc::Timeout);
  there().close_now(*fd);
}

TEST_F(NetworkTest, AddressesBelongToTheirMachine) {
  MachineOptions options;
  options.addresses = {block("203.0.113.0/24")};
  Machine& other = world.add_machine(options);
  EXPECT_EQ(other.reactor().tcp_listener(kServer, {}).error().sys_errno, EADDRNOTAVAIL);
  const IpAddress foreign = kHost;
  EXPECT_EQ(other.reactor().tcp_socket(true, &foreign).error().sys_errno, EADDRNOTAVAIL);
  Listener any = *Listener::open(other.reactor(), Endpoint{IpAddress(), 25});
  EXPECT_TRUE(*test::finish(world, connect_to(here(), Endpoint{IpAddress::from_v4({203, 0, 113, 9}), 25})));
  EXPECT_FALSE(*test::finish(world, connect_to(here(), Endpoint{IpAddress::from_v4({203, 0, 114, 9}), 25})));
}

TEST_F(NetworkTest, SharedPortsSpreadConnections) {
  std::vector<Listener> listeners;
  std::vector<int> accepted(3, 0);
  const auto counts = [](Listener& from, int& count) -> Task<void> {
    for (;;) {
      const Result<Stream> one = co_await from.accept();
      if (!one) co_return;
      ++count;
    }
  };
  for (int i = 0; i < 3; ++i) listeners.push_back(listen());
  for (std::size_t i = 0; i < 3; ++i) test::start(counts(listeners[i], accepted[i]));
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(*test::finish(world, connect_to(here(), kServer)));
  world.run_for(1s);
  for (const int count : accepted) EXPECT_GT(count, 5);
  for (Listener& listener : listeners) listener.stop();
  world.run_for(1s);
}

// --- Datagrams.

TEST_F(NetworkTest, DatagramsAreLostDoubledAndOvertake) {
  LinkOptions wild;
  wild.jitter = 20ms;
  wild.datagram_lost = 0.3;
  wild.datagram_doubled = 0.3;
  world.network().set_link(block("192.0.2.0/24"), wild);
  const Endpoint at{kHost, 53};
  const int receiver = *there().udp_socket(true, &at);
  const int sender = *here().udp_socket(true, nullptr);
  std::vector<int> order;
  std::multiset<int> seen;
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(here().send_datagram(sender, std::as_bytes(std::span(&i, 1)), &at).has_value());
    world.run_for(1ms);
    int got = 0;
    while (there().receive_datagram(receiver, std::as_writable_bytes(std::span(&got, 1)))) {
      order.push_back(got);
      seen.insert(got);
    }
  }
  const std::set<int> distinct(seen.begin(), seen.end());
  EXPECT_GT(distinct.size(), 100u);
  EXPECT_LT(distinct.size(), 190u);
  EXPECT_GT(seen.size(), distinct.size());
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
}

TEST_F(NetworkTest, OnlyAConnectedSenderHearsOfAClosedPort) {
  const Endpoint nobody{kHost, 53};
  const std::byte byte{1};
  const int plain = *here().udp_socket(true, nullptr);
  const int connected = *here().udp_socket(true, nullptr);
  const auto connects = [](Reactor& reactor, int fd, Endpoint to) -> Task<Result<int>> {
    Op op;
    op.kind = OpKind::Connect;
    op.fd = fd;
    op.peer = RawEndpoint(to);
    co_return co_await perform(reactor, op);
  };
  EXPECT_EQ(**test::finish(world, connects(here(), connected, nobody)), 0);
  EXPECT_TRUE(here().send_datagram(plain, std::span(&byte, 1), &nobody).has_value());
  EXPECT_TRUE(here().send_datagram(connected, std::span(&byte, 1), nullptr).has_value());
  world.run_for(1s);
  std::byte into[1];
  EXPECT_EQ(here().receive_datagram(plain, into).error().code, Errc::Timeout);
  EXPECT_EQ(here().receive_datagram(connected, into).error().code, Errc::Refused);
  EXPECT_EQ(here().receive_datagram(connected, into).error().code, Errc::Timeout) << "told once";
}

// --- Scripted faults.

TEST_F(NetworkTest, TheThirdSendToAHostResets) {
  const auto rule = world.faults().add(
      {.kind = OpKind::Send, .peer = block("192.0.2.25"), .skip = 2, .strike = Strike::Reset});
  Link link{.listener = listen(), .near = {}, .far = {}};
  ASSERT_TRUE(test::finish(world, open_link(here(), link, kServer)));
  test::start(listens_to(link.far));
  EXPECT_TRUE(*test::finish(world, send_text(link.near, "one ")));
  EXPECT_TRUE(*test::finish(world, send_text(link.near, "two ")));
  const auto third = test::finish(world, send_text(link.near, "three"));
  EXPECT_EQ(third->error().sys_errno, ECONNRESET);
  world.run_for(1s);
  EXPECT_EQ(link.far.heard, "one two ");
  EXPECT_EQ(link.far.error->sys_errno, ECONNRESET);
  EXPECT_EQ(world.faults().hits(rule), 1u);
}

TEST_F(NetworkTest, ScriptedConnectsHangFailAndWait) {
  const Listener listener = listen();
  world.faults().add({.kind = OpKind::Connect, .peer_port = 25, .strike = Strike::Hang});
  MonoTime begin = world.now();
  auto stream = test::finish(world, connect_to(here(), kServer, 5s));
  EXPECT_EQ(stream->error().code, Errc::Timeout);
  EXPECT_GE(world.now() - begin, 5s);
  world.faults().add({.kind = OpKind::Connect, .strike = Strike::Error, .sys_errno = ENETUNREACH});
  stream = test::finish(world, connect_to(here(), kServer));
  EXPECT_EQ(stream->error().code, Errc::Unreachable);
  world.faults().add({.kind = OpKind::Connect, .machine = 0, .strike = Strike::Delay, .delay = 3s});
  begin = world.now();
  stream = test::finish(world, connect_to(here(), kServer));
  EXPECT_TRUE(*stream);
  EXPECT_GE(world.now() - begin, 3s);
  stream = test::finish(world, connect_to(here(), kServer));
  EXPECT_TRUE(*stream) << "each rule strikes once";
}

TEST_F(NetworkTest, AReceiveThatHangsEndsAtTheDeadline) {
  Link link{.listener = listen(), .near = {}, .far = {}};
  ASSERT_TRUE(test::finish(world, open_link(here(), link, kServer)));
  world.faults().add({.kind = OpKind::Recv, .machine = 0, .strike = Strike::Hang});
  ASSERT_TRUE(test::finish(world, send_text(link.far.stream, "never heard")));
  Far near{.stream = std::move(link.near), .heard = {}, .error = {}};
  near.stream.set_deadline(world.now() + 30s);
  test::start(listens_to(near));
  world.run_until([&] { return near.ended; }, 10min);
  EXPECT_EQ(near.error->code, Errc::Timeout);
  EXPECT_EQ(near.heard, "");
}

// --- Cancels that the kernel passes over.

TEST_F(NetworkTest, AnEndThatIsAskedForComes) {
  world.faults().plan.cancel_lost = 0.9;
  Listener listener = listen();
  for (int round = 0; round < 20; ++round) {
    Link link{.listener = std::move(listener), .near = {}, .far = {}};
    ASSERT_TRUE(test::finish(world, open_link(here(), link, kServer)));
    // Nobody reads what is sent, and nobody says what is awaited.
    link.near.set_deadline(world.now() + 5s);
    const MonoTime begin = world.now();
    const auto sent = test::finish(world, send_text(link.near, std::string(30'000'000, 'x')), 1min);
    ASSERT_TRUE(sent.has_value());
    ASSERT_FALSE(*sent);
    EXPECT_EQ(sent->error().code, Errc::Timeout);
    EXPECT_LE(world.now() - begin, 20s);
    listener = std::move(link.listener);
    hang_up(link.near, link.far.stream);
  }
  world.faults().plan.cancel_lost = 0;
  world.run_for(1min);
}

}  // namespace
}  // namespace sluice::runtime::sim
