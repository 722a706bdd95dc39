#include "policy/base/idn.h"

#include <idn2.h>

#include <algorithm>
#include <memory>

#include "policy/base/ascii.h"
#include "policy/base/utf8.h"

namespace sluice {
namespace {

constexpr std::size_t kInputBytesMax = 1024;
constexpr std::size_t kOutputBytesMax = 255;

struct FreeIdn {
  void operator()(char* text) const { idn2_free(text); }
};

}  // namespace

std::optional<std::string> to_a_labels(std::string_view domain) {
  if (std::ranges::none_of(domain, [](char c) { return (c & 0x80) != 0; })) return to_lower(domain);
  if (domain.size() > kInputBytesMax || !is_utf8(domain) || domain.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  char* converted = nullptr;
  const int error =
      idn2_to_ascii_8z(std::string(domain).c_str(), &converted, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  const std::unique_ptr<char, FreeIdn> owned(converted);
  if (error != IDN2_OK || owned == nullptr) return std::nullopt;
  const std::string_view name(owned.get());
  if (name.empty() || name.size() > kOutputBytesMax) return std::nullopt;
  return std::string(name);
}

}  // namespace sluice
