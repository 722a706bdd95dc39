// What is said to somebody whose words match nothing: what there is, and what they mean.
#include <algorithm>

#include "engine/shard/node.h"
#include "policy/base/wildcard.h"

namespace sluice::shard {

/// Up to a few queues of the domain of `pattern`, in words; empty: there are none, or the pattern names a virtual MTA.
runtime::Task<std::string> Node::empty_hint(std::string pattern) {
  static constexpr std::size_t kNamed = 5;
  if (pattern.find('/') != std::string::npos || pattern == "*") co_return std::string();
  std::vector<std::string> names;
  co_await walk_queues(pattern + "/*", {}, [&names](QueueRow&& row) {
    names.push_back(std::move(row.name));
    return names.size() <= kNamed;
  });
  if (names.empty()) co_return std::string();
  std::sort(names.begin(), names.end());
  std::string out = pattern + " means " + pattern + "/{default}; there are ";
  for (std::size_t i = 0; i < std::min(kNamed, names.size()); ++i) out += (i == 0 ? "" : ", ") + names[i];
  co_return out + (names.size() > kNamed ? ", ..." : "") + " (" + pattern + "/* means all)\n";
}

runtime::Task<std::string> Node::no_queue_text(std::string pattern) {
  const std::string hint = co_await empty_hint(pattern);
  if (!hint.empty()) co_return "no queue matches \"" + pattern + "\": " + hint;
  std::string out = "no queue matches \"" + pattern + '"';
  const std::size_t slash = pattern.find('/');
  const std::string vmta = slash == std::string::npos ? std::string() : pattern.substr(slash + 1);
  if (!vmta.empty() && vmta.find('*') == std::string::npos && !snapshot_->config->find_vmta(vmta)) {
    out += snapshot_->config->find_pool(vmta)
               ? ": " + vmta + " is a pool; queues have the name of its virtual MTAs"
               : ": there is no virtual MTA \"" + vmta + '"';
  }
  co_return out + '\n';
}

/// Why nothing that `pattern` means sends from `address`; empty: something does.
std::string Node::strange_source(const IpAddress& address, std::string_view pattern) const {
  static constexpr std::size_t kNamed = 5;
  const std::size_t slash = pattern.find('/');
  const std::string_view vmtas = pattern == "*"                    ? "*"
                                 : slash == std::string_view::npos ? "{default}"
                                                                   : pattern.substr(slash + 1);
  std::vector<std::string> elsewhere, here;
  for (const queue::Identity& one : snapshot_->identities) {
    const bool is_meant = matches_wildcard(vmtas, one.name);
    for (const queue::SourceAddress& source : one.sources) {
      const bool is_it = source.address ? *source.address == address : address.text() == "0.0.0.0";
      if (is_it && is_meant) return {};
      if (is_it) elsewhere.push_back(one.name);
      if (is_meant && source.address && here.size() < kNamed) here.push_back(source.address->text());
    }
  }
  const auto listed = [](const std::vector<std::string>& names) {
    std::string out;
    for (std::size_t i = 0; i < std::min(kNamed, names.size()); ++i) out += (i == 0 ? "" : ", ") + names[i];
    return out;
  };
  const std::string from = address.text() + ": no queue of " + std::string(pattern) + " sends from it";
  if (!elsewhere.empty()) return from + "; it belongs to " + listed(elsewhere) + '\n';
  if (here.empty()) return from + "; the system chooses their address, which is 0.0.0.0 here\n";
  return from + "; they have " + listed(here) + '\n';
}

}  // namespace sluice::shard
