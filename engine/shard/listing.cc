#include "engine/shard/listing.h"

namespace sluice::shard {

runtime::Task<std::vector<QueueStatus>> Slices::details(const QueueRow* rows, std::size_t count) {
  std::vector<QueueStatus> out(count);
  for (DataShard* shard : shards_) {
    std::vector<std::string> names;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < count; ++i) {
      if (rows[i].shard != shard->id().raw()) continue;
      names.push_back(rows[i].name);
      places.push_back(i);
    }
    if (names.empty()) continue;
    co_await turn_.take(1);
    auto some = co_await runtime::call_on(control_, shard->id(), [&] { return shard->queue_details(names); });
    turn_.give(1);
    for (std::size_t i = 0; i < places.size(); ++i) out[places[i]] = std::move(some[i]);
  }
  co_return out;
}

}  // namespace sluice::shard
