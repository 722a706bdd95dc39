#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "policy/config/pattern_checks.h"

namespace sluice::config {

/// The regular expressions of a list that were read so far. Answers which of them is the first that takes everything
/// a later one could match (pattern_covers()), without holding each against all. Thread: one.
/// Limits: after kStepsMax steps plain text inside of longer plain text is looked for no more: that costs advice only.
class CoveringPatterns {
 public:
  static constexpr std::uint64_t kStepsMax = 100'000'000;

  /// In the order of the list: `number` grows.
  void add(std::string_view pattern, std::size_t number);
  /// The lowest number of a pattern that covers this one.
  [[nodiscard]] std::optional<std::size_t> first(std::string_view pattern);

 private:
  using Numbers = std::unordered_map<std::string_view, std::size_t>;
  void look_at_start(std::string_view text, std::optional<std::size_t>& found) const;
  void look_inside(std::string_view text, std::optional<std::size_t>& found);

  std::unordered_map<std::string, std::size_t> same_;  ///< as written
  std::optional<std::size_t> everything_;
  /// Plain text by its length, to be looked for at the start only and anywhere. The views are into `texts_`.
  std::map<std::size_t, Numbers> at_start_, anywhere_;
  std::unordered_map<std::string, std::size_t> texts_;
  std::uint64_t steps_ = 0;
};

}  // namespace sluice::config
