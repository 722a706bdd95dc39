#include "policy/identity/rewrite.h"

#include "policy/base/ascii.h"

namespace sluice::identity {
namespace {

/// "a@b" cut at its last '@'; "<>" and addresses without '@' have no domain.
std::pair<std::string_view, std::string_view> parts_of(std::string_view address) {
  const std::size_t at = address.rfind('@');
  if (at == std::string_view::npos) return {};
  return {address.substr(0, at), address.substr(at + 1)};
}

bool fits(std::string_view pattern, std::string_view part) {
  return pattern == "*" || iequals(pattern, part);
}

}  // namespace

RewriteList::RewriteList(const config::RewriteList& list) {
  for (const config::RewriteRule& rule : list.rules) {
    if (rule.kind == config::RewriteRule::Kind::FromDomain) {
      if (auto pattern = config::DomainPattern::parse(rule.source)) {
        from_domains_.push_back({std::move(*pattern), rule.destination});
      }
      continue;
    }
    const auto [local, domain] = parts_of(rule.source);
    const auto [new_local, new_domain] = parts_of(rule.destination);
    mail_froms_.push_back(
        {std::string(local), std::string(domain), std::string(new_local), std::string(new_domain)});
  }
}

std::optional<std::string> RewriteList::mail_from(std::string_view sender) const {
  const auto [local, domain] = parts_of(sender);
  for (const MailFrom& rule : mail_froms_) {
    // The null sender has no parts that `*` could stand for.
    if (sender.empty() ? !rule.domain.empty()
                       : rule.domain.empty() || !fits(rule.local, local) || !fits(rule.domain, domain)) {
      continue;
    }
    if (rule.new_domain.empty()) return std::string();
    std::string out(rule.new_local == "*" ? local : std::string_view(rule.new_local));
    out += '@';
    out += rule.new_domain == "*" ? domain : std::string_view(rule.new_domain);
    return out;
  }
  return std::nullopt;
}

std::string_view RewriteList::from_domain(std::string_view domain) const {
  if (from_domains_.empty()) return {};
  const std::string lower = to_lower(domain);
  for (const FromDomain& rule : from_domains_) {
    if (rule.pattern.matches(lower)) return rule.domain;
  }
  return {};
}

}  // namespace sluice::identity
