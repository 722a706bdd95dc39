#include "policy/identity/selection.h"

#include "policy/base/ascii.h"

namespace sluice::identity {

std::size_t Directory::Hash::operator()(std::string_view name) const noexcept {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325u;  // FNV-1a over lower case
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(to_lower(c))) * 0x100'0000'01b3u;
  return hash;
}

bool Directory::Equal::operator()(std::string_view a, std::string_view b) const noexcept {
  return iequals(a, b);
}

Directory::Directory(std::span<const config::Vmta> vmtas, std::span<const config::Pool> pools) {
  for (const config::Vmta& one : vmtas) by_name_.emplace(one.name, one.id);
  for (const config::Pool& one : pools) {
    if (!one.settings.members.empty()) by_name_.emplace(one.name, one.id);
  }
  by_name_.emplace(config::kDefaultVmtaName, config::kDefaultVmta);
}

std::optional<Target> Directory::find(std::string_view name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? std::nullopt : std::optional(found->second);
}

Bid strongest(const Bids& bids) {
  if (bids.merge_variable) return {Rank::MergeVariable, *bids.merge_variable};
  if (bids.header) return {Rank::Header, *bids.header};
  if (!bids.pattern.empty()) return {Rank::PatternList, bids.pattern};
  if (!bids.listener.empty()) return {Rank::Listener, bids.listener};
  if (!bids.source.empty()) return {Rank::Source, bids.source};
  return {Rank::Default, config::kDefaultVmtaName};
}

std::expected<Target, Refusal> select(const Bid& bid, const SelectionRules& rules,
                                      const Directory& directory) {
  const bool from_message = bid.rank == Rank::MergeVariable || bid.rank == Rank::Header;
  if (from_message && bid.name.empty() && rules.allow_empty) return config::kDefaultVmta;
  if (const auto found = directory.find(bid.name)) return *found;
  if (!from_message && iequals(bid.name, "by-smtp-source-ip")) return ByLocalAddress{};
  if (rules.reject_invalid) {
    if (bid.name.empty()) return std::unexpected(Refusal{554, "5.5.0 x-virtual-mta header is empty"});
    return std::unexpected(
        Refusal{554, "5.5.0 specified Virtual MTA '" + std::string(bid.name) + "' does not exist"});
  }
  if (const auto found = directory.find(rules.fallback)) return *found;
  return config::kDefaultVmta;
}

}  // namespace sluice::identity
