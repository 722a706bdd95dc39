#include "engine/shard/clock_watch.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/shard/command_texts.h"
#include "policy/backoff/state_text.h"

namespace sluice::shard {
namespace {

using std::chrono::milliseconds;

/// "6d 1:00:00"
std::string span_text(Duration time) {
  const Duration span = std::chrono::round<std::chrono::seconds>(time < Duration{0} ? -time : time);
  const auto days = span / 24h;
  return (days > 0 ? fmt::format("{}d ", days) : std::string()) + clock_text(span % 24h);
}

std::string set_by(Duration step) {
  return (step < Duration{0} ? "back by " : "forward by ") + span_text(step);
}

bool is_step(Duration gap) { return gap >= ClockWatch::kStepMin || gap <= -ClockWatch::kStepMin; }

struct Stored {
  std::string_view boot_id;
  runtime::LastingClock clock;
};

std::optional<Stored> parse(std::string_view text) {
  const std::string_view boot_id = take_word(text);
  const auto base = parse_integer(take_word(text));
  const auto offset = parse_integer(take_word(text));
  if (!base || !offset) return std::nullopt;
  return Stored{boot_id, {.base = milliseconds(*base), .offset = milliseconds(*offset)}};
}

}  // namespace

WallTime ClockWatch::lasting(MonoTime steady) const {
  return WallTime(std::chrono::floor<milliseconds>(steady.time_since_epoch() + clock_.base));
}

std::optional<std::string> ClockWatch::begin(const Before& before, std::string_view boot_id, Now now) {
  boot_id_ = boot_id;
  const std::optional<Stored> stored = parse(before.stored);
  if (stored && !boot_id.empty() && stored->boot_id == boot_id) {
    clock_ = stored->clock;
    // A machine put back to an earlier state has the same boot, and a steady clock that was put back, too.
    if (lasting(now.steady) + kStepMin >= before.last_written) {
      const milliseconds offset = now.calendar - lasting(now.steady);
      const milliseconds step = offset - clock_.offset;
      if (!is_step(step)) return std::nullopt;
      clock_.offset = offset;
      return "While no sluiced was running the clock was set " + set_by(step) + ": it is " +
             local_time(now.calendar) + " now; waiting mail keeps its age and its retry times";
    }
  }
  begin_after_boot({before.stored, before.last_written}, now);
  if (before.last_written == WallTime{}) return std::nullopt;
  const milliseconds down = lasting(now.steady) - before.last_written;
  if (is_step(clock_.offset) && clock_.offset < milliseconds{0}) {
    return "The clock is behind: it is " + local_time(now.calendar) + ", and this spool was written at " +
           local_time(before.last_written) + "; the age and the retry times of waiting mail go on from there";
  }
  if (down < kLongGap) return std::nullopt;
  return "By the clock it is " + span_text(down) + " since this spool was written (" +
         local_time(before.last_written) + "), and waiting mail is that much older";
}

void ClockWatch::begin_after_boot(const Before& before, Now now) {
  clock_ = {.base = now.calendar.time_since_epoch() - now.steady.time_since_epoch(),
            .offset = milliseconds{0}};
  if (before.last_written == WallTime{}) return;
  const std::optional<Stored> stored = parse(before.stored);
  // By a clock that was wrong then and is wrong now, or by one that has been put right: the shorter time is the safe
  // one, mail does not bounce for it. A clock that was behind then and is right now does not make mail older either.
  const milliseconds then_offset = stored ? stored->clock.offset : milliseconds{0};
  std::optional<milliseconds> down;
  for (const milliseconds offset : {milliseconds{0}, then_offset}) {
    const milliseconds one = now.calendar - (before.last_written + offset);
    if (one >= milliseconds{0} && (!down || one < *down)) down = one;
  }
  const WallTime at = before.last_written + down.value_or(milliseconds{0});
  clock_.offset = now.calendar - at;
  clock_.base -= clock_.offset;
}

std::optional<std::string> ClockWatch::look(Now now) {
  const milliseconds offset = now.calendar - lasting(now.steady);
  const milliseconds step = offset - clock_.offset;
  if (!is_step(step)) {
    suspected_.reset();
    return std::nullopt;
  }
  const bool again = suspected_ && !is_step(step - *suspected_);
  suspected_ = step;
  if (!again) return std::nullopt;
  suspected_.reset();
  clock_.offset = offset;
  return "The clock was set " + set_by(step) + ": it is " + local_time(now.calendar) +
         " now; waiting mail keeps its age and its retry times";
}

std::string ClockWatch::text() const {
  return (boot_id_.empty() ? "-" : boot_id_) + ' ' +
         std::to_string(std::chrono::floor<milliseconds>(clock_.base).count()) + ' ' +
         std::to_string(clock_.offset.count());
}

}  // namespace sluice::shard
