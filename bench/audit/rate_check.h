#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>

#include "bench/lib/ledger.h"
#include "policy/base/rate.h"

namespace sluice::bench {

/// What a rate is counted for.
enum class RateScope : std::uint8_t { Provider, Source, ProviderAndSource };
/// What is counted: messages the sink was offered up to their end (taken over or refused), or connections.
enum class RateEvent : std::uint8_t { Message, Connection };

/// A rate no sliding window may pass.
struct RateRule {
  RateEvent event = RateEvent::Message;
  RateScope scope = RateScope::ProviderAndSource;
  std::string provider;  ///< empty: every provider by itself
  Rate rate;
  /// How much sooner than allowed an event may come: the net between pacing and arrival is not even.
  Duration slack = 5ms;
};
/// "messages gmail 100/s", "connections * 10/m per-provider", "messages * 500/h per-source".
[[nodiscard]] Parsed<RateRule> parse_rate_rule(std::string_view text);

/// Looks for windows of `rate.per` that hold more than `rate.events` events. A message counts once, whatever the number
/// of its recipients.
/// Thread: one. Use: lines in order of time (merge the ledgers first).
/// Limits: memory for one window's events of each scope.
class RateCheck {
 public:
  explicit RateCheck(RateRule rule) : rule_(std::move(rule)) {}
  void take(const LedgerLine& line);

  struct Worst {
    std::uint64_t events = 0;  ///< most in any window
    std::string where;
    std::uint64_t time_us = 0;  ///< of the window's last event
  };
  [[nodiscard]] const Worst& worst() const { return worst_; }
  [[nodiscard]] std::uint64_t broken_windows() const { return broken_; }
  [[nodiscard]] const RateRule& rule() const { return rule_; }

 private:
  struct Window {
    std::deque<std::uint64_t> times_us;
    std::string last_message;
    std::uint64_t last_session = 0;
  };
  RateRule rule_;
  std::map<std::string, Window> windows_;
  Worst worst_;
  std::uint64_t broken_ = 0;
};

}  // namespace sluice::bench
