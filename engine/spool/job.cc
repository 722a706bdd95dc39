#include "engine/spool/job.h"

#include "policy/base/assert.h"

namespace sluice::spool {

Job& JobTable::enter(std::string_view name, std::uint32_t recipients, std::uint64_t body_bytes) {
  auto found = jobs_.find(name);
  if (found == jobs_.end()) {
    auto made = std::make_unique<Job>();
    made->name = name;
    made->paused.store(paused_.contains(name), std::memory_order_relaxed);
    const std::string_view key = made->name;
    found = jobs_.emplace(key, std::move(made)).first;
  }
  Job& job = *found->second;
  ++job.messages;
  job.recipients += recipients;
  job.bytes += recipients * body_bytes;
  return job;
}

void JobTable::recipient_ended(Job& job, std::uint64_t body_bytes) {
  SLUICE_ASSERT(job.recipients > 0 && job.bytes >= body_bytes);
  --job.recipients;
  job.bytes -= body_bytes;
}

void JobTable::leave(Job& job) {
  SLUICE_ASSERT(job.messages > 0);
  if (--job.messages > 0) return;
  const auto found = jobs_.find(std::string_view(job.name));
  SLUICE_ASSERT(found != jobs_.end());
  const std::unique_ptr<Job> owned =
      std::move(found->second);  // the key views its name: erase first, free after
  jobs_.erase(found);
}

void JobTable::pause(std::string_view name, bool paused) {
  if (paused) {
    paused_.emplace(name);
  } else if (const auto found = paused_.find(name); found != paused_.end()) {
    paused_.erase(found);
  }
  if (const auto found = jobs_.find(name); found != jobs_.end()) {
    found->second->paused.store(paused, std::memory_order_relaxed);
  }
}

}  // namespace sluice::spool
