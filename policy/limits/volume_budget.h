#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <expected>

#include "policy/base/units.h"

namespace sluice {

/// One configured volume rate ("10M/h" of `max-data-volume-rate`, `max-smtp-data-volume-rate`, ...). Only
/// bytes that were delivered count; what is under way is reserved until its ending is known.
///
/// Never exceeded. In every window of length `per`, wherever it begins, at most `bytes` end as delivered. At
/// the moment s the last of them was admitted, everything that ended in (s - per, s], everything under way,
/// and its own bytes were together within `bytes`; what ends in a window that closes at t >= s is a part of
/// that. The past is kept in slots of per / kSlots; a slot counts until all of it has left the window. So the
/// mean is at most 1 / kSlots below the limit, and the time one transfer takes below that: volumes per minute
/// and longer are met within 1 %. One message larger than `bytes` could never pass: it goes alone, when the
/// window is empty.
///
/// Smooth. Besides, messages are admitted at the pace of the limit: after a rest one at once, then each as
/// its size asks for. Failures give their pace back, so that a destination that refuses much still gets its
/// full volume.
///
/// Thread: every member from any shard, without a lock. set_rate() and restore(): one caller at a time.
class VolumeBudget {
 public:
  static constexpr std::size_t kSlots = 256;
  /// Bytes of one window at most (1 TiB - 1): what a slot can count.
  static constexpr std::uint64_t kBytesMax = (std::uint64_t{1} << 40) - 1;

  /// Requires bytes >= 1 and per > 0 (asserted). More than kBytesMax counts as kBytesMax.
  VolumeBudget(std::uint64_t bytes, Duration per);
  VolumeBudget(const VolumeBudget&) = delete;
  VolumeBudget& operator=(const VolumeBudget&) = delete;

  /// Reserves `bytes` for a message; or answers when to ask again. Whoever got them calls delivered() or
  /// failed() with the same number.
  [[nodiscard]] std::expected<void, MonoTime> try_reserve(MonoTime now, std::uint64_t bytes);
  void delivered(MonoTime now, std::uint64_t bytes);
  void failed(std::uint64_t bytes);

  /// When it is worth asking again: `now`, or the time a refusal named. Asking reserves nothing.
  [[nodiscard]] MonoTime next_time(MonoTime now) const;

  /// A changed configuration: what was sent stays counted. With another `per` the past counts as sent at the
  /// pace of the new limit, up to now.
  void set_rate(MonoTime now, std::uint64_t bytes, Duration per);

  /// What a restart has to remember.
  struct Past {
    std::uint64_t bytes = 0;    ///< delivered in the window that ends now
    std::uint64_t largest = 0;  ///< message so far
  };
  [[nodiscard]] Past past(MonoTime now) const;
  /// Takes up what was delivered until `ago` before now, at the pace of the limit and with the largest
  /// message last: later than they can have been. Bytes out of the window are forgotten.
  void restore(MonoTime now, Past past, Duration ago);

  [[nodiscard]] Duration per() const { return Duration{per_.load(std::memory_order_relaxed)}; }
  [[nodiscard]] std::uint64_t bytes() const { return limit_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t reserved() const { return reserved_.load(std::memory_order_relaxed); }

 private:
  [[nodiscard]] std::int64_t slot_width() const;
  [[nodiscard]] std::uint64_t sum(std::int64_t slot_now, std::int64_t* oldest) const;
  void add(std::int64_t slot, std::uint64_t bytes);
  [[nodiscard]] std::int64_t cost(std::uint64_t bytes) const;

  // A slot: the number of its stretch of time (24 bits of it) and the bytes delivered in that stretch (40
  // bits). One more than the window can touch: another shard's clock may already be in the next one.
  std::array<std::atomic<std::uint64_t>, kSlots + 2> slots_{};
  std::atomic<std::uint64_t> limit_;
  std::atomic<std::int64_t> per_;
  std::atomic<std::uint64_t> reserved_{0};
  std::atomic<std::uint64_t> largest_{0};
  std::atomic<std::int64_t> refused_until_{INT64_MIN};
  std::atomic<std::int64_t> paced_until_{INT64_MIN / 4};
};

}  // namespace sluice
