#include "bench/provider/directory.h"

#include "bench/lib/hash.h"

namespace sluice::bench {

Directory::Directory(const Internet& internet) : internet_(internet) {
  for (std::uint32_t index = 0; index < internet.providers.size(); ++index) {
    const Provider& provider = internet.providers[index];
    for (const DomainPattern& pattern : provider.domains) add_domain(pattern, index);
    if (provider.any_domain && !any_) any_ = index;
    for (const MxHost& mx : provider.mx) {
      auto& addresses = hosts_[mx.name];
      for (const Endpoint& at : mx.addresses) addresses.push_back(at.address);
      add_above(mx.name);
    }
  }
  for (const DnsRecord& record : internet.records) {
    records_[record.name].push_back(&record);
    add_above(record.name);
  }
}

void Directory::add_domain(const DomainPattern& pattern, std::uint32_t provider) {
  if (pattern.kind() == DomainPattern::Kind::Below) {
    below_.try_emplace(std::string(pattern.below()), provider);
    add_above(std::string("x.") + std::string(pattern.below()));
    return;
  }
  const NameRange& range = pattern.range();
  add_above(range.name(0));
  if (range.is_single()) {
    single_.try_emplace(range.name(0), provider);
  } else {
    ranges_.emplace_back(range, provider);
  }
}

void Directory::add_above(std::string_view name) {
  for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
    name.remove_prefix(dot + 1);
    above_.emplace(name);
  }
}

std::optional<std::uint32_t> Directory::named_provider_of(std::string_view domain) const {
  if (const auto found = single_.find(domain); found != single_.end()) return found->second;
  for (const auto& [range, provider] : ranges_) {
    if (range.contains(domain)) return provider;
  }
  if (below_.empty()) return std::nullopt;
  for (std::size_t dot = domain.find('.'); dot != std::string_view::npos; dot = domain.find('.')) {
    domain.remove_prefix(dot + 1);
    if (const auto found = below_.find(domain); found != below_.end()) return found->second;
  }
  return std::nullopt;
}

std::optional<std::uint32_t> Directory::provider_of(std::string_view domain) const {
  const auto named = named_provider_of(domain);
  return named ? named : any_;
}

const std::vector<IpAddress>* Directory::host(std::string_view name) const {
  const auto found = hosts_.find(name);
  return found == hosts_.end() ? nullptr : &found->second;
}

const std::vector<const DnsRecord*>* Directory::records(std::string_view name) const {
  const auto found = records_.find(name);
  return found == records_.end() ? nullptr : &found->second;
}

const DnsFault* Directory::fault(std::string_view name, std::uint64_t draw) const {
  for (std::size_t i = 0; i < internet_.faults.size(); ++i) {
    const DnsFault& fault = internet_.faults[i];
    if (!fault.names.matches(name)) continue;
    if (falls_into(mix(draw, i), fault.share)) return &fault;
  }
  return nullptr;
}

}  // namespace sluice::bench
