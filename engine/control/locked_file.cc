#include "engine/control/locked_file.h"

#include <algorithm>

namespace sluice::control {

using runtime::File;
using runtime::FileState;

runtime::Task<Result<File>> open_locked(runtime::Reactor& reactor, std::string path,
                                        runtime::OpenOptions options, Duration at_most) {
  const MonoTime end = reactor.now() + at_most;
  for (;;) {
    Result<File> file = co_await File::open(reactor, path, options);
    if (!file) co_return std::unexpected(file.error());
    const Status locked = co_await file->lock(std::max<Duration>(end - reactor.now(), 0s));
    if (!locked) co_return std::unexpected(locked.error());
    const auto mine = reactor.state_of(file->fd());
    if (!mine) co_return std::unexpected(mine.error());
    // Who held it before may have taken the name away meanwhile: then this is a lock on nothing.
    const Result<File> named = co_await File::open(reactor, path, {.write_only = true});
    const auto there =
        named ? reactor.state_of(named->fd()) : Result<FileState>(std::unexpected(named.error()));
    if (there && there->identity == mine->identity) co_return file;
    if (!there && there.error().code != Errc::NotFound) co_return std::unexpected(there.error());
  }
}

}  // namespace sluice::control
