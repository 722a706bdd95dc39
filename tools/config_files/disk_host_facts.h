#pragma once

#include "policy/base/units.h"
#include "policy/config/facts.h"

namespace sluice::tools {

/// The facts of the machine this process runs on.
/// Thread: one. Limits: names that have not resolved after kResolveTime together count as unknown.
class DiskHostFacts : public config::HostFacts {
 public:
  static constexpr Duration kResolveTime = 5s;
  [[nodiscard]] config::FileFact file(const std::string& path) override;
  [[nodiscard]] config::KeyFact key(const std::string& path) override;
  [[nodiscard]] std::vector<IpAddress> local_addresses() override;
  [[nodiscard]] std::vector<Resolves> resolve(std::span<const std::string> names,
                                              std::span<const Endpoint> servers) override;
  [[nodiscard]] bool is_root() override;
  [[nodiscard]] bool has_user(const std::string& name) override;
  [[nodiscard]] std::optional<std::string> regex_error(std::string_view pattern) override;
};

}  // namespace sluice::tools
