#include "policy/base/dns_name.h"

#include <cstddef>

#include "policy/base/ascii.h"

namespace sluice {
namespace {

constexpr std::size_t kNameBytesMax = 253;
constexpr std::size_t kLabelBytesMax = 63;

template <class Allowed>
bool is_name_of(std::string_view name, Allowed allowed) {
  if (name.empty() || name.size() > kNameBytesMax) return false;
  std::size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    if (!allowed(c)) return false;
    if (++label > kLabelBytesMax) return false;
  }
  return label != 0;
}

}  // namespace

bool is_host_name(std::string_view name) {
  return is_name_of(name, [](char c) { return is_alpha(c) || is_digit(c) || c == '-' || c == '_'; });
}

bool is_plain_dns_name(std::string_view name) {
  return is_name_of(name, [](char c) { return c > ' ' && c <= '~' && c != '\\'; });
}

bool is_askable_dns_name(std::string_view name) {
  return is_name_of(name, [](char c) { return c >= ' ' && c <= '~' && c != '\\'; });
}

}  // namespace sluice
