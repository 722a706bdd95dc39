#include "net/mime/auth_results.h"

#include <algorithm>

#include "policy/base/ascii.h"

namespace sluice::net {
namespace {

bool is_printable(char c) { return c >= ' ' && c <= '~'; }

/// RFC 5322 3.2.2: parentheses and backslashes are quoted.
void append_comment(std::string& out, std::string_view text) {
  out += '(';
  for (const char c : text.substr(0, kAuthTextMax)) {
    if (c == '(' || c == ')' || c == '\\') out += '\\';
    out += is_printable(c) ? c : '?';
  }
  out += ')';
}

/// As it is where an address or a domain needs no quotes, else as a quoted string.
void append_value(std::string& out, std::string_view value) {
  static constexpr std::string_view kPlain = ".-_+=@:!#$&'*/^`{|}~%?";
  value = value.substr(0, kAuthTextMax);
  const bool plain = !value.empty() && std::ranges::all_of(value, [](char c) {
    return is_alpha(c) || is_digit(c) || kPlain.find(c) != std::string_view::npos;
  });
  if (plain) {
    out += value;
    return;
  }
  out += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += is_printable(c) ? c : '?';
  }
  out += '"';
}

/// RFC 5322 3.2.2, CFWS.
void skip_blanks_and_comments(std::string_view& text) {
  std::size_t depth = 0;
  std::size_t at = 0;
  for (; at < text.size(); ++at) {
    const char c = text[at];
    if (c == '(') {
      ++depth;
    } else if (depth > 0) {
      if (c == ')') --depth;
      if (c == '\\') ++at;
    } else if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
      break;
    }
  }
  text.remove_prefix(std::min(at, text.size()));
}

/// A token or a quoted string (RFC 2045 5.1, value), without its quotes.
std::string take_value(std::string_view text) {
  if (!text.starts_with('"')) return std::string(text.substr(0, text.find_first_of("; \t\r\n(")));
  std::string out;
  for (std::size_t at = 1; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\' && at + 1 < text.size()) ++at;
    out += text[at];
  }
  return out;
}

}  // namespace

void append_auth_results(std::string& out, std::string_view host, std::span<const AuthResult> results) {
  out += "Authentication-Results: ";
  out += host;
  for (const AuthResult& one : results) {
    out += ";\r\n\t";
    out += one.method;
    out += '=';
    out += one.result;
    if (!one.comment.empty()) {
      out += ' ';
      append_comment(out, one.comment);
    }
    for (const std::string& line : one.trace.first(std::min(one.trace.size(), kAuthTraceMax))) {
      out += "\r\n\t";
      append_comment(out, line);
    }
    if (one.property.empty()) continue;
    out += one.comment.empty() && one.trace.empty() ? " " : "\r\n\t";
    out += one.property;
    out += '=';
    append_value(out, one.value);
  }
  out += "\r\n";
}

bool is_auth_results_of(std::string_view body, std::string_view host) {
  skip_blanks_and_comments(body);
  std::string server = take_value(body);
  if (server.ends_with('.')) server.pop_back();
  return iequals(server, host);
}

}  // namespace sluice::net
