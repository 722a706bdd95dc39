#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "policy/base/ascii.h"

namespace sluice::queue {

/// Counts the reports to senders that are queued, so that bounces of mail whose sender's domain is dead
/// cannot fill the spool: with the 64 KiB a report returns at most that is 640 MB for one such domain, and 40
/// MB with headers of the usual size. Thread: any. Exact: no; reports that are being stored are not counted
/// yet (some thousand at most), and domains of one slot share its limit.
class ReportBudget {
 public:
  static constexpr std::int32_t kDomainMax = 10'000;
  static constexpr std::int32_t kTotalMax = 200'000;

  /// No more reports to addresses of `domain`, in any case of letters.
  [[nodiscard]] bool full(std::string_view domain) const {
    return total_.load(std::memory_order_relaxed) >= kTotalMax ||
           slots_[slot(domain)].load(std::memory_order_relaxed) >= kDomainMax;
  }
  void add(std::string_view domain) { change(domain, 1); }
  void remove(std::string_view domain) { change(domain, -1); }
  [[nodiscard]] std::int32_t queued() const { return total_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t kSlots = 4096;
  [[nodiscard]] static std::size_t slot(std::string_view domain) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char c : domain) hash = (hash ^ static_cast<unsigned char>(to_lower(c))) * 0x100000001b3;
    return (hash ^ hash >> 32) % kSlots;
  }
  void change(std::string_view domain, std::int32_t by) {
    total_.fetch_add(by, std::memory_order_relaxed);
    slots_[slot(domain)].fetch_add(by, std::memory_order_relaxed);
  }
  std::atomic<std::int32_t> total_{0};
  std::array<std::atomic<std::int32_t>, kSlots> slots_{};
};

}  // namespace sluice::queue
