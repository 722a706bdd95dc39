#include "net/http/url.h"

#include <algorithm>
#include <charconv>

#include "policy/base/ascii.h"

namespace sluice::net::http {
namespace {

constexpr std::size_t kUrlBytesMax = 4096;

bool is_host_char(char c) { return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_'; }

}  // namespace

std::string Url::authority() const {
  std::string out = host.find(':') == std::string::npos ? host : '[' + host + ']';
  if (port != (tls ? 443 : 80)) out += ':' + std::to_string(port);
  return out;
}

std::expected<Url, std::string> parse_url(std::string_view text) {
  const auto wrong = [](std::string_view what) { return std::unexpected(std::string(what)); };
  if (text.size() > kUrlBytesMax) return wrong("the address is too long");
  if (std::any_of(text.begin(), text.end(),
                  [](char c) { return static_cast<unsigned char>(c) <= 0x20 || c == 0x7f; })) {
    return wrong("the address has a blank or control character");
  }
  Url out;
  if (istarts_with(text, "http://")) {
    text.remove_prefix(7);
  } else if (istarts_with(text, "https://")) {
    text.remove_prefix(8);
    out.tls = true;
    out.port = 443;
  } else {
    return wrong("the address has to begin with http:// or https://");
  }
  text = text.substr(0, text.find('#'));
  const std::size_t end = std::min(text.find_first_of("/?"), text.size());
  std::string_view authority = text.substr(0, end);
  out.target = text.substr(end);
  if (!out.target.starts_with('/')) out.target.insert(out.target.begin(), '/');
  if (authority.find('@') != std::string_view::npos) {
    return wrong("the address names a user; put credentials into http-delivery-extra-headers");
  }
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t bracket = authority.find(']');
    if (bracket == std::string_view::npos) return wrong("the address has a bracket without its end");
    out.host = to_lower(authority.substr(1, bracket - 1));
    port = authority.substr(bracket + 1);
    const bool sound = std::all_of(out.host.begin(), out.host.end(), [](char c) {
      return is_digit(c) || (c >= 'a' && c <= 'f') || c == ':' || c == '.';
    });
    if (!sound || (!port.empty() && port.front() != ':')) return wrong("the address has no usable host");
  } else {
    const std::size_t colon = authority.find(':');
    out.host = to_lower(authority.substr(0, colon));
    if (colon != std::string_view::npos) port = authority.substr(colon);
    if (!std::all_of(out.host.begin(), out.host.end(), is_host_char))
      return wrong("the address has no usable host");
  }
  if (out.host.empty()) return wrong("the address has no host");
  if (!port.empty() && port != ":") {
    port.remove_prefix(1);
    const auto read = std::from_chars(port.data(), port.data() + port.size(), out.port);
    if (read.ec != std::errc{} || read.ptr != port.data() + port.size() || out.port == 0) {
      return wrong("the address has a port that is none");
    }
  }
  return out;
}

}  // namespace sluice::net::http
