#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "bench/provider/provider.h"

namespace sluice::bench {

/// Lets unordered containers of strings be asked with views.
struct TextHash {
  using is_transparent = void;
  [[nodiscard]] std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

/// Finds what an Internet says about a name. A range of 100,000 domains costs as much as one domain.
/// Thread: any, it never changes. Lifetime: borrows the Internet.
/// Names: lower case, without final dot.
class Directory {
 public:
  explicit Directory(const Internet& internet);

  /// The provider that `domain` belongs to: a single name before a range, a range before "*.below" (the longest), and
  /// a provider with any-domain last. Index into Internet::providers.
  [[nodiscard]] std::optional<std::uint32_t> provider_of(std::string_view domain) const;
  /// As provider_of(), but only what DNS should know: any-domain has no names.
  [[nodiscard]] std::optional<std::uint32_t> named_provider_of(std::string_view domain) const;
  /// The addresses of a mail host. nullptr: no such host.
  [[nodiscard]] const std::vector<IpAddress>* host(std::string_view name) const;
  /// Records given by hand for `name`. nullptr: none.
  [[nodiscard]] const std::vector<const DnsRecord*>* records(std::string_view name) const;
  /// True when a name below `name` exists (an "empty non-terminal": no data, but no NXDOMAIN).
  [[nodiscard]] bool is_above(std::string_view name) const { return above_.contains(name); }
  /// The first fault for `name` whose share takes `draw` in.
  [[nodiscard]] const DnsFault* fault(std::string_view name, std::uint64_t draw) const;
  [[nodiscard]] const Internet& internet() const { return internet_; }

 private:
  template <class Value>
  using ByName = std::unordered_map<std::string, Value, TextHash, std::equal_to<>>;
  void add_domain(const DomainPattern& pattern, std::uint32_t provider);
  void add_above(std::string_view name);

  const Internet& internet_;
  ByName<std::uint32_t> single_;
  ByName<std::uint32_t> below_;
  std::vector<std::pair<NameRange, std::uint32_t>> ranges_;
  std::optional<std::uint32_t> any_;
  ByName<std::vector<IpAddress>> hosts_;
  ByName<std::vector<const DnsRecord*>> records_;
  std::unordered_set<std::string, TextHash, std::equal_to<>> above_;
};

}  // namespace sluice::bench
