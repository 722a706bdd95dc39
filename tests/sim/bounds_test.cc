// Goal: what goes wrong with one client, server or command stays with it. An exception ends one conversation
//       and gives back all it held; descriptors that run out are said, refused and free again; clients that
//       drip, or wait behind a slow check, delay nobody.
// How:  a whole node in the simulated world. Seeds are printed on failure; SLUICE_BOUNDS_SEEDS sets how many.
#include <cstdlib>

#include "tests/sim/http_host.h"
#include "tests/sim/scenario.h"

namespace sluice::test {
namespace {

using runtime::sim::Machine;

std::uint64_t seeds() {
  const char* wanted = std::getenv("SLUICE_BOUNDS_SEEDS");
  return wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 6;
}

std::size_t count_of(std::string_view text, std::string_view what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

std::string log_of(Scenario& scenario) { return scenario.world.disk().content("/var/log/sluice.log"); }

std::vector<Mail> small_mails(std::size_t count, const std::string& prefix) {
  std::vector<Mail> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back(
        {.id = prefix + std::to_string(i), .recipients = {"u" + std::to_string(i) + "@a.test"}, .vmta = {}});
  return out;
}

// --- Exceptions.

TEST(BoundsSim, AnExceptionEndsOneConversationAndGivesBackWhatItHeld) {
  for (std::uint64_t seed = 1; seed <= seeds(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Scenario scenario(seed);
    scenario.open_receivers({.defer_rcpt = 0.1});
    ASSERT_TRUE(scenario.boot());
    Machine& machine = scenario.world.machine();
    machine.options.send_throws = 0.05;
    Injected injected;
    ASSERT_TRUE(finish(
        scenario.world,
        inject(scenario.peers.reactor(0), Scenario::listener(), scenario.mails(60, "x"), injected), 1h));
    scenario.world.run_for(20min);
    std::uint64_t contained = 0;
    for (std::size_t i = 0; i < machine.reactor_count(); ++i)
      contained += machine.reactor(i).counters().contained;
    EXPECT_GT(contained, 10u) << "nothing was thrown";
    EXPECT_NE(log_of(scenario).find("internal error: std::bad_alloc"), std::string::npos);
    machine.options.send_throws = 0;
    EXPECT_TRUE(scenario.drain(6h));
    for (std::size_t i = 0; i < machine.reactor_count(); ++i)
      EXPECT_EQ(machine.reactor(i).buffers_free(), machine.options.buffer_count) << "shard " << i;
    // Every slot and every byte of memory came back: as many messages as ever go through at once.
    Injected more;
    scenario.take_in(small_mails(50, "after"), more);
    EXPECT_TRUE(scenario.drain(1h));
    injected.accepted.insert(injected.accepted.end(), more.accepted.begin(), more.accepted.end());
    scenario.close();
    scenario.check_promises(injected, true);
  }
}

// --- Descriptors.

runtime::Task<void> connect_and_listen(runtime::Reactor& reactor, runtime::Stream& stream,
                                       std::string& said) {
  Result<runtime::Stream> made =
      co_await runtime::Stream::connect(reactor, Scenario::listener(), nullptr, 30s);
  if (!made) co_return;
  stream = std::move(*made);
  while (!said.ends_with('\n')) {
    const auto got = co_await stream.receive();
    if (!got || got->bytes().empty()) co_return;
    said.append(reinterpret_cast<const char*>(got->bytes().data()), got->bytes().size());
  }
}

TEST(BoundsSim, DescriptorsThatRunOutAreSaidAndComeBack) {
  constexpr std::size_t kClients = 300;
  Scenario scenario(3);
  scenario.open_receivers({});
  ASSERT_TRUE(scenario.boot());
  Machine& machine = scenario.world.machine();
  machine.options.descriptors_max = machine.descriptors_open() + 200;
  std::vector<runtime::Stream> clients(kClients);
  std::vector<std::string> said(kClients);
  {
    runtime::TaskGroup group;
    for (std::size_t i = 0; i < kClients; ++i)
      group.spawn(connect_and_listen(scenario.peers.reactor(0), clients[i], said[i]));
    scenario.world.run_for(1min);
    EXPECT_EQ(group.running(), 0u) << "somebody hears nothing";
  }
  std::size_t welcome = 0;
  std::size_t refused = 0;
  for (const std::string& one : said) {
    welcome += one.starts_with("220") ? 1 : 0;
    refused += one.starts_with("421 4.3.2") ? 1 : 0;
  }
  EXPECT_EQ(welcome + refused, kClients);
  EXPECT_GT(welcome, 5u);
  EXPECT_GT(refused, 20u);
  EXPECT_LT(machine.descriptors_open(), machine.options.descriptors_max);
  EXPECT_NE(scenario.ask({"show", "status"}), "no answer");
  const std::string log = log_of(scenario);
  EXPECT_EQ(count_of(log, "Descriptors are used up"), 1u) << log;
  const auto turns = machine.reactor(0).counters().turns;
  scenario.world.run_for(10s);
  EXPECT_LT(machine.reactor(0).counters().turns - turns, 20'000u) << "the loop spins";
  clients.clear();
  scenario.world.run_for(10s);
  Injected injected;
  scenario.take_in(small_mails(20, "later"), injected);
  EXPECT_EQ(count_of(log_of(scenario), "Descriptors are free again"), 1u) << log_of(scenario);
  EXPECT_TRUE(scenario.drain(1h));
  scenario.close();
  scenario.check_promises(injected, false);
}

TEST(BoundsSim, DeliveriesWaitForDescriptorsAndNoQueueFails) {
  Scenario scenario(4);
  scenario.open_receivers({});
  ASSERT_TRUE(scenario.boot());
  Machine& machine = scenario.world.machine();
  const std::size_t before = machine.options.descriptors_max;
  Injected injected;
  scenario.take_in(small_mails(3, "warm"), injected);  // files that are opened later stay open
  EXPECT_TRUE(scenario.drain(1h));
  for (auto& one : scenario.receivers) one->set_mood({.defer_rcpt = 1});
  scenario.take_in(small_mails(30, "short"), injected);
  scenario.world.run_for(10s);  // tried once, and the connections are closed again
  for (auto& one : scenario.receivers) one->set_mood({});
  machine.options.descriptors_max = machine.descriptors_open() + 6;
  scenario.world.run_for(2min);
  EXPECT_EQ(scenario.queued(), 30u) << "the test runs out of nothing";
  EXPECT_EQ(count_of(log_of(scenario), "Descriptors are used up"), 1u);
  machine.options.descriptors_max = before;
  scenario.world.run_for(5s);  // not after retry-after: no queue has failed
  EXPECT_EQ(scenario.queued(), 0u);
  scenario.close();
  scenario.check_promises(injected, false);
}

// --- Clients that take their time.

runtime::Task<void> drip(runtime::Reactor& reactor, std::string begin, MonoTime& ended) {
  Result<runtime::Stream> stream =
      co_await runtime::Stream::connect(reactor, Scenario::listener(), nullptr, 30s);
  if (stream) {
    static_cast<void>(co_await stream->send(begin));
    for (bool lives = true; lives;) {
      const Status sent = co_await stream->send("x");
      lives = sent.has_value();
      co_await runtime::sleep_for(reactor, 1s);
    }
  }
  ended = reactor.now();
}

TEST(BoundsSim, DrippingClientsAreEndedAndDelayNobody) {
  constexpr std::size_t kDrips = 300;
  Scenario scenario(
      5,
      "<source 10.255.0.2>\n always-allow-relaying yes\n smtp-command-timeout 1m\n smtp-data-timeout 1m\n"
      "</source>\n");
  scenario.open_receivers({});
  ASSERT_TRUE(scenario.boot());
  runtime::sim::SimReactor& reactor = scenario.peers.reactor(0);
  std::vector<MonoTime> ended(kDrips);
  runtime::TaskGroup group;
  const MonoTime begun = scenario.world.now();
  const std::string envelope = "EHLO c\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<u@a.test>\r\n";
  const std::array<std::string, 3> kinds{"EHLO ", envelope + "DATA\r\n", envelope + "BDAT 1000000\r\n"};
  for (std::size_t i = 0; i < kDrips; ++i) group.spawn(drip(reactor, kinds[i % kinds.size()], ended[i]));
  scenario.world.run_for(5s);
  const MonoTime before = scenario.world.now();
  Injected injected;
  scenario.take_in(small_mails(20, "good"), injected);
  EXPECT_LT(scenario.world.now() - before, 5s);
  scenario.world.run_for(90s);
  EXPECT_EQ(group.running(), 0u);
  for (std::size_t i = 0; i < kDrips; ++i) {
    EXPECT_GE(ended[i] - begun, 55s) << i;
    EXPECT_LT(ended[i] - begun, 75s) << i;
  }
  EXPECT_TRUE(scenario.drain(1h));
  scenario.close();
  scenario.check_promises(injected, false);
}

// --- HTTP endpoints.

TEST(BoundsSim, AnEndpointWithEndlessTrailersCostsItsOwnMailOnly) {
  Scenario scenario(
      6, "<domain h.test>\n type http-delivery\n http-delivery-url http://hook.test:8080/in\n</domain>\n");
  scenario.extra_zone = [](resolver::TableTransport& dns) { dns.add_a("hook.test", "10.1.0.9"); };
  auto host = std::make_unique<HttpHost>(scenario.peers.reactor(1), *Endpoint::parse("10.1.0.9:8080"));
  scenario.open_receivers({});
  ASSERT_TRUE(scenario.boot());
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n";
  for (const std::string& trailer : {"X: " + std::string(65'536, 'x') + "\r\n\r\n",
                                     "X: " + std::string(3'000'000, 'x'), std::string("\x01\r\n")}) {
    host->answer = chunked + trailer;
    Injected injected;
    const std::string id = "h" + std::to_string(trailer.size());
    scenario.take_in({{.id = id, .recipients = {"u@h.test"}, .vmta = {}},
                      {.id = id + "g", .recipients = {"u@a.test"}, .vmta = {}}},
                     injected);
    scenario.world.run_for(10s);
    EXPECT_TRUE(scenario.ledger.delivered.contains('<' + id + "g@sim> u@a.test"));
  }
  host->answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  EXPECT_TRUE(scenario.drain(6h));
  scenario.close();
  host->stop();
  scenario.world.run_until([&] { return host->idle(); }, 10min);
  if (!host->idle()) scenario.peers.bury(std::move(host));
}

}  // namespace
}  // namespace sluice::test
