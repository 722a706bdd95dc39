#pragma once
// Everything a configuration says about senders and recipients at reception, ready for use.

#include <expected>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/config/config.h"
#include "policy/identity/address_set.h"
#include "policy/identity/alias_table.h"
#include "policy/identity/pattern_list.h"
#include "policy/identity/rewrite.h"
#include "policy/identity/selection.h"

namespace sluice::identity {

/// Made once per configuration: regular expressions are compiled here and nowhere on a message's way.
/// Thread: immutable once made. Lifetime: keeps what it was made from alive by `config`.
class Rules {
 public:
  struct Fault {
    config::Origin where;
    std::string why;
  };
  /// Errors: a pattern that does not compile, pattern lists that call each other in a circle, an address file
  /// that was not read.
  [[nodiscard]] static std::expected<std::shared_ptr<const Rules>, Fault> make(
      std::shared_ptr<const config::Config> config);

  [[nodiscard]] const Directory& directory() const { return directory_; }
  [[nodiscard]] const PatternLists& patterns() const { return patterns_; }
  [[nodiscard]] const AliasTable& aliases() const { return aliases_; }
  /// Null: no such list.
  [[nodiscard]] const AddressSet* find_address_set(std::string_view name) const;
  [[nodiscard]] const RewriteList* find_rewrite_list(std::string_view name) const;
  /// The list for mail by way of this virtual MTA, chosen through `pool` or by itself: its own, else the
  /// pool's, else null (then the source's applies).
  [[nodiscard]] const RewriteList* rewrite_list(config::VmtaId vmta,
                                                std::optional<config::PoolId> pool) const;
  /// Header lines (with CRLF) of the global, the pool's and the VMTA's `include-headers-from`, in this order.
  void append_headers(std::string& out, config::VmtaId vmta, std::optional<config::PoolId> pool) const;
  [[nodiscard]] bool has_headers(config::VmtaId vmta, std::optional<config::PoolId> pool) const {
    return !global_headers_.empty() || !vmtas_[vmta.raw()].headers.empty() ||
           (pool && !pools_[pool->raw()].headers.empty());
  }
  /// Names of the virtual MTAs that are warmed up by mail for this one: its own, else the pool's.
  [[nodiscard]] std::span<const std::string> cold(config::VmtaId vmta,
                                                  std::optional<config::PoolId> pool) const {
    const auto& own = config_->vmta(vmta).settings.cold_virtual_mta;
    if (!own.empty() || !pool) return own;
    return config_->pool(*pool).settings.cold_virtual_mta;
  }
  /// Any virtual MTA or pool has cold ones.
  [[nodiscard]] bool warms_up() const { return warms_up_; }
  /// May anybody send to this address? (`relay-domain`, `relay-address`, names of this host)
  [[nodiscard]] bool is_relayed(std::string_view address, std::string_view domain) const;

 private:
  struct OfIdentity {
    const RewriteList* rewrite = nullptr;
    std::string headers;
  };
  std::shared_ptr<const config::Config> config_;
  Directory directory_;
  PatternLists patterns_;
  AliasTable aliases_;
  std::vector<AddressSet> address_sets_;
  std::unordered_map<std::string, std::size_t> address_set_names_, rewrite_names_;  // in lower case
  std::vector<RewriteList> rewrite_lists_;
  std::vector<OfIdentity> vmtas_;  // by VmtaId
  std::vector<OfIdentity> pools_;  // by PoolId
  std::string global_headers_;
  bool warms_up_ = false;
  std::vector<Pattern> relay_patterns_;
};

}  // namespace sluice::identity
