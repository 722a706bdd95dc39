#include "engine/queue/gates.h"

#include <functional>

namespace sluice::queue {

SharedGates::Entry::~Entry() {
  const std::unique_ptr<TokenBucket> connects_gone(connects.load());
  const std::unique_ptr<TokenBucket> messages_gone(messages.load());
  const std::unique_ptr<VolumeGate> volume_gone(volume.load());
}

SharedGates::~SharedGates() {
  for (auto& list : lists_) {
    for (Entry* entry = list.load(); entry != nullptr;) {
      const std::unique_ptr<Entry> gone(entry);
      entry = gone->next;
    }
  }
}

SharedGates::Entry& SharedGates::entry(std::string_view name) {
  std::atomic<Entry*>& list = lists_[std::hash<std::string_view>{}(name) % kListsMax];
  std::unique_ptr<Entry> made;
  Entry* head = list.load(std::memory_order_acquire);
  for (;;) {
    for (Entry* entry = head; entry != nullptr; entry = entry->next) {
      if (entry->name == name) return *entry;
    }
    if (!made) {
      made = std::make_unique<Entry>();
      made->name = name;
    }
    made->next = head;
    // A failed exchange reads the new head: somebody may have put the same name in.
    if (list.compare_exchange_weak(head, made.get(), std::memory_order_acq_rel, std::memory_order_acquire))
      return *made.release();
  }
}

}  // namespace sluice::queue
