#include "policy/identity/cold.h"

#include <algorithm>
#include <charconv>

namespace sluice::identity {
namespace {

template <class Number>
bool read(std::string_view& text, Number& out, char behind) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  if (behind == '\0') return text.empty();
  if (text.empty() || text.front() != behind) return false;
  text.remove_prefix(1);
  return true;
}

}  // namespace

std::string ColdCount::text() const {
  return std::to_string(first_day) + ' ' + std::to_string(day) + ' ' + std::to_string(used);
}

std::optional<ColdCount> ColdCount::parse(std::string_view text) {
  ColdCount out;
  if (!read(text, out.first_day, ' ') || !read(text, out.day, ' ') || !read(text, out.used, '\0'))
    return std::nullopt;
  return out;
}

std::uint32_t cold_limit(std::span<const std::uint32_t> limits, const std::optional<ColdCount>& count,
                         DayNumber today) {
  if (limits.empty()) return 0;
  const DayNumber first = count ? count->first_day : today;
  const auto step = static_cast<std::size_t>(std::max<DayNumber>(0, today - first));
  return limits[std::min(step, limits.size() - 1)];
}

std::optional<ColdCount> take_cold(std::span<const std::uint32_t> limits,
                                   const std::optional<ColdCount>& count, DayNumber today) {
  if (count && today < count->day) return std::nullopt;
  ColdCount next = count.value_or(ColdCount{today, today, 0});
  if (next.day != today) {
    next.day = today;
    next.used = 0;
  }
  if (next.used >= cold_limit(limits, count, today)) return std::nullopt;
  ++next.used;
  return next;
}

}  // namespace sluice::identity
