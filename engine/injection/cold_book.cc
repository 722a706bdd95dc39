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

std::vector<std::pair<std::string, std::uint64_t>> ColdBook::given(identity::DayNumber today) const {
  std::vector<std::pair<std::string, std::uint64_t>> out;
  for (const auto& [name, given] : given_) {
    if (given.day == today) out.emplace_back(name, given.messages);
  }
  return out;
}

std::optional<std::size_t> ColdBook::take(std::span<const std::string> cold, std::uint64_t turn,
                                          std::string_view domain, std::span<const std::uint32_t> limits) {
  const identity::DayNumber today =
      static_cast<identity::DayNumber>(shared_.zone.day_of(reactor_.wall_now()).time_since_epoch().count());
  for (std::size_t i = 0; i < cold.size(); ++i) {
    const std::size_t which = (turn + i) % cold.size();
    const std::string key = queue::Remembered::cold_key(cold[which], domain);
    const auto next = identity::take_cold(limits, count_of(key), today);
    if (!next || !counts_.contains(key)) continue;  // not there: the book is full
    counts_[key] = next;
    remember_(key, next->text());
    Given& given = given_[cold[which]];
    if (given.day != today) given = {.day = today, .messages = 0};
    ++given.messages;
    return which;
  }
  return std::nullopt;
}

}  // namespace sluice::injection
