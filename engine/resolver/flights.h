#pragma once
// Questions on their way to the name servers: one flight for each question, and a fair order of departure.

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/resolver/dns_transport.h"
#include "engine/resolver/resolver.h"
#include "engine/resolver/rrset_cache.h"
#include "engine/runtime/sync.h"

namespace sluice::resolver {

class Flights;
struct Flight;

/// Somebody who waits for answers: one route or one lookup. Lives in the asking coroutine's frame.
/// Lifetime: Flights::leave() before destruction.
struct Asker {
  /// Departure order between askers; within a class they take turns.
  enum class Class : std::uint8_t {
    Known,  ///< the domain has been answered before: may use every slot
    Begun,  ///< a new domain with its first answer in hand: finishing it frees memory
    New,
  };
  static constexpr std::size_t kClasses = 3;

  struct Want {
    Flight* flight = nullptr;  ///< null once landed
    RrsetRef result;
  };

  Asker(runtime::Reactor& reactor, Class the_klass) : wakeup(reactor), klass(the_klass) {}
  [[nodiscard]] bool all_landed() const { return landed == wants.size(); }

  runtime::Wakeup wakeup;  ///< set whenever a want lands
  Class klass;
  std::vector<Want> wants;  ///< in the order of Flights::want()
  std::size_t landed = 0;

 private:
  friend class Flights;
  std::deque<Flight*> to_start_;
  std::size_t in_flight_ = 0;
  Asker* next_ = nullptr;  // in its class's ring while queued_
  Asker* prev_ = nullptr;
  bool queued_ = false;
};

/// One question under way or waiting for a slot.
struct Flight {
  std::string name;
  net::dns::Type type;
  bool started = false;
  bool is_new = false;     ///< counts against kQueriesInFlightNewMax
  Asker* owner = nullptr;  ///< whose turn it takes; null once that one has left
  std::vector<Asker*> askers;
};

/// Thread:   one shard. Lifetime: stop() has been awaited before destruction (asserted).
/// Limits:   those of Resolver. The order: Known before Begun before New; askers of a class in turn, one
///           question each.
class Flights {
 public:
  Flights(runtime::Reactor& reactor, DnsTransport& transport, RrsetCache& cache,
          const ResolverOptions& options, Resolver::Counters& counters);
  Flights(const Flights&) = delete;
  Flights& operator=(const Flights&) = delete;
  ~Flights();

  /// Adds a want for (name, type): joins the flight under way or plans a new one. It lands later, never from
  /// inside. Answers also go into the cache.
  void want(Asker& asker, std::string_view name, net::dns::Type type);
  /// Starts what want() has planned.
  void depart();
  /// Takes the asker out. Its flights go on when they have started or somebody else waits for them.
  void leave(Asker& asker);

  /// Lands everything with Failure, now and from now on, stops the transport, waits for what runs.
  [[nodiscard]] runtime::Task<void> stop();
  [[nodiscard]] std::uint64_t in_flight() const { return in_flight_; }
  [[nodiscard]] std::uint64_t waiting() const { return table_.size() - in_flight_; }

 private:
  struct Key {
    std::string_view name;
    net::dns::Type type;
    friend bool operator==(const Key&, const Key&) = default;
  };
  struct KeyHash {
    std::size_t operator()(const Key& key) const noexcept {
      return std::hash<std::string_view>{}(key.name) ^ (static_cast<std::size_t>(key.type) << 48);
    }
  };
  /// Askers of one class with something to start, in turn.
  struct Ring {
    Asker* head = nullptr;
    void push_back(Asker& asker);
    void remove(Asker& asker);
  };

  void plan(Asker& asker, Flight& flight);
  void unplan(Flight& flight);
  [[nodiscard]] Asker* next_asker();
  void start_one(Asker& asker);
  void land(Flight& flight, const RrsetRef& result);
  [[nodiscard]] runtime::Task<void> fly(Flight* flight);
  [[nodiscard]] runtime::Task<RrsetRef> ask(std::string question, net::dns::Type type);
  [[nodiscard]] RrsetRef failure(std::string_view name, net::dns::Type type);

  runtime::Reactor& reactor_;
  DnsTransport& transport_;
  RrsetCache& cache_;
  const ResolverOptions& options_;
  Resolver::Counters& counters_;
  std::unordered_map<Key, std::unique_ptr<Flight>, KeyHash> table_;
  Ring rings_[Asker::kClasses];
  std::uint64_t in_flight_ = 0;
  std::uint64_t in_flight_new_ = 0;
  bool departing_ = false;
  bool stopping_ = false;
  runtime::TaskGroup flying_;
};

}  // namespace sluice::resolver
