#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/settings/values.h"

namespace sluice::config {

/// One line of a block that is applied later: `row` indexes the directive table, `value` has been checked.
struct Assignment {
  std::uint32_t row = 0;
  std::string value;
  Origin origin;
};

/// One `<domain X>` block as written.
struct DomainBlock {
  std::string expression;  ///< "gmail.com", "$hotmail", "yahoo.$tld"
  std::string where;       ///< "<domain gmail.com> in <virtual-mta a>": for explanations
  std::vector<Assignment> assignments;
  Origin origin;
};

/// All `<domain>` blocks of one scope (global, one VMTA, one pool), indexed by their patterns.
/// Thread: immutable once filled. Order of collect(): `*`, then suffixes from short to long, then the domain
/// itself; among equals macro expansions before literals, then file order.
class DomainLayer {
 public:
  /// Blocks live as long as the layer and keep their address once seal() was called.
  std::vector<DomainBlock> blocks;

  /// Registers a pattern of `blocks[block]`.
  void add(const DomainPattern& pattern, std::uint32_t block, bool from_macro);
  /// Sorts; call once after the last add().
  void seal();
  /// Appends the blocks that apply to `domain` (lower case), from general to specific.
  void collect(std::string_view domain, std::vector<const DomainBlock*>& out) const;
  [[nodiscard]] bool empty() const { return blocks.empty(); }

 private:
  struct Ref {
    std::uint32_t block = 0;
    bool from_macro = false;
    bool subdomains_only = false;
  };
  struct Hash {
    using is_transparent = void;
    [[nodiscard]] std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  using Index = std::unordered_map<std::string, std::vector<Ref>, Hash, std::equal_to<>>;
  void append(const std::vector<Ref>& refs, bool whole_name, std::vector<const DomainBlock*>& out) const;
  void append_literals(const IpAddress& address, std::vector<const DomainBlock*>& out) const;

  std::vector<Ref> any_;
  Index exact_;
  Index suffix_;
  /// By the length of the prefix.
  std::map<unsigned, std::map<IpAddress, std::vector<Ref>>> literals_;
};

}  // namespace sluice::config
