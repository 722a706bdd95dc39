// Value types with an inner structure: hosts, certificates, source addresses, keys.
#include "policy/base/ascii.h"
#include "policy/config/value.h"

namespace sluice::config {
namespace {

std::optional<SmtpHost> parse_smtp_host(std::string_view token, Value& value) {
  SmtpHost out;
  std::string_view rest = token;
  if (istarts_with(rest, "lookup-mx:")) {
    out.lookup_mx = true;
    out.name = normalise_domain(rest.substr(10));
    if (!out.name.empty()) return out;
    value.fail(token, "argument missing", "lookup-mx:DOMAIN");
    return std::nullopt;
  }
  std::string_view port;
  if (!rest.empty() && rest.front() == '[') {
    const std::size_t close = rest.find(']');
    if (close == std::string_view::npos) {
      value.fail(token, "closing bracket missing", "[192.0.2.1] or [IPv6:2001:db8::1]");
      return std::nullopt;
    }
    std::string_view inner = rest.substr(1, close - 1);
    if (istarts_with(inner, "ipv6:")) inner.remove_prefix(5);
    out.address = IpAddress::parse(inner);
    if (!out.address) {
      value.fail(rest.substr(1), "not an IP address", "[192.0.2.1] or [IPv6:2001:db8::1]");
      return std::nullopt;
    }
    port = rest.substr(close + 1);
  } else {
    const std::size_t colon = rest.find(':');
    const std::string_view host = rest.substr(0, colon);
    if (colon != std::string_view::npos) port = rest.substr(colon);
    // A bare address is a host name to PowerMTA; taken as the literal it obviously is.
    out.address = IpAddress::parse(host);
    if (!out.address) out.name = normalise_domain(host);
    if (host.empty()) {
      value.fail(token, "host name missing", std::string(Codec<HostList>::kGrammar));
      return std::nullopt;
    }
  }
  if (port.empty()) return out;
  const auto number = parse_number(port.substr(1));
  if (port.front() != ':' || !number || *number == 0 || *number > 65535) {
    value.fail(port, "not a port", "HOST:PORT with a port of 1 to 65535");
    return std::nullopt;
  }
  out.port = static_cast<std::uint16_t>(*number);
  return out;
}

}  // namespace

std::optional<HostList> Codec<HostList>::parse(std::string_view token, Value& value) {
  HostList out;
  const auto text = unquote(token, value);
  if (!text) return std::nullopt;
  if (text->empty()) return out;
  if (token.find('"') != std::string_view::npos) {
    // Positions inside the unquoted copy mean nothing to `value`: report at its start.
    token = *text;
  }
  for (const std::string_view group : split_at(token, ';')) {
    std::vector<SmtpHost> hosts;
    for (const std::string_view item : split_at(group, ',')) {
      if (item.empty()) continue;
      auto host = parse_smtp_host(item, value);
      if (!host) return std::nullopt;
      hosts.push_back(std::move(*host));
    }
    if (!hosts.empty()) out.groups.push_back(std::move(hosts));
  }
  return out;
}

std::string Codec<HostList>::format(const HostList& item) {
  if (item.empty()) return "\"\"";
  std::string out;
  for (const auto& group : item.groups) {
    if (!out.empty()) out += ';';
    for (std::size_t i = 0; i < group.size(); ++i) {
      const SmtpHost& host = group[i];
      if (i > 0) out += ',';
      if (host.lookup_mx) out += "lookup-mx:";
      if (host.address)
        out += '[' + std::string(host.address->is_v4() ? "" : "IPv6:") + host.address->text() + ']';
      else
        out += host.name;
      if (host.port) out += ':' + std::to_string(*host.port);
    }
  }
  return out;
}

std::optional<CertificateFile> Codec<CertificateFile>::parse(std::string_view token, Value& value) {
  const auto words = split_arguments(token, value, 1, 2, kGrammar);
  if (!words) return std::nullopt;
  auto path = unquote((*words)[0], value);
  if (!path) return std::nullopt;
  auto password = words->size() > 1 ? unquote((*words)[1], value) : std::string();
  if (!password) return std::nullopt;
  return CertificateFile{std::move(*path), std::move(*password)};
}
std::string Codec<CertificateFile>::format(const CertificateFile& item) {
  return quote_if_needed(item.path) + (item.password.empty() ? "" : " *****");
}

std::optional<NameOrRegex> Codec<NameOrRegex>::parse(std::string_view token, Value& value) {
  if (!token.empty() && token.front() == '/') {
    auto regex = take_regex(token, value);
    if (!regex) return std::nullopt;
    if (!token.empty()) {
      value.fail(token, "text behind the regular expression", std::string(kGrammar));
      return std::nullopt;
    }
    return NameOrRegex{std::move(regex->text), true};
  }
  auto text = unquote(token, value);
  if (!text) return std::nullopt;
  return NameOrRegex{std::move(*text), false};
}
std::string Codec<NameOrRegex>::format(const NameOrRegex& item) {
  return item.is_regex ? format_regex(item.text) : quote_if_needed(item.text);
}

std::optional<BounceUponNoMx> Codec<BounceUponNoMx>::parse(std::string_view token, Value& value) {
  if (iequals(token, "never") || iequals(token, "no") || iequals(token, "false")) return BounceUponNoMx{};
  if (iequals(token, "yes") || iequals(token, "true")) return BounceUponNoMx{Duration{0}};
  const auto age = parse_duration(token);
  if (!age) {
    value.fail(token, "\"" + std::string(token) + "\" is neither a boolean nor a time",
               "yes, no, never, or TIME");
    return std::nullopt;
  }
  return BounceUponNoMx{*age};
}
std::string Codec<BounceUponNoMx>::format(const BounceUponNoMx& item) {
  if (!item.age) return "no";
  return *item.age == Duration{0} ? "yes" : format_duration(*item.age);
}

std::optional<RecordType> Codec<RecordType>::parse(std::string_view token, Value& value) {
  const auto out = parse_record_type(token);
  if (!out) {
    value.fail(token, "unknown record type \"" + std::string(token) + '"',
               "one of d, b, t, tq, r, f, rb, rs");
  }
  return out;
}
std::string Codec<RecordType>::format(const RecordType& item) { return std::string(short_name(item)); }

/// IP HOST; the host may be missing (`smtp-source-ip`) or come as an attribute name="HOST" or ehlo="HOST".
std::optional<SourceHost> Codec<SourceHost>::parse(std::string_view token, Value& value) {
  const auto words = split_arguments(token, value, 1, 2, kGrammar);
  if (!words) return std::nullopt;
  const auto source = Codec<Cidr>::parse((*words)[0], value);
  if (!source) return std::nullopt;
  SourceHost out{*source, {}, value.origin()};
  if (words->size() == 1) return out;
  if (const auto attributes = parse_attributes((*words)[1])) {
    out.ehlo = attribute(*attributes, "name");
    if (out.ehlo.empty()) out.ehlo = attribute(*attributes, "ehlo");
    if (out.ehlo.empty()) out.ehlo = attribute(*attributes, "host");
  } else {
    auto host = unquote((*words)[1], value);
    if (!host) return std::nullopt;
    out.ehlo = std::move(*host);
  }
  out.ehlo = normalise_domain(out.ehlo);
  if (out.ehlo.empty()) {
    value.fail((*words)[1], "argument missing", std::string(kGrammar));
    return std::nullopt;
  }
  return out;
}
std::string Codec<SourceHost>::format(const SourceHost& item) {
  return Codec<Cidr>::format(item.source) + (item.ehlo.empty() ? "" : ' ' + item.ehlo);
}

std::optional<ProxySourceHost> Codec<ProxySourceHost>::parse(std::string_view token, Value& value) {
  const auto words = split_arguments(token, value, 4, 4, kGrammar);
  if (!words) return std::nullopt;
  const auto source = Codec<Cidr>::parse((*words)[0], value);
  if (!source) return std::nullopt;
  const std::string_view proxy = (*words)[1];
  const std::size_t colon = proxy.rfind(':');
  const auto port = colon == std::string_view::npos ? std::nullopt : parse_number(proxy.substr(colon + 1));
  if (!port || *port == 0 || *port > 65535 || colon == 0) {
    value.fail(proxy, "not a host with a port", "PROXY:PORT");
    return std::nullopt;
  }
  auto client = Endpoint::parse((*words)[2]);
  if (!client) {
    const auto address = Codec<IpAddress>::parse((*words)[2], value);
    if (!address) return std::nullopt;
    client = Endpoint{*address, 0};
  }
  return ProxySourceHost{*source, std::string(proxy.substr(0, colon)), static_cast<std::uint16_t>(*port),
                         *client, normalise_domain((*words)[3])};
}
std::string Codec<ProxySourceHost>::format(const ProxySourceHost& item) {
  return Codec<Cidr>::format(item.source) + ' ' + item.proxy + ':' + std::to_string(item.proxy_port) + ' ' +
         (item.client.port == 0 ? item.client.address.text() : item.client.text()) + ' ' + item.ehlo;
}

/// Commas with optional blanks, or the attributes selector= (or name=), domain= and path= (or key-file=,
/// file=).
std::optional<DomainKey> Codec<DomainKey>::parse(std::string_view token, Value& value) {
  DomainKey out;
  out.origin = value.origin();
  const bool has_equals = token.find("=\"") != std::string_view::npos;
  if (const auto attributes = has_equals ? parse_attributes(token) : std::nullopt) {
    out.selector = attribute(*attributes, "selector");
    if (out.selector.empty()) out.selector = attribute(*attributes, "name");
    out.domain = attribute(*attributes, "domain");
    for (const std::string_view name : {"path", "key-file", "file", "key"}) {
      if (out.path.empty()) out.path = attribute(*attributes, name);
    }
  } else {
    const auto parts = split_at(token, ',');
    if (parts.size() > 3) {
      value.fail(parts[3], "too many arguments", std::string(kGrammar));
      return std::nullopt;
    }
    if (parts.size() < 3) {
      value.fail(token.substr(token.size()), "argument missing", std::string(kGrammar));
      return std::nullopt;
    }
    auto path = unquote(parts[2], value);
    if (!path) return std::nullopt;
    out.selector = parts[0];
    out.domain = parts[1];
    out.path = std::move(*path);
  }
  if (out.selector.empty() || out.domain.empty() || out.path.empty()) {
    value.fail(token, "argument missing",
               "SELECTOR,DOMAIN,FILE, for example s1,example.com,/etc/sluice/s1.pem");
    return std::nullopt;
  }
  out.domain = normalise_domain(out.domain);
  return out;
}
std::string Codec<DomainKey>::format(const DomainKey& item) {
  return item.selector + ',' + item.domain + ',' + quote_if_needed(item.path);
}

}  // namespace sluice::config
