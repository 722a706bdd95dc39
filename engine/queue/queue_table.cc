#include "engine/queue/queue_table.h"

#include <xxhash.h>

#include "policy/base/assert.h"

namespace sluice::queue {
namespace {

std::size_t hash_parts(std::string_view domain, std::string_view vmta) {
  return XXH3_64bits_withSeed(vmta.data(), vmta.size(), XXH3_64bits(domain.data(), domain.size()));
}

}  // namespace

std::size_t QueueTable::Hash::operator()(std::string_view name) const noexcept {
  const std::size_t slash = name.find('/');  // no domain holds a slash
  return hash_parts(name.substr(0, slash), name.substr(slash + 1));
}
std::size_t QueueTable::Hash::operator()(Key key) const noexcept { return hash_parts(key.domain, key.vmta); }

Queue* QueueTable::find(Key key) const {
  const auto at = queues_.find(key);
  return at == queues_.end() ? nullptr : at->second.get();
}

Queue& QueueTable::add(std::unique_ptr<Queue> queue) {
  const std::string_view name = queue->name();
  const auto [at, is_new] = queues_.try_emplace(name, std::move(queue));
  SLUICE_ASSERT(is_new);
  at->second->count_among(&totals_);
  in_order_.emplace(name, at->second.get());
  return *at->second;
}

std::unique_ptr<Queue> QueueTable::release(Queue& queue) {
  SLUICE_ASSERT(queue.size() == 0 && queue.connections == 0);
  const auto at = queues_.find(std::string_view(queue.name()));
  SLUICE_ASSERT(at != queues_.end());
  std::unique_ptr<Queue> owned = std::move(at->second);  // the key views its name: erase first, free after
  in_order_.erase(std::string_view(owned->name()));
  queues_.erase(at);
  owned->count_among(nullptr);
  return owned;
}

}  // namespace sluice::queue
