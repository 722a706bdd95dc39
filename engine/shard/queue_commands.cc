// Commands about queues: what they hold, their modes and source addresses. Layouts follow PowerMTA's.
#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

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

void add_event(control::Tree& node, std::string_view type, const queue::QueueEvent& event) {
  control::Tree& item = node.add_item("event");
  item.add_text("type", type);
  item.add_text("time", local_time(event.time));
  item.add_text("text", event.text);
}

void add_queue(control::Tree& tree, const control::Command& command, const QueueStatus& one, WallTime now) {
  static constexpr std::size_t kEventsShown = 5;
  control::Tree& node = tree.add_item("queue");
  node.add_text("name", one.name);
  node.add_number("rcp", one.recipients);
  node.add_number("kb", kilobytes(one.bytes));
  node.add_number("conn", one.connections);
  if (command.has("errors")) {
    for (std::size_t i = 0; i < std::min(kEventsShown, one.errors.size()); ++i)
      add_event(node, "error", one.errors[i]);
  }
  if (command.has("mode-events")) {
    for (const queue::QueueEvent& event : one.mode_events) add_event(node, "mode", event);
  }
  node.add_text("paused", one.paused ? "yes" : "no");
  node.add_text("mode", one.backoff ? "backoff" : "normal");
  if (one.in_retry)
    node.add_text("retryTime",
                  local_time(now + std::chrono::duration_cast<WallTime::duration>(one.retry_in)));
}

/// Most recipients or bytes first, or by name.
template <class Row>
void sort_rows(std::vector<Row>& rows, std::string_view by) {
  std::sort(rows.begin(), rows.end(), [by](const Row& a, const Row& b) {
    if (by == "rcpt" && a.recipients != b.recipients) return a.recipients > b.recipients;
    if (by == "size" && a.bytes != b.bytes) return a.bytes > b.bytes;
    return a.name < b.name;
  });
}

std::string_view words_of_order(std::string_view sort) {
  if (sort == "rcpt") return "by number of recipients";
  return sort == "size" ? "by size" : "by name";
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
  sort_rows(queues, sort);
  std::string out = fmt::format("{:<40} {:>9} {:>9} {:>5} {:<3} {:<8} {}\n", "queue", "#rcpt", "kbytes",
                                "conn", "st", "retry", "last error");
  const std::size_t most = max_items(command, 20);
  const std::size_t shown = std::min(most, queues.size());
  auto tree = std::make_shared<control::Tree>();
  tree->add_text("title", fmt::format("Top {} queues {}", most, words_of_order(sort)));
  std::uint64_t recipients = 0, with_recipients = 0;
  for (const QueueStatus& one : queues) {
    recipients += one.recipients;
    with_recipients += one.recipients > 0 ? 1 : 0;
  }
  for (std::size_t i = 0; i < shown; ++i) {
    const QueueStatus& one = queues[i];
    add_queue(*tree, command, one, control_.wall_now());
    out += fmt::format("{:<40} {:>9} {:>9} {:>5} {:<3} {:<8} {}\n", one.name, one.recipients,
                       kilobytes(one.bytes), one.connections, state_letters(one),
                       one.in_retry ? clock_text(one.retry_in) : std::string(), one.last_error);
    append_details(out, command, one);
  }
  out += fmt::format("{} of {} matching queues.\n", shown, queues.size());
  tree->add_number("totalRcp", recipients);
  tree->add_number("totalQueuesWithRcp", with_recipients);
  co_return control::Answer{true, std::move(out), std::move(tree)};
}

runtime::Task<control::Answer> Node::show_domains(const control::Command& command) {
  struct Row {
    std::string name, last_error;
    std::uint64_t recipients = 0, bytes = 0, connections = 0;
  };
  const std::string domain = command.words.size() > 2 ? command.words[2] : std::string("*");
  const std::string vmta(command.option("vmta").value_or("*"));
  if (domain.find('/') != std::string::npos) {
    co_return control::Answer::error("which domain? Without a virtual MTA; --vmta=NAME names one\n");
  }
  const std::string which = domain + '/' + vmta;
  const std::vector<QueueStatus> queues = co_await find_queues(which);
  std::vector<Row> rows;
  std::unordered_map<std::string_view, std::size_t> known;
  for (const QueueStatus& one : queues) {
    const std::string_view name = std::string_view(one.name).substr(0, one.name.rfind('/'));
    const auto [at, added] = known.try_emplace(name, rows.size());
    if (added) rows.emplace_back().name = name;
    Row& row = rows[at->second];
    row.recipients += one.recipients;
    row.bytes += one.bytes;
    row.connections += one.connections;
    if (row.last_error.empty()) row.last_error = one.last_error;
  }
  if (const auto connected = yes_or_no(command, "connected")) {
    std::erase_if(rows, [&](const Row& row) { return (row.connections > 0) != *connected; });
  }
  const bool top = istarts_with(command.words[1], "top");
  const std::string_view sort = command.option("sort").value_or(top ? "rcpt" : "name");
  sort_rows(rows, sort);
  const std::size_t most = max_items(command, 20);
  const std::size_t shown = std::min(most, rows.size());
  std::string out =
      fmt::format("{:<40} {:>9} {:>9} {:>5} {}\n", "domain", "#rcpt", "kbytes", "conn", "last error");
  auto tree = std::make_shared<control::Tree>();
  tree->add_text("title", fmt::format("Top {} domains {}", most, words_of_order(sort)));
  std::uint64_t recipients = 0;
  for (const Row& row : rows) recipients += row.recipients;
  for (std::size_t i = 0; i < shown; ++i) {
    const Row& row = rows[i];
    out += fmt::format("{:<40} {:>9} {:>9} {:>5} {}\n", row.name, row.recipients, kilobytes(row.bytes),
                       row.connections, row.last_error);
    control::Tree& node = tree->add_item("domain");
    node.add_text("name", row.name);
    node.add_number("rcp", row.recipients);
    node.add_number("kb", kilobytes(row.bytes));
    node.add_number("conn", row.connections);
    if (!row.last_error.empty()) node.add_text("lastError", row.last_error);
    if (!command.has("errors")) continue;
    for (const QueueStatus& one : queues) {
      if (!std::string_view(one.name).starts_with(row.name + '/')) continue;
      for (const queue::QueueEvent& event : one.errors) {
        out += fmt::format("    {} {} {}\n", local_time(event.time), one.name, event.text);
        add_event(node, "error", event);
      }
    }
  }
  out += fmt::format("{} of {} domains shown.\n", shown, rows.size());
  tree->add_number("totalRcp", recipients);
  co_return control::Answer{true, std::move(out), std::move(tree)};
}

runtime::Task<control::Answer> Node::show_disabled_sources(const control::Command& command) {
  // "disabled sources" or "disabled-sources"
  const std::size_t at = command.words[1].find('-') == std::string::npos ? 3 : 2;
  const std::string pattern = command.words.size() > at ? command.words[at] : "*";
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

runtime::Task<control::Answer> Node::trace(const control::Command& command) {
  static constexpr Duration kAtMost = 60s, kLookEvery = 100ms;
  if (command.words.size() != 2) {
    co_return control::Answer::error(
        "usage: trace QUEUE [--log-data] [--log-resolution] [--retry-recipients] [--to-log]\n");
  }
  for (const auto& [name, value] : command.options) {
    if (name == "log-data" || name == "log-resolution" || name == "retry-recipients" || name == "to-log")
      continue;
    co_return control::Answer::error("trace: there is no --" + name + '\n');
  }
  delivery::Trace wanted;
  wanted.pattern = command.words[1];
  wanted.wishes.data = command.has("log-data");
  wanted.resolution = command.has("log-resolution");
  wanted.to_log = command.has("to-log");
  wanted.live = !wanted.to_log;
  const bool recipients = command.has("retry-recipients");
  std::vector<std::pair<DataShard*, std::shared_ptr<delivery::Trace>>> traces;
  for (DataShard* shard : shards_) {
    auto one = co_await runtime::call_on(control_, shard->id(),
                                         [&] { return shard->dispatcher().trace(wanted, recipients); });
    if (one) traces.emplace_back(shard, std::move(one));
  }
  if (traces.empty()) co_return control::Answer::error("no queue matches \"" + wanted.pattern + "\"\n");
  if (wanted.to_log) co_return control::Answer{true, "The next connection is traced to the log.\n"};
  // One is enough, the first to end; what it has said by then when none ends in time.
  std::string text;
  bool begun = false, over = false;
  const MonoTime end = control_.now() + kAtMost;
  while (!over && !stopping_ && !shutdown_.is_open()) {
    const bool last = control_.now() >= end;
    for (const auto& [shard, trace] : traces) {
      text.clear();
      const delivery::Trace* of = trace.get();
      begun = co_await runtime::call_on(control_, shard->id(), [of, last, &over, &text] {
        over = of->over;
        if (!over && !last) return false;
        for (const std::string& line : of->lines) text += line + '\n';
        if (of->left_out != 0) text += fmt::format("({} more lines)\n", of->left_out);
        return of->begun;
      });
      if (over || begun) break;
    }
    if (last) break;
    if (!over) co_await runtime::sleep_for(control_, kLookEvery);
  }
  for (const auto& [shard, trace] : traces) {
    DataShard* const there = shard;
    delivery::Trace* const of = trace.get();
    co_await runtime::call_on(control_, there->id(), [there, of] { there->dispatcher().drop_trace(*of); });
  }
  if (!begun) {
    co_return control::Answer::error("no connection began within a minute; `show queues " + wanted.pattern +
                                     "` says what the queue waits for\n");
  }
  if (!over) text += "(the connection goes on)\n";
  co_return control::Answer{true, std::move(text)};
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
