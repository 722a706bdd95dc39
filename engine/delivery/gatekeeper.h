#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/delivery/settler.h"
#include "engine/queue/queue.h"
#include "engine/queue/snapshot.h"
#include "engine/runtime/reactor.h"
#include "policy/backoff/status_texts.h"

namespace sluice::delivery {

/// Volumes reserved for one message on its way. Reused: no allocation once warm.
struct VolumeTicket {
  std::vector<queue::VolumeGateRef> gates;
  std::uint64_t bytes = 0;
};

/// What `max-connect-rate` was charged for a connection that is about to be opened.
struct ConnectGrants {
  struct Paid {
    std::shared_ptr<TokenBucket> bucket;
    TokenBucket::Grant grant;
  };
  std::vector<Paid> paid;
};

/// Every rate and volume of one shard's queues: puts them in force, asks them, charges them, has the journal
/// remember what they owe. Nobody else writes a gate.
/// Thread:   one shard.
/// Lifetime: everything passed in outlives it. A queue that goes away is said to leave() first.
class Gatekeeper {
 public:
  /// Queues woken for one return of reserved volume: the others follow with the next return, or look by
  /// themselves (VolumeBudget::kReservedLookMax).
  static constexpr std::size_t kWokenMax = 16;
  /// Queues that ask another shard in one message for what their domains share.
  static constexpr std::size_t kAsksAtOnce = 256;
  using Wake = std::function<void(queue::Queue&)>;
  using Find = std::function<queue::Queue*(std::string_view domain, std::string_view vmta)>;

  /// `wake`: the queue is looked at soon, not from within the call. `find`: a queue of this shard, or null.
  Gatekeeper(runtime::Reactor& reactor, Settler& settler, queue::SharedState& shared, Wake wake, Find find);
  Gatekeeper(const Gatekeeper&) = delete;
  Gatekeeper& operator=(const Gatekeeper&) = delete;

  void set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot) { snapshot_ = std::move(snapshot); }
  /// Those of all shards, this one among them. Before work starts; else it is alone.
  void set_peers(std::vector<Gatekeeper*> peers) { peers_ = std::move(peers); }

  // --- Putting limits in force.
  /// Whenever the queue's settings or its mode have changed. What went before still counts.
  void apply(queue::Queue& queue);
  /// For a new queue, once its mode is known: rates begin with what that mode owes.
  void begin(queue::Queue& queue) {
    queue.gates = {};
    apply(queue);
  }
  /// The queue is about to be forgotten or to go to another shard.
  void leave(queue::Queue& queue);
  /// Its domain's shared gates have been asked for and are not there yet: nothing of the queue goes.
  [[nodiscard]] static bool is_waiting(const queue::Queue& queue) {
    return queue.gates.shared_asked != queue.gates.shared_given;
  }
  /// A queue that is forgotten takes its rates with it: not before they are at rest.
  [[nodiscard]] static MonoTime owed_until(const queue::Queue& queue, MonoTime now);

  // --- When.
  struct Hold {
    MonoTime until;
    HeldBy by = HeldBy::Messages;
    queue::VolumeGateRef gate = {};  ///< a volume of several queues, of which some is under way; or null
  };
  /// The limit of queue, virtual MTA and pools that holds recipients back longest, and until when; `now`:
  /// none.
  [[nodiscard]] Hold next_recipient(const queue::Queue& queue, MonoTime now) const;
  /// `queue` looks again at `hold.until`, but sooner when that volume comes back. False: it has come back
  /// already.
  [[nodiscard]] bool wait_for(queue::Queue& queue, Hold& hold);
  /// Some rate lets recipients go at least `apart` from each other.
  [[nodiscard]] bool is_slow(const queue::Queue& queue, Duration apart) const;
  /// `max-smtp-*` of virtual MTA and pools: what does not leave this host is none of theirs.
  [[nodiscard]] std::span<const queue::Totals> totals_of(const queue::Queue& queue) const;

  // --- Recipients. `source`: the gate of the source address in use, or null.
  /// The rate that forbids the next recipients, up to `most` of them, to go now; nothing: none does.
  [[nodiscard]] std::optional<Hold> message_hold(const queue::Queue& queue, const queue::SourceGate* source,
                                                 std::size_t most);
  /// Reserves volumes for a message of `bytes`; or says what it has to wait for. A queue that waits for mail
  /// under way is woken when some of that fails.
  [[nodiscard]] std::optional<Hold> reserve(queue::Queue& queue, const queue::SourceGate* source,
                                            std::uint64_t bytes, VolumeTicket& ticket);
  void end(VolumeTicket& ticket, bool delivered);
  /// Takes tokens for up to `count` recipients of every rate, and answers in `count` how many there were; or
  /// what to wait for.
  [[nodiscard]] std::optional<Hold> pay(const queue::Queue& queue, const queue::SourceGate* source,
                                        std::uint32_t& count);

  /// The journal keeps what the rate owes now.
  void remember(const queue::RateGate& gate);

 private:
  void set_gate(queue::RateGate& gate, queue::RateGate& kept, const config::RateLimit& rate,
                std::string key) const;
  void set_gate(queue::VolumeGateRef& gate, queue::VolumeGateRef& kept, const config::VolumeLimit& rate,
                std::string key) const;
  struct Ask {
    std::string domain;
    std::string vmta;
    queue::SharedGates::Request request;
    queue::SharedGates::Joined joined = {};  // the answer
  };
  struct Asks {
    std::deque<Ask> waiting;
    bool under_way = false;
  };
  [[nodiscard]] std::size_t keeper_of(std::string_view domain) const;
  void join_domain(queue::Queue& queue, const ModeLimits& limits);
  void send_asks(std::size_t keeper);
  void answer(std::vector<Ask> asks, Gatekeeper& who, std::size_t keeper);
  void joined(queue::Queue& queue, queue::SharedGates::Joined shared);
  void leave_domain(queue::Queue& queue);
  void apply_sources(queue::Queue& queue);
  void ask(const queue::Queue& queue, const queue::SourceGate* source);
  void remember(queue::VolumeGate& gate);
  [[nodiscard]] std::optional<Hold> reserve_all(const queue::Queue& queue, const queue::SourceGate* source,
                                                VolumeTicket& ticket);
  // The line for volumes under way.
  /// Shards of 64 and more share bits: they are told in vain now and then.
  [[nodiscard]] static std::uint64_t bit_of(ShardId shard) { return std::uint64_t{1} << shard.raw() % 64; }
  void await(queue::Queue& queue, const queue::VolumeGateRef& gate);
  void returned(const queue::VolumeGateRef& gate);
  void wake_some(const queue::VolumeGateRef& gate);

  runtime::Reactor& reactor_;
  Settler& settler_;
  queue::SharedState& shared_;
  Wake wake_;
  Find find_;
  queue::SharedGates domains_;  // whose book this shard has
  std::vector<Asks> asks_;      // by keeper, as in peers_
  std::shared_ptr<const queue::Snapshot> snapshot_;
  std::vector<Gatekeeper*> peers_;
  std::unordered_map<const queue::VolumeGate*, std::deque<queue::Queue*>> lines_;
  struct Asked {
    const queue::RateGate* gate;
    HeldBy by;
  };
  std::vector<Asked> asked_;  // of one question: reused
  std::vector<TokenBucket::Grant> taken_;
};

}  // namespace sluice::delivery
