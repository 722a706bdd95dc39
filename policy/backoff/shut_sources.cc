#include "policy/backoff/shut_sources.h"

#include <algorithm>

#include "policy/backoff/state_text.h"

namespace sluice {

bool ShutSources::contains(const IpAddress& address) const {
  return std::any_of(entries_.begin(), entries_.end(),
                     [&address](const Entry& one) { return one.address == address; });
}

bool ShutSources::disable(const IpAddress& address, std::optional<MonoTime> until, std::string_view reason) {
  for (Entry& one : entries_) {
    if (one.address != address) continue;
    if (one.until) one.until = until ? std::optional(std::max(*one.until, *until)) : std::nullopt;
    return false;
  }
  if (entries_.size() == kSourcesMax) return false;
  entries_.push_back({address, until, std::string(reason.substr(0, kReasonBytesMax))});
  // Each line of the stored text is one address.
  std::replace(entries_.back().reason.begin(), entries_.back().reason.end(), '\n', ' ');
  return true;
}

bool ShutSources::enable(const IpAddress& address) {
  return std::erase_if(entries_, [&address](const Entry& one) { return one.address == address; }) > 0;
}

std::vector<IpAddress> ShutSources::take_due(MonoTime now) {
  std::vector<IpAddress> out;
  std::erase_if(entries_, [&](const Entry& one) {
    if (!one.until || *one.until > now) return false;
    out.push_back(one.address);
    return true;
  });
  return out;
}

std::optional<MonoTime> ShutSources::next_time() const {
  std::optional<MonoTime> out;
  for (const Entry& one : entries_) {
    if (one.until && (!out || *one.until < *out)) out = one.until;
  }
  return out;
}

std::string ShutSources::encode(MonoTime now, WallTime wall_now) const {
  std::string out;
  for (const Entry& one : entries_) {
    out += one.address.text() + ' ' + encode_time(one.until, now, wall_now) + ' ' + one.reason + '\n';
  }
  return out;
}

ShutSources ShutSources::decode(std::string_view text, MonoTime now, WallTime wall_now) {
  ShutSources out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto address = IpAddress::parse(take_word(line));
    const auto until = decode_time(take_word(line), now, wall_now);
    if (address && until) out.disable(*address, *until, line);
  }
  return out;
}

}  // namespace sluice
