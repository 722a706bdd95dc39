#include "bench/lib/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>

namespace sluice::bench {

Result<int> signal_descriptor() {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  ::sigemptyset(&set);
  for (const int one : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&set, one);
  if (::pthread_sigmask(SIG_BLOCK, &set, nullptr) != 0) return fail_errno(errno, "pthread_sigmask");
  const int fd = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd < 0) return fail_errno(errno, "signalfd");
  return fd;
}

std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  // Not allowed to? Then the old limit goes on, and running into it is reported where it happens.
  std::ignore = ::setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

CpuTime own_cpu_time() {
  rusage usage{};
  std::ignore = ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& time) {
    return std::chrono::seconds(time.tv_sec) + std::chrono::microseconds(time.tv_usec);
  };
  return {of(usage.ru_utime), of(usage.ru_stime)};
}

Result<CpuTime> cpu_time_of(std::uint64_t pid) {
  const auto stat = read_file(fmt::format("/proc/{}/stat", pid), 64 * kKiB);
  if (!stat) return std::unexpected(stat.error());
  // The program's name is in brackets and may hold anything; fields 14 and 15 are counted behind it.
  const std::size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return fail(Errc::BadInput, "proc.stat");
  const auto fields = split(std::string_view(*stat).substr(name_end + 2), ' ');
  if (fields.size() < 13) return fail(Errc::BadInput, "proc.stat");
  const auto user = parse_number(fields[11]);
  const auto system = parse_number(fields[12]);
  const long ticks = ::sysconf(_SC_CLK_TCK);
  if (!user || !system || ticks <= 0) return fail(Errc::BadInput, "proc.stat");
  const auto of = [&](std::uint64_t count) {
    return Duration(1s) * static_cast<std::int64_t>(count) / ticks;
  };
  return CpuTime{of(*user), of(*system)};
}

Result<std::string> read_file(const std::string& path, std::uint64_t bytes_max) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail_errno(errno, "open");
  std::string out;
  char buffer[65536];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    const int error = errno;
    if (got < 0 && error == EINTR) continue;
    if (got <= 0 || out.size() > bytes_max) {
      ::close(fd);
      if (got < 0) return fail_errno(error, "read");
      if (out.size() > bytes_max) return fail(Errc::NoSpace, "read: file too large");
      return out;
    }
    out.append(buffer, static_cast<std::size_t>(got));
  }
}

}  // namespace sluice::bench
