// Numbers, times, rates, sizes, addresses: the plain value types of the language.
#include <array>
#include <charconv>

#include "policy/base/ascii.h"
#include "policy/config/value.h"

namespace sluice::config {
namespace {

using namespace std::chrono_literals;

struct Unit {
  std::string_view name;
  Duration length;
};
// Largest first: format_duration() walks it in this order.
constexpr std::array kTimeUnits{Unit{"w", 168h}, Unit{"d", 24h}, Unit{"h", 1h}, Unit{"m", 1min},
                                Unit{"s", 1s}};
constexpr std::array kRateUnits{
    Unit{"d", 24h},        Unit{"day", 24h},  Unit{"days", 24h}, Unit{"h", 1h},      Unit{"hr", 1h},
    Unit{"hour", 1h},      Unit{"hours", 1h}, Unit{"m", 1min},   Unit{"min", 1min},  Unit{"minute", 1min},
    Unit{"minutes", 1min}, Unit{"s", 1s},     Unit{"sec", 1s},   Unit{"second", 1s}, Unit{"seconds", 1s},
    Unit{"w", 168h},       Unit{"week", 168h}};
constexpr Duration kDurationMax = 24h * 365 * 100;  ///< a century; keeps every sum inside 64 bits
constexpr std::uint64_t kRateEventsMax = 1'000'000'000'000;

std::size_t digits_at_front(std::string_view text) {
  std::size_t count = 0;
  while (count < text.size() && is_digit(text[count])) ++count;
  return count;
}

std::string_view quantity_example(std::string_view grammar) {
  if (grammar == "TIME") return "TIME, for example 10m, 4d12h or 1h30m";
  return "TIME, for example 10m, 4d12h or 1h30m, or never";
}

template <class T>
std::optional<T> number_in_range(std::string_view token, Value& value, std::uint64_t type_max) {
  const auto number = parse_number(token);
  const std::uint64_t max = std::min(value.rules().max, type_max);
  if (!number) {
    value.fail(token, "\"" + std::string(token) + "\" is not a number", "N");
    return std::nullopt;
  }
  if (*number < value.rules().min || *number > max) {
    value.fail(token, "number out of range",
               std::to_string(value.rules().min) + " to " + std::to_string(max));
    return std::nullopt;
  }
  return static_cast<T>(*number);
}

std::optional<std::pair<std::uint64_t, Duration>> split_rate(std::string_view text,
                                                             std::uint64_t (*factor)(char)) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  std::string_view count = trim(text.substr(0, slash));
  std::uint64_t scale = 1;
  if (!count.empty() && factor != nullptr && !is_digit(count.back())) {
    scale = factor(count.back());
    count.remove_suffix(1);
  }
  const auto number = parse_number(count);
  const auto per = parse_rate_unit(trim(text.substr(slash + 1)));
  if (!number || !per || *number == 0 || scale == 0 || *number > kRateEventsMax) return std::nullopt;
  if (*number > (std::uint64_t{1} << 62) / scale) return std::nullopt;
  return std::pair{*number * scale, *per};
}

std::uint64_t size_factor(char suffix) {
  switch (to_lower(suffix)) {
    case 'b': return 1;
    case 'k': return kKiB;
    case 'm': return kMiB;
    case 'g': return kGiB;
    case 't': return kGiB * 1024;
    default: return 0;
  }
}

std::string format_per(Duration per) {
  for (const Unit& unit : kTimeUnits) {
    if (unit.name == "w" || per % unit.length != Duration{0}) continue;
    const auto multiple = per / unit.length;
    return (multiple == 1 ? std::string() : std::to_string(multiple)) + std::string(unit.name);
  }
  return std::to_string(per.count()) + "ns";
}

}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return out;
}

std::optional<Duration> parse_duration(std::string_view text) {
  if (text == "0") return Duration{0};
  if (text.empty()) return std::nullopt;
  Duration total{0};
  while (!text.empty()) {
    const std::size_t digits = digits_at_front(text);
    const auto number = parse_number(text.substr(0, digits));
    if (!number || digits == text.size()) return std::nullopt;
    const Unit* unit = nullptr;
    for (const Unit& candidate : kTimeUnits) {
      if (to_lower(text[digits]) == candidate.name.front()) unit = &candidate;
    }
    if (unit == nullptr) return std::nullopt;
    if (*number > static_cast<std::uint64_t>(kDurationMax / unit->length)) return std::nullopt;
    total += unit->length * static_cast<std::int64_t>(*number);
    if (total > kDurationMax) return std::nullopt;
    text.remove_prefix(digits + 1);
  }
  return total;
}

std::string format_duration(Duration duration) {
  if (duration <= Duration{0}) return "0s";
  std::string out;
  for (const Unit& unit : kTimeUnits) {
    if (unit.name == "w") continue;  // PowerMTA shows days, not weeks
    const auto count = duration / unit.length;
    duration %= unit.length;
    if (count > 0) out += std::to_string(count) + std::string(unit.name);
  }
  return out;
}

std::optional<Duration> parse_rate_unit(std::string_view text) {
  const std::size_t digits = digits_at_front(text);
  std::uint64_t multiple = 1;
  if (digits > 0) {
    const auto number = parse_number(text.substr(0, digits));
    if (!number || *number == 0 || *number > 1'000'000) return std::nullopt;
    multiple = *number;
  }
  const std::string_view name = trim(text.substr(digits));
  for (const Unit& unit : kRateUnits) {
    if (!iequals(unit.name, name)) continue;
    if (multiple > static_cast<std::uint64_t>(kDurationMax / unit.length)) return std::nullopt;
    return unit.length * static_cast<std::int64_t>(multiple);
  }
  return std::nullopt;
}

std::optional<Rate> parse_rate(std::string_view text) {
  const auto parts = split_rate(text, nullptr);
  if (!parts) return std::nullopt;
  return Rate{parts->first, parts->second};
}

std::string format_rate(const Rate& rate) { return std::to_string(rate.events) + '/' + format_per(rate.per); }

std::optional<std::uint64_t> parse_size(std::string_view text) {
  if (text.empty()) return std::nullopt;
  std::uint64_t factor = 1;
  if (!is_digit(text.back())) {
    factor = size_factor(text.back());
    text.remove_suffix(1);
    // "10MB" and "10Mb" are common slips of the pen and can mean only one thing.
    if (factor == 1 && !text.empty() && !is_digit(text.back())) {
      factor = size_factor(text.back());
      text.remove_suffix(1);
    }
  }
  const auto number = parse_number(text);
  if (!number || factor == 0 || *number > (std::uint64_t{1} << 62) / factor) return std::nullopt;
  return *number * factor;
}

std::string format_size(std::uint64_t bytes) {
  static constexpr std::string_view kSuffixes = "tgmk";
  std::uint64_t factor = kGiB * 1024;
  for (const char suffix : kSuffixes) {
    if (bytes >= factor && bytes % factor == 0) {
      return std::to_string(bytes / factor) + static_cast<char>(suffix - 32);
    }
    factor /= 1024;
  }
  return std::to_string(bytes);
}

std::optional<bool> Codec<bool>::parse(std::string_view token, Value& value) {
  if (iequals(token, "yes") || iequals(token, "true")) return true;
  if (iequals(token, "no") || iequals(token, "false")) return false;
  const bool close = iequals(token, "on") || token == "1" || iequals(token, "off") || token == "0";
  value.fail(token, "\"" + std::string(token) + "\" is neither yes nor no", "yes, no, true or false",
             !close                                   ? ""
             : (iequals(token, "on") || token == "1") ? "yes"
                                                      : "no");
  return std::nullopt;
}
std::string Codec<bool>::format(const bool& item) { return item ? "yes" : "no"; }

std::optional<std::optional<bool>> Codec<std::optional<bool>>::parse(std::string_view token, Value& value) {
  const auto item = Codec<bool>::parse(token, value);
  if (!item) return std::nullopt;
  return std::optional<bool>(*item);
}
std::string Codec<std::optional<bool>>::format(const std::optional<bool>& item) {
  return item ? Codec<bool>::format(*item) : std::string();
}

std::optional<std::uint16_t> Codec<std::uint16_t>::parse(std::string_view token, Value& value) {
  return number_in_range<std::uint16_t>(token, value, 65535);
}
std::string Codec<std::uint16_t>::format(const std::uint16_t& item) { return std::to_string(item); }

std::optional<std::optional<std::uint16_t>> Codec<std::optional<std::uint16_t>>::parse(std::string_view token,
                                                                                       Value& value) {
  const auto item = Codec<std::uint16_t>::parse(token, value);
  if (!item) return std::nullopt;
  return std::optional<std::uint16_t>(*item);
}
std::string Codec<std::optional<std::uint16_t>>::format(const std::optional<std::uint16_t>& item) {
  return item ? std::to_string(*item) : std::string();
}

std::optional<std::uint32_t> Codec<std::uint32_t>::parse(std::string_view token, Value& value) {
  return number_in_range<std::uint32_t>(token, value, UINT32_MAX);
}
std::string Codec<std::uint32_t>::format(const std::uint32_t& item) { return std::to_string(item); }

std::optional<std::uint64_t> Codec<std::uint64_t>::parse(std::string_view token, Value& value) {
  return number_in_range<std::uint64_t>(token, value, UINT64_MAX);
}
std::string Codec<std::uint64_t>::format(const std::uint64_t& item) { return std::to_string(item); }

std::optional<CountLimit> Codec<CountLimit>::parse(std::string_view token, Value& value) {
  if (iequals(token, "unlimited")) return CountLimit{};
  if (token == "0" && value.rules().zero_is_unlimited) return CountLimit{};
  const auto number = Codec<std::uint32_t>::parse(token, value);
  if (!number) return std::nullopt;
  return CountLimit{*number};
}
std::string Codec<CountLimit>::format(const CountLimit& item) {
  return item ? std::to_string(*item) : std::string("unlimited");
}

std::optional<Duration> Codec<Duration>::parse(std::string_view token, Value& value) {
  auto out = parse_duration(token);
  if (!out) {
    const bool bare = parse_number(token).has_value();
    value.fail(token, bare ? "time without a unit" : "\"" + std::string(token) + "\" is not a time",
               std::string(quantity_example("TIME")), bare ? std::string(token) + "s" : "");
  } else if (out->count() / 1'000'000'000 >
             static_cast<std::int64_t>(std::min<std::uint64_t>(value.rules().max, INT64_MAX))) {
    value.fail(token, "time too long", "at most " + format_duration(std::chrono::seconds(value.rules().max)));
    return std::nullopt;
  } else if (*out < std::chrono::seconds(value.rules().min)) {
    value.fail(token, "time too short",
               "at least " + format_duration(std::chrono::seconds(value.rules().min)));
    return std::nullopt;
  }
  return out;
}
std::string Codec<Duration>::format(const Duration& item) { return format_duration(item); }

std::optional<TimeOrNever> Codec<TimeOrNever>::parse(std::string_view token, Value& value) {
  if (iequals(token, "never")) return TimeOrNever{};
  const auto out = Codec<Duration>::parse(token, value);
  if (!out) return std::nullopt;
  return TimeOrNever{*out};
}
std::string Codec<TimeOrNever>::format(const TimeOrNever& item) {
  return item ? format_duration(*item) : std::string("never");
}

namespace {

/// PowerMTA's meaning of 0 in a rate surprises whoever wants to stop mail by it.
void warn_of_zero(std::string_view token, Value& value) {
  if (token == "0") value.warn(token, "0 is no limit", "`unlimited` says the same; `pause queue` stops mail");
}

}  // namespace

std::optional<RateLimit> Codec<RateLimit>::parse(std::string_view token, Value& value) {
  warn_of_zero(token, value);
  if (iequals(token, "unlimited") || token == "0") return RateLimit{};
  const auto rate = parse_rate(token);
  if (!rate) {
    const bool bare = parse_number(token).has_value();
    value.fail(token, bare ? "rate without a unit of time" : "\"" + std::string(token) + "\" is not a rate",
               "RATE, for example 500/h, 100/15m, 5/s, or unlimited", bare ? std::string(token) + "/h" : "");
    return std::nullopt;
  }
  return RateLimit{*rate};
}
std::string Codec<RateLimit>::format(const RateLimit& item) {
  return item ? format_rate(*item) : std::string("unlimited");
}

std::optional<VolumeLimit> Codec<VolumeLimit>::parse(std::string_view token, Value& value) {
  warn_of_zero(token, value);
  if (iequals(token, "unlimited") || token == "0") return VolumeLimit{};
  const auto parts = split_rate(token, size_factor);
  if (!parts) {
    value.fail(token, "\"" + std::string(token) + "\" is not a volume rate",
               "VOLUME-RATE, for example 10M/h");
    return std::nullopt;
  }
  return VolumeLimit{VolumeRate{ByteCount{parts->first}, parts->second}};
}
std::string Codec<VolumeLimit>::format(const VolumeLimit& item) {
  return item ? format_size(item->bytes.raw()) + '/' + format_per(item->per) : std::string("unlimited");
}

std::optional<ByteCount> Codec<ByteCount>::parse(std::string_view token, Value& value) {
  const auto bytes = parse_size(token);
  if (!bytes) {
    value.fail(token, "\"" + std::string(token) + "\" is not a size", "SIZE, for example 50M, 100K or 1G");
    return std::nullopt;
  }
  if (*bytes < value.rules().min || *bytes > value.rules().max) {
    value.fail(token, "size out of range",
               format_size(value.rules().min) + " to " +
                   (value.rules().max > UINT64_MAX / 2 ? "any" : format_size(value.rules().max)));
    return std::nullopt;
  }
  return ByteCount{*bytes};
}
std::string Codec<ByteCount>::format(const ByteCount& item) { return format_size(item.raw()); }

std::optional<SizeLimit> Codec<SizeLimit>::parse(std::string_view token, Value& value) {
  if (iequals(token, "unlimited") || token == "0") return SizeLimit{};
  const auto bytes = Codec<ByteCount>::parse(token, value);
  if (!bytes) return std::nullopt;
  return SizeLimit{*bytes};
}
std::string Codec<SizeLimit>::format(const SizeLimit& item) {
  return item ? format_size(item->raw()) : std::string("unlimited");
}

std::optional<IpAddress> Codec<IpAddress>::parse(std::string_view token, Value& value) {
  std::string_view inner = token;
  if (inner.size() > 2 && inner.front() == '[' && inner.back() == ']')
    inner = inner.substr(1, inner.size() - 2);
  const auto out = IpAddress::parse(inner);
  if (!out)
    value.fail(token, "\"" + std::string(token) + "\" is not an IP address", "192.0.2.1 or 2001:db8::1");
  return out;
}
std::string Codec<IpAddress>::format(const IpAddress& item) { return item.text(); }

std::optional<std::optional<IpAddress>> Codec<std::optional<IpAddress>>::parse(std::string_view token,
                                                                               Value& value) {
  const auto out = Codec<IpAddress>::parse(token, value);
  if (!out) return std::nullopt;
  return std::optional<IpAddress>(*out);
}
std::string Codec<std::optional<IpAddress>>::format(const std::optional<IpAddress>& item) {
  return item ? item->text() : std::string();
}

std::optional<Cidr> Codec<Cidr>::parse(std::string_view token, Value& value) {
  std::optional<Cidr> out = Cidr::parse(token);
  // "10.1.2/24" has short forms only with a mask; "10.1.0" without one is a typing error.
  if (!out) {
    value.fail(token, "\"" + std::string(token) + "\" is neither an IP address nor a network",
               "CIDR, for example 192.0.2.1, 10/8, 192.0.2.0/24, ::1 or 0/0");
  }
  return out;
}
std::string Codec<Cidr>::format(const Cidr& item) {
  return item.prefix_bits() == item.address().bit_count() ? item.address().text() : item.text();
}

/// The port is optional and 53: written for `name-server`.
std::optional<Endpoint> Codec<Endpoint>::parse(std::string_view token, Value& value) {
  static constexpr std::uint16_t kDnsPort = 53;
  if (const auto endpoint = Endpoint::parse(token)) return endpoint;
  std::string_view inner = token;
  if (inner.size() > 2 && inner.front() == '[' && inner.back() == ']')
    inner = inner.substr(1, inner.size() - 2);
  if (const auto address = IpAddress::parse(inner)) return Endpoint{*address, kDnsPort};
  value.fail(token, "\"" + std::string(token) + "\" is not an address",
             "IP or IP:PORT, for example 127.0.0.1:5353");
  return std::nullopt;
}
std::string Codec<Endpoint>::format(const Endpoint& item) {
  return item.port == 53 ? item.address.text() : item.text();
}

std::optional<std::string> Codec<std::string>::parse(std::string_view token, Value& value) {
  return unquote(token, value);
}
std::string Codec<std::string>::format(const std::string& item) { return quote_if_needed(item); }

}  // namespace sluice::config
