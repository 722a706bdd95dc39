#pragma once

#include <string>

#include "engine/runtime/file.h"

namespace sluice::control {

/// Opens and locks a file that other processes lock too, and may remove or rename: `path` names it when this answers.
/// Thread: the control shard. Errors also: Timeout: somebody else holds it.
[[nodiscard]] runtime::Task<Result<runtime::File>> open_locked(runtime::Reactor& reactor, std::string path,
                                                               runtime::OpenOptions options,
                                                               Duration at_most);

}  // namespace sluice::control
