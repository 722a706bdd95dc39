#pragma once

#include <string>
#include <string_view>

#include "bench/lib/values.h"
#include "bench/provider/provider.h"

namespace sluice::bench {

/// Reads a provider file (language: bench/README.md, "Provider files"). Pure.
/// Errors: "line 7: what is wrong: the line itself". The first one ends the reading.
/// Limits: kProvidersMax providers, kRulesMax rules in all.
inline constexpr std::size_t kProvidersMax = 10'000;
inline constexpr std::size_t kRulesMax = 10'000;
inline constexpr std::size_t kAddressesMax = 100'000;
[[nodiscard]] Parsed<Internet> parse_provider_file(std::string_view text);

/// One provider "any" that takes everything at `at`: what sluice-sink plays without a file.
[[nodiscard]] Internet internet_of_one(const Endpoint& at);

/// The words behind "at": "rcpt 5% reply \"451 4.3.0 later\"". Public for tests.
[[nodiscard]] Parsed<Rule> parse_rule(const std::vector<Word>& words);

}  // namespace sluice::bench
