// Commands about queues: what they hold, their modes and source addresses. Layouts follow PowerMTA's.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <unordered_map>

#include "engine/shard/command_texts.h"
#include "engine/shard/listing.h"
#include "engine/shard/node.h"
#include "engine/shard/text_table.h"
#include "policy/base/ascii.h"
#include "policy/config/value.h"

namespace sluice::shard {
namespace {

/// Nothing when it was not given.
std::optional<bool> yes_or_no(const control::Command& command, std::string_view name) {
  const auto given = command.option(name);
  if (!given) return std::nullopt;
  return *given == "yes";
}

std::optional<config::QueueMode> mode_of(const control::Command& command) {
  const auto given = command.option("mode");
  if (given && iequals(*given, "backoff")) return config::QueueMode::Backoff;
  if (given && iequals(*given, "normal")) return config::QueueMode::Normal;
  return std::nullopt;
}

bool is_wanted(const control::Command& command, const QueueRow& one) {
  const auto mode = mode_of(command);
  if (mode && one.backoff != (*mode == config::QueueMode::Backoff)) return false;
  if (const auto paused = yes_or_no(command, "paused"); paused && one.paused != *paused) return false;
  if (const auto connected = yes_or_no(command, "connected");
      connected && (one.connections > 0) != *connected) {
    return false;
  }
  if (const auto disabled = yes_or_no(command, "disabled"); disabled && one.has_shut != *disabled)
    return false;
  return true;
}

/// Paused, in backoff, in retry.
std::string state_letters(const QueueRow& one) {
  std::string out;
  if (one.paused) out += 'P';
  if (one.backoff) out += 'B';
  if (one.in_retry) out += 'R';
  return out;
}

constexpr TextTable kQueueTable(std::array{Column{"queue", 40}, Column{"#rcpt", 9, true},
                                           Column{"kbytes", 10, true}, Column{"conn", 5, true},
                                           Column{"st", 3}, Column{"retry", 8}, Column{"last error", 40}});
constexpr TextTable kDomainTable(std::array{Column{"domain", 40}, Column{"#rcpt", 9, true},
                                            Column{"kbytes", 10, true}, Column{"conn", 5, true},
                                            Column{"last error", 40}});
constexpr TextTable kSourceTable(std::array{Column{"queue", 40}, Column{"source IP", 39},
                                            Column{"enabled in", 10, true}, Column{"reason", 40}});

std::string left_text(const QueueStatus::ShutSource& one) { return one.left ? clock_text(*one.left) : "-"; }

/// An error that no longer holds mail back is told with its age.
std::string last_error_text(const QueueRow& row, const QueueStatus& details, WallTime now) {
  static constexpr auto kRecent = 1min;
  const std::string last = one_line(details.last_reply);
  if (row.in_retry && details.why == "in retry") return last.empty() ? details.why : last;
  if (!details.why.empty())
    return details.why + (last.empty() || last == details.why ? "" : "; last error: " + last);
  if (last.empty() || now - details.last_reply_time < kRecent) return last;
  return last + " (" + clock_text(now - details.last_reply_time) + " ago)";
}

void add_event(control::Tree& node, std::string_view type, const queue::QueueEvent& event) {
  control::Tree& item = node.add_item("event");
  item.add_text("type", type);
  item.add_text("time", local_time(event.time));
  item.add_text("text", event.text);
}

void add_queue(control::Tree& tree, const control::Command& command, const QueueRow& one,
               const QueueStatus& details, WallTime now) {
  static constexpr std::size_t kEventsShown = 5;
  control::Tree& node = tree.add_item("queue");
  node.add_text("name", one.name);
  node.add_number("rcp", one.recipients);
  node.add_number("kb", kilobytes(one.bytes));
  node.add_number("conn", one.connections);
  if (command.has("errors")) {
    for (std::size_t i = 0; i < std::min(kEventsShown, details.errors.size()); ++i)
      add_event(node, "error", details.errors[i]);
  }
  if (command.has("mode-events")) {
    for (const queue::QueueEvent& event : details.mode_events) add_event(node, "mode", event);
  }
  node.add_text("paused", one.paused ? "yes" : "no");
  node.add_text("mode", one.backoff ? "backoff" : "normal");
  const auto at = [now](Duration left) {
    return local_time(now + std::chrono::duration_cast<WallTime::duration>(left));
  };
  if (one.in_retry) node.add_text("retryTime", at(one.retry_in));
  if (!details.why.empty()) node.add_text("waitsFor", details.why);
  if (details.next_attempt) node.add_text("nextAttempt", at(*details.next_attempt));
  if (!details.last_reply.empty()) {
    node.add_text("lastError", details.last_reply);
    node.add_text("lastErrorTime", local_time(details.last_reply_time));
  }
}

std::string_view words_of_order(std::string_view sort) {
  if (sort == "rcpt") return "by number of recipients";
  return sort == "size" ? "by size" : "by name";
}

void append_queue(std::string& out, const control::Command& command, const QueueRow& one,
                  const QueueStatus& details, WallTime now) {
  const std::string next = one.in_retry           ? clock_text(one.retry_in)
                           : details.next_attempt ? clock_text(*details.next_attempt)
                                                  : std::string();
  out += kQueueTable.row({one.name, std::to_string(one.recipients), kbytes_text(one.bytes),
                          std::to_string(one.connections), state_letters(one), next,
                          last_error_text(one, details, now)});
  if (one.backoff) out += fmt::format("    backoff mode: {}\n", one_line(details.mode_reason));
  if (!details.pace.empty()) out += fmt::format("    adaptive pace: {}\n", details.pace);
  if (command.has("disabled")) {
    for (const auto& shut : details.shut) {
      out += fmt::format("    disabled {:<39} {:>10} {}\n", shut.address, left_text(shut),
                         one_line(shut.reason));
    }
  }
  const auto list = [&out](std::string_view type, const std::vector<queue::QueueEvent>& events) {
    for (const queue::QueueEvent& event : events) {
      out += fmt::format("    {} {} {}\n", local_time(event.time), type, one_line(event.text));
    }
  };
  if (command.has("errors")) list("error", details.errors);
  if (command.has("mode-events")) list("mode", details.mode_events);
}

}  // namespace

runtime::Task<void> Node::walk_queues(std::string pattern, std::string after,
                                      std::function<bool(QueueRow&&)> take) {
  std::function<Slice<QueueRow>(DataShard&, const std::string&)> of =
      [pattern = std::move(pattern)](DataShard& shard, const std::string& behind) {
        return shard.queues(pattern, behind);
      };
  return slices_.walk<QueueRow>(std::move(of), std::move(after), std::move(take));
}

runtime::Task<control::Answer> Node::show_queues(const control::Command& command, control::Reply& reply) {
  const std::string which = command.words.size() > 2 ? command.words[2] : "*";
  const bool top = istarts_with(command.words[1], "top");
  const std::string sort(command.option("sort").value_or(top ? "rcpt" : "name"));
  const std::size_t most = max_items(command, 20);
  const WallTime now = control_.wall_now();
  FirstRows<QueueRow> rows(order_of<QueueRow>(sort), std::min(most, kPageRows));
  std::uint64_t count = 0, recipients = 0, with_recipients = 0;
  co_await walk_queues(which, {}, [&](QueueRow&& row) {
    if (!is_wanted(command, row)) return true;
    ++count;
    recipients += row.recipients;
    with_recipients += row.recipients > 0 ? 1 : 0;
    rows.offer(std::move(row));
    return true;
  });
  control::Reply::Part part;
  part.text = kQueueTable.heading();
  part.tree.add_text("title", fmt::format("Top {} queues {}", most, words_of_order(sort)));
  std::uint64_t shown = 0;
  for (std::vector<QueueRow> page = rows.take(); !page.empty() && shown < most;) {
    page.resize(std::min<std::uint64_t>(page.size(), most - shown));
    for (std::size_t at = 0; at < page.size(); at += kDetailRows) {
      const std::size_t some = std::min(kDetailRows, page.size() - at);
      const std::vector<QueueStatus> details = co_await slices_.details(&page[at], some);
      for (std::size_t i = 0; i < some; ++i) {
        if (reply.for_people()) {
          append_queue(part.text, command, page[at + i], details[i], now);
        } else {
          add_queue(part.tree, command, page[at + i], details[i], now);
        }
      }
      const bool read = co_await reply.add(part);
      if (!read) co_return control::Answer();
    }
    shown += page.size();
    if (shown >= std::min<std::uint64_t>(most, count)) break;
    QueueRow last = std::move(page.back());
    page = {};
    // By name they come in order: only those behind the last have to be looked at.
    const bool by_name = sort != "rcpt" && sort != "size";
    std::string after = by_name ? last.name : std::string();
    rows.start_behind(std::move(last));
    std::size_t of_shard = 0;
    std::uint32_t shard = 0;
    co_await walk_queues(which, std::move(after), [&](QueueRow&& row) {
      if (!is_wanted(command, row)) return true;
      of_shard = row.shard == shard ? of_shard + 1 : 1;
      shard = row.shard;
      rows.offer(std::move(row));
      return !by_name || of_shard < kPageRows;
    });
    page = rows.take();
  }
  part.text += fmt::format("\n{} of {} matching queues.\n", shown, count);
  if (count == 0) part.text += co_await empty_hint(which);
  part.tree.add_number("totalRcp", recipients);
  part.tree.add_number("totalQueuesWithRcp", with_recipients);
  [[maybe_unused]] const bool read = co_await reply.add(part);
  co_return control::Answer();
}

/// Sums of all domains are held while they are made, by one command at a time, and never while somebody reads.
runtime::Task<DomainTotals> Node::sum_domains(std::string pattern, std::optional<bool> connected,
                                              FirstRows<DomainRow>& rows) {
  std::unordered_map<std::string, DomainRow> sums;
  co_await summing_.take(1);
  co_await walk_queues(std::move(pattern), {}, [&sums](QueueRow&& row) {
    std::string name = row.name.substr(0, row.name.find('/'));
    DomainRow& sum = sums[name];
    sum.name = std::move(name);
    sum.recipients += row.recipients;
    sum.bytes += row.bytes;
    sum.connections += row.connections;
    return true;
  });
  DomainTotals totals;
  for (auto& [name, row] : sums) {
    if (connected && (row.connections > 0) != *connected) continue;
    ++totals.domains;
    totals.recipients += row.recipients;
    rows.offer(std::move(row));
  }
  summing_.give(1);
  co_return totals;
}

runtime::Task<control::Answer> Node::show_domains(const control::Command& command, control::Reply& reply) {
  const std::string domain = command.words.size() > 2 ? command.words[2] : std::string("*");
  const std::string vmta(command.option("vmta").value_or("*"));
  if (domain.find('/') != std::string::npos) {
    co_return control::Answer::error("which domain? Without a virtual MTA; --vmta=NAME names one\n");
  }
  const std::string which = domain + '/' + vmta;
  const bool top = istarts_with(command.words[1], "top");
  const std::string sort(command.option("sort").value_or(top ? "rcpt" : "name"));
  const std::size_t most = max_items(command, 20);
  const auto connected = yes_or_no(command, "connected");
  FirstRows<DomainRow> rows(order_of<DomainRow>(sort), std::min(most, kPageRows));
  const DomainTotals totals = co_await sum_domains(which, connected, rows);
  control::Reply::Part part;
  const WallTime now = control_.wall_now();
  part.text = kDomainTable.heading();
  part.tree.add_text("title", fmt::format("Top {} domains {}", most, words_of_order(sort)));
  std::uint64_t shown = 0;
  for (std::vector<DomainRow> page = rows.take(); !page.empty() && shown < most;) {
    page.resize(std::min<std::uint64_t>(page.size(), most - shown));
    for (const DomainRow& row : page) {
      std::string last_error, shown_error;
      control::Tree& node = part.tree.add_item("domain");
      std::vector<QueueRow> queues = co_await queues_of(row.name, vmta);
      std::vector<QueueStatus> details;
      for (std::size_t at = 0; at < queues.size(); at += kDetailRows) {
        const std::size_t some = std::min(kDetailRows, queues.size() - at);
        std::vector<QueueStatus> part_of_them = co_await slices_.details(&queues[at], some);
        std::move(part_of_them.begin(), part_of_them.end(), std::back_inserter(details));
      }
      for (std::size_t i = 0; i < details.size(); ++i) {
        if (last_error.empty()) last_error = details[i].last_reply;
        if (shown_error.empty()) shown_error = last_error_text(queues[i], details[i], now);
      }
      part.text += kDomainTable.row({row.name, std::to_string(row.recipients), kbytes_text(row.bytes),
                                     std::to_string(row.connections), shown_error});
      node.add_text("name", row.name);
      node.add_number("rcp", row.recipients);
      node.add_number("kb", kilobytes(row.bytes));
      node.add_number("conn", row.connections);
      if (!last_error.empty()) node.add_text("lastError", last_error);
      for (std::size_t i = 0; command.has("errors") && i < queues.size(); ++i) {
        for (const queue::QueueEvent& event : details[i].errors) {
          part.text +=
              fmt::format("    {} {} {}\n", local_time(event.time), queues[i].name, one_line(event.text));
          add_event(node, "error", event);
        }
      }
      const bool read = co_await reply.add(part);
      if (!read) co_return control::Answer();
    }
    shown += page.size();
    if (shown >= std::min<std::uint64_t>(most, totals.domains)) break;
    rows.start_behind(std::move(page.back()));
    page = {};
    [[maybe_unused]] const DomainTotals again = co_await sum_domains(which, connected, rows);
    page = rows.take();
  }
  part.text += fmt::format("\n{} of {} domains shown.\n", shown, totals.domains);
  part.tree.add_number("totalRcp", totals.recipients);
  [[maybe_unused]] const bool read = co_await reply.add(part);
  co_return control::Answer();
}

/// The queues of one domain, by name.
runtime::Task<std::vector<QueueRow>> Node::queues_of(std::string domain, std::string vmta) {
  std::vector<QueueRow> out;
  const std::string front = domain + '/';
  co_await walk_queues(front + vmta, front, [&](QueueRow&& row) {
    if (!row.name.starts_with(front)) return false;
    out.push_back(std::move(row));
    return true;
  });
  std::sort(out.begin(), out.end(), [](const QueueRow& a, const QueueRow& b) { return a.name < b.name; });
  co_return out;
}

runtime::Task<control::Answer> Node::show_disabled_sources(const control::Command& command,
                                                           control::Reply& reply) {
  const std::string pattern = command.words.size() > 3 ? command.words[3] : "*";
  control::Reply::Part part;
  part.text = kSourceTable.heading();
  std::size_t count = 0;
  FirstRows<QueueRow> rows(order_of<QueueRow>("name"), kPageRows);
  std::string after;
  for (;;) {
    co_await walk_queues(pattern, after, [&](QueueRow&& row) {
      if (row.has_shut) rows.offer(std::move(row));
      return true;
    });
    const std::vector<QueueRow> page = rows.take();
    for (std::size_t first = 0; first < page.size(); first += kDetailRows) {
      const std::size_t some = std::min(kDetailRows, page.size() - first);
      const std::vector<QueueStatus> details = co_await slices_.details(&page[first], some);
      for (std::size_t i = 0; i < some; ++i) {
        for (const QueueStatus::ShutSource& shut : details[i].shut) {
          part.text +=
              kSourceTable.row({page[first + i].name, shut.address, left_text(shut), one_line(shut.reason)});
          ++count;
        }
      }
      if (!reply.for_people()) continue;
      const bool read = co_await reply.add(part);
      if (!read) co_return control::Answer();
    }
    if (page.size() < kPageRows) break;
    after = page.back().name;
    rows.start_behind(page.back());
  }
  part.text += fmt::format("\n{} disabled source IP(s).\n", count);
  // Programs get the text in their frame: there are no more than an operator or a rule has disabled.
  if (!reply.for_people()) co_return control::Answer{true, std::move(part.text)};
  [[maybe_unused]] const bool read = co_await reply.add(part);
  co_return control::Answer();
}

runtime::Task<control::Answer> Node::trace(const control::Command& command) {
  static constexpr Duration kAtMost = 60s, kLookEvery = 100ms;
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
  if (traces.empty()) co_return control::Answer::error(co_await no_queue_text(wanted.pattern));
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
  if (!mode) co_return control::Answer::error("set queue: which mode? --mode=normal or --mode=backoff\n");
  const bool backoff = *mode == config::QueueMode::Backoff;
  const char* done = backoff ? "Queue(s) set to backoff mode.\n" : "Queue(s) set to normal mode.\n";
  co_return co_await for_queues(
      command, 2,
      [mode](delivery::Dispatcher& there, const std::string& which) { return there.set_mode(which, *mode); },
      done);
}

runtime::Task<control::Answer> Node::switch_source(const control::Command& command, bool enable) {
  const IpAddress address = *IpAddress::parse(command.words[2]);
  std::optional<Duration> time;
  if (const auto given = command.option("reenable-after")) time = config::parse_duration(*given);
  if (!enable) {
    const std::string wrong = strange_source(address, command.words[3]);
    if (!wrong.empty()) co_return control::Answer::error(wrong);
  }
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
  if (matched == 0) co_return control::Answer::error(co_await no_queue_text(pattern));
  if (done.empty()) done = fmt::format("{} of {} matching queues scheduled.\n", matched, all);
  log_.write(fmt::format("{}: {} queue(s), {}", command.words[0], matched, pattern));
  co_return control::Answer{true, std::move(done)};
}

}  // namespace sluice::shard
