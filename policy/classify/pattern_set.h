#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

/// Many patterns looked for in one text at once: an automaton (RE2::Set) answers for all of them in time
/// linear in the text; the few patterns RE2 cannot express go through LimitedPcre, one by one.
/// Case-insensitive unless a pattern says (?-i); `.` meets everything; an empty pattern matches every text.
/// Thread:  add() and seal() by one thread; afterwards immutable, find_*() from any shard (RE2 locks briefly
///          when its automaton grows: ask for failures, not for every delivery).
/// Limits:  kTextBytesMax of the text are looked at.
/// Memory:  automatons grow with the variety of texts up to kAutomatonBytesMax.
class PatternSet {
 public:
  static constexpr std::size_t kTextBytesMax = 1536;
  static constexpr std::int64_t kAutomatonBytesMax = 24 << 20;

  PatternSet();
  PatternSet(PatternSet&&) noexcept;
  PatternSet& operator=(PatternSet&&) noexcept;
  ~PatternSet();

  /// The pattern gets the next index. Errors: what is wrong with it, when neither engine accepts it.
  [[nodiscard]] std::expected<void, std::string> add(std::string_view pattern);
  /// No more patterns. Errors: all together are too large.
  [[nodiscard]] std::expected<void, std::string> seal();

  /// The lowest index that matches. Requires seal().
  [[nodiscard]] std::optional<std::size_t> find_first(std::string_view text) const;
  /// All that match, ascending. Requires seal().
  void find_all(std::string_view text, std::vector<std::size_t>& out) const;
  [[nodiscard]] std::size_t size() const;

 private:
  struct Engines;
  std::unique_ptr<Engines> engines_;
};

}  // namespace sluice
