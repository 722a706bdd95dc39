#pragma once
// Which domains took mail of late, and which mail hosts did not answer.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

#include "policy/base/ip_address.h"
#include "policy/base/units.h"

namespace sluice::delivery {

/// Keys that were noted within a time. Limits: kLines * kWays of them, 512 KiB; the oldest of a line makes room.
/// Two keys of one mark count as one (once in four billion). Cost: one cache line a call. Thread: one shard.
class RecentKeys {
 public:
  static constexpr std::size_t kLines = 8192;
  static constexpr std::size_t kWays = 8;

  explicit RecentKeys(Duration kept) : kept_(kept), lines_(std::make_unique<Line[]>(kLines)) {}

  void note(std::uint64_t key, MonoTime now) {
    Line& line = line_of(key);
    Entry* place = &line[0];
    for (Entry& one : line) {
      if (one.mark == mark_of(key)) {
        place = &one;
        break;
      }
      if (one.until < place->until) place = &one;
    }
    *place = {.mark = mark_of(key), .until = seconds(now + kept_)};
  }
  void forget(std::uint64_t key) {
    for (Entry& one : line_of(key)) {
      if (one.mark == mark_of(key)) one = {};
    }
  }
  [[nodiscard]] bool has(std::uint64_t key, MonoTime now) const {
    for (const Entry& one : lines_[key % kLines]) {
      if (one.mark == mark_of(key) && one.until > seconds(now)) return true;
    }
    return false;
  }

 private:
  struct Entry {
    std::uint32_t mark = 0;
    std::uint32_t until = 0;  // seconds; 0: free
  };
  using Line = std::array<Entry, kWays>;
  Line& line_of(std::uint64_t key) { return lines_[key % kLines]; }
  [[nodiscard]] static std::uint32_t mark_of(std::uint64_t key) {
    return static_cast<std::uint32_t>(key >> 32);
  }
  [[nodiscard]] static std::uint32_t seconds(MonoTime time) {
    return static_cast<std::uint32_t>(time.time_since_epoch() / std::chrono::seconds{1});
  }
  Duration kept_;
  std::unique_ptr<Line[]> lines_;
};

/// What one shard remembers of domains and mail hosts beyond the life of their queues. Thread: one shard.
class ReachHistory {
 public:
  static constexpr Duration kGoodFor = std::chrono::hours{24};
  static constexpr Duration kDeadFor = std::chrono::minutes{10};

  /// Mail for the domain was answered.
  void answered(std::string_view domain, MonoTime now) { domains_.note(key_of(domain), now); }
  [[nodiscard]] bool is_known(std::string_view domain, MonoTime now) const {
    return domains_.has(key_of(domain), now);
  }
  void host_failed(const IpAddress& host, MonoTime now) { dead_.note(key_of(host), now); }
  void host_answered(const IpAddress& host) { dead_.forget(key_of(host)); }
  [[nodiscard]] bool is_dead(const IpAddress& host, MonoTime now) const {
    return dead_.has(key_of(host), now);
  }

 private:
  [[nodiscard]] static std::uint64_t key_of(std::string_view domain) {
    return mixed(std::hash<std::string_view>{}(domain));
  }
  [[nodiscard]] static std::uint64_t key_of(const IpAddress& host) {
    return mixed(std::hash<IpAddress>{}(host));
  }
  [[nodiscard]] static std::uint64_t mixed(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
  }
  RecentKeys domains_{kGoodFor};
  RecentKeys dead_{kDeadFor};
};

}  // namespace sluice::delivery
