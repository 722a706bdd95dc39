#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>

struct pcre2_real_code_8;
struct pcre2_real_match_context_8;

namespace sluice {

/// A Perl pattern that RE2 cannot express (look-around, back references, possessive repeats), with its work bounded:
/// the text comes from strangers, and backtracking may take exponential time.
/// Thread: immutable once made; matches() may be called from any thread.
/// Limits: kStepsMax backtracking steps and kHeapKibMax of memory a match; a match that would need more is no match.
class LimitedPcre {
 public:
  static constexpr std::uint32_t kStepsMax = 20'000;
  static constexpr std::uint32_t kHeapKibMax = 256;

  /// Case-insensitive unless the pattern says (?-i). Errors: what PCRE2 says about the pattern.
  [[nodiscard]] static std::expected<LimitedPcre, std::string> compile(std::string_view pattern);
  [[nodiscard]] bool matches(std::string_view text) const;

 private:
  struct FreeCode {
    void operator()(pcre2_real_code_8* code) const;
  };
  struct FreeContext {
    void operator()(pcre2_real_match_context_8* context) const;
  };
  LimitedPcre() = default;
  std::unique_ptr<pcre2_real_code_8, FreeCode> code_;
  std::unique_ptr<pcre2_real_match_context_8, FreeContext> limits_;
};

}  // namespace sluice
