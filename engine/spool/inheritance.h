#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/log/format.h"

namespace sluice::log {

/// What recovery found of one log, for the shard that goes on with it.
struct Inheritance {
  struct Kept {
    std::string path;
    SegmentHeader header;
    bool foreign = false;  ///< in the directory of a shard that no longer exists
  };
  struct Unused {
    std::string path;
    std::uint64_t bytes = 0;
    bool foreign = false;
  };
  std::vector<Kept> kept;
  std::vector<Unused> unused;
  std::uint32_t next_segment = 1;    ///< above every number ever used in the own directory
  std::uint64_t next_sequence = 1;
  std::uint32_t incarnation = 1;
};

}  // namespace sluice::log

namespace sluice::spool {
struct SpoolInheritance : log::Inheritance {};
}  // namespace sluice::spool
