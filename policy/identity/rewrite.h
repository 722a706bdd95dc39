#pragma once
// `<rewrite-list>`: another envelope sender, another domain in the From header.

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/settings/blocks.h"

namespace sluice::identity {

/// One list, ready for use. The first rule of its kind that fits decides.
/// Thread: immutable once made.
class RewriteList {
 public:
  RewriteList() = default;
  explicit RewriteList(const config::RewriteList& list);

  /// The new envelope sender; "" is the null sender. Nothing: no rule fits, the sender stays.
  /// `sender`: local@domain, or empty. Domains compare without case, local parts too: a rule is written by a
  /// human.
  [[nodiscard]] std::optional<std::string> mail_from(std::string_view sender) const;
  /// The new domain for addresses of `domain` in the From header; empty: it stays.
  [[nodiscard]] std::string_view from_domain(std::string_view domain) const;
  [[nodiscard]] bool changes_from_header() const { return !from_domains_.empty(); }

 private:
  struct MailFrom {
    std::string local, domain;          // "*": any; both empty: the null sender
    std::string new_local, new_domain;  // "*": that part of the sender; both empty: the null sender
  };
  struct FromDomain {
    config::DomainPattern pattern;
    std::string domain;
  };
  std::vector<MailFrom> mail_froms_;
  std::vector<FromDomain> from_domains_;
};

}  // namespace sluice::identity
