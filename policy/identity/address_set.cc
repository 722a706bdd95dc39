#include "policy/identity/address_set.h"

#include <algorithm>

#include "policy/base/ascii.h"

namespace sluice::identity {

std::expected<AddressSet, AddressSet::Fault> AddressSet::make(
    const config::AddressList& list,
    const std::function<const std::string*(const std::string& path)>& text_of_file) {
  AddressSet out;
  out.name_ = list.name;
  for (const config::AddressEntry& entry : list.entries) {
    switch (entry.kind) {
      case config::AddressEntry::Kind::LocalPart:
      case config::AddressEntry::Kind::Address: out.exact_.insert(to_lower(entry.text)); break;
      case config::AddressEntry::Kind::Domain: {
        const auto pattern = config::DomainPattern::parse(entry.text);
        if (!pattern)
          return std::unexpected(Fault{entry.origin, '"' + entry.text + "\" is not a domain pattern"});
        if (pattern->kind == config::DomainPatternKind::Exact) {
          out.exact_.insert('@' + pattern->domain);
        } else {
          out.domain_patterns_.push_back(*pattern);
        }
        break;
      }
      case config::AddressEntry::Kind::Regex: {
        auto pattern = Pattern::compile(entry.text);
        if (!pattern) return std::unexpected(Fault{entry.origin, "address: " + pattern.error()});
        out.patterns_.push_back(std::move(*pattern));
        break;
      }
      case config::AddressEntry::Kind::File: {
        const std::string* text = text_of_file(entry.text);
        if (text == nullptr)
          return std::unexpected(Fault{entry.origin, "cannot read address-file " + entry.text});
        for (std::string_view rest = *text; !rest.empty();) {
          const std::size_t end = std::min(rest.find('\n'), rest.size());
          out.add_line(rest.substr(0, end));
          rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        break;
      }
    }
  }
  return out;
}

void AddressSet::add_line(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  line = trim(line);
  if (!line.empty() && line.front() != '#') exact_.insert(to_lower(line));
}

bool AddressSet::holds(std::string_view address) const {
  const std::string lower = to_lower(address);
  const std::string_view text = lower;
  if (exact_.contains(text)) return true;
  const std::size_t at = text.rfind('@');
  if (at != std::string_view::npos) {
    if (exact_.contains(text.substr(0, at)) || exact_.contains(text.substr(at))) return true;
    const std::string_view domain = text.substr(at + 1);
    const auto fits = [domain](const config::DomainPattern& one) { return one.matches(domain); };
    if (std::ranges::any_of(domain_patterns_, fits)) return true;
  }
  return std::ranges::any_of(patterns_, [address](const Pattern& one) { return one.matches(address); });
}

}  // namespace sluice::identity
