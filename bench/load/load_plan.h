#pragma once
// What sluice-load is asked to do, as values.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/lib/name_pattern.h"
#include "bench/lib/values.h"
#include "policy/base/ip_address.h"

namespace sluice::bench {

enum class InjectMode : std::uint8_t {
  Lockstep,   ///< every command waits for its reply, as most applications do
  Pipelined,  ///< MAIL RCPT DATA in one write; body, dot and the next MAIL RCPT DATA in one write (RFC 2920)
  Chunked,    ///< whole transactions with BDAT LAST, several under way (RFC 3030)
};

/// One of several, by weight.
template <class Value>
struct Weighted {
  Value value{};
  std::uint32_t weight = 1;
};

/// From `low` to `high` bytes, evenly.
struct SizeRange {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
};

/// A constant arrival rate for a time; the last step may be endless.
struct RateStep {
  Rate rate;
  std::optional<Duration> lasts;
};

enum class Arrivals : std::uint8_t { Even, Poisson };

struct LoadPlan {
  static constexpr std::uint64_t kConnectionsMax = 60'000;
  static constexpr std::uint64_t kWindowMax = 64;
  static constexpr std::uint64_t kRecipientsMax = 1000;
  static constexpr std::uint64_t kMessageBytesMax = 64 * kMiB;

  std::vector<Endpoint> targets;
  std::vector<IpAddress> sources;
  std::uint64_t connections = 10;
  std::uint64_t window = 4;  ///< transactions under way on a connection; Chunked only
  InjectMode mode = InjectMode::Pipelined;
  std::optional<std::uint64_t> messages;
  std::optional<Duration> duration;
  std::uint64_t messages_per_connection = 0;  ///< 0 on the command line; see messages_per_connection_max()
  std::vector<RateStep> rates;                ///< empty: closed loop, the next message follows the reply
  Arrivals arrivals = Arrivals::Even;
  std::vector<Weighted<SizeRange>> sizes{{{10 * kKiB, 10 * kKiB}, 1}};
  std::uint64_t recipients_low = 1;
  std::uint64_t recipients_high = 1;
  std::vector<Weighted<NameRange>> domains;
  std::vector<Weighted<std::string>> vmtas;
  std::vector<Weighted<std::string>> jobs;
  std::string sender = "bounce@load.example";
  std::string host = "load.example";  ///< EHLO name and right side of Message-IDs
  std::string run;                    ///< part of every Message-ID and recipient
  std::uint64_t seed = 1;
  Duration timeout = 60s;
  Duration reconnect{0};  ///< how long to try again when the server is away
  [[nodiscard]] std::optional<std::uint64_t> messages_per_connection_max() const {
    return messages_per_connection == 0 ? std::nullopt : std::optional(messages_per_connection);
  }
};

/// "10k", "1k..50k", "2k:70,10k:25,100k:5".
[[nodiscard]] Parsed<std::vector<Weighted<SizeRange>>> parse_sizes(std::string_view text);
/// "500/s", "500/s:30s,1000/s:30s": the last may be without a time.
[[nodiscard]] Parsed<std::vector<RateStep>> parse_rate_steps(std::string_view text);
/// "3", "1..10".
[[nodiscard]] Parsed<SizeRange> parse_count_range(std::string_view text, std::uint64_t max);
/// "name", "name:30": the weight is behind the last colon.
[[nodiscard]] Parsed<Weighted<std::string>> parse_weighted(std::string_view text);

/// Picks by weight. Requires a non-empty list.
template <class Value>
[[nodiscard]] const Value& pick(const std::vector<Weighted<Value>>& from, std::uint64_t draw_below_total) {
  for (const auto& one : from) {
    if (draw_below_total < one.weight) return one.value;
    draw_below_total -= one.weight;
  }
  return from.back().value;
}
template <class Value>
[[nodiscard]] std::uint64_t total_weight(const std::vector<Weighted<Value>>& of) {
  std::uint64_t sum = 0;
  for (const auto& one : of) sum += one.weight;
  return sum;
}

}  // namespace sluice::bench
