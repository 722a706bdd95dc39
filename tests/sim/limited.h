#pragma once
// What the tests of limits share: a node with a backlog on a link without jitter, and the counting of
// windows.

#include <algorithm>
#include <string>
#include <vector>

#include "tests/sim/scenario.h"

namespace sluice::test {

struct Limited {
  explicit Limited(const std::string& extra, Mood mood = {}, std::uint64_t seed = 3) : scenario(seed, extra) {
    scenario.world.network().default_link = {.jitter = 0us, .read_cut = 0};
    scenario.open_receivers(mood);
  }

  struct Load {
    std::size_t recipients = 0;
    std::size_t each = 100;  ///< recipients of a message, all of one domain
    std::vector<std::string> domains{"a.test"};
    std::vector<std::string> vmtas{"v1"};
    std::size_t body_bytes = 300;
  };
  /// A backlog; domains and virtual MTAs take turns.
  void send(const Load& load) {
    std::vector<Mail> mails;
    for (std::size_t done = 0; done < load.recipients; done += load.each, ++mails_sent) {
      Mail mail{.id = "m" + std::to_string(mails_sent),
                .recipients = {},
                .vmta = load.vmtas[mails_sent / load.domains.size() % load.vmtas.size()],
                .body_bytes = load.body_bytes};
      const std::string& domain = load.domains[mails_sent % load.domains.size()];
      for (std::size_t i = 0; i < load.each; ++i)
        mail.recipients.push_back("u" + std::to_string(mails_sent) + '-' + std::to_string(i) + '@' + domain);
      mails.push_back(std::move(mail));
    }
    scenario.take_in(std::move(mails), injected);
  }
  /// Boots first.
  void fill(std::size_t count, std::size_t each = 100) {
    ASSERT_TRUE(scenario.boot());
    send({.recipients = count, .each = each});
  }
  void run_for(Duration time) { scenario.world.run_for(time); }
  void reload(const std::string& extra) { scenario.reload(extra); }
  [[nodiscard]] Ledger& seen() { return scenario.ledger; }

  Scenario scenario;
  Injected injected;
  std::size_t mails_sent = 0;
};

/// No window of `per` holds more than `events`; one event more than allowed may not fit into it.
inline void expect_rate(std::vector<MonoTime> times, std::size_t events, Duration per) {
  std::ranges::sort(times);
  for (std::size_t i = events; i < times.size(); ++i)
    ASSERT_GE(times[i] - times[i - events], per) << "window ending at event " << i;
}
/// Times of those that `keep` chooses.
template <class Keep>
std::vector<MonoTime> times_of(const std::vector<Seen>& all, Keep keep) {
  std::vector<MonoTime> out;
  for (const Seen& one : all) {
    if (keep(one)) out.push_back(one.at);
  }
  return out;
}
inline void expect_volume(const std::vector<Seen>& messages, std::uint64_t bytes, Duration per) {
  std::uint64_t sum = 0;
  std::size_t begin = 0;
  for (const Seen& one : messages) {
    sum += one.bytes;
    while (one.at - messages[begin].at >= per) sum -= messages[begin++].bytes;
    ASSERT_LE(sum, bytes) << "window ending with message " << &one - messages.data();
  }
}
inline std::uint64_t bytes_of(const std::vector<Seen>& messages) {
  std::uint64_t sum = 0;
  for (const Seen& one : messages) sum += one.bytes;
  return sum;
}

}  // namespace sluice::test
