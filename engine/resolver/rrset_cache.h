#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/resolver/rrset.h"

namespace sluice::resolver {

/// Answers by question, bounded in bytes, with second-chance (clock) eviction. Names are given in lower case.
/// Thread:  one shard.
/// Limits:  `bytes_max` counts the blocks and the tables. Many small tables instead of a large one, so that
///          growing moves few entries and no call takes long: 1 M entries grow in steps of 16 k.
/// Hashing: keyed by `seed`, because strangers choose the names.
class RrsetCache {
 public:
  static constexpr std::size_t kTables = 64;

  RrsetCache(std::uint64_t bytes_max, std::uint64_t seed) : bytes_max_(bytes_max), seed_(seed) {}
  RrsetCache(const RrsetCache&) = delete;
  RrsetCache& operator=(const RrsetCache&) = delete;

  /// The answer, if it holds at `now`; else empty.
  [[nodiscard]] RrsetRef find(std::string_view name, net::dns::Type type, MonoTime now);
  /// The answer even if its time is over.
  [[nodiscard]] RrsetRef find_any(std::string_view name, net::dns::Type type) const;
  /// True when the question has had a good answer before, whatever the entry says now.
  [[nodiscard]] bool is_known(std::string_view name, net::dns::Type type) const;
  /// Replaces the answer to the same question. `set` is owned by nobody but the caller yet.
  void insert(const RrsetRef& set);
  void erase(std::string_view name, net::dns::Type type);
  void clear();

  [[nodiscard]] std::uint64_t entries() const { return entries_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t evictions() const { return evictions_; }

 private:
  /// Linear probing; removal shifts back, so there are no tombstones.
  struct Table {
    std::vector<RrsetRef> slots;
    std::size_t used = 0;
  };
  [[nodiscard]] std::uint64_t hash(std::string_view name, net::dns::Type type) const;
  [[nodiscard]] Table& table_of(std::uint64_t hash) { return tables_[hash >> 58]; }
  [[nodiscard]] const Table& table_of(std::uint64_t hash) const { return tables_[hash >> 58]; }
  [[nodiscard]] static std::size_t slot_of(const Table& table, std::uint64_t hash, std::string_view name,
                                           net::dns::Type type);
  void remove_at(Table& table, std::size_t slot);
  void grow(Table& table);
  void evict_one();

  std::uint64_t bytes_max_;
  std::uint64_t seed_;
  std::uint64_t entries_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t evictions_ = 0;
  std::size_t hand_table_ = 0;
  std::size_t hand_slot_ = 0;
  std::array<Table, kTables> tables_;
};

}  // namespace sluice::resolver
