#include "net/mime/local_form.h"

#include <algorithm>

namespace sluice::net {
namespace {

/// A value on a line of its own: nothing in it ends the line.
void append_line(std::string& out, std::string_view name, std::string_view value) {
  out += name;
  for (const char c : value) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '_' : c;
  out += '\n';
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Calls `line` for each line without its CRLF or LF; answers whether the last one was ended.
template <class F>
bool for_each_line(std::string_view text, F&& line) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) {
      line(text);
      return false;
    }
    line(text.substr(0, end != 0 && text[end - 1] == '\r' ? end - 1 : end));
    text.remove_prefix(end + 1);
  }
  return true;
}

void append_lines(std::string& out, std::span<const std::byte> message) {
  out.reserve(out.size() + message.size() + 1);
  const bool ended = for_each_line(text_of(message), [&out](std::string_view line) {
    out += line;
    out += '\n';
  });
  if (!ended) out.pop_back();
}

void append_return_path(std::string& out, std::string_view sender) {
  append_line(out, "Return-Path: <", std::string(sender) + '>');
}

bool looks_like_separator(std::string_view line) {
  line.remove_prefix(std::min(line.find_first_not_of('>'), line.size()));
  return line.starts_with("From ");
}

}  // namespace

void append_local_message(std::string& out, std::string_view sender, std::span<const std::byte> message) {
  append_return_path(out, sender);
  append_lines(out, message);
}

void append_pickup_message(std::string& out, const PickupEnvelope& envelope,
                           std::span<const std::byte> message) {
  append_line(out, "x-sender: ", envelope.sender);
  append_line(out, "x-receiver: ", envelope.receiver);
  if (!envelope.env_id.empty()) append_line(out, "x-envid: ", envelope.env_id);
  if (!envelope.job_id.empty()) append_line(out, "x-job: ", envelope.job_id);
  append_lines(out, message);
}

void append_mbox_entry(std::string& out, std::string_view sender, std::string_view ctime,
                       std::span<const std::byte> message) {
  // Readers split the line at blanks, so a sender has none; the null sender is MAILER-DAEMON by custom.
  std::string name(sender.empty() ? std::string_view("MAILER-DAEMON") : sender);
  std::replace(name.begin(), name.end(), ' ', '_');
  append_line(out, "From ", name + ' ' + std::string(ctime));
  append_return_path(out, sender);
  out.reserve(out.size() + message.size() + 64);
  for_each_line(text_of(message), [&out](std::string_view line) {
    if (looks_like_separator(line)) out += '>';
    out += line;
    out += '\n';
  });
  out += '\n';
}

}  // namespace sluice::net
