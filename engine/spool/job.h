#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

namespace sluice::spool {

/// A label on messages (`jobId`), as long as messages of it are stored on this shard.
/// Thread: `name` and `paused` may be read on any shard by whoever holds an unended recipient of a message of
/// it; the counts belong to the home shard.
struct Job {
  std::string name;
  std::uint64_t recipients = 0;  ///< whose ending is not durable yet
  std::uint64_t bytes = 0;       ///< of their bodies, each recipient counted
  std::uint32_t messages = 0;
  std::atomic<bool> paused{false};
};

/// The jobs of one shard's messages. Thread: home shard. Limits: an entry for each job with stored messages,
/// and a name for each paused one.
class JobTable {
 public:
  /// A message of `recipients` and `body_bytes` belongs to job `name`, which is not empty.
  Job& enter(std::string_view name, std::uint32_t recipients, std::uint64_t body_bytes);
  /// One of its recipients ended.
  static void recipient_ended(Job& job, std::uint64_t body_bytes);
  /// All of them did, and the message is forgotten.
  void leave(Job& job);
  /// Holds for messages that come later, too.
  void pause(std::string_view name, bool paused);
  template <class F>
  void for_each(F&& visit) const {
    for (const auto& [name, job] : jobs_) visit(*job);
  }
  [[nodiscard]] const auto& paused() const { return paused_; }

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept {
      return std::hash<std::string_view>{}(text);
    }
  };
  std::unordered_map<std::string_view, std::unique_ptr<Job>> jobs_;  // keys view the jobs' names
  std::unordered_set<std::string, Hash, std::equal_to<>> paused_;
};

}  // namespace sluice::spool
