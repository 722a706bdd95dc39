#pragma once
// Programs of a simulated machine: coroutines that talk to their starter through pipes.

#include <functional>
#include <string>
#include <vector>

#include "engine/runtime/stream.h"
#include "engine/runtime/task.h"

namespace sluice::runtime::sim {

/// A program's side of its start. Thread: the world's only one. Lifetime: owned by the program's frame.
struct ProgramSide {
  std::vector<std::string> arguments;
  Stream input;   ///< standard input; its end is an empty receive()
  Stream output;  ///< standard output and standard error
};

/// Runs until it answers its exit code. A signal ends it for its starter at once; its streams break, and the
/// coroutine has to come to an end by itself.
using ProgramBody = std::function<Task<int>(Reactor& reactor, ProgramSide side)>;

}  // namespace sluice::runtime::sim
