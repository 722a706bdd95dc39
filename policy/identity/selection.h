#pragma once
// Which virtual MTA or pool a message goes by (reference: PowerMTA 5 user's guide, selection of virtual
// MTAs).

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>

#include "policy/settings/blocks.h"

namespace sluice::identity {

/// A virtual MTA, a pool of them, or the one that owns the address the client connected to
/// (`by-smtp-source-ip`).
struct ByLocalAddress {
  friend bool operator==(ByLocalAddress, ByLocalAddress) = default;
};
using Target = std::variant<config::VmtaId, config::PoolId, ByLocalAddress>;

/// Virtual MTAs and pools by name, without case and without building a key.
/// Thread: immutable once made. Lifetime: views the names it was made from.
class Directory {
 public:
  Directory() = default;
  Directory(std::span<const config::Vmta> vmtas, std::span<const config::Pool> pools);
  /// A pool without members is none.
  [[nodiscard]] std::optional<Target> find(std::string_view name) const;

 private:
  struct Hash {
    std::size_t operator()(std::string_view name) const noexcept;
  };
  struct Equal {
    bool operator()(std::string_view a, std::string_view b) const noexcept;
  };
  std::unordered_map<std::string_view, Target, Hash, Equal> by_name_;
};

/// Where a name came from, strongest first.
enum class Rank : std::uint8_t {
  MergeVariable,  ///< `*vmta`
  Header,         ///< x-virtual-mta
  PatternList,    ///< of the source
  Listener,       ///< default of the listener itself
  Source,         ///< `default-virtual-mta` of the named source, else of the client's address
  Default,        ///< {default}
};

/// Everything that may name a virtual MTA for one message. Absent and empty differ for the header only: a
/// header without value is a name that must be judged.
struct Bids {
  std::optional<std::string_view> merge_variable;
  std::optional<std::string_view> header;  ///< only with process-x-virtual-mta
  std::string_view pattern;                ///< empty: no line of the list named one
  std::string_view listener;               ///< empty: none
  std::string_view source;                 ///< empty: none
};

struct Bid {
  Rank rank = Rank::Default;
  std::string_view name;
};
[[nodiscard]] Bid strongest(const Bids& bids);

struct SelectionRules {
  bool reject_invalid = true;  ///< reject-invalid-virtual-mta
  bool allow_empty = false;    ///< allow-empty-x-virtual-mta
  std::string_view fallback;   ///< invalid-virtual-mta-fallback; empty: {default}
};

/// Why a message is refused, as an SMTP reply.
struct Refusal {
  std::uint16_t code = 554;
  std::string text;
};

/// Errors: the name does not exist and unknown names are refused.
[[nodiscard]] std::expected<Target, Refusal> select(const Bid& bid, const SelectionRules& rules,
                                                    const Directory& directory);

}  // namespace sluice::identity
