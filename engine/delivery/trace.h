#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/delivery/session_log.h"

namespace sluice::delivery {

/// `sluice trace QUEUE`: what the next connection of a queue does, kept for whoever asked. Thread: the shard
/// of the queue; shared by its dispatcher, the connection, and the command that reads it there. Limits:
/// kLinesMax lines are kept; the rest is counted.
struct Trace {
  static constexpr std::size_t kLinesMax = 20'000;

  std::string pattern;  ///< of the queue
  SessionLog::Wishes wishes{.connections = true, .commands = true, .data = false};
  bool resolution = false;  ///< the route too
  bool live = true;         ///< kept in `lines`
  bool to_log = false;      ///< in the main log
  LogLine line;             ///< set by the dispatcher
  bool begun = false;       ///< a connection has it
  bool over = false;        ///< it has ended, or nobody reads any more
  std::vector<std::string> lines;
  std::size_t left_out = 0;
};

}  // namespace sluice::delivery
