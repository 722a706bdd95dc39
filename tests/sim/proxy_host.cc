#include "tests/sim/proxy_host.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <sstream>

namespace sluice::test {
namespace {

constexpr std::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);

std::uint16_t number_at(const std::string& bytes, std::size_t at) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[at]) * 256 +
                                    static_cast<unsigned char>(bytes[at + 1]));
}

IpAddress address_at(const std::string& bytes, std::size_t at, bool is_v4) {
  std::array<std::uint8_t, 16> octets{};
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(at), is_v4 ? 4 : 16, octets.begin());
  return is_v4 ? IpAddress::from_v4({octets[0], octets[1], octets[2], octets[3]})
               : IpAddress::from_v6(octets);
}

/// The bytes of a complete header at the front of `bytes`; 0: not complete yet.
std::size_t header_size(const std::string& bytes) {
  if (bytes.starts_with("PROXY ")) {
    const std::size_t end = bytes.find("\r\n");
    return end == std::string::npos ? 0 : end + 2;
  }
  if (bytes.size() < 16) return 0;
  const std::size_t size = 16u + number_at(bytes, 14);
  return bytes.size() < size ? 0 : size;
}

void understand(const std::string& header, ProxyHost::Served& out) {
  if (header.starts_with("PROXY ")) {
    std::istringstream words(header);
    std::string word, family, client, target;
    std::uint16_t client_port = 0, target_port = 0;
    words >> word >> family >> client >> target >> client_port >> target_port;
    out.version = 1;
    out.client = {IpAddress::parse(client).value_or(IpAddress()), client_port};
    out.target = {IpAddress::parse(target).value_or(IpAddress()), target_port};
  } else if (header.starts_with(kSignature) && header[12] == 0x21) {
    const bool is_v4 = header[13] == 0x11;
    const std::size_t bytes = is_v4 ? 4 : 16;
    out.version = 2;
    out.client = {address_at(header, 16, is_v4), number_at(header, 16 + 2 * bytes)};
    out.target = {address_at(header, 16 + bytes, is_v4), number_at(header, 18 + 2 * bytes)};
  }
}

}  // namespace

ProxyHost::ProxyHost(runtime::Reactor& reactor, Endpoint at) : reactor_(reactor) {
  auto listener = runtime::Listener::open(reactor, at);
  EXPECT_TRUE(listener.has_value());
  if (!listener) return;
  listener_ = std::move(*listener);
  tasks_.spawn(accept_all());
}

runtime::Task<void> ProxyHost::accept_all() {
  for (;;) {
    Result<runtime::Stream> stream = co_await listener_.accept();
    if (!stream) co_return;
    tasks_.spawn(serve(std::move(*stream)));
  }
}

runtime::Task<bool> ProxyHost::read_header(runtime::Stream& stream, Served& out, std::string& rest) {
  std::string bytes;
  for (;;) {
    if (const std::size_t size = header_size(bytes)) {
      out.header = bytes.substr(0, size);
      rest = bytes.substr(size);
      understand(out.header, out);
      co_return true;
    }
    const auto input = co_await stream.receive();
    if (!input || input->bytes().empty()) co_return false;
    bytes.append(reinterpret_cast<const char*>(input->bytes().data()), input->bytes().size());
  }
}

runtime::Task<void> ProxyHost::serve(runtime::Stream stream) {
  Served one{.at = reactor_.now(), .from = {}, .header = {}, .client = {}, .target = {}};
  if (const auto peer = reactor_.peer_endpoint(stream.fd())) one.from = peer->address;
  std::string rest;
  const bool has_header = co_await read_header(stream, one, rest);
  if (!has_header) co_return;
  served.push_back(one);
  if (refuses || one.version == 0) co_return;
  const IpAddress from = one.client.address;
  Result<runtime::Stream> out = co_await runtime::Stream::connect(reactor_, one.target, &from, 5s);
  if (!out) co_return;
  runtime::Stream host = std::move(*out);
  runtime::TaskGroup back;
  back.spawn(pump(host, stream));
  co_await pump(stream, host);
  co_await back.join();
}

runtime::Task<void> ProxyHost::pump(runtime::Stream& from, runtime::Stream& to) {
  for (;;) {
    std::string bytes;
    {
      const auto input = co_await from.receive();
      if (!input || input->bytes().empty()) break;
      bytes.assign(reinterpret_cast<const char*>(input->bytes().data()), input->bytes().size());
    }
    if (!co_await to.send(bytes)) break;
  }
  from.abort();
  to.abort();
}

}  // namespace sluice::test
