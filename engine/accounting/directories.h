#pragma once

#include <string>

#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"

namespace sluice::accounting {

/// Makes `path` with everything above it, and makes all these names durable: a file is no more durable than
/// the directories on the way to it.
[[nodiscard]] runtime::Task<Status> make_durable_directories(runtime::Reactor& reactor, std::string path);

}  // namespace sluice::accounting
