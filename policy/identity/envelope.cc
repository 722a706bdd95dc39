#include "policy/identity/envelope.h"

#include <algorithm>

namespace sluice::identity {

void append_verp(std::string& out, std::string_view sender, std::string_view recipient) {
  const std::size_t at = sender.rfind('@');
  if (at == std::string_view::npos) {
    out += sender;
    return;
  }
  const std::size_t recipient_at = recipient.rfind('@');
  out += sender.substr(0, at);
  out += '-';
  out += recipient.substr(0, recipient_at);
  if (recipient_at != std::string_view::npos) {
    out += '=';
    out += recipient.substr(recipient_at + 1);
  }
  out += sender.substr(at);
}

std::string job_id(std::string_view prefix, std::string_view user, std::string_view job) {
  static constexpr std::string_view kUser = "{auth}";
  std::string out;
  for (std::size_t at = 0; at < prefix.size();) {
    const std::size_t mark = std::min(prefix.find(kUser, at), prefix.size());
    out += prefix.substr(at, mark - at);
    if (mark < prefix.size()) out += user;
    at = mark + kUser.size();
  }
  out += job;
  return out;
}

}  // namespace sluice::identity
