#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <expected>
#include <memory>

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
/// Changes. Each length of window has a ledger of its own, kept until the budget ends, and every ledger
/// counts in every window it reaches into. So a change moves nothing, and what others deliver in the middle
/// of it is counted in one ledger or the other. After a change the past counts as far back as the window of
/// before went. Limits: 2 KiB for every length of window that was ever configured.
///
/// Thread: every member from any shard, without a lock. set_rate() and restore(): one caller at a time, see
///         TokenBucket::set_rate().
class VolumeBudget {
 public:
  static constexpr std::size_t kSlots = 256;
  /// Bytes of one window at most (1 TiB - 1): what a slot can count.
  static constexpr std::uint64_t kBytesMax = (std::uint64_t{1} << 40) - 1;
  /// Whoever was refused because of what is under way should ask again when it fails; and after this time,
  /// in case nobody says so.
  static constexpr Duration kReservedLookMax = 10s;

  /// Requires bytes >= 1 and per > 0 (asserted). More than kBytesMax counts as kBytesMax.
  VolumeBudget(std::uint64_t bytes, Duration per);
  VolumeBudget(const VolumeBudget&) = delete;
  VolumeBudget& operator=(const VolumeBudget&) = delete;

  struct Refusal {
    MonoTime again;  ///< worth asking then
    /// What is under way is in the way, or its pace: asking is worth while as soon as some of it has failed.
    bool by_reserved = false;
  };
  /// Reserves `bytes` for a message; or answers when to ask again. Whoever got them calls delivered() or
  /// failed() with the same number.
  [[nodiscard]] std::expected<void, Refusal> try_reserve(MonoTime now, std::uint64_t bytes);
  void delivered(MonoTime now, std::uint64_t bytes);
  void failed(std::uint64_t bytes);

  /// When it is worth asking again: `now`, or the time a refusal named. Asking reserves nothing.
  [[nodiscard]] MonoTime next_time(MonoTime now) const;

  /// A changed configuration: what was sent stays counted.
  void set_rate(MonoTime now, std::uint64_t bytes, Duration per);

  /// What `other` has delivered since `since`, and has under way, counts here too from now on: for a limit
  /// that changes its scope (share-limits-over-vmtas). Thread: any.
  void count_with(MonoTime now, const VolumeBudget& other, MonoTime since);

  /// What a restart has to remember.
  struct Past {
    std::uint64_t bytes = 0;    ///< delivered in the window that ends now
    std::uint64_t largest = 0;  ///< message so far
  };
  [[nodiscard]] Past past(MonoTime now) const;
  /// Nothing delivered counts any more and nothing is under way: a new budget would answer the same.
  [[nodiscard]] bool at_rest(MonoTime now) const;
  /// Takes up what was delivered until `ago` before now, at the pace of the limit and with the largest
  /// message last: later than they can have been. Bytes out of the window are forgotten.
  void restore(MonoTime now, Past past, Duration ago);

  [[nodiscard]] Duration per() const { return Duration{current().per}; }
  [[nodiscard]] std::uint64_t bytes() const { return current().limit.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t reserved() const;

 private:
  /// What was delivered while windows were of one length.
  struct Ledger {
    Ledger(std::uint64_t bytes, Duration length);
    const std::int64_t per;
    const std::int64_t width;  // of a slot
    std::atomic<std::uint64_t> limit;
    std::atomic<std::int64_t> ends{INT64_MIN / 4};  // of the last slot that holds anything
    // A slot: the number of its stretch of time (24 bits of it) and the bytes delivered in that stretch (40
    // bits). Two more than a window has: another shard's clock may already be in the next one.
    std::array<std::atomic<std::uint64_t>, kSlots + 2> slots{};
    std::unique_ptr<Ledger> older;  // never changes once others can see this one
    void add(std::int64_t slot, std::uint64_t bytes);
    [[nodiscard]] std::int64_t slot_at(std::int64_t time) const;
    [[nodiscard]] double per_byte() const;
    [[nodiscard]] std::int64_t cost(std::uint64_t bytes) const;
  };
  struct Sum {
    std::uint64_t bytes = 0;
    std::int64_t oldest_ends = INT64_MAX;  // the end of the oldest slot that counts
  };
  [[nodiscard]] Ledger& current() const { return *current_.load(std::memory_order_acquire); }
  /// Calls `visit(bytes, ends)` for every slot that ends after `begin`, as seen at `now`.
  template <class Visit>
  void for_each_slot(std::int64_t now, std::int64_t begin, Visit visit) const;
  [[nodiscard]] Sum sum(std::int64_t now, std::int64_t per) const;

  std::unique_ptr<Ledger> owner_;  // of newest_; the setter's
  std::atomic<Ledger*> newest_;    // all of them, by Ledger::older
  std::atomic<Ledger*> current_;
  // Bytes under way (40 bits) and how often they have changed (24 bits): an exchange that succeeds proves
  // that nobody has reserved, delivered or failed since it was read.
  std::atomic<std::uint64_t> reserved_{0};
  std::atomic<std::uint64_t> largest_{0};
  std::atomic<std::int64_t> refused_until_{INT64_MIN};
  std::atomic<std::int64_t> paced_until_{INT64_MIN / 4};
};

}  // namespace sluice
