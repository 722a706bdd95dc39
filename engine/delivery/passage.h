#pragma once

#include <memory>
#include <string>
#include <utility>

#include "engine/delivery/host_line.h"
#include "engine/queue/gates.h"
#include "engine/queue/host_counts.h"
#include "engine/queue/identity.h"
#include "policy/base/ip_address.h"

namespace sluice::delivery {

/// What a connection holds while it is open: its source, and its units of the counts by host and source.
/// Thread:   one shard. Lifetime: released before the dispatcher's shared state ends.
class Passage {
 public:
  Passage() = default;
  Passage(const Passage&) = delete;
  Passage& operator=(const Passage&) = delete;
  ~Passage() { release(); }
  void release() {
    for (queue::HostUnit* unit : {&at_address, &at_host}) {
      const auto key = unit->release();
      if (key && line != nullptr) line->given_back(*key);
    }
    count_by(nullptr);
    source = nullptr;
  }
  /// Counted by another gate of its source from now on; null: by none.
  void count_by(std::shared_ptr<queue::SourceGate> other) {
    if (gate == other) return;
    if (gate) --gate->connections;
    if (gate && std::exchange(ending, false)) --gate->ending;
    gate = std::move(other);
    if (gate) ++gate->connections;
  }
  /// One too many for its gate, and no other one has been told so in its place.
  [[nodiscard]] bool must_end() {
    if (!gate || ending || !gate->max_connections ||
        gate->connections - gate->ending <= *gate->max_connections)
      return false;
    ++gate->ending;
    return ending = true;
  }
  HostLine* line = nullptr;                      ///< hears of units that come free; outlives this
  const queue::SourceAddress* source = nullptr;  ///< null: it holds nothing
  std::shared_ptr<queue::SourceGate> gate;
  bool ending = false;
  std::string host;  ///< to which mail host, as its MX record names it
  IpAddress to;
  queue::HostUnit at_address;  ///< ip-connection-limit
  queue::HostUnit at_host;     ///< mx-connection-limit
};

}  // namespace sluice::delivery
