#include "bench/lib/name_pattern.h"

#include <fmt/format.h>

#include <charconv>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::bench {
namespace {
// The longest number is kNamesMax's, and a few leading zeros are nobody's mistake.
constexpr std::size_t kDigitsMax = 18;
}  // namespace

Parsed<NameRange> NameRange::parse(std::string_view text) {
  NameRange out;
  const std::size_t open = text.find('[');
  const std::size_t close = text.find(']');
  if (open == std::string_view::npos && close == std::string_view::npos) {
    if (text.empty()) return complain("a name is empty");
    out.prefix_ = text;
    return out;
  }
  const auto wrong = [&] {
    return complain(fmt::format("'{}' is not a range; write d[0-99].example", text));
  };
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return wrong();
  const std::string_view inside = text.substr(open + 1, close - open - 1);
  const std::size_t dash = inside.find('-');
  if (dash == std::string_view::npos) return wrong();
  const std::string_view low = inside.substr(0, dash);
  const std::string_view high = inside.substr(dash + 1);
  if (low.size() > kDigitsMax || high.size() > kDigitsMax) return wrong();
  const auto first = parse_number(low);
  const auto last = parse_number(high);
  if (!first || !last || *first > *last) return wrong();
  if (*last - *first >= kNamesMax) return complain(fmt::format("'{}' names more than {}", text, kNamesMax));
  if (text.find_first_of("[]", close + 1) != std::string_view::npos) return wrong();
  out.ranged_ = true;
  out.prefix_ = text.substr(0, open);
  out.suffix_ = text.substr(close + 1);
  out.first_ = *first;
  out.last_ = *last;
  out.width_ = low.size() > 1 && low.front() == '0' ? low.size() : 0;
  return out;
}

void NameRange::append_name(std::uint64_t index, std::string& to) const {
  SLUICE_ASSERT(index < size());
  to += prefix_;
  if (!ranged_) return;
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof(digits), first_ + index).ptr;
  const auto count = static_cast<std::size_t>(end - digits);
  if (count < width_) to.append(width_ - count, '0');
  to.append(digits, count);
  to += suffix_;
}

std::string NameRange::name(std::uint64_t index) const {
  std::string out;
  append_name(index, out);
  return out;
}

bool NameRange::contains(std::string_view name) const {
  if (!ranged_) return name == prefix_;
  if (name.size() <= prefix_.size() + suffix_.size()) return false;
  if (!name.starts_with(prefix_) || !name.ends_with(suffix_)) return false;
  const std::string_view digits = name.substr(prefix_.size(), name.size() - prefix_.size() - suffix_.size());
  if (digits.size() > kDigitsMax) return false;
  // A number has one spelling: "d07" is not "d7".
  const bool padded = digits.size() > 1 && digits.front() == '0';
  if (padded && digits.size() != width_) return false;
  if (digits.size() < width_) return false;
  const auto number = parse_number(digits);
  return number && *number >= first_ && *number <= last_;
}

Parsed<DomainPattern> DomainPattern::parse(std::string_view text) {
  DomainPattern out;
  if (text == "*") return out;
  const std::string lower = to_lower(text);
  if (lower.starts_with("*.")) {
    if (lower.size() == 2 || lower.find_first_of("*[]", 1) != std::string::npos) {
      return complain(fmt::format("'{}' is not a pattern; write *.example", text));
    }
    out.kind_ = Kind::Below;
    out.below_ = lower.substr(2);
    return out;
  }
  if (lower.find('*') != std::string::npos) {
    return complain(fmt::format("'{}': a star stands alone or in front, as in *.example", text));
  }
  auto range = NameRange::parse(lower);
  if (!range) return std::unexpected(range.error());
  out.kind_ = Kind::Range;
  out.range_ = *std::move(range);
  return out;
}

bool DomainPattern::matches(std::string_view name) const {
  switch (kind_) {
    case Kind::Everything: return true;
    case Kind::Below:
      return name.size() > below_.size() + 1 && name.ends_with(below_) &&
             name[name.size() - below_.size() - 1] == '.';
    case Kind::Range: return range_.contains(name);
  }
  return false;
}

}  // namespace sluice::bench
