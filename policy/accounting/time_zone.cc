#include "policy/accounting/time_zone.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>
#include <string_view>

namespace sluice::accounting {
namespace {

constexpr std::int32_t kOffsetMax = 26 * 3600;  // RFC 8536 3.2: below 25 or 26 hours

/// Big-endian numbers from the front of a stretch that may be cut anywhere.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] bool ok() const { return ok_; }
  std::span<const std::byte> take(std::size_t size) {
    if (size > bytes_.size()) {
      ok_ = false;
      return {};
    }
    const auto out = bytes_.first(size);
    bytes_ = bytes_.subspan(size);
    return out;
  }
  std::int64_t number(std::size_t size) {
    const auto raw = take(size);
    if (!ok_) return 0;
    std::uint64_t value = (std::to_integer<unsigned>(raw[0]) & 0x80u) != 0 ? ~std::uint64_t{0} : 0;
    for (const std::byte byte : raw) value = value << 8 | std::to_integer<std::uint64_t>(byte);
    return static_cast<std::int64_t>(value);
  }
  [[nodiscard]] std::string_view rest() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

 private:
  std::span<const std::byte> bytes_;
  bool ok_ = true;
};

/// RFC 8536 3.1.
struct Header {
  std::uint8_t version = 0;
  std::size_t is_ut = 0, is_std = 0, leaps = 0, transitions = 0, types = 0, chars = 0;
  [[nodiscard]] std::size_t body_bytes(std::size_t time_bytes) const {
    return transitions * (time_bytes + 1) + types * 6 + chars + leaps * (time_bytes + 4) + is_std + is_ut;
  }
};

std::optional<Header> read_header(Reader& reader) {
  const auto magic = reader.take(4);
  if (!reader.ok() || std::memcmp(magic.data(), "TZif", 4) != 0) return std::nullopt;
  Header out;
  out.version = static_cast<std::uint8_t>(reader.number(1));
  reader.take(15);
  for (std::size_t* count : {&out.is_ut, &out.is_std, &out.leaps, &out.transitions, &out.types, &out.chars}) {
    const std::int64_t value = reader.number(4);
    if (value < 0 || value > static_cast<std::int64_t>(TimeZone::kTransitionsMax)) return std::nullopt;
    *count = static_cast<std::size_t>(value);
  }
  if (!reader.ok() || out.types == 0) return std::nullopt;
  return out;
}

}  // namespace

std::optional<TimeZone> TimeZone::parse_tzif(std::span<const std::byte> file) {
  if (file.size() > kFileBytesMax) return std::nullopt;
  Reader reader(file);
  auto header = read_header(reader);
  if (!header) return std::nullopt;
  std::size_t time_bytes = 4;
  if (header->version >= '2') {
    // The first block is for readers of 1990; the second has the same in 64 bits.
    reader.take(header->body_bytes(4));
    header = read_header(reader);
    if (!header) return std::nullopt;
    time_bytes = 8;
  }
  TimeZone out;
  std::vector<std::int64_t> times(header->transitions);
  for (std::int64_t& time : times) time = reader.number(time_bytes);
  const auto types = reader.take(header->transitions);
  std::vector<std::int32_t> offsets(header->types);
  for (std::int32_t& offset : offsets) {
    offset = static_cast<std::int32_t>(reader.number(4));
    reader.take(2);
    if (offset < -kOffsetMax || offset > kOffsetMax) return std::nullopt;
  }
  reader.take(header->chars + header->leaps * (time_bytes + 4) + header->is_std + header->is_ut);
  if (!reader.ok() || !std::is_sorted(times.begin(), times.end())) return std::nullopt;
  out.first_offset_ = offsets[0];
  for (std::size_t i = 0; i < times.size(); ++i) {
    const auto type = std::to_integer<std::size_t>(types[i]);
    if (type >= offsets.size()) return std::nullopt;
    out.transitions_.push_back({times[i], offsets[type]});
  }
  if (time_bytes == 8) {
    std::string_view footer = reader.rest();
    if (!footer.starts_with('\n')) return std::nullopt;
    footer.remove_prefix(1);
    footer = footer.substr(0, footer.find('\n'));
    if (!footer.empty()) {
      out.rule_ = PosixTimeRule::parse(footer);
      if (!out.rule_) return std::nullopt;
    }
  }
  return out;
}

std::optional<TimeZone> TimeZone::parse_rule(std::string_view text) {
  auto rule = PosixTimeRule::parse(text);
  if (!rule && text.find(',') == std::string_view::npos)
    rule = PosixTimeRule::parse(std::string(text) + ",M3.2.0,M11.1.0");
  if (!rule) return std::nullopt;
  for (const auto days : {15, 196}) {  // winter and summer
    const std::chrono::seconds offset = rule->offset_at(std::chrono::sys_days(std::chrono::days(days)));
    if (std::chrono::abs(offset) > std::chrono::seconds(kOffsetMax)) return std::nullopt;
  }
  TimeZone out;
  out.rule_ = rule;
  return out;
}

std::chrono::seconds TimeZone::offset_at(std::chrono::sys_seconds time) const {
  const std::int64_t at = time.time_since_epoch().count();
  const auto after =
      std::upper_bound(transitions_.begin(), transitions_.end(), at,
                       [](std::int64_t value, const Transition& one) { return value < one.at; });
  if (after == transitions_.end() && rule_) return rule_->offset_at(time);
  return std::chrono::seconds(after == transitions_.begin() ? first_offset_ : std::prev(after)->offset);
}

std::chrono::local_days TimeZone::day_of(WallTime time) const {
  const auto utc = std::chrono::floor<std::chrono::seconds>(time);
  return std::chrono::floor<std::chrono::days>(
      std::chrono::local_seconds{(utc + offset_at(utc)).time_since_epoch()});
}

std::chrono::sys_seconds TimeZone::moment_of(std::chrono::local_seconds local) const {
  // Offsets are below 26 hours and changes are months apart: one of the offsets a day before and after is
  // meant.
  const std::chrono::sys_seconds as_utc{local.time_since_epoch()};
  const std::chrono::seconds before = offset_at(as_utc - std::chrono::hours(26));
  const std::chrono::seconds after = offset_at(as_utc + std::chrono::hours(26));
  for (const std::chrono::seconds offset : {before, after}) {
    if (offset_at(as_utc - offset) == offset) return as_utc - offset;
  }
  return as_utc - before;  // the clock jumped over it
}

WallTime TimeZone::next_midnight(WallTime time) const {
  // Clocks change by hours, so days last between 22 and 26: bisect for the first moment of a later day.
  const std::chrono::local_days today = day_of(time);
  std::chrono::sys_seconds low = std::chrono::floor<std::chrono::seconds>(time);
  std::chrono::sys_seconds high = low + std::chrono::hours(26);
  while (high - low > std::chrono::seconds(1)) {
    const auto middle = low + (high - low) / 2;
    (day_of(middle) > today ? high : low) = middle;
  }
  return high;
}

}  // namespace sluice::accounting
