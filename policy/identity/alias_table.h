#pragma once
// `alias SRC DST[,DST]`, and where mail for the postmaster of this host goes.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/settings/global_settings.h"

namespace sluice::identity {

/// Where mail for an address goes instead. `a@d` is looked up first, then `a` for domains that are this
/// host's (`host-name`), then `*@d`. Destinations may be aliases themselves. `postmaster` and `abuse` of this
/// host's names go to the `postmaster` addresses unless an alias says otherwise. Thread: immutable once made.
/// Limits: kDepthMax aliases in a row, kDestinationsMax addresses one address becomes; what is beyond is not
/// followed.
class AliasTable {
 public:
  static constexpr std::size_t kDepthMax = 10;
  static constexpr std::size_t kDestinationsMax = 1000;

  AliasTable() = default;
  explicit AliasTable(const config::GlobalSettings& global);

  /// Nothing is aliased at all: nobody needs to ask.
  [[nodiscard]] bool empty() const { return by_source_.empty(); }
  /// The addresses that take the place of `address`, each once; empty: it stays as it is. An alias that leads
  /// back to itself keeps the address: `joe@x` to `joe@x, archive@y` delivers to both.
  [[nodiscard]] std::vector<std::string> expand(std::string_view address) const;

 private:
  [[nodiscard]] const std::vector<std::string>* find(std::string_view address) const;
  void follow(std::string_view address, std::size_t depth, std::vector<std::string>& seen,
              std::vector<std::string>& out) const;
  [[nodiscard]] bool is_local(std::string_view domain) const;
  std::vector<std::string> local_domains_;                               // lower case
  std::unordered_map<std::string, std::vector<std::string>> by_source_;  // lower case: "a@d", "a", "*@d"
};

}  // namespace sluice::identity
