#include "net/proxy/header.h"

#include <string_view>

#include "policy/base/assert.h"

namespace sluice::net {
namespace {

std::string text_header(const Endpoint& client, const Endpoint& destination) {
  std::string out = client.address.is_v4() ? "PROXY TCP4 " : "PROXY TCP6 ";
  out += client.address.text() + ' ' + destination.address.text() + ' ';
  out += std::to_string(client.port) + ' ' + std::to_string(destination.port) + "\r\n";
  return out;
}

void append_number(std::string& out, std::uint16_t number) {
  out += static_cast<char>(number >> 8);
  out += static_cast<char>(number & 0xff);
}

void append_address(std::string& out, const IpAddress& address) {
  out.append(reinterpret_cast<const char*>(address.octets().data()), address.bit_count() / 8);
}

std::string binary_header(const Endpoint& client, const Endpoint& destination) {
  static constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);
  static constexpr char kVersionTwoProxy = 0x21;  // version 2, on behalf of another
  static constexpr char kTcp4 = 0x11;
  static constexpr char kTcp6 = 0x21;
  const bool is_v4 = client.address.is_v4();
  std::string out(kSignature);
  out += kVersionTwoProxy;
  out += is_v4 ? kTcp4 : kTcp6;
  append_number(out, is_v4 ? 12 : 36);  // two addresses and two ports follow
  append_address(out, client.address);
  append_address(out, destination.address);
  append_number(out, client.port);
  append_number(out, destination.port);
  return out;
}

}  // namespace

std::string proxy_header(ProxyVersion version, const Endpoint& client, const Endpoint& destination) {
  SLUICE_ASSERT(client.address.is_v4() == destination.address.is_v4());
  std::string out =
      version == ProxyVersion::Text ? text_header(client, destination) : binary_header(client, destination);
  SLUICE_ASSERT(out.size() <= kProxyHeaderBytesMax);
  return out;
}

}  // namespace sluice::net
