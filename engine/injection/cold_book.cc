#include "engine/injection/cold_book.h"

namespace sluice::injection {

ColdBook::ColdBook(runtime::Reactor& reactor, const queue::SharedState& shared, Remember remember)
    : reactor_(reactor), shared_(shared), remember_(std::move(remember)) {}

ShardId ColdBook::keeper(std::string_view domain, std::uint32_t shards) {
  return ShardId{static_cast<std::uint32_t>(std::hash<std::string_view>{}(domain) % shards)};
}

const std::optional<identity::ColdCount>& ColdBook::count_of(const std::string& key) {
  static const std::optional<identity::ColdCount> kNone;
  if (const auto found = counts_.find(key); found != counts_.end()) return found->second;
  if (counts_.size() >= kEntriesMax) return kNone;
  return counts_.emplace(key, identity::ColdCount::parse(shared_.remembered.text(key))).first->second;
}

std::optional<std::size_t> ColdBook::take(std::span<const std::string> cold, std::string_view domain,
                                          std::span<const std::uint32_t> limits) {
  const identity::DayNumber today =
      static_cast<identity::DayNumber>(shared_.zone.day_of(reactor_.wall_now()).time_since_epoch().count());
  std::optional<std::size_t> best;
  std::optional<identity::ColdCount> best_count;
  std::string best_key;
  for (std::size_t i = 0; i < cold.size(); ++i) {
    std::string key = queue::Remembered::cold_key(cold[i], domain);
    const auto next = identity::take_cold(limits, count_of(key), today);
    if (!next || (best && next->used >= best_count->used)) continue;
    if (!counts_.contains(key)) continue;  // the book is full
    best = i;
    best_count = next;
    best_key = std::move(key);
  }
  if (!best) return std::nullopt;
  counts_[best_key] = best_count;
  remember_(best_key, best_count->text());
  return best;
}

}  // namespace sluice::injection
