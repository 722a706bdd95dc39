#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/queue/snapshot.h"
#include "engine/runtime/reactor.h"
#include "policy/identity/cold.h"

namespace sluice::injection {

/// What virtual MTAs being warmed up had today, for the queue domains this shard keeps the book of: a
/// domain's book is kept on one shard, so that its limit is exact over all. Thread: one shard. Durable: every
/// count is remembered by the journal before its message is, so a restart gives nothing twice. Days are those
/// of the local calendar. Limits: kEntriesMax counts; what has none stays with its own virtual MTA.
class ColdBook {
 public:
  static constexpr std::size_t kEntriesMax = 1'000'000;
  /// Keeps a text under a key for the next start.
  using Remember = std::function<void(const std::string& key, const std::string& value)>;

  ColdBook(runtime::Reactor& reactor, const queue::SharedState& shared, Remember remember);

  /// Which of `cold` takes one message for `domain`: the one whose turn `turn` is, or the next with some left. Turns
  /// are counted over all domains, so that many small ones share them as few large ones do. Nothing: all have had
  /// theirs.
  [[nodiscard]] std::optional<std::size_t> take(std::span<const std::string> cold, std::uint64_t turn,
                                                std::string_view domain,
                                                std::span<const std::uint32_t> limits);
  /// What each cold virtual MTA was given on `today` since this process began, over the domains of this book.
  [[nodiscard]] std::vector<std::pair<std::string, std::uint64_t>> given(identity::DayNumber today) const;
  /// The shard that keeps the book of `domain`.
  [[nodiscard]] static ShardId keeper(std::string_view domain, std::uint32_t shards);

 private:
  [[nodiscard]] const std::optional<identity::ColdCount>& count_of(const std::string& key);
  runtime::Reactor& reactor_;
  const queue::SharedState& shared_;
  Remember remember_;
  struct Given {
    identity::DayNumber day = 0;
    std::uint64_t messages = 0;
  };
  std::unordered_map<std::string, Given> given_;  // by virtual MTA
  std::unordered_map<std::string, std::optional<identity::ColdCount>>
      counts_;  // by the key it is remembered under
};

}  // namespace sluice::injection
