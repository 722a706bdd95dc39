// Goal: c-ares on the ring gets answers, ignores forgeries, falls back to TCP, gives up in time and stops
//       cleanly.
// How: a scripted name server on a free loopback port and the transport run on one real reactor; every test
//      is one
// coroutine. Time-outs of c-ares are real time, so they are set to some tens of milliseconds.

#include <gmock/gmock.h>

#include "engine/resolver/cares_transport.h"
#include "tests/engine/resolver/stub_server.h"

namespace sluice::test {
namespace {

using net::dns::Message;
using net::dns::Type;
using resolver::CaresOptions;
using resolver::CaresTransport;
using runtime::Reactor;
using runtime::Task;
using Bytes = std::vector<std::byte>;
using Answers = std::vector<Bytes>;

CaresOptions options_for(const StubServer& server) {
  CaresOptions options;
  options.servers = {server.endpoint()};
  options.timeout = 50ms;
  options.tries = 2;
  options.tcp_timeout = 2s;
  return options;
}

std::string address_in(const Result<Bytes>& bytes) {
  if (!bytes) return bytes.error().text();
  const auto message = net::dns::parse_message(*bytes);
  if (!message) return "unreadable";
  if (message->answers.empty()) return net::dns::text_of(message->header.rcode);
  return std::get<IpAddress>(message->answers[0].data).text();
}

/// One question to one server; the answer's first address or what else came.
struct Ask {
  StubServer::Answer answer;
  bool with_tcp = false;
  std::optional<std::uint16_t> edns;
  std::string got;
  std::size_t bytes = 0;
  std::size_t udp = 0;
  std::size_t tcp = 0;
  CaresTransport::Counters counters;
};

Task<void> ask_once(Reactor& reactor, Ask& ask) {
  StubServer server(reactor, ask.answer);
  server.start(ask.with_tcp);
  CaresOptions options = options_for(server);
  options.edns_udp_bytes = ask.edns;
  auto transport = std::move(*CaresTransport::open(reactor, options));
  const auto answer = co_await transport->query("mx.example", Type::A);
  ask.got = address_in(answer);
  ask.bytes = answer ? answer->size() : 0;
  co_await transport->stop();
  ask.counters = transport->counters();
  co_await server.stop();
  ask.udp = server.udp_queries();
  ask.tcp = server.tcp_queries();
}

Ask run(StubServer::Answer answer, bool with_tcp = false, std::optional<std::uint16_t> edns = std::nullopt) {
  RealWorld world;
  Ask ask{std::move(answer), with_tcp, edns, {}, 0, 0, 0, {}};
  world.run(ask_once(world.reactor(), ask));
  return ask;
}

Answers address(const Message& query, std::string_view text) {
  return {StubServer::with_address(query, text)};
}

TEST(CaresTransport, AnswersByUdp) {
  const Ask ask = run([](const Message& query, bool) {
    EXPECT_EQ(query.questions[0].name, "mx.example");
    EXPECT_FALSE(query.edns);
    EXPECT_TRUE(query.header.recursion_desired);
    return address(query, "192.0.2.1");
  });
  EXPECT_EQ(ask.got, "192.0.2.1");
  EXPECT_EQ(ask.udp, 1u);
}

TEST(CaresTransport, OffersEdnsWithinItsRange) {
  std::uint16_t offered = 0;
  const Ask ask = run(
      [&](const Message& query, bool) {
        if (query.edns) offered = query.edns->udp_size;
        return address(query, "192.0.2.1");
      },
      false, 9000);
  EXPECT_EQ(ask.got, "192.0.2.1");
  EXPECT_EQ(offered, 2048);
}

TEST(CaresTransport, ForgedAnswersAreIgnored) {
  const Ask ask = run([](const Message& query, bool) {
    Message wrong_id = query;
    wrong_id.header.id = static_cast<std::uint16_t>(query.header.id + 1);
    Message wrong_question = query;
    wrong_question.questions[0].name = "other.example";
    return Answers{StubServer::with_address(wrong_id, "192.0.2.66"),
                   StubServer::with_address(wrong_question, "192.0.2.67"), Bytes(5),
                   StubServer::with_address(query, "192.0.2.1")};
  });
  EXPECT_EQ(ask.got, "192.0.2.1");
  EXPECT_EQ(ask.counters.stray_datagrams, 1u);
}

TEST(CaresTransport, SilenceEndsInATimeoutAfterAllTries) {
  const Ask ask = run([](const Message&, bool) { return Answers(); });
  EXPECT_EQ(ask.got, "dns: timeout");
  EXPECT_EQ(ask.udp, 2u);
  EXPECT_EQ(ask.counters.timeouts, 1u);
}

TEST(CaresTransport, ALostQueryIsSentAgain) {
  int number = 0;
  const Ask ask = run(
      [&](const Message& query, bool) { return ++number == 1 ? Answers() : address(query, "192.0.2.1"); });
  EXPECT_EQ(ask.got, "192.0.2.1");
  EXPECT_EQ(ask.udp, 2u);
}

Ask run_with_rcode(net::dns::Rcode rcode) {
  return run([rcode](const Message& query, bool) {
    Message reply = StubServer::reply_to(query);
    reply.header.rcode = rcode;
    return Answers{*net::dns::build_message(reply)};
  });
}

TEST(CaresTransport, NxdomainComesThrough) {
  EXPECT_EQ(run_with_rcode(net::dns::Rcode::NxDomain).got, "NXDOMAIN");
}

TEST(CaresTransport, FailuresOfTheOnlyServerAreToldAtOnce) {
  for (const auto rcode : {net::dns::Rcode::ServFail, net::dns::Rcode::Refused, net::dns::Rcode::NotImp}) {
    const Ask ask = run_with_rcode(rcode);
    EXPECT_EQ(ask.got, net::dns::text_of(rcode));
    EXPECT_EQ(ask.udp, 1u);
  }
}

Task<void> failing_server(Reactor& reactor) {
  StubServer failing(reactor, [](const Message& query, bool) {
    Message reply = StubServer::reply_to(query);
    reply.header.rcode = net::dns::Rcode::ServFail;
    return Answers{*net::dns::build_message(reply)};
  });
  StubServer good(reactor, [](const Message& query, bool) { return address(query, "192.0.2.1"); });
  failing.start(false);
  good.start(false);
  CaresOptions options = options_for(failing);
  options.servers.push_back(good.endpoint());
  auto transport = std::move(*CaresTransport::open(reactor, options));
  // Newer versions of c-ares choose the first server by chance.
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(address_in(co_await transport->query("mx.example", Type::A)), "192.0.2.1");
  EXPECT_GE(failing.udp_queries(), 1u);
  co_await transport->stop();
  co_await failing.stop();
  co_await good.stop();
}

TEST(CaresTransport, AnotherServerIsAskedAfterServfail) {
  RealWorld world;
  world.run(failing_server(world.reactor()));
}

Answers large(const Message& query, bool by_tcp, std::size_t records) {
  Message reply = StubServer::reply_to(query);
  for (std::size_t i = 0; i < records; ++i) {
    reply.answers.push_back(
        {query.questions[0].name, Type::A, 1, std::chrono::seconds{300}, *IpAddress::parse("192.0.2.9")});
  }
  return {*net::dns::build_message(reply, by_tcp ? net::dns::kMessageBytesMax : 512)};
}

TEST(CaresTransport, TruncatedAnswersAreFetchedByTcp) {
  const Ask ask = run([](const Message& query, bool by_tcp) { return large(query, by_tcp, 100); }, true);
  EXPECT_EQ(ask.got, "192.0.2.9");
  EXPECT_GT(ask.bytes, 1600u);
  EXPECT_EQ(ask.tcp, 1u);
}

TEST(CaresTransport, SixtyFourKilobytesByTcp) {
  const Ask ask = run([](const Message& query, bool by_tcp) { return large(query, by_tcp, 4000); }, true);
  EXPECT_EQ(ask.got, "192.0.2.9");
  EXPECT_GT(ask.bytes, 60000u);
}

TEST(CaresTransport, TruncatedWithoutTcpIsAnError) {
  const Ask ask = run([](const Message& query, bool by_tcp) { return large(query, by_tcp, 100); });
  EXPECT_THAT(ask.got, ::testing::HasSubstr("refused"));
}

TEST(CaresTransport, TcpAnswerWithAnotherId) {
  const Ask ask = run(
      [](const Message& query, bool by_tcp) {
        Message other = query;
        if (by_tcp) ++other.header.id;
        return large(other, by_tcp, 100);
      },
      true);
  EXPECT_EQ(ask.got, "dns tcp: bad input");
}

Task<void> ask_many(Reactor& reactor, CaresTransport& transport, std::size_t count, std::size_t& answered) {
  struct One {
    static Task<void> ask(CaresTransport& from, std::size_t number, std::size_t& good) {
      const auto answer = co_await from.query("mx" + std::to_string(number) + ".example", Type::A);
      if (address_in(answer) == "192.0.2.1") ++good;
    }
  };
  runtime::TaskGroup group;
  for (std::size_t i = 0; i < count; ++i) group.spawn(One::ask(transport, i, answered));
  co_await group.join();
  (void)reactor;
}

Task<void> many_at_once(Reactor& reactor) {
  StubServer one(reactor, [](const Message& query, bool) { return address(query, "192.0.2.1"); });
  StubServer two(reactor, [](const Message& query, bool) { return address(query, "192.0.2.1"); });
  one.start(false);
  two.start(false);
  CaresOptions options = options_for(one);
  options.timeout = 2s;
  options.servers.push_back(two.endpoint());
  auto transport = std::move(*CaresTransport::open(reactor, options));
  std::size_t answered = 0;
  co_await ask_many(reactor, *transport, 400, answered);
  EXPECT_EQ(answered, 400u);
  // In turns, or by chance with newer versions of c-ares.
  EXPECT_EQ(one.udp_queries() + two.udp_queries(), 400u);
  EXPECT_GT(one.udp_queries(), 100u);
  EXPECT_GT(two.udp_queries(), 100u);
  co_await transport->stop();
  co_await one.stop();
  co_await two.stop();
}

TEST(CaresTransport, ManyAtOnceOverTwoServers) {
  RealWorld world;
  world.run(many_at_once(world.reactor()));
}

Task<void> dead_server(Reactor& reactor) {
  Endpoint nobody;
  {
    StubServer closed(reactor, [](const Message&, bool) { return Answers(); });
    nobody = closed.endpoint();
  }
  StubServer alive(reactor, [](const Message& query, bool) { return address(query, "192.0.2.1"); });
  alive.start(false);
  CaresOptions options = options_for(alive);
  options.servers.insert(options.servers.begin(), nobody);
  auto transport = std::move(*CaresTransport::open(reactor, options));
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(address_in(co_await transport->query("mx.example", Type::A)), "192.0.2.1");
  co_await transport->stop();
  co_await alive.stop();
}

TEST(CaresTransport, ADeadServerIsSteppedOver) {
  RealWorld world;
  world.run(dead_server(world.reactor()));
}

Task<void> stop_early(Reactor& reactor) {
  struct One {
    static Task<void> ask(CaresTransport& from, std::string& got) {
      got = address_in(co_await from.query("mx.example", Type::A));
    }
  };
  StubServer server(reactor, [](const Message&, bool) { return Answers(); });
  server.start(false);
  CaresOptions options = options_for(server);
  options.timeout = 20s;
  auto transport = std::move(*CaresTransport::open(reactor, options));
  std::string got;
  runtime::TaskGroup group;
  group.spawn(One::ask(*transport, got));
  const MonoTime before = reactor.read_clock();
  co_await transport->stop();
  co_await group.join();
  EXPECT_EQ(got, "dns: cancelled");
  EXPECT_LT(reactor.read_clock() - before, 5s) << "it does not wait for the time-out";
  EXPECT_EQ(address_in(co_await transport->query("mx.example", Type::A)), "dns: cancelled");
  co_await server.stop();
}

TEST(CaresTransport, StopCancelsWhatIsUnderWay) {
  RealWorld world;
  world.run(stop_early(world.reactor()));
}

Task<void> system_servers(Reactor& reactor) {
  auto transport = CaresTransport::open(reactor, {});
  if (transport) {
    EXPECT_FALSE((*transport)->servers().empty());
    co_await (*transport)->stop();
  } else {
    EXPECT_EQ(transport.error().code, Errc::NotFound);
  }
}

TEST(CaresTransport, WithoutServersTheSystemsAreUsed) {
  RealWorld world;
  world.run(system_servers(world.reactor()));
}

}  // namespace
}  // namespace sluice::test
