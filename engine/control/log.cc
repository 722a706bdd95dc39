#include "engine/control/log.h"

#include <algorithm>

#include "engine/control/locked_file.h"
#include "policy/base/assert.h"

namespace sluice::control {
namespace {

constexpr std::size_t kOffsetBytes = 5;  // "+0000": accounting files need it, the log goes without

std::string numbered(const std::string& path, std::uint32_t number) {
  return number == 0 ? path : path + '.' + std::to_string(number);
}

}  // namespace

bool LineWriter::append(std::string& out, WallTime time, std::string_view text) noexcept {
  const std::size_t before = out.size();
  try {
    append_line(out, time, text);
    return true;
  } catch (...) {
    out.resize(before);
    return false;
  }
}

void LineWriter::append_line(std::string& out, WallTime time, std::string_view text) {
  times_.append(out, time);
  out.resize(out.size() - std::min(out.size(), kOffsetBytes));
  out += ' ';
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  text = text.substr(0, kLineBytesMax);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    if (c == '\n') {
      out += " | ";
    } else {
      out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    }
  }
  out += '\n';
}

Log::Log(runtime::Reactor& reactor, const accounting::TimeZone& zone)
    : reactor_(reactor),
      zone_(zone),
      lines_(zone),
      file_use_(reactor, 1),
      day_timer_(
          [](runtime::Timer& timer) {
            Log& self = static_cast<DayTimer&>(timer).owner;
            self.note_day();
            self.reactor_.arm_in(
                timer, std::min<Duration>(self.next_midnight_ - self.reactor_.wall_now(), kDayCheckMax));
          },
          *this),
      wakeup_(reactor) {}

Log::~Log() {
  reactor_.disarm(day_timer_);
  SLUICE_ASSERT(tasks_.running() == 0);
}

namespace {

std::string place_of(const LogOptions& options) {
  return options.path.empty() ? "/dev/stderr" : options.path;
}

runtime::OpenOptions how_to_open(const LogOptions& options, bool empty) {
  return {.create = true, .truncate = empty, .append = true, .mode = options.world_readable ? 0644u : 0640u};
}

}  // namespace

runtime::Task<Result<runtime::File>> Log::open_own(LogOptions options) {
  Result<runtime::File> opened =
      co_await runtime::File::open(reactor_, place_of(options), how_to_open(options, false));
  if (!opened || place_of(options).starts_with("/dev/")) co_return opened;
  const auto found = reactor_.state_of(opened->fd());
  if (!found || !found->is_plain) co_return opened;  // a pipe has readers, and no lock
  const auto ours =
      file_ ? reactor_.state_of(file_.fd()) : Result<runtime::FileState>(fail(Errc::NotFound, "open"));
  if (ours && ours->identity == found->identity) co_return runtime::File();
  co_return co_await open_locked(reactor_, place_of(options), how_to_open(options, false), kLockWait);
}

runtime::Task<Status> Log::open(LogOptions options) {
  co_await file_use_.take(1);
  Result<runtime::File> opened = co_await open_own(options);
  if (opened && *opened) file_ = std::move(*opened);
  if (opened) options_ = std::move(options);
  file_use_.give(1);
  if (!opened) co_return std::unexpected(opened.error());
  if (tasks_.running() == 0) {
    next_midnight_ = zone_.next_midnight(reactor_.wall_now());
    reactor_.arm_in(day_timer_, std::min<Duration>(next_midnight_ - reactor_.wall_now(), kDayCheckMax));
    tasks_.spawn(write_all());
  }
  wakeup_.set();
  co_return Status();
}

bool Log::rotates() const {
  // A device is not renamed, whoever runs us.
  return options_.kept > 0 && !options_.path.empty() && !options_.path.starts_with("/dev/");
}

void Log::note_day() {
  const WallTime now = reactor_.wall_now();
  if (now < next_midnight_ || next_midnight_ == WallTime{}) return;
  next_midnight_ = zone_.next_midnight(now);
  if (!options_.daily || !rotates() || day_ends_at_) return;
  day_ends_at_ = backlog_.size();
  wakeup_.set();
}

void Log::write(std::string_view text) noexcept {
  note_day();
  const bool fits = backlog_.size() + std::min(text.size(), LineWriter::kLineBytesMax) <= kBacklogBytesMax;
  if (!fits || !lines_.append(backlog_, reactor_.wall_now(), text)) {
    ++dropped_;
    return;
  }
  wakeup_.set();
}

void Log::append(std::string_view lines, std::uint64_t left_out) noexcept {
  note_day();
  dropped_ += left_out;
  bool taken = false;
  try {
    if (backlog_.size() + lines.size() <= kBacklogBytesMax) {
      backlog_ += lines;
      taken = true;
    }
  } catch (...) {  // no memory for them
  }
  if (!taken) dropped_ += static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
  wakeup_.set();
}

runtime::Task<void> Log::write_text(std::string_view text) {
  if (text.empty()) co_return;
  co_await file_use_.take(1);
  // O_APPEND: the offset is the file's business.
  const Status written = co_await file_.write(std::as_bytes(std::span(text)), 0);
  file_use_.give(1);
  // Lost lines, but no loop around a full disk; and no stop that waits for it.
  for (int i = 0; i < 20 && !written && !stopping_; ++i) co_await runtime::sleep_for(reactor_, 50ms);
}

runtime::Task<void> Log::write_all() {
  std::string writing;
  for (;;) {
    if (backlog_.empty() && !day_ends_at_ && dropped_ == 0) {
      if (stopping_) co_return;
      co_await wakeup_.wait();
      continue;
    }
    writing.clear();
    writing.swap(backlog_);
    const std::optional<std::size_t> day_ends = std::exchange(day_ends_at_, std::nullopt);
    if (dropped_ > 0) {
      const std::uint64_t dropped = std::exchange(dropped_, 0);
      write(std::to_string(dropped) + " log lines left out: too many at once");
    }
    std::string_view rest = writing;
    if (day_ends) {
      co_await write_text(rest.substr(0, *day_ends));
      rest.remove_prefix(*day_ends);
      const Status rotated = co_await rotate();
      if (!rotated) write("cannot rotate the log: " + rotated.error().text());
    }
    co_await write_text(rest);
  }
}

runtime::Task<Status> Log::rotate() {
  co_await file_use_.take(1);
  const Status rotated = co_await rotate_held();
  file_use_.give(1);
  co_return rotated;
}

runtime::Task<Status> Log::rotate_held() {
  if (rotates()) {
    // The oldest go first, so that a crash in between loses nothing else. Files beyond the count are of a
    // time when more were kept.
    for (std::uint32_t i = options_.kept; i < kKeptMax; ++i) {
      const Status removed = co_await runtime::unlink_file(reactor_, numbered(options_.path, i));
      if (!removed) break;
    }
    for (std::uint32_t i = options_.kept - 1; i > 0; --i) {
      const Status moved =
          co_await runtime::rename_file(reactor_, numbered(options_.path, i - 1), numbered(options_.path, i));
      if (!moved && moved.error().code != Errc::NotFound) co_return moved;
    }
  }
  const bool empty = rotates() && options_.kept == 1;
  Result<runtime::File> opened =
      co_await runtime::File::open(reactor_, place_of(options_), how_to_open(options_, empty));
  if (!opened) co_return std::unexpected(opened.error());
  file_ = std::move(*opened);
  if (!place_of(options_).starts_with("/dev/")) (void)co_await file_.lock(kLockWait);
  co_return Status();
}

runtime::Task<void> Log::stop() {
  stopping_ = true;
  reactor_.disarm(day_timer_);
  wakeup_.set();
  co_await tasks_.join();
}

ShardLog::ShardLog(runtime::Reactor& reactor, ShardId control, Log& log, const accounting::TimeZone& zone)
    : state_(std::make_shared<State>(reactor, control, log, LineWriter(zone))) {}

void ShardLog::write(std::string_view text) noexcept {
  State& state = *state_;
  const bool fits =
      state.waiting.size() + std::min(text.size(), LineWriter::kLineBytesMax) <= kBacklogBytesMax;
  if (!fits || !state.lines.append(state.waiting, state.reactor.wall_now(), text)) {
    ++state.dropped;
    return;
  }
  if (state.under_way) return;
  try {
    send(state_);
  } catch (...) {  // the line with it
    state.under_way = false;
    ++state.dropped;
  }
}

void ShardLog::send(const std::shared_ptr<State>& state) {
  state->under_way = true;
  state->reactor.send_to(
      state->control, [state, log = &state->log, lines = std::exchange(state->waiting, {}),
                       dropped = std::exchange(state->dropped, 0), from = state->reactor.shard()]() mutable {
        log->append(lines, dropped);
        log->reactor().send_to(from, [state = std::move(state)] {
          state->under_way = false;
          if (!state->waiting.empty() || state->dropped > 0) send(state);
        });
      });
}

}  // namespace sluice::control
