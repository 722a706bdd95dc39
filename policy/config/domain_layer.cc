#include "policy/config/domain_layer.h"

#include <algorithm>

#include "policy/base/ascii.h"

namespace sluice::config {

void DomainLayer::add(const DomainPattern& pattern, std::uint32_t block, bool from_macro) {
  Ref ref{block, from_macro, pattern.kind == DomainPatternKind::Subdomains};
  switch (pattern.kind) {
    case DomainPatternKind::Any: any_.push_back(ref); break;
    case DomainPatternKind::Exact: exact_[pattern.domain].push_back(ref); break;
    case DomainPatternKind::Subdomains:
    case DomainPatternKind::DomainAndSubdomains: suffix_[pattern.domain].push_back(ref); break;
    case DomainPatternKind::AddressLiteral:
      literals_[pattern.literals->prefix_bits()][pattern.literals->address()].push_back(ref);
      break;
  }
}

void DomainLayer::seal() {
  const auto before = [](const Ref& a, const Ref& b) {
    return a.from_macro != b.from_macro ? a.from_macro : a.block < b.block;
  };
  std::sort(any_.begin(), any_.end(), before);
  for (auto& [name, refs] : exact_) std::sort(refs.begin(), refs.end(), before);
  for (auto& [name, refs] : suffix_) std::sort(refs.begin(), refs.end(), before);
  for (auto& [bits, networks] : literals_) {
    for (auto& [address, refs] : networks) std::sort(refs.begin(), refs.end(), before);
  }
}

void DomainLayer::append(const std::vector<Ref>& refs, bool whole_name,
                         std::vector<const DomainBlock*>& out) const {
  for (const Ref& ref : refs) {
    if (!(whole_name && ref.subdomains_only)) out.push_back(&blocks[ref.block]);
  }
}

/// Wider networks first.
void DomainLayer::append_literals(const IpAddress& address, std::vector<const DomainBlock*>& out) const {
  for (const auto& [bits, networks] : literals_) {
    if (bits > address.bit_count()) break;
    const auto found = networks.find(Cidr(address, bits).address());
    if (found != networks.end()) append(found->second, false, out);
    // 0/0 holds IPv6 addresses, too.
    const auto all = bits == 0 && !address.is_v4() ? networks.find(IpAddress()) : networks.end();
    if (all != networks.end()) append(all->second, false, out);
  }
}

void DomainLayer::collect(std::string_view domain, std::vector<const DomainBlock*>& out) const {
  if (blocks.empty()) return;
  append(any_, false, out);
  if (!suffix_.empty()) {
    // "a.b.c": c, b.c, a.b.c.
    std::size_t begin = domain.size();
    while (begin > 0) {
      const std::size_t dot = domain.rfind('.', begin - 1);
      begin = dot == std::string_view::npos ? 0 : dot;
      const std::string_view suffix = domain.substr(begin == 0 && dot != 0 ? 0 : begin + 1);
      const auto it = suffix_.find(suffix);
      if (it != suffix_.end()) append(it->second, suffix.size() == domain.size(), out);
    }
  }
  if (!literals_.empty() && domain.size() > 2 && domain.front() == '[' && domain.back() == ']') {
    std::string_view inner = domain.substr(1, domain.size() - 2);
    if (istarts_with(inner, "ipv6:")) inner.remove_prefix(5);
    if (const auto address = IpAddress::parse(inner)) append_literals(*address, out);
  }
  const auto it = exact_.find(domain);
  if (it != exact_.end()) append(it->second, false, out);
}

}  // namespace sluice::config
