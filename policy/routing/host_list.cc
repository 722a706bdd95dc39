#include "policy/routing/host_list.h"

#include <algorithm>
#include <charconv>

#include "policy/base/ascii.h"

namespace sluice::routing {
namespace {

constexpr std::string_view kLookupMx = "lookup-mx:";
constexpr std::string_view kIpv6Tag = "ipv6:";

std::unexpected<HostListError> error_at(std::size_t column, std::string message) {
  return std::unexpected(HostListError{column, std::move(message)});
}

std::expected<std::uint16_t, HostListError> parse_port(std::string_view text, std::size_t column) {
  unsigned value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || code != std::errc{} || end != text.data() + text.size() || value == 0 ||
      value > 65535) {
    return error_at(column, "port '" + std::string(text) + "' is not in 1..65535");
  }
  return static_cast<std::uint16_t>(value);
}

/// "192.0.2.1", "IPv6:2001:db8::1", "2001:db8::1": what may stand between brackets.
std::optional<IpAddress> parse_bracketed(std::string_view inner) {
  const bool tagged = istarts_with(inner, kIpv6Tag);
  if (tagged) inner.remove_prefix(kIpv6Tag.size());
  const auto address = IpAddress::parse(inner);
  if (tagged && address && inner.find(':') == std::string_view::npos) return std::nullopt;
  return address;
}

/// `[address]` or `[address]:port`.
std::expected<StaticHost, HostListError> parse_literal_item(std::string_view item, std::size_t column) {
  StaticHost host;
  host.kind = StaticHost::Kind::Address;
  const std::size_t close = item.find(']');
  if (close == std::string_view::npos) return error_at(column, "'[' without ']'");
  const std::string_view inner = trim(item.substr(1, close - 1));
  const auto address = parse_bracketed(inner);
  if (!address) return error_at(column + 1, "'" + std::string(inner) + "' is not an IP address");
  host.address = *address;
  const std::string_view rest = item.substr(close + 1);
  if (rest.empty()) return host;
  if (rest.front() != ':') return error_at(column + close + 1, "expected ':port' after ']'");
  const auto port = parse_port(rest.substr(1), column + close + 2);
  if (!port) return std::unexpected(port.error());
  host.port = *port;
  return host;
}

std::expected<StaticHost, HostListError> parse_item(std::string_view item, std::size_t column) {
  if (item.empty()) return error_at(column, "empty element in host list");
  if (item.front() == '[') return parse_literal_item(item, column);
  StaticHost host;
  if (istarts_with(item, kLookupMx)) {
    host.kind = StaticHost::Kind::LookupMx;
    const std::string_view rest = item.substr(kLookupMx.size());
    column += kLookupMx.size() + static_cast<std::size_t>(trim(rest).data() - rest.data());
    item = trim(rest);
  }
  if (std::count(item.begin(), item.end(), ':') > 1) {
    return error_at(column, "an IPv6 address has to stand in brackets: [IPv6:" + std::string(item) + "]");
  }
  const std::size_t colon = item.find(':');
  if (colon != std::string_view::npos) {
    const auto port = parse_port(item.substr(colon + 1), column + colon + 1);
    if (!port) return std::unexpected(port.error());
    host.port = *port;
    item = item.substr(0, colon);
  }
  if (const auto address = IpAddress::parse(item); address && host.kind == StaticHost::Kind::Host) {
    host.kind = StaticHost::Kind::Address;
    host.address = *address;
    return host;
  }
  if (item.size() > 1 && item.back() == '.') item.remove_suffix(1);
  if (!is_domain_name(item)) return error_at(column, "'" + std::string(item) + "' is not a host name");
  host.name = to_lower(item);
  return host;
}

}  // namespace

bool is_domain_name(std::string_view name) {
  static constexpr std::size_t kNameMax = 253;
  static constexpr std::size_t kLabelMax = 63;
  if (name.empty() || name.size() > kNameMax) return false;
  std::size_t label = 0;
  bool all_digits = true;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      all_digits = true;
      continue;
    }
    if (!is_alpha(c) && !is_digit(c) && c != '-' && c != '_') return false;
    if (++label > kLabelMax) return false;
    all_digits = all_digits && is_digit(c);
  }
  return label != 0 && !all_digits;
}

std::optional<IpAddress> parse_address_literal(std::string_view domain) {
  if (domain.size() < 2 || domain.front() != '[' || domain.back() != ']') return std::nullopt;
  return parse_bracketed(domain.substr(1, domain.size() - 2));
}

std::expected<HostList, HostListError> parse_host_list(std::string_view text) {
  HostList list;
  std::uint16_t group = 0;
  std::size_t begin = 0;
  for (;;) {
    const std::size_t end = std::min(text.find_first_of(",;", begin), text.size());
    const std::string_view raw = text.substr(begin, end - begin);
    const std::string_view item = trim(raw);
    // A separator at the very end is common and harmless ("h1, h2;").
    const bool trailing = item.empty() && end == text.size() && !list.hosts.empty();
    if (!trailing) {
      if (list.hosts.size() == HostList::kHostsMax) {
        return error_at(begin, "more than " + std::to_string(HostList::kHostsMax) + " hosts");
      }
      const std::size_t column =
          begin + (item.empty() ? 0 : static_cast<std::size_t>(item.data() - raw.data()));
      auto host = parse_item(item, column);
      if (!host) return std::unexpected(std::move(host.error()));
      host->group = group;
      list.hosts.push_back(std::move(*host));
    }
    if (end == text.size()) return list;
    if (text[end] == ';') ++group;
    begin = end + 1;
  }
}

std::expected<HostList, HostListError> parse_route(std::string_view text) {
  const std::string_view item = trim(text);
  const std::size_t column = item.empty() ? 0 : static_cast<std::size_t>(item.data() - text.data());
  auto host = parse_item(item, column);
  if (!host) return std::unexpected(std::move(host.error()));
  if (host->kind == StaticHost::Kind::Host && !host->port) host->kind = StaticHost::Kind::LookupMx;
  HostList list;
  list.hosts.push_back(std::move(*host));
  return list;
}

std::string HostList::text() const {
  std::string out;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    const StaticHost& host = hosts[i];
    if (i > 0) out += host.group == hosts[i - 1].group ? ", " : "; ";
    switch (host.kind) {
      case StaticHost::Kind::Host: out += host.name; break;
      case StaticHost::Kind::LookupMx: (out += kLookupMx) += host.name; break;
      case StaticHost::Kind::Address:
        out += host.address.is_v4() ? "[" : "[IPv6:";
        out += host.address.text() + ']';
        break;
    }
    if (host.port) out += ':' + std::to_string(*host.port);
  }
  return out;
}

}  // namespace sluice::routing
