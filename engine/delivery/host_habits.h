#pragma once
// What was learned about single mail hosts, beyond what they say of themselves.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "policy/base/ip_address.h"
#include "policy/base/units.h"

namespace sluice::delivery {

/// Remembers, for connections to come, which hosts cannot be spoken to as they offer, and where the search for
/// a host that answers goes on.
/// Thread:   one shard. Not durable: a restart learns anew.
/// Limits:   kHostsMax of either; what is learned beyond takes the place of something older.
/// Cost:     one lookup a connection.
class HostHabits {
 public:
  static constexpr std::size_t kHostsMax = 4096;
  static constexpr Duration kKept = std::chrono::hours(6);

  struct Habits {
    bool no_chunking = false;    ///< offers CHUNKING, and BDAT does not work
    bool no_pipelining = false;  ///< its replies were out of step with our commands
  };
  [[nodiscard]] Habits of(const Endpoint& host, MonoTime now) const;
  /// Adds to what is known of `host`.
  void note(const Endpoint& host, Habits habits, MonoTime now);

  /// A run of `queue` has tried as many hosts as mx-connection-attempts allows; the next one begins with
  /// `host`. Nothing: with the best one again.
  void go_on_with(std::string_view queue, std::optional<Endpoint> host);
  [[nodiscard]] std::optional<Endpoint> next_of(std::string_view queue) const;

 private:
  struct Known {
    Habits habits;
    MonoTime until{};
  };
  struct HostHash {
    [[nodiscard]] std::size_t operator()(const Endpoint& host) const noexcept {
      return std::hash<IpAddress>{}(host.address) * 31 + host.port;
    }
  };
  std::unordered_map<Endpoint, Known, HostHash> hosts_;
  std::unordered_map<std::string, Endpoint> next_;
};

}  // namespace sluice::delivery
