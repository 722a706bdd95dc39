#pragma once
// A world with nothing but time and chance: enough for the resolver over a TableTransport. Waiting jumps to the next timer.

#include <coroutine>
#include <optional>
#include <utility>

#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"
#include "policy/base/assert.h"

namespace sluice::tests {

class VirtualReactor final : public runtime::Reactor {
 public:
  static constexpr MonoTime kStart{std::chrono::hours{1}};

  VirtualReactor() : Reactor(ShardId{0}, kStart), time_(kStart) { set_time(kStart, WallTime{}); }

  /// Runs `task` to its end and returns its answer. Virtual time passes as the task needs it.
  template <class T>
  T run_task(runtime::Task<T> task) {
    std::optional<T> out;
    runtime::TaskGroup group;
    group.spawn(keep(*this, group_done_, std::move(task), out));
    run_until_done();
    return std::move(*out);
  }
  void run_task(runtime::Task<void> task) {
    runtime::TaskGroup group;
    group.spawn(keep_void(group_done_, std::move(task)));
    run_until_done();
  }
  /// Lets `delay` pass, with everything that happens in it.
  void pass(Duration delay) { run_task(sleep(*this, delay)); }
  /// Runs what is ready now, without letting time pass.
  void settle() {
    while (turn()) {
    }
  }
  std::uint64_t random_calls = 0;

  MonoTime read_clock() override { return time_; }
  std::uint64_t random() override { return ++random_calls * 0x9e3779b97f4a7c15u; }

  // No sockets, files or siblings here.
  void submit(runtime::Op&) override { none(); }
  void cancel(runtime::Op&) override { none(); }
  std::span<std::byte> provided_buffer(std::uint16_t) override { none(); }
  void return_buffer(std::uint16_t) override { none(); }
  Result<std::uint16_t> register_buffer(std::span<std::byte>) override { none(); }
  std::int32_t register_file(int) override { none(); }
  void unregister_file(std::int32_t) override { none(); }
  Result<int> tcp_listener(const Endpoint&, runtime::ListenOptions) override { none(); }
  Result<int> unix_listener(const std::string&, std::uint32_t) override { none(); }
  Result<int> tcp_socket(bool, const IpAddress*) override { none(); }
  Result<int> unix_socket() override { none(); }
  Status connect_unix(int, const std::string&) override { none(); }
  Result<int> udp_socket(bool, const Endpoint*) override { none(); }
  Result<std::size_t> send_datagram(int, std::span<const std::byte>, const Endpoint*) override { none(); }
  Result<Datagram> receive_datagram(int, std::span<std::byte>) override { none(); }
  Result<Endpoint> local_endpoint(int) override { none(); }
  Result<Endpoint> peer_endpoint(int) override { none(); }
  void shutdown_socket(int) override { none(); }
  void close_now(int) override { none(); }
  Result<std::vector<runtime::DirectoryEntry>> list_directory(const std::string&) override { none(); }
  Result<runtime::FileSystemSpace> space_of(const std::string&) override { none(); }
  Result<std::uint64_t> size_of(const std::string&) override { none(); }
  Status make_directories(const std::string&, std::uint32_t) override { none(); }
  void wake_from(Reactor&) override { none(); }

 protected:
  std::size_t poll(bool, std::optional<MonoTime>) override { return 0; }
  void refresh_clock() override {}

 private:
  [[noreturn]] static void none() { assertion_failed("this world has no I/O", __FILE__, __LINE__); }
  static runtime::Task<void> sleep(Reactor& reactor, Duration delay) { co_await runtime::sleep_for(reactor, delay); }
  template <class T>
  static runtime::Task<void> keep(VirtualReactor&, bool& done, runtime::Task<T> task, std::optional<T>& out) {
    out.emplace(co_await task);
    done = true;
  }
  static runtime::Task<void> keep_void(bool& done, runtime::Task<void> task) {
    co_await task;
    done = true;
  }
  void run_until_done() {
    while (!group_done_) {
      if (turn() || group_done_) continue;
      const auto next = timers().next();
      SLUICE_ASSERT(next.has_value());  // else the task waits for something that never comes
      time_ = std::max(time_, *next);
      set_time(time_, WallTime{});
    }
    group_done_ = false;
    settle();
  }
  MonoTime time_;
  bool group_done_ = false;
};

}  // namespace sluice::tests
