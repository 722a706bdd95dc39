#pragma once
// Long lists made of slices of all shards. What is held of a list is one page, whoever reads it and however slowly.

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/runtime/mailbox.h"
#include "engine/runtime/sync.h"
#include "engine/shard/data_shard.h"

namespace sluice::shard {

/// Rows of a page, and what their details are asked for at a time.
inline constexpr std::size_t kPageRows = 4096;
inline constexpr std::size_t kDetailRows = 64;

/// Sums over the queues of a domain.
struct DomainRow {
  std::string name;
  std::uint64_t recipients = 0, bytes = 0, connections = 0;
};
struct DomainTotals {
  std::uint64_t domains = 0, recipients = 0;
};

/// A virtual MTA: what is queued, and what went through it since the start.
struct VmtaRow {
  VmtaStatus queued;
  std::uint64_t accepted = 0, delivered = 0, bounced = 0, deferred = 0;
  std::uint64_t cold_today = 0;  ///< messages it got today because it is being warmed up
};

/// Sums over the queues of a type.
struct QueueTypeSum {
  std::uint64_t domains = 0, recipients = 0, bytes = 0;
};
inline constexpr std::size_t kQueueTypes = static_cast<std::size_t>(config::QueueType::HttpDelivery) + 1;
struct QueueSums {
  std::array<QueueTypeSum, kQueueTypes> by_type{};
  [[nodiscard]] QueueTypeSum& of(config::QueueType type) { return by_type[static_cast<std::size_t>(type)]; }
  [[nodiscard]] const QueueTypeSum& of(config::QueueType type) const {
    return by_type[static_cast<std::size_t>(type)];
  }
  /// All that are not smtp.
  [[nodiscard]] QueueTypeSum others() const {
    QueueTypeSum out;
    for (const QueueTypeSum& one : by_type) {
      if (&one == &of(config::QueueType::Smtp)) continue;
      out.domains += one.domains;
      out.recipients += one.recipients;
      out.bytes += one.bytes;
    }
    return out;
  }
};

/// Most recipients or bytes first, or by name.
template <class Row>
std::function<bool(const Row&, const Row&)> order_of(std::string_view by) {
  const bool recipients = by == "rcpt", size = by == "size";
  return [recipients, size](const Row& a, const Row& b) {
    if (recipients && a.recipients != b.recipients) return a.recipients > b.recipients;
    if (size && a.bytes != b.bytes) return a.bytes > b.bytes;
    return a.name < b.name;
  };
}

/// The first `most` rows in an order, out of any number that are offered. Thread: one.
template <class Row>
class FirstRows {
 public:
  using Before = std::function<bool(const Row&, const Row&)>;
  FirstRows(Before before, std::size_t most) : before_(std::move(before)), most_(most) {}
  /// Only rows behind this one count from now on.
  void start_behind(Row row) { behind_ = std::move(row); }
  void offer(Row&& row) {
    if (most_ == 0 || (behind_ && !before_(*behind_, row))) return;
    if (cut_ && !before_(row, rows_.front())) return;
    rows_.push_back(std::move(row));
    if (rows_.size() >= 2 * most_) cut();
  }
  /// In order; nothing is left.
  [[nodiscard]] std::vector<Row> take() {
    std::sort(rows_.begin(), rows_.end(), before_);
    if (rows_.size() > most_) rows_.erase(rows_.begin() + static_cast<std::ptrdiff_t>(most_), rows_.end());
    cut_ = false;
    return std::exchange(rows_, {});
  }

 private:
  /// Keeps the first ones, the last of them in front: what is not before that one cannot be among them.
  void cut() {
    const auto last = rows_.begin() + static_cast<std::ptrdiff_t>(most_ - 1);
    std::nth_element(rows_.begin(), last, rows_.end(), before_);
    rows_.erase(last + 1, rows_.end());
    std::swap(rows_.front(), rows_.back());
    cut_ = true;
  }
  Before before_;
  std::size_t most_;
  std::optional<Row> behind_;
  std::vector<Row> rows_;
  bool cut_ = false;
};

/// Asks the shards of a node for slices, one after the other. Of all commands that list something one slice is
/// under way at a time: many of them make each other wait, and not the mail.
/// Thread: the control shard. Lifetime: outlives what it was asked for.
class Slices {
 public:
  Slices(runtime::Reactor& control, const std::vector<DataShard*>& shards)
      : control_(control), shards_(shards), turn_(control, 1) {}

  /// `of(shard, after)` on each shard, slice by slice; each row goes to `take(row)`, which answers false when it
  /// wants no more of this shard. Begins behind the name `after`.
  template <class Row>
  runtime::Task<void> walk(std::function<Slice<Row>(DataShard&, const std::string& after)> of,
                           std::string after, std::function<bool(Row&&)> take);
  /// The same for one shard.
  template <class Row>
  runtime::Task<void> walk_one(DataShard& shard, std::function<Slice<Row>(DataShard&, const std::string&)> of,
                               std::string after, std::function<bool(Row&&)> take);
  /// Details of queues, in the order of `rows`.
  [[nodiscard]] runtime::Task<std::vector<QueueStatus>> details(const QueueRow* rows, std::size_t count);

 private:
  runtime::Reactor& control_;
  const std::vector<DataShard*>& shards_;
  runtime::Semaphore turn_;
};

template <class Row>
runtime::Task<void> Slices::walk_one(DataShard& shard,
                                     std::function<Slice<Row>(DataShard&, const std::string&)> of,
                                     std::string after, std::function<bool(Row&&)> take) {
  for (bool more = true; more;) {
    co_await turn_.take(1);
    Slice<Row> slice = co_await runtime::call_on(control_, shard.id(), [&] { return of(shard, after); });
    turn_.give(1);
    for (Row& row : slice.rows) more = more && take(std::move(row));
    more = more && !slice.next.empty();
    after = std::move(slice.next);
  }
}

template <class Row>
runtime::Task<void> Slices::walk(std::function<Slice<Row>(DataShard&, const std::string& after)> of,
                                 std::string after, std::function<bool(Row&&)> take) {
  for (DataShard* shard : shards_) co_await walk_one<Row>(*shard, of, after, take);
}

}  // namespace sluice::shard
