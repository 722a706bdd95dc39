#include "engine/accounting/directories.h"

#include "engine/runtime/file.h"

namespace sluice::accounting {
namespace {

constexpr std::uint32_t kDirectoryMode = 0750;

}  // namespace

runtime::Task<Status> make_durable_directories(runtime::Reactor& reactor, std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (path.empty()) path = ".";
  if (const Status made = reactor.make_directories(path, kDirectoryMode); !made) co_return made;
  while (true) {
    const std::size_t slash = path.rfind('/');
    if (slash == std::string::npos || path == "/") break;
    path.resize(slash == 0 ? 1 : slash);
    const Status synced = co_await runtime::sync_directory(reactor, path);
    // Directories above may be closed to us; then they were not made by us either.
    if (!synced && synced.error().code != Errc::Permission) co_return synced;
  }
  co_return Status();
}

}  // namespace sluice::accounting
