#include "tests/sim/liar_world.h"

#include <array>

namespace sluice::test {
namespace {

constexpr std::uint8_t kHosts = 5;
constexpr std::uint8_t kMayBeSilent = kHosts;

constexpr const char* kLiarConfig = R"(
<virtual-mta v3>
    smtp-source-host 10.255.0.4 v3.node.sim
    max-smtp-out 3
</virtual-mta>
<domain *>
    max-smtp-out 3
    retry-after 5s
    retry-recipients-after 7s
    connect-timeout 4s
    smtp-greeting-timeout 4s
    smtp-data-termination-timeout 6s
    smtp-multiple-line-response-timeout 4s
    data-send-timeout 4s
    connection-idle-timeout 1s
    bounce-after 2m
    bounce-upon-5xx-greeting no
</domain>
<domain l1.test>
    smtp-421-means-mx-unavailable yes
</domain>
<domain l2.test>
    max-msg-per-connection 3
    max-smtp-out 1
</domain>
<domain l3.test>
    ignore-chunking yes
    max-errors-per-connection 4
</domain>
<acct-file /var/log/all.csv>
    records d,b,t
    record-fields d timeLogged,timeQueued,rcpt,dsnAction,dsnStatus,dsnDiag,header_Message-ID
    record-fields b timeLogged,timeQueued,rcpt,dsnAction,dsnStatus,dsnDiag,header_Message-ID
    record-fields t timeLogged,timeQueued,rcpt,dsnAction,dsnStatus,dsnDiag,header_Message-ID
</acct-file>
)";

IpAddress host_address(std::uint8_t number) { return IpAddress::from_v4({10, 2, 0, number}); }

/// Five domains; two share a host, so that connections are lent, and some have two hosts.
void liar_zone(resolver::TableTransport& dns) {
  for (std::uint8_t i = 1; i <= kHosts; ++i) {
    const std::string name = "l" + std::to_string(i) + ".test";
    dns.add_a("mx." + name, host_address(i).text());
    dns.add_mx(name, 10, i == 5 ? "mx.l4.test" : "mx." + name);
    if (i <= 2) dns.add_mx(name, 20, "mx.l5.test");
  }
}

/// What the body of `mail` ends with once dots are single.
std::string ending_of(const Mail& mail) {
  std::string out = text_of(mail);
  for (std::size_t at = out.find("\r\n.."); at != std::string::npos; at = out.find("\r\n..", at + 1)) {
    out.erase(at + 2, 1);
  }
  out.erase(0, out.find("\r\n\r\n"));
  out.resize(out.size() - 2);
  return out;
}

}  // namespace

LiarWorld::LiarWorld(std::uint64_t seed, bool with_liars)
    : with_liars_(with_liars), scenario_(seed, kLiarConfig), chance_(net::test::Random(seed).branch(77)) {
  scenario_.extra_zone = liar_zone;
  // As in production: mail for one host does not wait for the buffers of what others are slow to read.
  scenario_.storage.reader.overflow_bytes = 4 * kMiB;
  scenario_.open_receivers({});
  for (std::uint8_t i = 1; i <= kHosts; ++i) {
    scenario_.world.network().set_link(Cidr(host_address(i), 32),
                                       {.window_bytes = chance_.chance(0.5) ? 4096u : 262'144u,
                                        .read_max = chance_.chance(0.2) ? 64u : 1u << 20});
    hosts_.push_back(std::make_unique<LiarHost>(scenario_.world, scenario_.peers.reactor(1),
                                                Endpoint{host_address(i), 2500}, truth_, visits_,
                                                i != kMayBeSilent));
  }
}

LiarWorld::~LiarWorld() {
  for (auto& one : hosts_) {
    if (!one->idle()) scenario_.peers.bury(std::move(one));
  }
}

bool LiarWorld::boot() { return scenario_.boot(); }

Mail LiarWorld::make_mail() {
  const std::string number = std::to_string(++messages_);
  Mail mail{.id = 'm' + number, .recipients = {}, .vmta = {}, .sender = 'm' + number + "@sim.test"};
  constexpr std::array kVmtas = {"", "v1", "v2", "v3"};
  mail.vmta = kVmtas[chance_.below(kVmtas.size())];
  const std::uint64_t recipients = 1 + (chance_.chance(0.5) ? chance_.below(5) : 0);
  std::string domain = 'l' + std::to_string(1 + chance_.below(kHosts)) + ".test";
  for (std::uint64_t i = 0; i < recipients; ++i) {
    if (chance_.chance(0.2)) domain = 'l' + std::to_string(1 + chance_.below(kHosts)) + ".test";
    mail.recipients.push_back('r' + number + '-' + std::to_string(i) + '@' + domain);
  }
  mail.body_bytes = 200 + chance_.below(chance_.chance(0.2) ? 60'000 : 1000);
  truth_.endings[messages_] = ending_of(mail);
  return mail;
}

std::vector<Mail> LiarWorld::make_mails(std::size_t count) {
  std::vector<Mail> out;
  for (std::size_t i = 0; i < count; ++i) out.push_back(make_mail());
  return out;
}

runtime::Task<void> LiarWorld::send_good(std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::string number = std::to_string(good_sent_.size());
    const std::string recipient = "g" + number + "@a.test";
    std::vector<Mail> one(
        1, Mail{.id = "good" + number, .recipients = {recipient}, .vmta = i % 2 == 0 ? "v1" : "v2"});
    good_sent_[recipient] = scenario_.world.now();
    co_await inject(scenario_.peers.reactor(0), Scenario::listener(), std::move(one), good_);
    co_await runtime::sleep_for(scenario_.peers.reactor(0), 250ms);
  }
}

void LiarWorld::disturb() {
  if (!with_liars_) return;
  auto& network = scenario_.world.network();
  const auto number = static_cast<std::uint8_t>(1 + chance_.below(kHosts));
  const Cidr host(host_address(number), 32);
  using runtime::sim::HostState;
  constexpr std::array kStates = {HostState::Up, HostState::Up, HostState::Refusing, HostState::Unreachable,
                                  HostState::Silent};
  if (chance_.chance(0.3)) network.reset_connections(host);
  network.set_host(host, kStates[chance_.below(kStates.size() - (number == kMayBeSilent ? 0 : 1))]);
}

void LiarWorld::play() {
  for (int round = 0; round < 4; ++round) {
    if (with_liars_) {
      ASSERT_TRUE(finish(scenario_.world, inject(scenario_.peers.reactor(0), Scenario::listener(),
                                                 make_mails(25), injected_)));
    }
    for (int i = 0; i < 5; ++i) {
      disturb();
      ASSERT_TRUE(finish(scenario_.world, send_good(8)));
    }
  }
}

void LiarWorld::restart() {
  scenario_.world.run_for(chance_.between(0s, 5s));
  const MonoTime begin = scenario_.world.now();
  ASSERT_TRUE(finish(scenario_.world, scenario_.node->stop(), 5min)) << "the shutdown hangs";
  const Duration took = scenario_.world.now() - begin;
  EXPECT_LE(took, kShutdownMost) << "seed " << scenario_.world.seed() << ": the shutdown took "
                                 << std::chrono::duration_cast<std::chrono::seconds>(took).count() << " s";
  scenario_.node.reset();
  ASSERT_TRUE(boot());
}

void LiarWorld::drain() {
  for (std::uint8_t i = 1; i <= kHosts; ++i) {
    scenario_.world.network().set_host(Cidr(host_address(i), 32), runtime::sim::HostState::Up);
  }
  ASSERT_TRUE(scenario_.drain(kEndMost)) << "seed " << scenario_.world.seed() << ": recipients never end\n"
                                         << scenario_.ask({"show", "queues"});
}

void LiarWorld::prove_that_all_is_free() {
  for (auto& one : hosts_) one->reform();
  scenario_.world.run_for(30s);
  for (std::uint8_t i = 1; i <= kHosts; ++i) {
    EXPECT_EQ(scenario_.world.network().open_connections(Cidr(host_address(i), 32)), 0u)
        << "seed " << scenario_.world.seed() << ": connections without mail, host " << int{i};
  }
  const std::uint32_t before = messages_;
  const std::vector<Mail> last = make_mails(20);
  scenario_.take_in(last, injected_);
  EXPECT_TRUE(scenario_.drain(30s)) << "seed " << scenario_.world.seed() << ": honest receivers get nothing\n"
                                    << scenario_.ask({"show", "queues"});
  scenario_.world.run_for(2s);
  std::set<std::string> delivered;
  for (Row& row : acct_rows(scenario_.world.disk(), "all", "d")) delivered.insert(row["rcpt"]);
  for (const Mail& mail : last) {
    for (const std::string& recipient : mail.recipients) {
      EXPECT_TRUE(delivered.contains(recipient))
          << "seed " << scenario_.world.seed() << ' ' << recipient << " of " << before;
    }
  }
}

void LiarWorld::close() {
  for (auto& one : hosts_) one->stop();
  scenario_.close();
  scenario_.world.run_until(
      [this] { return std::ranges::all_of(hosts_, [](const auto& one) { return one->idle(); }); }, 5min);
}

}  // namespace sluice::test
