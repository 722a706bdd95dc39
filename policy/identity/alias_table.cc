#include "policy/identity/alias_table.h"

#include <algorithm>

#include "policy/base/ascii.h"

namespace sluice::identity {

AliasTable::AliasTable(const config::GlobalSettings& global) {
  for (const std::string& host : global.host_name) local_domains_.push_back(to_lower(host));
  for (const config::Alias& one : global.alias) {
    auto& destinations = by_source_[to_lower(one.source)];
    destinations.insert(destinations.end(), one.destinations.begin(), one.destinations.end());
  }
  if (global.postmaster.empty() || local_domains_.empty()) return;
  for (const char* name : {"postmaster", "abuse"}) by_source_.try_emplace(name, global.postmaster);
}

bool AliasTable::is_local(std::string_view domain) const {
  return std::ranges::find(local_domains_, domain) != local_domains_.end();
}

const std::vector<std::string>* AliasTable::find(std::string_view address) const {
  const std::string lower = to_lower(address);
  if (const auto found = by_source_.find(lower); found != by_source_.end()) return &found->second;
  const std::size_t at = lower.rfind('@');
  if (at == std::string::npos) return nullptr;
  if (is_local(std::string_view(lower).substr(at + 1))) {
    if (const auto found = by_source_.find(lower.substr(0, at)); found != by_source_.end())
      return &found->second;
  }
  const auto found = by_source_.find('*' + lower.substr(at));
  return found == by_source_.end() ? nullptr : &found->second;
}

void AliasTable::follow(std::string_view address, std::size_t depth, std::vector<std::string>& seen,
                        std::vector<std::string>& out) const {
  const auto known = [](const std::vector<std::string>& list, std::string_view one) {
    return std::ranges::any_of(list, [one](const std::string& other) { return iequals(one, other); });
  };
  const bool again = known(seen, address);
  const std::vector<std::string>* destinations = again || depth >= kDepthMax ? nullptr : find(address);
  if (destinations == nullptr) {
    if (out.size() < kDestinationsMax && !known(out, address)) out.emplace_back(address);
    return;
  }
  seen.emplace_back(address);
  for (const std::string& one : *destinations) follow(one, depth + 1, seen, out);
}

std::vector<std::string> AliasTable::expand(std::string_view address) const {
  std::vector<std::string> out;
  if (by_source_.empty() || find(address) == nullptr) return out;
  std::vector<std::string> seen;
  follow(address, 0, seen, out);
  return out;
}

}  // namespace sluice::identity
