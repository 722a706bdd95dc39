#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

namespace sluice::queue {

/// Counts by key, with a limit given at every take, shared by all shards: see host_counts.h.
///
/// Thread: any, without a lock.
/// Exact:  never above the limit at the moment of a take, and a key at rest takes no room.
/// How:    a key belongs to one cache line of kWays words, each a fingerprint of the key with its count.
///         Whoever adds a unit looks over the line again: should the key stand there twice, because two
///         shards put it in at the same moment, the unit goes back and the take begins anew. So units that
///         were granted always lie in one word: for two grants in different words each would have had to look
///         before the other wrote. A take that keeps meeting others, or a line full of other keys (less than
///         once in a million with 7,500 connections), is refused as if the limit were reached: the caller
///         asks again a moment later. Two keys of one fingerprint (48 bits) share a count: safe, and never
///         seen in practice.
class KeyedBudget {
 public:
  static constexpr std::size_t kWays = 8;
  static constexpr std::size_t kLines = 8192;
  static constexpr std::uint32_t kCountMax = 0xffff;

  /// A unit that was granted; copying one and giving both back is a bug of the caller.
  struct Unit {
    std::uint16_t line = 0;
    std::uint8_t way = 0;
  };

  KeyedBudget()
      : lines_(std::make_unique<Line[]>(kLines)),
        awaited_(std::make_unique<std::atomic<std::uint64_t>[]>(kLines)) {}

  /// `key`: a good hash of what is counted. A unit when less than `limit` were taken before.
  [[nodiscard]] std::optional<Unit> try_take(std::uint64_t key, std::uint32_t limit) {
    Line& line = lines_[key % kLines];
    const std::uint64_t tag = tag_of(key);
    const std::uint64_t most = limit < kCountMax ? limit : kCountMax;
    for (int turn = 0; turn < kTurnsMax; ++turn) {
      std::size_t way = kWays;
      std::size_t empty = kWays;
      std::uint64_t word = 0;
      for (std::size_t i = 0; i < kWays; ++i) {
        const std::uint64_t one = line.words[i].load();
        if ((one & kCountMax) == 0) {
          if (empty == kWays) empty = i;
        } else if ((one & ~kCountMask) == tag) {
          way = i;
          word = one;
        }
      }
      if (way == kWays) {
        if (empty == kWays || most == 0) return std::nullopt;
        way = empty;
        word = line.words[way].load();
        if ((word & kCountMask) != 0) continue;  // somebody was faster
        if (!line.words[way].compare_exchange_strong(word, tag | 1)) continue;
      } else {
        if ((word & kCountMask) >= most) return std::nullopt;
        if (!line.words[way].compare_exchange_strong(word, word + 1)) continue;
      }
      const Unit unit{static_cast<std::uint16_t>(key % kLines), static_cast<std::uint8_t>(way)};
      if (is_alone(line, tag, way)) return unit;
      give_back(unit);
    }
    return std::nullopt;
  }

  void give_back(Unit unit) { lines_[unit.line].words[unit.way].fetch_sub(1); }

  // --- Who waits (delivery::HostLine). By place, which several keys share: hearing of another's unit does no harm.
  [[nodiscard]] static std::uint32_t place_of(std::uint64_t key) {
    return static_cast<std::uint32_t>(key % kLines);
  }
  /// Shards with a bit in `mask` wait for units of this place. Sequentially consistent, as the counts are: of one who
  /// begins to wait and one who gives back at the same moment one sees the other.
  void set_awaited(std::uint32_t place, std::uint64_t mask, bool awaited) {
    if (awaited) {
      awaited_[place].fetch_or(mask);
    } else {
      awaited_[place].fetch_and(~mask);
    }
  }
  [[nodiscard]] std::uint64_t awaited(std::uint32_t place) const { return awaited_[place].load(); }

  [[nodiscard]] std::uint32_t used(std::uint64_t key) const {
    const Line& line = lines_[key % kLines];
    std::uint32_t sum = 0;
    for (const std::atomic<std::uint64_t>& word : line.words) {
      const std::uint64_t one = word.load();
      if ((one & ~kCountMask) == tag_of(key)) sum += static_cast<std::uint32_t>(one & kCountMask);
    }
    return sum;
  }

 private:
  static constexpr std::uint64_t kCountMask = kCountMax;
  static constexpr int kTurnsMax = 64;
  struct alignas(64) Line {
    std::array<std::atomic<std::uint64_t>, kWays> words{};
  };
  [[nodiscard]] static std::uint64_t tag_of(std::uint64_t key) {
    const std::uint64_t tag = key & ~kCountMask;
    return tag != 0 ? tag : kCountMask + 1;
  }
  [[nodiscard]] static bool is_alone(const Line& line, std::uint64_t tag, std::size_t way) {
    for (std::size_t i = 0; i < kWays; ++i) {
      const std::uint64_t one = line.words[i].load();
      if (i != way && (one & ~kCountMask) == tag && (one & kCountMask) != 0) return false;
    }
    return true;
  }
  std::unique_ptr<Line[]> lines_;
  std::unique_ptr<std::atomic<std::uint64_t>[]> awaited_;
};

}  // namespace sluice::queue
