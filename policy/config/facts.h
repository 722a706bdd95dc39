#pragma once
// What a configuration says about the host it runs on, held against the host. Policy asks, whoever can look
// answers.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/ip_address.h"
#include "policy/config/config.h"

namespace sluice::config {

/// What is known about a file or folder a directive names.
struct FileFact {
  enum class Kind : std::uint8_t { Missing, Unreadable, File, Folder };
  Kind kind = Kind::File;
  bool writable = false;  ///< by the process that asks
};

/// What is known about a private key.
struct KeyFact {
  enum class Kind : std::uint8_t { Rsa, Ed25519, Other, Encrypted, NotAKey };
  Kind kind = Kind::NotAKey;
  std::uint32_t bits = 0;  ///< of an RSA key
};

/// Thread: called only during check_host, by its thread. Answers may take seconds (DNS).
class HostFacts {
 public:
  virtual ~HostFacts() = default;
  [[nodiscard]] virtual FileFact file(const std::string& path) = 0;
  /// The key in a file that file() called readable.
  [[nodiscard]] virtual KeyFact key(const std::string& path) = 0;
  /// Addresses of the host's interfaces; empty when they cannot be found out.
  [[nodiscard]] virtual std::vector<IpAddress> local_addresses() = 0;
  /// For each name: has an address, has none, or nobody could tell in time. `servers` are asked for all at once; when
  /// there are none, those of the host.
  enum class Resolves : std::uint8_t { Yes, No, Unknown };
  [[nodiscard]] virtual std::vector<Resolves> resolve(std::span<const std::string> names,
                                                      std::span<const Endpoint> servers) = 0;
  /// Whether this process is root, as a daemon it starts would be.
  [[nodiscard]] virtual bool is_root() = 0;
  [[nodiscard]] virtual bool has_user(const std::string& name) = 0;
  /// What is wrong with a regular expression; nothing when it compiles.
  [[nodiscard]] virtual std::optional<std::string> regex_error(std::string_view pattern) = 0;
};

/// Whom a daemon becomes with `run-as-root no`, the first that the host knows: PowerMTA's user, then that of our own
/// packages.
inline const std::vector<std::string> kRunAsUsers{"pmta", "sluice"};

/// Errors for regular expressions that do not compile. `files` is asked for the lines to quote.
[[nodiscard]] std::vector<Diagnostic> check_regexes(const Config& config, HostFacts& facts, FileSource& files);

/// Warnings about files, keys, addresses and EHLO names; errors where a start on this host would be refused. `files` as
/// above.
[[nodiscard]] std::vector<Diagnostic> check_host(const Config& config, HostFacts& facts, FileSource& files);

}  // namespace sluice::config
