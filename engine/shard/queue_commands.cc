// Commands about queues: what they hold, their modes and source addresses. Layouts follow PowerMTA's.
#include <fmt/format.h>

#include <algorithm>

#include "engine/shard/command_texts.h"
#include "engine/shard/node.h"
#include "policy/base/ascii.h"
#include "policy/config/value.h"

namespace sluice::shard {
namespace {

/// `--name=yes`, `--name=no`, or `--name` for yes. Nothing when it was not given or is something else.
std::optional<bool> yes_or_no(const control::Command& command, std::string_view name) {
  const auto given = command.option(name);
  if (!given) return std::nullopt;
  if (given->empty() || iequals(*given, "yes") || iequals(*given, "true")) return true;
  if (iequals(*given, "no") || iequals(*given, "false")) return false;
  return std::nullopt;
}

std::optional<config::QueueMode> mode_of(const control::Command& command) {
  const auto given = command.option("mode");
  if (given && iequals(*given, "backoff")) return config::QueueMode::Backoff;
  if (given && iequals(*given, "normal")) return config::QueueMode::Normal;
  return std::nullopt;
}

bool is_wanted(const control::Command& command, const QueueStatus& one) {
  const auto mode = mode_of(command);
  if (mode && one.backoff != (*mode == config::QueueMode::Backoff)) return false;
  if (const auto paused = yes_or_no(command, "paused"); paused && one.paused != *paused) return false;
  if (const auto connected = yes_or_no(command, "connected");
      connected && (one.connections > 0) != *connected) {
    return false;
  }
  if (const auto disabled = yes_or_no(command, "disabled"); disabled && one.shut.empty() == *disabled)
    return false;
  return true;
}

/// Paused, in backoff, in retry.
std::string state_letters(const QueueStatus& one) {
  std::string out;
  if (one.paused) out += 'P';
  if (one.backoff) out += 'B';
  if (one.in_retry) out += 'R';
  return out;
}

std::string source_line(const QueueStatus::ShutSource& one) {
  const std::string left = one.left ? clock_text(*one.left) : std::string("-");
  return fmt::format("{:<39} {:>10} {}", one.address, left, one.reason);
}

void append_details(std::string& out, const control::Command& command, const QueueStatus& one) {
  if (one.backoff) out += fmt::format("    backoff mode: {}\n", one.mode_reason);
  if (!one.pace.empty()) out += fmt::format("    adaptive pace: {}\n", one.pace);
  if (command.has("disabled")) {
    for (const auto& shut : one.shut) out += fmt::format("    disabled {}\n", source_line(shut));
  }
  const auto list = [&out](std::string_view type, const std::vector<queue::QueueEvent>& events) {
    for (const queue::QueueEvent& event : events) {
      out += fmt::format("    {} {} {}\n", local_time(event.time), type, event.text);
    }
  };
  if (command.has("errors")) list("error", one.errors);
  if (command.has("mode-events")) list("mode", one.mode_events);
}

constexpr std::string_view kWhichQueue = "which queue? For example: gmail.com/vmta1, gmail.com/*, *\n";

}  // namespace

runtime::Task<std::vector<QueueStatus>> Node::find_queues(std::string pattern) {
  std::vector<QueueStatus> out;
  for (DataShard* shard : shards_) {
    auto some = co_await runtime::call_on(control_, shard->id(),
                                          [shard, &pattern] { return shard->queues(pattern); });
    std::move(some.begin(), some.end(), std::back_inserter(out));
  }
  std::sort(out.begin(), out.end(),
            [](const QueueStatus& a, const QueueStatus& b) { return a.name < b.name; });
  co_return out;
}

runtime::Task<control::Answer> Node::show_queues(const control::Command& command) {
  if (command.has("mode") && !mode_of(command)) {
    co_return control::Answer::error("--mode is normal or backoff\n");
  }
  const std::string which = command.words.size() > 2 ? command.words[2] : "*";
  std::vector<QueueStatus> queues = co_await find_queues(which);
  std::erase_if(queues, [&command](const QueueStatus& one) { return !is_wanted(command, one); });
  const bool top = istarts_with(command.words[1], "top");
  const std::string_view sort = command.option("sort").value_or(top ? "rcpt" : "name");
  std::sort(queues.begin(), queues.end(), [sort](const QueueStatus& a, const QueueStatus& b) {
    if (sort == "rcpt" && a.recipients != b.recipients) return a.recipients > b.recipients;
    if (sort == "size" && a.bytes != b.bytes) return a.bytes > b.bytes;
    return a.name < b.name;
  });
  std::string out = fmt::format("{:<40} {:>9} {:>9} {:>5} {:<3} {:<8} {}\n", "queue", "#rcpt", "kbytes",
                                "conn", "st", "retry", "last error");
  const std::size_t shown = std::min(max_items(command, 20), queues.size());
  for (std::size_t i = 0; i < shown; ++i) {
    const QueueStatus& one = queues[i];
    out += fmt::format("{:<40} {:>9} {:>9} {:>5} {:<3} {:<8} {}\n", one.name, one.recipients,
                       kilobytes(one.bytes), one.connections, state_letters(one),
                       one.in_retry ? clock_text(one.retry_in) : std::string(), one.last_error);
    append_details(out, command, one);
  }
  out += fmt::format("{} of {} matching queues.\n", shown, queues.size());
  co_return control::Answer{true, std::move(out)};
}

runtime::Task<control::Answer> Node::show_disabled_sources(const control::Command& command) {
  const std::string pattern = command.words.size() > 3 ? command.words[3] : "*";
  const std::vector<QueueStatus> queues = co_await find_queues(pattern);
  std::string out = fmt::format("{:<40} {:<39} {:>10} {}\n", "queue", "source IP", "enabled in", "reason");
  std::size_t count = 0;
  for (const QueueStatus& one : queues) {
    for (const QueueStatus::ShutSource& shut : one.shut) {
      out += fmt::format("{:<40} {}\n", one.name, source_line(shut));
      ++count;
    }
  }
  out += fmt::format("{} disabled source IP(s).\n", count);
  co_return control::Answer{true, std::move(out)};
}

runtime::Task<control::Answer> Node::set_queue(const control::Command& command) {
  const auto mode = mode_of(command);
  if (!mode) co_return control::Answer::error("usage: set queue --mode=normal|backoff QUEUE\n");
  const bool backoff = *mode == config::QueueMode::Backoff;
  const char* done = backoff ? "Queue(s) set to backoff mode.\n" : "Queue(s) set to normal mode.\n";
  co_return co_await for_queues(
      command, 2,
      [mode](delivery::Dispatcher& there, const std::string& which) { return there.set_mode(which, *mode); },
      done);
}

runtime::Task<control::Answer> Node::switch_source(const control::Command& command, bool enable) {
  const auto source = command.words.size() > 2 ? IpAddress::parse(command.words[2]) : std::nullopt;
  if (!source) {
    co_return control::Answer::error("which source? For example: " + command.words[0] +
                                     " source 192.0.2.1 gmail.com/vmta1; 0.0.0.0 is the address the system "
                                     "chooses\n");
  }
  std::optional<Duration> time;
  if (const auto given = command.option("reenable-after")) {
    time = config::parse_duration(*given);
    if (!time) {
      co_return control::Answer::error("\"" + std::string(*given) + "\" is not a time, for example 30m\n");
    }
  }
  const IpAddress address = *source;
  const char* done = enable ? "Source enabled.\n" : "Source disabled.\n";
  co_return co_await for_queues(
      command, 3,
      [address, time, enable](delivery::Dispatcher& there, const std::string& which) {
        return enable ? there.enable_source(which, address) : there.disable_source(which, address, time);
      },
      done);
}

runtime::Task<control::Answer> Node::for_queues(
    const control::Command& command, std::size_t first_word,
    std::function<std::size_t(delivery::Dispatcher&, const std::string&)> act, std::string done) {
  if (command.words.size() <= first_word) {
    co_return control::Answer::error(std::string(kWhichQueue));
  }
  const std::string pattern = command.words[first_word];
  std::size_t matched = 0;
  std::size_t all = 0;
  for (DataShard* shard : shards_) {
    const auto [some, of] = co_await runtime::call_on(control_, shard->id(), [shard, &pattern, &act] {
      return std::pair(act(shard->dispatcher(), pattern), shard->dispatcher().queues().size());
    });
    matched += some;
    all += of;
  }
  if (matched == 0) co_return control::Answer::error("no queue matches \"" + pattern + "\"\n");
  if (done.empty()) done = fmt::format("{} of {} matching queues scheduled.\n", matched, all);
  log_.write(fmt::format("{}: {} queue(s), {}", command.words[0], matched, pattern));
  co_return control::Answer{true, std::move(done)};
}

}  // namespace sluice::shard
