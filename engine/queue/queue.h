#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/queue/gates.h"
#include "engine/queue/item.h"
#include "engine/runtime/timer_wheel.h"
#include "policy/backoff/pacing.h"
#include "policy/backoff/queue_mode.h"
#include "policy/backoff/shut_sources.h"
#include "policy/routing/host_list.h"
#include "policy/settings/domain_settings.h"
#include "policy/settings/values.h"

namespace sluice::queue {

struct IdentityState;

/// Something went wrong or changed in a queue; `show queues --errors` lists the newest.
struct QueueEvent {
  WallTime time{};
  bool is_error = true;
  std::string text;
  bool is_state = false;  ///< a limit or the like that held mail back, and nothing that a mail host said
};

/// Somebody without work who wants to hear of new work: an idle connection.
class Worker {
 public:
  virtual void work_available() = 0;

 protected:
  ~Worker() = default;
};

/// Where a queue's mail goes: its own way, or into another queue (`queue-to`, MX rollup).
struct Placement {
  bool in_question = false;  ///< rollup may join it: the answer counts until valid_until
  bool asking = false;       ///< DNS is being asked, or the queue stands in line for it
  bool in_line = false;
  bool is_rollup =
      false;  ///< this is a queue others join: without a route its mail has to go back to its domains
  bool moving = false;  ///< somebody takes its mail elsewhere, or it stands in line for that
  std::uint8_t hops =
      0;  ///< of the mail that waits to move on: the most queues any of it has been handed on by
  bool in_circle = false;   ///< `queue-to` led back here: mail stays and is sent from here
  bool by_setting = false;  ///< `joins` is a `queue-to`
  std::string joins;        ///< domain of the other queue; empty: its own way
  std::shared_ptr<const routing::HostList> route;  ///< of the joined queue
  MonoTime valid_until{};                          ///< of an answer to the question
  [[nodiscard]] bool open(MonoTime now) const { return in_question && valid_until <= now; }
};

/// Whether somebody has ever answered mail of a queue: how many slots it may hold before that
/// (engine/delivery/probation.cc).
enum class Standing : std::uint8_t { Unknown, Good, Failing };

/// What one connection takes at a time: recipients of one message.
using Batch = std::vector<Item*>;

/// What all queues of a table hold together.
struct QueueTotals {
  std::size_t recipients = 0;
  std::uint64_t bytes = 0;
  std::size_t queues = 0;  ///< that hold recipients
};

/// All recipients for one `domain/vmta`. Holds and orders items; when one may go is the Dispatcher's
/// business. Thread:   the shard that owns the queue. Lifetime: owned by its QueueTable; empty (asserted)
/// when destroyed, unless the process ends. Cost:     push and take O(1), waiting O(log n).
class Queue {
 public:
  static constexpr std::size_t kEventsMax = 10;

  Queue(std::string domain, std::string vmta_name, runtime::Timer::Fire fire, void* owner);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string_view domain() const { return std::string_view(name_).substr(0, domain_size_); }
  [[nodiscard]] std::string_view vmta_name() const {
    return std::string_view(name_).substr(domain_size_ + 1);
  }

  /// From now on what the queue holds counts among `totals` too (null: nowhere). Requires that it is empty.
  void count_among(QueueTotals* totals);

  // --- Contents.
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t ready() const { return ready_count_; }
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  /// A new or recovered recipient that may go at once.
  void push(Item& item);
  /// Mail that is older than what is here begins to come, slice by slice: what is here, and what comes by
  /// push(), goes behind it. Until bring_together().
  void expect_older();
  void push_older(Item& item);
  void bring_together();
  [[nodiscard]] bool expects_older() const { return expects_older_; }
  /// A new recipient that is dealt with at once: counts as taken.
  void admit(Item& item) {
    entered(item);
    ++taken_;
  }
  /// A recipient taken and not attempted: goes to the front again.
  void put_back(Item& item);
  /// A recipient that waits until item.due: new (`taken` false) or taken before.
  void wait(Item& item, bool taken);
  /// Moves what is due at `now` to the ready list; answers how many.
  std::size_t wake(MonoTime now);
  /// Moves everything that waits to the ready list (`schedule --retry-recipients`).
  std::size_t wake_all();
  [[nodiscard]] std::optional<MonoTime> next_wake() const;
  /// Recipients that wait, in no order.
  [[nodiscard]] const std::vector<Item*>& all_waiting() const { return waiting_; }
  /// The first ready recipient and those of the same message right behind it, at most `most`. Higher
  /// priorities first, within one in the order they came. Recipients of paused jobs are set aside on the way.
  /// Empty when none is ready.
  void take(Batch& into, std::size_t most);
  /// How many of the next recipients are of one message, counted up to `most`; 0 when none is ready.
  [[nodiscard]] std::size_t run_of_next(std::size_t most) const {
    const Item* const first = levels_.empty() ? nullptr : levels_.front().head;
    std::size_t count = 0;
    for (const Item* item = first; item != nullptr && count < most && item->message == first->message;
         item = item->next)
      ++count;
    return count;
  }
  /// A recipient taken and left alone: back to where it was, behind others of its priority.
  void give_back(Item& item, MonoTime now);
  /// Sets recipients of paused jobs aside as far as they are next.
  void park_paused();
  /// Makes those ready again whose jobs are no longer paused; answers how many.
  std::size_t unpark();
  [[nodiscard]] std::size_t parked() const { return parked_.size(); }
  /// Recipients that somebody works on.
  [[nodiscard]] std::size_t taken() const { return taken_; }
  /// Takes every recipient that is ready or waits out of the queue, in order: `visit(Item&)` has it then.
  template <class F>
  void remove_all(F&& visit) {
    bring_together();
    wake_all_in_order();
    for (Item* item : std::exchange(parked_, {})) append_ready(*item);
    ready_count_ = 0;
    for (const Level& level : std::exchange(levels_, {})) {
      for (Item* next = level.head; next != nullptr;) {
        Item& item = *next;
        next = item.next;
        left(item);
        visit(item);
      }
    }
  }
  /// The same for up to `most` of them: who is ready first, then who waits by the time it waits for, then who
  /// is set aside. Answers how many. Cost: of those, not of the queue.
  template <class F>
  std::size_t remove_some(std::size_t most, F&& visit);
  /// Takes out up to `most` recipients that do not go now or at all: whatever is ready or waits and for which
  /// `wanted(item)` holds. Order is kept. They count as taken. Cost: a walk over the whole queue.
  template <class Wanted>
  void extract(Batch& into, std::size_t most, Wanted&& wanted);
  /// A taken recipient is gone for good.
  void ended(const Item& item);

  // --- State the dispatcher keeps for the queue.
  struct QueueTimer : runtime::Timer {
    QueueTimer(Fire fire, Queue& one, void* the_owner) : Timer(fire), queue(one), owner(the_owner) {}
    Queue& queue;
    void* owner;
  };
  QueueTimer timer;
  std::shared_ptr<const config::DomainSettings> settings;  ///< effective, of the snapshot in force
  config::VmtaId vmta;                                     ///< in the snapshot in force
  bool vmta_exists = true;
  std::string_view withheld;  ///< why `settings` let no mail leave (config::withheld_reason); empty: they do
  bool misplaced = false;  ///< belongs to another shard, since a reload: ends its connections and goes there
  /// While that lasts: the virtual MTA that waits for it.
  std::shared_ptr<IdentityState> leaving;
  bool paused = false;
  /// Made while its virtual MTA waited for queues of other shards, and nothing has begun since: the queue it
  /// stands for may be on its way here with what it has counted.
  bool is_stand_in = false;
  Placement placement;
  /// Mail hosts of a rollup queue that has no `smtp-hosts`; null: of its domain, as DNS says.
  std::shared_ptr<const routing::HostList> route;
  MonoTime route_lost{};              ///< when its hosts last were found to take no mail
  bool is_joined_by_setting = false;  ///< some `queue-to` has put mail here
  MonoTime retry_until{};             ///< queue-level retry; in the past: none
  std::size_t retry_index = 0;        ///< into `retry-after`
  MonoTime connect_not_before{};      ///< after a failed connection while others of the queue work
  MonoTime hosts_full_until{};        ///< its mail hosts have as many connections as they may; looked at then
  bool host_freed = false;            ///< ... or earlier: one of them has had room since it stood in line
  std::uint32_t held = 0;             ///< tasks that refer to the queue besides its connections
  std::uint32_t connections = 0;      ///< under way, connecting ones included
  std::uint32_t established = 0;      ///< of these, past EHLO
  std::vector<Worker*> idle;          ///< established connections without work, longest idle first
  Standing standing = Standing::Unknown;
  Gates gates;             ///< limits of the present mode
  MonoTime last_opened{};  ///< smtp-out-rampup-interval
  MonoTime emptied_at{};
  ModeState mode;                  ///< normal or backoff: which limits hold (policy/limits/mode_limits.h)
  ShutSources shut;                ///< source addresses this queue does not use for now
  std::unique_ptr<Pacing> pacing;  ///< adaptive-pacing; null: off
  bool all_shut = false;           ///< no source address is left: nothing goes
  std::shared_ptr<void> barred;    ///< unbars its virtual MTA when it goes (BlockedDomains::bar)
  bool reroute_loops = false;      ///< its reroute leads back here and is ignored until something changes
  bool stored_retry = false;       ///< retry_until is remembered for the next start
  MonoTime expiry_check{};  ///< nothing passes its bounce-after, or wants a delay report, before; far in the
                            ///< future while empty
  WallTime delays_reported{};  ///< NOTIFY=DELAY: what fell due before has its report
  std::uint64_t delivered = 0;
  std::uint64_t bounced = 0;
  std::uint64_t deferred = 0;

  /// Takes over from the same queue of another shard all that is neither mail nor connections: rates, mode,
  /// retry.
  void inherit(Queue& from);
  void note(WallTime time, bool is_error, std::string text);
  [[nodiscard]] const std::deque<QueueEvent>& events() const { return events_; }
  /// What an attempt met last, be it the queue's failure or the deferral of a recipient; null: nothing yet.
  [[nodiscard]] const QueueEvent* last_reply() const;
  /// A recipient was deferred. Only the last such text is kept, cut to kDeferralBytesMax.
  void note_deferral(WallTime time, std::string_view text);
  static constexpr std::size_t kDeferralBytesMax = 300;
  /// The same text again only renews the time: states that last are noted at every look.
  void note_state(WallTime time, std::string_view text);
  /// A state that was noted is over.
  void unnote_state(std::string_view text);
  void note_mode(WallTime time, std::string text);
  /// Changes of mode and of disabled sources, newest first.
  [[nodiscard]] const std::vector<QueueEvent>& mode_events() const { return mode_events_; }

 private:
  void entered(const Item& item);
  void left(const Item& item);
  void wake_all_in_order();
  /// Ready recipients of one priority, oldest first.
  struct Level {
    std::uint8_t priority = 0;
    Item* head = nullptr;
    Item* tail = nullptr;
  };
  static Level& level_of(std::vector<Level>& levels, std::uint8_t priority);
  void append(std::vector<Level>& levels, Item& item);
  void append_ready(Item& item);
  void restore_heap();
  Item* pop_waiting();
  Item* take_head(std::size_t level);
  std::string name_;
  std::size_t domain_size_;
  std::vector<Level> levels_;  // highest first; none is empty
  std::vector<Level> behind_;  // while older mail is expected: what goes behind it
  bool expects_older_ = false;
  QueueTotals* totals_ = nullptr;
  std::size_t size_ = 0;  // the next two, waiting_ and parked_ together
  std::size_t ready_count_ = 0;
  std::size_t taken_ = 0;
  std::uint64_t bytes_ = 0;
  std::vector<Item*> waiting_;  // heap by due
  std::vector<Item*> parked_;   // of paused jobs
  std::deque<QueueEvent> events_;
  std::unique_ptr<QueueEvent> last_deferral_;  // null until the first: most queues have none
  std::vector<QueueEvent> mode_events_;
};

template <class F>
std::size_t Queue::remove_some(std::size_t most, F&& visit) {
  bring_together();
  std::size_t count = 0;
  const auto out = [&](Item& item) {
    left(item);
    ++count;
    visit(item);
  };
  while (count < most && !levels_.empty()) {
    Item& item = *take_head(0);
    --taken_;
    out(item);
  }
  while (count < most && !waiting_.empty()) out(*pop_waiting());
  const auto aside = parked_.end() - static_cast<std::ptrdiff_t>(std::min(most - count, parked_.size()));
  const std::vector<Item*> last(aside, parked_.end());
  parked_.erase(aside, parked_.end());
  for (Item* item : last) out(*item);
  return count;
}

template <class Wanted>
void Queue::extract(Batch& into, std::size_t most, Wanted&& wanted) {
  bring_together();
  std::size_t found = 0;
  ready_count_ = 0;
  for (const Level& level : std::exchange(levels_, {})) {
    for (Item* next = level.head; next != nullptr;) {
      Item& item = *next;
      next = item.next;
      if (found < most && wanted(std::as_const(item))) {
        item.next = nullptr;
        into.push_back(&item);
        ++found;
      } else {
        append_ready(item);
      }
    }
  }
  std::erase_if(parked_, [&](Item* item) {
    if (found == most || !wanted(std::as_const(*item))) return false;
    into.push_back(item);
    ++found;
    return true;
  });
  const auto gone = std::partition(waiting_.begin(), waiting_.end(), [&](Item* item) {
    if (found == most || !wanted(std::as_const(*item))) return true;
    ++found;
    return false;
  });
  into.insert(into.end(), gone, waiting_.end());
  if (gone != waiting_.end()) {
    waiting_.erase(gone, waiting_.end());
    restore_heap();
  }
  taken_ += found;
}

}  // namespace sluice::queue
