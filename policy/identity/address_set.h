#pragma once
// `<address-list>`: a set of addresses, for suppression and for report processors.

#include <expected>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "policy/classify/pattern.h"
#include "policy/settings/blocks.h"

namespace sluice::identity {

/// One list, ready for look-ups. Local parts, addresses and domains compare without case.
/// Thread: immutable once made. Cost: three hash probes and the regular expressions one by one (PowerMTA
/// advises at most 500 of them).
class AddressSet {
 public:
  struct Fault {
    config::Origin where;
    std::string why;
  };
  /// `text_of_file`: contents of an `address-file`, or nullptr when it was not read.
  [[nodiscard]] static std::expected<AddressSet, Fault> make(
      const config::AddressList& list,
      const std::function<const std::string*(const std::string& path)>& text_of_file);

  [[nodiscard]] const std::string& name() const { return name_; }
  /// `address`: local@domain.
  [[nodiscard]] bool holds(std::string_view address) const;
  [[nodiscard]] std::size_t size() const {
    return exact_.size() + patterns_.size() + domain_patterns_.size();
  }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  void add_line(std::string_view line);
  std::string name_;
  std::unordered_set<std::string, Hash, std::equal_to<>> exact_;  // lower case: "a@d", "a", "@d"
  std::vector<config::DomainPattern> domain_patterns_;            // those that name more than one domain
  std::vector<Pattern> patterns_;
};

}  // namespace sluice::identity
