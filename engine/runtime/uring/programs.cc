// Programs as children of this process: posix_spawn, pipes, and a pidfd that the ring can wait for.
#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include "engine/runtime/uring/uring_reactor.h"

extern char** environ;

namespace sluice::runtime {
namespace {

/// A pipe whose ends close themselves unless taken.
struct Pipe {
  std::array<int, 2> ends{-1, -1};
  Pipe() = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    for (const int fd : ends) {
      if (fd >= 0) ::close(fd);
    }
  }
  [[nodiscard]] bool open() { return ::pipe2(ends.data(), O_CLOEXEC) == 0; }
  [[nodiscard]] int take(std::size_t end) { return std::exchange(ends[end], -1); }
};

struct SpawnPlan {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  SpawnPlan() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
};

/// Ours without what speaks to this process only.
std::vector<char*> environment() {
  std::vector<char*> out;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string_view entry = *one;
    const bool private_to_us = entry.starts_with("NOTIFY_SOCKET=") || entry.starts_with("LISTEN_") ||
                               entry.starts_with("WATCHDOG_") || entry.starts_with("CREDENTIALS_DIRECTORY=");
    if (!private_to_us) out.push_back(*one);
  }
  out.push_back(nullptr);
  return out;
}

}  // namespace

Result<StartedProgram> UringReactor::start_program(const std::vector<std::string>& arguments) {
  Pipe input, output;
  if (!input.open() || !output.open()) return fail_errno(errno, "pipe");
  SpawnPlan plan;
  ::posix_spawn_file_actions_adddup2(&plan.actions, input.ends[0], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&plan.actions, output.ends[1], STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&plan.actions, output.ends[1], STDERR_FILENO);
  // All of ours close by themselves; libraries' descriptors may not.
  ::posix_spawn_file_actions_addclosefrom_np(&plan.actions, STDERR_FILENO + 1);
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  ::posix_spawnattr_setsigmask(&plan.attributes, &none);    // ours blocks what comes by signalfd
  ::posix_spawnattr_setsigdefault(&plan.attributes, &all);  // ours ignores SIGPIPE
  ::posix_spawnattr_setpgroup(&plan.attributes, 0);
  ::posix_spawnattr_setflags(&plan.attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
  std::vector<char*> words;
  words.reserve(arguments.size() + 1);
  for (const std::string& word : arguments) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  pid_t pid = 0;
  const int failed =
      ::posix_spawnp(&pid, words[0], &plan.actions, &plan.attributes, words.data(), environment().data());
  if (failed != 0) return fail_errno(failed, "start program");
  const auto process = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));  // close-on-exec by itself
  if (process < 0) {
    const int why = errno;
    ::kill(-pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return fail_errno(why, "pidfd_open");
  }
  return StartedProgram{.process = process, .input = input.take(1), .output = output.take(0), .id = pid};
}

void UringReactor::signal_program(const StartedProgram& program, int number) {
  // Not reaped yet, so the number still is this program's and its group's.
  ::kill(static_cast<pid_t>(-program.id), number);
}

std::optional<ProgramEnd> UringReactor::reap_program(const StartedProgram& program) {
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(program.process), &info, WEXITED | WNOHANG) != 0) {
    return ProgramEnd{.exit_code = 0,
                      .signal = SIGKILL};  // cannot happen: nobody else waits for our programs
  }
  if (info.si_pid == 0) return std::nullopt;
  if (info.si_code == CLD_EXITED) return ProgramEnd{.exit_code = info.si_status, .signal = 0};
  return ProgramEnd{.exit_code = 0, .signal = info.si_status};
}

}  // namespace sluice::runtime
