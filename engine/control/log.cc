#include "engine/control/log.h"

#include <ctime>

#include "policy/base/assert.h"

namespace sluice::control {
namespace {

void append_local_time(std::string& out, WallTime time) {
  const std::time_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  std::tm local{};
  ::localtime_r(&seconds, &local);
  char buffer[32];
  out.append(buffer, std::strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M:%S", &local));
}

}  // namespace

Log::Log(runtime::Reactor& reactor) : reactor_(reactor), wakeup_(reactor) {}
Log::~Log() { SLUICE_ASSERT(tasks_.running() == 0); }

runtime::Task<Status> Log::open(std::string path, bool world_readable) {
  if (path.empty()) path = "/dev/stderr";
  Result<runtime::File> opened = co_await runtime::File::open(
      reactor_, path, {.create = true, .append = true, .mode = world_readable ? 0644u : 0640u});
  if (!opened) co_return std::unexpected(opened.error());
  if (tasks_.running() == 0) {
    file_ = std::move(*opened);
    tasks_.spawn(write_all());
  } else {
    next_file_ = std::move(*opened);  // exchanged by the writer, which may be using the old one now
    has_next_ = true;
  }
  wakeup_.set();
  co_return Status();
}

void Log::write(std::string_view text) {
  text = text.substr(0, kLineBytesMax);
  if (backlog_.size() + text.size() > kBacklogBytesMax) {
    ++dropped_;
    return;
  }
  append_local_time(backlog_, reactor_.wall_now());
  backlog_ += ' ';
  for (const char c : text) backlog_ += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  backlog_ += '\n';
  wakeup_.set();
}

runtime::Task<void> Log::write_all() {
  std::string writing;
  for (;;) {
    if (std::exchange(has_next_, false)) file_ = std::move(next_file_);
    if (backlog_.empty()) {
      if (stopping_) co_return;
      co_await wakeup_.wait();
      continue;
    }
    writing.clear();
    writing.swap(backlog_);
    if (dropped_ > 0) {
      const std::uint64_t dropped = std::exchange(dropped_, 0);
      write(std::to_string(dropped) + " log lines left out: too many at once");
    }
    // O_APPEND: the offset is the file's business.
    const Status written = co_await file_.write(std::as_bytes(std::span(writing)), 0);
    if (!written && !stopping_)
      co_await runtime::sleep_for(reactor_, 1s);  // lost lines, but no loop around a full disk
  }
}

runtime::Task<void> Log::stop() {
  stopping_ = true;
  wakeup_.set();
  co_await tasks_.join();
}

}  // namespace sluice::control
