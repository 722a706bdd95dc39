#include "policy/routing/rollup.h"

#include <algorithm>

namespace sluice::routing {
namespace {

bool contains(std::span<const std::string_view> names, std::string_view one) {
  return std::find(names.begin(), names.end(), one) != names.end();
}

std::vector<MxName> in_order(std::span<const MxName> mx) {
  std::vector<MxName> sorted(mx.begin(), mx.end());
  std::sort(sorted.begin(), sorted.end(), [](const MxName& a, const MxName& b) {
    return a.preference != b.preference ? a.preference < b.preference : a.host < b.host;
  });
  return sorted;
}

/// FNV-1a: names of queues must come out the same in every release and on every machine.
class Digest {
 public:
  void add(std::string_view text) {
    for (const char c : text) value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  [[nodiscard]] std::string text() const {
    static constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuv";
    static constexpr int kLetters = 8;  // 40 bits: a million sites collide with a chance of one half
    std::string out;
    std::uint64_t rest = value_ ^ value_ >> 32;
    for (int i = 0; i < kLetters; ++i, rest >>= 5) out += kDigits[rest & 31];
    return out;
  }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace

std::vector<std::string_view> best_names(std::span<const MxName> mx) {
  std::vector<std::string_view> out;
  if (mx.empty()) return out;
  const auto best = std::min_element(
      mx.begin(), mx.end(), [](const MxName& a, const MxName& b) { return a.preference < b.preference; });
  for (const MxName& one : mx) {
    if (one.preference == best->preference && !contains(out, one.host)) out.push_back(one.host);
  }
  return out;
}

RollupTable::RollupTable(std::span<const config::MxRollup> lines) {
  for (const config::MxRollup& line : lines) {
    const auto [known, fresh] = by_name_.try_emplace(line.target, targets_.size());
    if (fresh) targets_.push_back({line.target, {}, {}, false});
    Target* const target = &targets_[known->second];
    target->by_ip = target->by_ip || line.by_ip;
    if (line.mx.kind == config::DomainPatternKind::Exact) {
      target->hosts.push_back(line.mx.domain);
    } else {
      target->patterns.push_back(line.mx);
    }
  }
}

const RollupTable::Target* RollupTable::match(std::span<const std::string_view> best) const {
  if (best.empty()) return nullptr;
  for (const Target& target : targets_) {
    const bool all_hosts =
        !target.hosts.empty() &&
        std::ranges::all_of(target.hosts, [best](const std::string& host) { return contains(best, host); });
    const bool any_pattern =
        std::ranges::any_of(target.patterns, [best](const config::DomainPattern& pattern) {
          return std::ranges::any_of(best,
                                     [&pattern](std::string_view host) { return pattern.matches(host); });
        });
    if (all_hosts || any_pattern) return &target;
  }
  return nullptr;
}

const RollupTable::Target* RollupTable::find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : &targets_[found->second];
}

HostList hosts_of(const RollupTable::Target& target) {
  HostList out;
  for (const std::string& host : target.hosts) {
    StaticHost one;
    one.name = host;
    out.hosts.push_back(std::move(one));
  }
  return out;
}

bool served_by(std::span<const std::string_view> best, std::span<const std::string_view> provider_best) {
  return !provider_best.empty() &&
         std::all_of(provider_best.begin(), provider_best.end(),
                     [best](std::string_view host) { return contains(best, host); });
}

std::optional<std::string> site_name(std::string_view domain, std::span<const MxName> mx) {
  static constexpr std::size_t kNameBytesMax = 230;  // a domain of at most 253 bytes with the parts around it
  if (mx.empty()) return std::nullopt;
  const std::vector<MxName> sorted = in_order(mx);
  const std::string_view best = sorted.front().host;
  if (best.empty() || best.size() > kNameBytesMax) return std::nullopt;
  if (best == domain || (best.ends_with(domain) && best.size() > domain.size() &&
                         best[best.size() - domain.size() - 1] == '.')) {
    return std::nullopt;
  }
  Digest digest;
  std::uint16_t preference = sorted.front().preference;
  for (const MxName& one : sorted) {
    // Only the order of preferences counts: 1/5 and 10/20 route alike.
    digest.add(one.preference == preference ? "," : ";");
    digest.add(one.host);
    preference = one.preference;
  }
  return digest.text() + '.' + std::string(best) + std::string(kRollupSuffix);
}

HostList hosts_of(std::span<const MxName> mx) {
  HostList out;
  std::uint16_t group = 0;
  const std::vector<MxName> sorted = in_order(mx);
  for (std::size_t i = 0; i < sorted.size() && out.hosts.size() < HostList::kHostsMax; ++i) {
    if (i > 0 && sorted[i].preference != sorted[i - 1].preference) ++group;
    StaticHost one;
    one.name = sorted[i].host;
    one.group = group;
    out.hosts.push_back(std::move(one));
  }
  return out;
}

}  // namespace sluice::routing
