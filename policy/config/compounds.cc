// Value types with an inner structure: hosts, certificates, source addresses, keys.
#include "policy/base/ascii.h"
#include "policy/config/host_names.h"
#include "policy/config/value.h"

namespace sluice::config {
namespace {

/// Host names with letters beyond ASCII as A-labels; everything between the names stays.
std::string with_ascii_names(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.find_first_of(",;: []");
    const std::string_view word = text.substr(0, end);
    out += normalise_domain(word);
    if (word.ends_with('.') && word.size() > 1) out += '.';
    text.remove_prefix(word.size());
    if (text.empty()) break;
    out += text.front();
    text.remove_prefix(1);
  }
  return out;
}

bool is_ascii(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  }
  return true;
}

std::optional<HostList> read_hosts(
    std::string_view token, Value& value,
    std::expected<HostList, routing::HostListError> (*parse)(std::string_view text)) {
  const auto text = unquote(token, value);
  if (!text) return std::nullopt;
  if (text->empty()) return HostList();
  auto hosts = parse(is_ascii(*text) ? *text : with_ascii_names(*text));
  if (hosts) return std::move(*hosts);
  // Columns of the text without its quotes and escapes mean nothing to the reader.
  const bool as_written = *text == token;
  value.fail(as_written ? token.substr(std::min(hosts.error().column, token.size())) : token,
             hosts.error().message,
             "HOST-LIST, for example mx1.example, mx2.example; [192.0.2.1]:2525; lookup-mx:example.com");
  return std::nullopt;
}

}  // namespace

std::optional<HostList> Codec<HostList>::parse(std::string_view token, Value& value) {
  return read_hosts(token, value, &routing::parse_host_list);
}

std::string Codec<HostList>::format(const HostList& item) { return item.empty() ? "\"\"" : item.text(); }

std::optional<HostList> parse_route(std::string_view token, Value& value) {
  return read_hosts(token, value, &routing::parse_route);
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
  if (words->size() == 2 && !Cidr::parse((*words)[0]) && IpAddress::parse((*words)[1])) {
    value.fail((*words)[0], "the address comes first, then the name", std::string(kGrammar),
               "smtp-source-host " + std::string((*words)[1]) + ' ' + std::string((*words)[0]));
    return std::nullopt;
  }
  const auto source = Codec<Cidr>::parse((*words)[0], value);
  if (!source) return std::nullopt;
  SourceHost out{*source, {}, value.origin()};
  if (words->size() == 1) return out;
  if (const auto attributes = parse_attributes((*words)[1])) {
    out.ehlo = attribute(*attributes, "name");
    if (out.ehlo.empty()) out.ehlo = attribute(*attributes, "ehlo");
    if (out.ehlo.empty()) out.ehlo = attribute(*attributes, "host");
  } else {
    out.ehlo = (*words)[1];
  }
  if (out.ehlo.empty()) {
    value.fail((*words)[1], "argument missing", std::string(kGrammar));
    return std::nullopt;
  }
  auto ehlo = parse_ehlo_name(out.ehlo, value, (*words)[1]);
  if (!ehlo) return std::nullopt;
  out.ehlo = std::move(*ehlo);
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
  auto ehlo = parse_ehlo_name((*words)[3], value, (*words)[3]);
  if (!ehlo) return std::nullopt;
  return ProxySourceHost{*source, std::string(proxy.substr(0, colon)), static_cast<std::uint16_t>(*port),
                         *client, std::move(*ehlo)};
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
