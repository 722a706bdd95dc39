#include "engine/resolver/rrset_cache.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <utility>

#include "policy/base/assert.h"

namespace sluice::resolver {

using net::dns::Type;

namespace {
constexpr std::size_t kSlotsMin = 16;
constexpr std::size_t kSlotBytes = sizeof(RrsetRef);
}  // namespace

std::uint64_t RrsetCache::hash(std::string_view name, Type type) const {
  return XXH3_64bits_withSeed(name.data(), name.size(),
                              seed_ ^ (static_cast<std::uint64_t>(type) * 0x9e3779b97f4a7c15u));
}

/// Where the question is, or the free slot where it would go. Requires a free slot.
std::size_t RrsetCache::slot_of(const Table& table, std::uint64_t hash, std::string_view name, Type type) {
  const std::size_t mask = table.slots.size() - 1;
  const auto short_hash = static_cast<std::uint32_t>(hash);
  std::size_t slot = short_hash & mask;
  while (table.slots[slot]) {
    const Rrset& set = *table.slots[slot];
    if (set.hash_ == short_hash && set.type() == type && set.name() == name) break;
    slot = (slot + 1) & mask;
  }
  return slot;
}

RrsetRef RrsetCache::find_any(std::string_view name, Type type) const {
  const std::uint64_t hashed = hash(name, type);
  const Table& table = table_of(hashed);
  return table.slots.empty() ? RrsetRef() : table.slots[slot_of(table, hashed, name, type)];
}

RrsetRef RrsetCache::find(std::string_view name, Type type, MonoTime now) {
  RrsetRef found = find_any(name, type);
  if (!found || found->expires() <= now) return {};
  found.set_->used_ = true;
  return found;
}

bool RrsetCache::is_known(std::string_view name, Type type) const {
  const RrsetRef found = find_any(name, type);
  return found && found->known_;
}

void RrsetCache::insert(const RrsetRef& set) {
  SLUICE_ASSERT(set);
  const std::uint64_t hashed = hash(set->name(), set->type());
  set.set_->hash_ = static_cast<std::uint32_t>(hashed);
  Table& table = table_of(hashed);
  if ((table.used + 1) * 4 > table.slots.size() * 3) grow(table);
  RrsetRef& slot = table.slots[slot_of(table, hashed, set->name(), set->type())];
  if (slot) {
    if (slot->known_) set.set_->known_ = true;
    bytes_ -= slot->bytes();
  } else {
    ++table.used;
    ++entries_;
  }
  bytes_ += set->bytes();
  set.set_->used_ = true;  // the newest is not the first to go
  slot = set;
  while (bytes_ > bytes_max_ && entries_ > 1) evict_one();
}

void RrsetCache::grow(Table& table) {
  std::vector<RrsetRef> old = std::exchange(table.slots, {});
  table.slots.resize(old.empty() ? kSlotsMin : old.size() * 2);
  bytes_ += (table.slots.size() - old.size()) * kSlotBytes;
  const std::size_t mask = table.slots.size() - 1;
  for (RrsetRef& set : old) {
    if (!set) continue;
    std::size_t slot = set->hash_ & mask;
    while (table.slots[slot]) slot = (slot + 1) & mask;
    table.slots[slot] = std::move(set);
  }
}

void RrsetCache::remove_at(Table& table, std::size_t slot) {
  const std::size_t mask = table.slots.size() - 1;
  bytes_ -= table.slots[slot]->bytes();
  table.slots[slot] = RrsetRef();
  --table.used;
  --entries_;
  // Close the gap: whoever may live nearer to its own place moves up.
  std::size_t gap = slot;
  for (std::size_t next = (gap + 1) & mask; table.slots[next]; next = (next + 1) & mask) {
    const std::size_t home = table.slots[next]->hash_ & mask;
    if (((next - home) & mask) < ((next - gap) & mask)) continue;
    table.slots[gap] = std::move(table.slots[next]);
    table.slots[next] = RrsetRef();
    gap = next;
  }
}

void RrsetCache::evict_one() {
  // Ends: a full round clears every second chance, the next one finds a victim.
  for (;;) {
    Table& table = tables_[hand_table_];
    if (hand_slot_ >= table.slots.size()) {
      hand_table_ = (hand_table_ + 1) % kTables;
      hand_slot_ = 0;
      continue;
    }
    RrsetRef& set = table.slots[hand_slot_];
    if (!set || set->used_) {
      if (set) set.set_->used_ = false;
      ++hand_slot_;
      continue;
    }
    remove_at(table, hand_slot_);  // the hand stays: another entry may have moved into the slot
    ++evictions_;
    return;
  }
}

void RrsetCache::erase(std::string_view name, Type type) {
  const std::uint64_t hashed = hash(name, type);
  Table& table = table_of(hashed);
  if (table.slots.empty()) return;
  const std::size_t slot = slot_of(table, hashed, name, type);
  if (table.slots[slot]) remove_at(table, slot);
}

void RrsetCache::clear() {
  for (Table& table : tables_) table = Table();
  entries_ = bytes_ = 0;
  hand_table_ = hand_slot_ = 0;
}

}  // namespace sluice::resolver
