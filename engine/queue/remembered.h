#pragma once
// What queues keep over a restart: pauses, modes, and how long a rate still owes. Stored as small texts by the
// journal (Journal::put_state), read back before the shards run.

#include <atomic>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "policy/base/units.h"
#include "policy/limits/token_bucket.h"
#include "policy/limits/volume_budget.h"

namespace sluice::queue {

/// Thread: filled before the shards run; then any.
class Remembered {
 public:
  /// Rates whose tokens are at least this far apart are stored with every token. Faster ones recover their
  /// pace by waiting one gap after the start.
  static constexpr Duration kStoredGapMin = 1s;

  void put(std::string_view key, std::string_view value) {
    if (!value.empty()) values_[std::string(key)].text = value;
  }

  /// Gives `bucket` the debt it had, so that no window of its rate holds more because of the restart.
  void restore(TokenBucket& bucket, const std::string& key, MonoTime now, WallTime wall_now) const;
  void set_start(MonoTime start) { start_ = start; }

  /// What was stored under `key`; empty: nothing.
  [[nodiscard]] std::string_view text(const std::string& key) const {
    const auto found = values_.find(key);
    return found == values_.end() ? std::string_view() : std::string_view(found->second.text);
  }
  [[nodiscard]] static std::string rollup_key(std::string_view target) {
    return "rollup/" + std::string(target);
  }
  /// Of one of PauseRules.
  [[nodiscard]] static std::string pause_key(std::string_view pattern) {
    return std::string(kPause) + std::string(pattern);
  }
  static constexpr std::string_view kPause = "pause/";
  [[nodiscard]] static std::string job_pause_key(std::string_view job) {
    return std::string(kJobPause) + std::string(job);
  }
  [[nodiscard]] static std::string cold_key(std::string_view vmta, std::string_view domain) {
    return std::string(kCold) + std::string(vmta) + '/' + std::string(domain);
  }
  /// `visit(vmta, text)` for each count of a cold virtual MTA that the start has found.
  template <class F>
  void for_each_cold(F&& visit) const {
    for (const auto& [key, value] : values_) {
      if (!key.starts_with(kCold)) continue;
      const std::string_view rest = std::string_view(key).substr(kCold.size());
      visit(rest.substr(0, rest.find('/')), std::string_view(value.text));
    }
  }
  template <class F>
  void for_each_paused_job(F&& visit) const {
    for (const auto& [key, value] : values_) {
      if (key.starts_with(kJobPause)) visit(std::string_view(key).substr(kJobPause.size()));
    }
  }
  /// The names of queues that an operator may find in another state than a new one: visit(std::string_view), some more
  /// than once.
  template <class F>
  void for_each_queue(F&& visit) const {
    for (const auto& [key, value] : values_) {
      for (const std::string_view kind : {kMode, kShut, kPace, kRetry}) {
        if (key.starts_with(kind)) visit(std::string_view(key).substr(kind.size()));
      }
    }
  }
  /// `scope`: a queue's name, "shared/DOMAIN", or QUEUE/SOURCE.
  [[nodiscard]] static std::string message_rate_key(std::string_view scope) {
    return "rate/" + std::string(scope);
  }
  [[nodiscard]] static std::string connect_rate_key(std::string_view scope) {
    return "connect/" + std::string(scope);
  }
  [[nodiscard]] static std::string volume_key(std::string_view scope) {
    return "volume/" + std::string(scope);
  }
  /// `kind`: "vmta" or "pool".
  [[nodiscard]] static std::string total_rate_key(std::string_view kind, std::string_view name) {
    return std::string(kind) + "-rate/" + std::string(name);
  }
  [[nodiscard]] static std::string total_volume_key(std::string_view kind, std::string_view name) {
    return std::string(kind) + "-volume/" + std::string(name);
  }
  [[nodiscard]] static std::string mode_key(std::string_view queue) {
    return std::string(kMode) + std::string(queue);
  }
  [[nodiscard]] static std::string shut_key(std::string_view queue) {
    return std::string(kShut) + std::string(queue);
  }
  [[nodiscard]] static std::string pace_key(std::string_view queue) {
    return std::string(kPace) + std::string(queue);
  }
  [[nodiscard]] static std::string retry_key(std::string_view queue) {
    return std::string(kRetry) + std::string(queue);
  }
  /// Takes out what was put under `key`; empty when nothing was. Once: a queue that is forgotten and comes
  /// back in the same process must not find again what was true before the start. Thread: any; a reload may
  /// move a queue.
  [[nodiscard]] std::string take(const std::string& key) {
    const auto found = values_.find(key);
    if (found == values_.end() || found->second.taken.exchange(true, std::memory_order_relaxed)) return {};
    return found->second.text;
  }
  /// The value to store for a bucket that has just given a token; nullopt: this rate is too fast to be
  /// stored.
  [[nodiscard]] static std::optional<std::string> value_of(const TokenBucket& bucket, MonoTime now,
                                                           WallTime wall_now);
  /// Volumes with a shorter window are not stored: after a start the window counts as used at the limit's
  /// pace.
  static constexpr Duration kStoredVolumeMin = 10s;
  void restore(VolumeBudget& budget, const std::string& key, MonoTime now, WallTime wall_now) const;
  /// The value to store after a delivery; nullopt: too short a window.
  [[nodiscard]] static std::optional<std::string> value_of(const VolumeBudget& budget, MonoTime now,
                                                           WallTime wall_now);

 private:
  static constexpr std::string_view kJobPause = "job-pause/";
  static constexpr std::string_view kMode = "mode/", kShut = "shut/", kPace = "pace/", kRetry = "retry/";
  static constexpr std::string_view kCold = "cold/";
  struct Value {
    std::string text;  // written before the shards run
    std::atomic<bool> taken{false};
  };
  std::unordered_map<std::string, Value> values_;
  MonoTime start_{};  // of this process
};

}  // namespace sluice::queue
