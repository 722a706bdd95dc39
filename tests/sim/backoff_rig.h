#pragma once
// What the tests of modes, reply rules and pace share: a node against receivers with a mind of their own.

#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/scenario.h"

namespace sluice::test {

inline IpAddress ip(const char* text) { return *IpAddress::parse(text); }
inline std::string rcpt(int number, const char* domain = "a.test") {
  return "u" + std::to_string(number) + '@' + domain;
}

struct Backoff {
  explicit Backoff(const std::string& extra, std::uint64_t seed = 5) : scenario(seed, extra) {
    scenario.world.network().default_link = {.jitter = 0us, .read_cut = 0};
  }
  void open(Judge judge) {
    Mood mood;
    mood.judge = std::move(judge);
    scenario.open_receivers(mood);
    ASSERT_TRUE(scenario.boot());
  }
  /// `count` messages to one recipient each at `domain` by way of `vmta`.
  void send(int count, const char* vmta = "v1", const char* domain = "a.test") {
    std::vector<Mail> mails;
    for (int i = 0; i < count; ++i) {
      mails.push_back({.id = "m" + std::to_string(sent),
                       .recipients = {rcpt(sent, domain)},
                       .vmta = vmta,
                       .body_bytes = 300});
      ++sent;
    }
    scenario.take_in(std::move(mails), injected);
  }
  std::string ask(const std::vector<std::string>& words) { return scenario.ask(words); }
  bool in_backoff(const std::string& queue) {
    return ask({"show", "queues", queue, "--mode=backoff"}).find("1 of 1 matching") != std::string::npos;
  }
  /// Recipients tried in [from, to).
  std::size_t tried(MonoTime from, MonoTime to) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        scenario.ledger.tried, [&](const Attempt& one) { return one.time >= from && one.time < to; }));
  }
  MonoTime now() { return scenario.world.now(); }
  void run(Duration time) { scenario.world.run_for(time); }
  void restart(Crash how) {
    scenario.crash(how);
    ASSERT_TRUE(scenario.boot());
  }
  Scenario scenario;
  Injected injected;
  int sent = 0;
};

inline constexpr const char* kSlowList = R"(
<smtp-pattern-list slow>
    reply /4\.7\.0 .*slow/ mode=backoff
    reply /4\.7\.0 .*gone/ skip-mx
    reply /5\.7\.1 .*blocked/ bounce-queue
    reply /4\.7\.0 .*defer/ defer-queue
    reply /4\.7\.0 .*address/ disable-source-ip,reenable-after=7m
    reply /4\.2\.2 .*full/ bounce-rcpt
    reply /4\.7\.0 .*normal/ mode=normal
</smtp-pattern-list>
)";

}  // namespace sluice::test
