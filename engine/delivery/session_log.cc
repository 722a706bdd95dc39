#include "engine/delivery/session_log.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::delivery {

SessionLog::SessionLog(const LogLine& line, std::uint64_t number, Wishes wishes)
    : line_(line),
      number_(number),
      connections_(line && wishes.connections),
      commands_(line && wishes.commands),
      data_(line && wishes.data) {}

std::string SessionLog::bracketed(const Endpoint& endpoint) {
  return '[' + endpoint.address.text() + "]:" + std::to_string(endpoint.port);
}

void SessionLog::say(std::string_view text) const {
  if (line_) line_(fmt::format("({:>3}) {}", number_, text.substr(0, kTextBytesMax)));
}

void SessionLog::connected(const Endpoint& from) const {
  if (connections_) say("connected from " + bracketed(from));
}

void SessionLog::closed(std::string_view with) {
  if (connections_) say(fmt::format("closed {} in={} out={}", with, in_bytes_, out_bytes_));
  in_bytes_ = out_bytes_ = 0;
  in_rest_.clear();
  out_rest_.clear();
}

void SessionLog::say_lines(std::string_view arrow, std::string_view text, std::string& rest) const {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (rest.size() < kTextBytesMax) rest += text.substr(0, std::min(end, kTextBytesMax));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
    if (rest.ends_with('\r')) rest.pop_back();
    // Empty: the end of a body's last line, which the final dot brings along.
    if (!rest.empty()) say(std::string(arrow) + rest);
    rest.clear();
  }
}

void SessionLog::dump(std::span<const std::byte> bytes) const {
  bytes = bytes.first(std::min(bytes.size(), kDataBytesMax));
  for (std::size_t at = 0; at < bytes.size(); at += 16) {
    std::string hex;
    std::string ascii;
    for (const std::byte byte : bytes.subspan(at, std::min<std::size_t>(16, bytes.size() - at))) {
      const auto value = std::to_integer<unsigned>(byte);
      hex += fmt::format("{:02x} ", value);
      ascii += value >= 32 && value < 127 ? static_cast<char>(value) : '.';
    }
    say(fmt::format("{:06x}  {:<48} {}", at, hex, ascii));
  }
}

void SessionLog::received(std::span<const std::byte> bytes, bool is_data) {
  in_bytes_ += bytes.size();
  if (is_data) {
    if (data_) dump(bytes);
  } else if (commands_) {
    say_lines(">>> ", {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, in_rest_);
  }
}

void SessionLog::sent(std::span<const std::byte> bytes, bool is_data) {
  out_bytes_ += bytes.size();
  if (is_data) {
    out_rest_.clear();  // a dot that doubles the body's own
    if (data_) dump(bytes);
  } else if (commands_) {
    say_lines("<<< ", {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, out_rest_);
  }
}

}  // namespace sluice::delivery
