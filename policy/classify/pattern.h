#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

namespace re2 {
class RE2;
}

namespace sluice {

class LimitedPcre;

/// One regular expression of the configuration, compiled: by RE2 (linear time) where it can express the
/// pattern, else by LimitedPcre (bounded backtracking). Case-insensitive unless the text says (?-i); `.`
/// matches line ends, since headers are folded; bytes, not UTF-8. Empty matches everything. Thread: immutable
/// once made; matches() from any thread. Limits: kAutomatonBytesMax of memory each.
class Pattern {
 public:
  static constexpr std::int64_t kAutomatonBytesMax = 1 << 20;

  /// Errors: what is wrong with the text, in words.
  [[nodiscard]] static std::expected<Pattern, std::string> compile(std::string_view text);
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;
  ~Pattern();

  /// True when it matches anywhere in `subject`.
  [[nodiscard]] bool matches(std::string_view subject) const;

 private:
  Pattern();
  std::unique_ptr<re2::RE2> linear_;  // both null: empty pattern
  std::unique_ptr<LimitedPcre> limited_;
};

}  // namespace sluice
