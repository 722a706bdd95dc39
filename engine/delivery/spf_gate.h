#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "engine/authentication/sender_checks.h"
#include "policy/base/ip_address.h"

namespace sluice::delivery {

/// `check-spf-outbound`: may mail of a sender leave from this address? Says the SPF record of the sender's
/// domain. One answer serves all senders of a domain, unless its record has macros for the local part: then
/// each sender has his own. Thread: one shard. Lifetime: `resolver` outlives it; no ask() under way at
/// destruction. Limits: kEntriesMax answers are remembered, for kKeptFor at most (DNS below has its own
/// times).
class SpfGate {
 public:
  static constexpr Duration kKeptFor = 60s;
  static constexpr std::size_t kEntriesMax = 8192;

  struct Verdict {
    spf::Result result = spf::Result::Pass;
    std::string why;       ///< of everything but Pass: for the accounting record
    bool stopped = false;  ///< nothing was found out, somebody ended the check
  };
  /// What receivers see of us.
  struct Exit {
    std::string_view helo;
    IpAddress address;
  };

  SpfGate(runtime::Reactor& reactor, resolver::Resolver& resolver) : reactor_(reactor), resolver_(resolver) {}
  SpfGate(const SpfGate&) = delete;
  SpfGate& operator=(const SpfGate&) = delete;

  /// Null: not known, ask(). `sender` without brackets; empty: the null path, then the HELO name counts.
  /// Valid until the next ask() of anybody goes on.
  [[nodiscard]] const Verdict* find(std::string_view sender, const Exit& exit) const;
  /// Limits: authentication::kCheckTimeMax. Lifetime: `stop` and the name in `exit` outlive the task.
  [[nodiscard]] runtime::Task<Verdict> ask(std::string sender, Exit exit, resolver::LookupStop& stop);

 private:
  struct Entry {
    Verdict verdict;
    bool of_one_sender = false;  // of a domain: look for the sender's own
    MonoTime until{};
  };
  [[nodiscard]] const Entry* find_key(const std::string& key) const;
  void keep(std::string key, Entry entry);

  runtime::Reactor& reactor_;
  resolver::Resolver& resolver_;
  std::unordered_map<std::string, Entry> known_;  // by domain_key(), or sender_key()
};

}  // namespace sluice::delivery
