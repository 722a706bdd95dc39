#pragma once

#include <array>
#include <cstdint>

namespace sluice::shard {

/// Traffic of one direction: recipients, messages, bytes.
struct TrafficCount {
  std::uint64_t recipients = 0;
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
};

/// Totals, and what the last minute and hour brought, as `show status` prints them. Fed with running totals
/// once a second. Thread: one.
class TrafficHistory {
 public:
  /// `total` counts from the start.
  void sample(const TrafficCount& total);
  /// A newer total between two samples, so that what is shown is of this moment.
  void refresh(const TrafficCount& total) { last_ = minus(total, base_); }
  /// Begins anew: what was counted up to `total` is no longer shown.
  void reset(const TrafficCount& total) {
    *this = TrafficHistory();
    base_ = total;
  }
  [[nodiscard]] const TrafficCount& total() const { return last_; }
  [[nodiscard]] TrafficCount last_minute() const { return minus(last_, seconds_[next_second_]); }
  [[nodiscard]] TrafficCount last_hour() const { return minus(last_, minutes_[next_minute_]); }
  [[nodiscard]] const TrafficCount& top_minute() const { return top_minute_; }
  [[nodiscard]] const TrafficCount& top_hour() const { return top_hour_; }

 private:
  static TrafficCount minus(const TrafficCount& a, const TrafficCount& b) {
    return {a.recipients - b.recipients, a.messages - b.messages, a.bytes - b.bytes};
  }
  static void raise(TrafficCount& top, const TrafficCount& now);
  std::array<TrafficCount, 60> seconds_{};  // totals of the last 60 samples; the oldest is overwritten next
  std::array<TrafficCount, 60> minutes_{};
  std::size_t next_second_ = 0;
  std::size_t next_minute_ = 0;
  std::uint64_t samples_ = 0;
  TrafficCount base_;  // at the last reset
  TrafficCount last_;
  TrafficCount top_minute_;
  TrafficCount top_hour_;
};

}  // namespace sluice::shard
