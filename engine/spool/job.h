#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>

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
  /// Visits up to `most` jobs in the order of their names, those behind `after`: visit(const Job*, name), null
  /// for a name that is only paused. Answers the last name; empty: there are no more.
  template <class F>
  std::string visit_some(std::string_view after, std::size_t most, F&& visit) const;

 private:
  std::map<std::string_view, std::unique_ptr<Job>> jobs_;  // keys view the jobs' names
  std::set<std::string, std::less<>> paused_;
};

template <class F>
std::string JobTable::visit_some(std::string_view after, std::size_t most, F&& visit) const {
  auto job = after.empty() ? jobs_.begin() : jobs_.upper_bound(after);
  auto pause = after.empty() ? paused_.begin() : paused_.upper_bound(after);
  std::string_view last;
  for (std::size_t i = 0; i < most && (job != jobs_.end() || pause != paused_.end()); ++i) {
    const bool is_stored = job != jobs_.end() && (pause == paused_.end() || job->first <= *pause);
    last = is_stored ? job->first : std::string_view(*pause);
    visit(is_stored ? job->second.get() : nullptr, last);
    if (pause != paused_.end() && *pause == last) ++pause;
    if (is_stored) ++job;
  }
  return job == jobs_.end() && pause == paused_.end() ? std::string() : std::string(last);
}

}  // namespace sluice::spool
