#include "policy/config/host_names.h"

#include "policy/base/ascii.h"
#include "policy/base/dns_name.h"
#include "policy/base/ip_address.h"
#include "policy/settings/values.h"

namespace sluice::config {
namespace {

constexpr std::string_view kExpected = "a host name, for example mail.example.com";

/// Names of digits only are addresses to whoever reads them.
bool is_named_host(std::string_view name) { return is_host_name(name) && !IpAddress::parse(name); }

bool is_address_literal(std::string_view name) {
  if (name.size() < 3 || name.front() != '[' || name.back() != ']') return false;
  std::string_view inner = name.substr(1, name.size() - 2);
  if (istarts_with(inner, "ipv6:")) inner.remove_prefix(5);
  return IpAddress::parse(inner).has_value();
}

std::optional<std::string> parse_name(std::string_view token, Value& value, std::string_view at,
                                      bool (*fits)(std::string_view)) {
  auto text = unquote(token, value);
  if (!text) return std::nullopt;
  std::string name = normalise_domain(*text);
  if (fits(name)) return name;
  value.fail(at, '"' + *text + "\" is not a host name", std::string(kExpected));
  return std::nullopt;
}

}  // namespace

bool is_ehlo_name(std::string_view name) { return is_named_host(name) || is_address_literal(name); }

std::optional<std::string> parse_host_name(std::string_view token, Value& value) {
  return parse_name(token, value, token, &is_named_host);
}

std::optional<std::string> parse_ehlo_name(std::string_view token, Value& value, std::string_view at) {
  return parse_name(token, value, at, &is_ehlo_name);
}

}  // namespace sluice::config
