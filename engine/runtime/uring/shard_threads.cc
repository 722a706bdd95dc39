#include <pthread.h>
#include <sched.h>

#include <thread>

#include "engine/runtime/uring/uring_reactor.h"

namespace sluice::runtime {

struct ShardThreads::Impl {
  std::vector<std::thread> threads;
};

ShardThreads::ShardThreads() : impl_(std::make_unique<Impl>()) {}
ShardThreads::~ShardThreads() { join(); }

void ShardThreads::start(std::string name, ShardId shard, UringOptions options, std::optional<unsigned> cpu,
                         std::move_only_function<void(Result<std::unique_ptr<UringReactor>>)> body) {
  impl_->threads.emplace_back(
      [name = std::move(name), shard, options, cpu, body = std::move(body)]() mutable {
        ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
        if (cpu) {
          cpu_set_t set;
          CPU_ZERO(&set);
          CPU_SET(*cpu, &set);
          // Best effort: in a container the set may have changed since usable_cpus(); an unpinned shard still
          // works.
          [[maybe_unused]] const int pinned = ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
        }
        body(UringReactor::create(shard, options));
      });
}

void ShardThreads::join() {
  for (std::thread& one : impl_->threads) {
    if (one.joinable()) one.join();
  }
  impl_->threads.clear();
}

std::vector<unsigned> usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<unsigned> out;
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return {0};
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) out.push_back(cpu);
  }
  return out;
}

}  // namespace sluice::runtime
