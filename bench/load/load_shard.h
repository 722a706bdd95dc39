#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "bench/lib/counter.h"
#include "bench/lib/histogram.h"
#include "bench/lib/ledger.h"
#include "bench/load/arrivals.h"
#include "bench/load/load_client.h"
#include "engine/runtime/stream.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"

namespace sluice::bench {

/// What one thread did. Counters may be read by any thread; the histograms by their own, or after its end.
struct LoadCounters {
  Counter started;
  Counter accepted;
  Counter refused;
  Counter unknown;
  Counter unsent;
  Counter recipients;  ///< of accepted messages
  Counter bytes;       ///< of accepted messages
  Counter connects;
  Counter connects_failed;
  Counter connections_lost;  ///< after the greeting
  Histogram latency_ns;      ///< of accepted messages, from the intended time to the reply
  std::vector<std::pair<std::string, std::uint64_t>>
      refusals;  ///< by reply text, the first kRefusalsMax kinds
  static constexpr std::size_t kRefusalsMax = 20;
};

/// The connections of one thread.
/// Thread: its own. Lifetime: run() has answered before destruction; the plan outlives it.
/// Limits: kConnectingMax connections being opened at once; kDrainTime for what is under way when told to stop.
class LoadShard final : public LoadDesk {
 public:
  static constexpr std::uint64_t kConnectingMax = 200;
  static constexpr Duration kDrainTime = 10s;

  LoadShard(runtime::Reactor& reactor, const LoadPlan& plan, std::size_t threads,
            std::unique_ptr<LedgerLog> ledger, LoadCounters& counters);
  ~LoadShard() override;

  /// Until all messages have ended, the time is over, or stop().
  [[nodiscard]] runtime::Task<void> run();
  /// No new messages; what is under way gets kDrainTime.
  void stop();
  /// Time from the first message to the last reply.
  [[nodiscard]] Duration active_time() const { return last_reply_ - started_at_; }

  Ticket next_ticket(MonoTime now) override;
  LoadMessage make_message(std::uint64_t number) override;
  void finished(Attempt&& attempt, Injection how, std::string_view reply, MonoTime now) override;

 private:
  struct Connection;
  struct Alarm : runtime::Timer {
    Alarm(Fire fire, LoadShard& shard) : Timer(fire), owner(shard) {}
    LoadShard& owner;
  };
  runtime::Task<void> keep_connected(std::size_t index);
  runtime::Task<bool> connect(std::size_t index, runtime::Stream& into, MonoTime give_up);
  runtime::Task<void> converse(Connection& connection);
  void wait_for_arrival(Connection& connection);
  void on_arrival();
  [[nodiscard]] bool out_of_time(MonoTime now) const;
  void record(const Attempt& attempt, Injection how, std::string_view reply);
  [[nodiscard]] bool ending() const { return stopping_ || tickets_over_; }

  runtime::Reactor& reactor_;
  const LoadPlan& plan_;
  const std::uint64_t index_;
  const std::uint64_t threads_;
  std::unique_ptr<LedgerLog> ledger_;
  LoadCounters& counters_;
  MessageMaker maker_;
  std::optional<ArrivalTimes> arrivals_;
  std::optional<Duration> next_arrival_;  // from the start
  std::uint64_t messages_left_ = UINT64_MAX;
  std::uint64_t next_number_ = 0;
  bool tickets_over_ = false;
  bool stopping_ = false;
  MonoTime started_at_;
  MonoTime last_reply_;
  std::uint64_t wall_base_us_ = 0;
  MonoTime mono_base_;

  runtime::Semaphore connecting_;
  runtime::TaskGroup tasks_;
  std::vector<Connection*> connections_;
  std::deque<Connection*> idle_;  // waiting for an arrival, in order
  Alarm arrival_alarm_;
  std::string ledger_text_;
};

}  // namespace sluice::bench
