#pragma once
// Names written once for many: "gmail.example", "*.corp.example", "d[0-99999].example".

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/lib/values.h"

namespace sluice::bench {

/// A text with at most one numbered part, "d[0-99999].example". "[000-999]" keeps leading zeros. Costs the same memory
/// for one name and for a billion. The text itself is compared as it is: give lower case for names.
class NameRange {
 public:
  static constexpr std::uint64_t kNamesMax = 1'000'000'000;

  NameRange() = default;
  [[nodiscard]] static Parsed<NameRange> parse(std::string_view text);

  [[nodiscard]] std::uint64_t size() const { return last_ - first_ + 1; }
  /// The name number `index`. Requires index < size().
  [[nodiscard]] std::string name(std::uint64_t index) const;
  void append_name(std::uint64_t index, std::string& to) const;
  [[nodiscard]] bool contains(std::string_view name) const;
  [[nodiscard]] bool is_single() const { return !ranged_; }

 private:
  std::string prefix_;
  std::string suffix_;
  bool ranged_ = false;
  std::size_t width_ = 0;  ///< digits with leading zeros kept; 0 = natural width
  std::uint64_t first_ = 0;
  std::uint64_t last_ = 0;
};

/// A domain pattern: a NameRange, or "*.suffix" (every name below the suffix), or "*" (every name).
class DomainPattern {
 public:
  enum class Kind : std::uint8_t { Range, Below, Everything };
  [[nodiscard]] static Parsed<DomainPattern> parse(std::string_view text);
  /// `name` in lower case, without a final dot.
  [[nodiscard]] bool matches(std::string_view name) const;
  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] const NameRange& range() const { return range_; }
  [[nodiscard]] std::string_view below() const { return below_; }  ///< "corp.example"

 private:
  Kind kind_ = Kind::Everything;
  NameRange range_;
  std::string below_;
};

}  // namespace sluice::bench
