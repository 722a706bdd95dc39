#include "net/mime/address_domains.h"

namespace sluice::net {
namespace {

/// Behind a quoted string that begins at `at`.
std::size_t quoted_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return at + 1;
}

/// Behind a comment that begins at `at`; comments nest.
std::size_t comment_end(std::string_view text, std::size_t at) {
  int depth = 0;
  for (; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == '(') {
      ++depth;
    } else if (text[at] == ')' && --depth == 0) {
      return at + 1;
    }
  }
  return at;
}

bool is_domain_byte(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 32 && byte != 127 && std::string_view("()<>,;:\"@[]\\").find(c) == std::string_view::npos;
}

}  // namespace

std::vector<std::string_view> address_domains(std::string_view value) {
  std::vector<std::string_view> out;
  for (std::size_t at = 0; at < value.size();) {
    if (value[at] == '"') {
      at = quoted_end(value, at);
    } else if (value[at] == '(') {
      at = comment_end(value, at);
    } else if (value[at] == '@') {
      const std::size_t start = ++at;
      if (at < value.size() && value[at] == '[') {
        while (at < value.size() && value[at] != ']') ++at;
        if (at < value.size()) ++at;
      } else {
        while (at < value.size() && is_domain_byte(value[at])) ++at;
      }
      if (at > start) out.push_back(value.substr(start, at - start));
    } else {
      ++at;
    }
  }
  return out;
}

}  // namespace sluice::net
