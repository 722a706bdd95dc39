// Commands about jobs and recipients: show jobs, pause job, resume job, delete, list, set priority.
#include <fmt/format.h>

#include <algorithm>
#include <expected>

#include "engine/shard/command_texts.h"
#include "engine/shard/node.h"
#include "engine/shard/text_table.h"
#include "policy/config/directive.h"
#include "policy/config/value.h"

namespace sluice::shard {

namespace {

constexpr std::size_t kJobBytesMax = 1000;  // of a pause that is stored: Journal::put_state()

/// What `delete`, `list` and `set priority` narrow down with. `named`: a queue or a job was given. Errors:
/// for the operator.
struct Narrowed {
  delivery::RecipientFilter filter;
  bool named = false;
};
std::expected<Narrowed, std::string> narrow(const control::Command& command) {
  Narrowed out;
  const auto take = [&command](std::string_view option, std::string& into) {
    const auto given = command.option(option);
    if (given && !given->empty()) into = *given;
    return given.has_value() && !given->empty();
  };
  const bool by_queue = take("queue", out.filter.queue);
  const bool by_job = take("jobid", out.filter.job);
  out.named = by_queue || by_job;
  take("orig", out.filter.orig);
  take("rcpt", out.filter.rcpt);
  take("envid", out.filter.env_id);
  if (const auto age = command.option("older-than")) {
    out.filter.older_than = config::parse_duration(*age);
    if (!out.filter.older_than) return std::unexpected("--older-than takes a time such as 2d12h\n");
  }
  return out;
}

constexpr std::size_t kNamesLookedAt = 1000;  // for one that is like a name nobody knows

}  // namespace

runtime::Task<control::Answer> Node::pause_job(const control::Command& command, bool paused) {
  const std::string name = command.words[2];
  if (name.size() > kJobBytesMax)
    co_return control::Answer::error(fmt::format("a job's name has at most {} characters\n", kJobBytesMax));
  std::vector<std::string> others;
  bool known = false, has_mail = false;
  co_await walk_jobs({}, [&](JobStatus&& job) {
    known = known || job.name == name;
    has_mail = has_mail || (job.name == name && job.recipients > 0);
    if (others.size() < kNamesLookedAt) others.push_back(std::move(job.name));
    return true;
  });
  const std::vector<std::string_view> names(others.begin(), others.end());
  const std::string_view nearest = known ? std::string_view() : config::nearest_name(name, names);
  const std::string meant = nearest.empty()
                                ? std::string()
                                : "Did you mean " + std::string(nearest) + "? Case counts in job ids.\n";
  if (!paused && !known) {
    co_return control::Answer::error("no job \"" + one_line(name) +
                                     "\" is paused or has mail; `show jobs` lists all\n" + meant);
  }
  for (DataShard* shard : shards_) {
    co_await runtime::call_on(control_, shard->id(),
                              [shard, &name, paused] { shard->pause_job(name, paused); });
  }
  // Only now: recipients of one shard's messages stand in queues of all.
  if (!paused) {
    for (DataShard* shard : shards_) {
      co_await runtime::call_on(control_, shard->id(), [shard] { shard->dispatcher().release_parked(); });
    }
  }
  log_.write(fmt::format("{} job {}", paused ? "pause" : "resume", name));
  std::string text = paused ? "paused job.\n" : "resumed job.\n";
  if (paused && !has_mail) {
    text +=
        "No mail of job " + one_line(name) + " is queued now; what comes waits until `resume job`.\n" + meant;
  }
  co_return control::Answer{true, std::move(text)};
}

runtime::Task<delivery::RecipientCount> Node::count_recipients(const delivery::RecipientFilter& filter) {
  delivery::RecipientCount out;
  for (DataShard* shard : shards_) {
    out.add(co_await runtime::run_on<delivery::RecipientCount>(
        control_, shard->id(), [shard, &filter] { return shard->dispatcher().count(filter); }));
  }
  co_return out;
}

namespace {

/// "5 recipient(s) of job x from a@b in 2 queue(s) would be deleted: a.test/{default} 3, b.test/{default} 2".
std::string deletion_text(const delivery::RecipientFilter& filter, const delivery::RecipientCount& count) {
  std::string out = fmt::format("{} recipient(s)", count.recipients);
  if (!filter.job.empty()) out += " of job " + filter.job;
  if (!filter.orig.empty()) out += " from " + filter.orig;
  if (!filter.rcpt.empty()) out += " to " + filter.rcpt;
  if (!filter.env_id.empty()) out += " with the envelope id " + filter.env_id;
  if (filter.older_than) out += " queued for longer than " + clock_text(*filter.older_than);
  out += fmt::format(" in {} queue(s) would be deleted", count.queues);
  for (std::size_t i = 0; i < count.largest.size(); ++i)
    out += fmt::format("{} {} {}", i == 0 ? ":" : ",", count.largest[i].first, count.largest[i].second);
  return out + (count.queues > count.largest.size() ? ", ...\n" : "\n");
}

}  // namespace

runtime::Task<control::Answer> Node::delete_recipients(const control::Command& command) {
  const auto narrowed = narrow(command);
  if (!narrowed) co_return control::Answer::error(narrowed.error());
  if (!narrowed->named) {
    co_return control::Answer::error(
        "delete needs --queue=DOMAIN/VMTA (with *) or --jobId=JOB; --orig, --rcpt, --envId and --older-than "
        "narrow it down\n");
  }
  if (command.has("dry-run")) {
    const delivery::RecipientCount count = co_await count_recipients(narrowed->filter);
    std::string text = deletion_text(narrowed->filter, count);
    if (count.recipients == 0) text += co_await empty_hint(narrowed->filter.queue);
    co_return control::Answer{true, std::move(text)};
  }
  const delivery::Settler::Removal how{.report = command.has("dsn"),
                                       .account = !command.has("no-accounting")};
  const delivery::RecipientFilter& filter = narrowed->filter;
  std::uint64_t deleted = 0;
  for (DataShard* shard : shards_) {
    deleted += co_await runtime::run_on<std::uint64_t>(
        control_, shard->id(), [shard, &filter, how] { return shard->dispatcher().remove(filter, how); });
  }
  log_.write(fmt::format("delete: {} recipient(s){}{}", deleted, how.report ? ", senders are told" : "",
                         how.account ? "" : ", without accounting records"));
  std::string text = fmt::format("{} recipient(s) deleted.\n", deleted);
  if (deleted == 0) text += co_await empty_hint(filter.queue);
  co_return control::Answer{true, std::move(text)};
}

namespace {

constexpr TextTable kRecipientTable(std::array{Column{"rcpt", 40}, Column{"orig", 32}, Column{"queue", 40},
                                               Column{"job-id", 16}, Column{"queued", 19},
                                               Column{"kbytes", 8, true}, Column{"tries", 5, true}});
constexpr TextTable kPauseTable(std::array{Column{"paused", 6, true}});
constexpr TextTable kPriorityTable(std::array{Column{"prio", 5, true}});
constexpr TextTable kWaitTable(std::array{Column{"next attempt", 19}, Column{"waits for", 40}});

/// Columns that options ask for.
struct RecipientColumns {
  bool pause = false;
  bool priority = false;
};

/// Rows of several tables, of the same lines, side by side.
std::string side_by_side(const std::vector<std::string>& parts) {
  std::string out;
  for (std::size_t at = 0, lines = 0; at < parts.front().size(); ++lines) {
    std::string line;
    for (const std::string& part : parts) {
      std::size_t begin = 0;
      for (std::size_t i = 0; i < lines; ++i) begin = part.find('\n', begin) + 1;
      line += (line.empty() ? "" : " ") + part.substr(begin, part.find('\n', begin) - begin);
    }
    out += line + '\n';
    at = parts.front().find('\n', at) + 1;
  }
  return out;
}

std::string recipient_heading(RecipientColumns columns) {
  std::vector<std::string> parts{kRecipientTable.heading()};
  if (columns.pause) parts.push_back(kPauseTable.heading());
  if (columns.priority) parts.push_back(kPriorityTable.heading());
  parts.push_back(kWaitTable.heading());
  return side_by_side(parts);
}

void add_recipient(control::Reply::Part& part, const delivery::ListedRecipient& one, RecipientColumns columns,
                   WallTime now) {
  const std::string next =
      one.due_in ? local_time(now + std::chrono::duration_cast<WallTime::duration>(*one.due_in)) : "-";
  std::string why = one_line(one.why);
  if (!one.last_reply.empty() && one.last_reply != one.why)
    why += (why.empty() ? "" : "; ") + ("last error of the queue: " + one_line(one.last_reply));
  std::vector<std::string> parts{
      kRecipientTable.row({one_line(one.rcpt), '<' + one_line(one.orig) + '>', one.queue,
                           one.job.empty() ? "-" : one_line(one.job), local_time(one.received),
                           kbytes_text(one.bytes), std::to_string(one.attempts)})};
  if (columns.pause) parts.push_back(kPauseTable.row({one.paused ? "yes" : "no"}));
  if (columns.priority) parts.push_back(kPriorityTable.row({std::to_string(one.priority)}));
  parts.push_back(kWaitTable.row({next, why}));
  part.text += side_by_side(parts);
  control::Tree& node = part.tree.add_item("rcpt");
  node.add_text("rcpt", one.rcpt);
  node.add_text("orig", one.orig);
  node.add_text("queue", one.queue);
  node.add_text("jobId", one.job);
  node.add_text("envId", one.env_id);
  node.add_text("timeQueued", local_time(one.received));
  node.add_number("kb", kilobytes(one.bytes));
  node.add_number("attempts", one.attempts);
  node.add_text("paused", one.paused ? "yes" : "no");
  node.add_number("priority", one.priority);
  if (one.due_in) node.add_text("nextAttempt", next);
  if (!one.why.empty()) node.add_text("waitsFor", one.why);
  if (!one.last_reply.empty()) node.add_text("lastErrorOfQueue", one.last_reply);
}

}  // namespace

/// Shard by shard, queue by queue: a page of names, then the recipients of these queues, a slice at a time.
runtime::Task<control::Answer> Node::list_recipients(const control::Command& command, control::Reply& reply) {
  static constexpr std::size_t kListedUsually = 100, kListedMax = 1'000'000, kRecipients = 1024, kNames = 512;
  const auto narrowed = narrow(command);
  if (!narrowed) co_return control::Answer::error(narrowed.error());
  const delivery::RecipientFilter& filter = narrowed->filter;
  const std::size_t most = std::min(max_items(command, kListedUsually), kListedMax);
  const RecipientColumns columns{.pause = command.has("pause"), .priority = command.has("priority")};
  const WallTime now = control_.wall_now();
  control::Reply::Part part;
  part.text = recipient_heading(columns);
  const std::function<Slice<QueueRow>(DataShard&, const std::string&)> of =
      [&filter](DataShard& shard, const std::string& behind) { return shard.queues(filter.queue, behind); };
  std::size_t listed = 0;
  for (DataShard* shard : shards_) {
    std::string after;
    for (bool more = listed < most; more;) {
      std::vector<std::string> names;
      co_await slices_.walk_one<QueueRow>(*shard, of, after, [&](QueueRow&& row) {
        names.push_back(std::move(row.name));
        return names.size() < kNames;
      });
      more = names.size() == kNames;
      if (more) after = names.back();
      delivery::RecipientSlice slice;
      while (slice.queue < names.size() && listed < most) {
        const std::size_t some = std::min(kRecipients, most - listed);
        slice = co_await runtime::run_on<delivery::RecipientSlice>(control_, shard->id(), [&] {
          return shard->dispatcher().list(filter, names, std::move(slice), some);
        });
        listed += slice.found.size();
        for (const delivery::ListedRecipient& one : std::exchange(slice.found, {})) {
          add_recipient(part, one, columns, now);
          const bool read = co_await reply.add(part);
          if (!read) co_return control::Answer();
        }
      }
      more = more && listed < most;
    }
  }
  part.text += fmt::format("\n{} recipient(s) listed.\n", listed);
  if (listed == 0) part.text += co_await empty_hint(filter.queue);
  [[maybe_unused]] const bool read = co_await reply.add(part);
  co_return control::Answer();
}

runtime::Task<control::Answer> Node::set_priority(const control::Command& command) {
  static constexpr std::uint32_t kPriorityMax = 100;
  const auto narrowed = narrow(command);
  if (!narrowed) co_return control::Answer::error(narrowed.error());
  const auto number = command.words.size() == 3 ? config::parse_number(command.words[2]) : std::nullopt;
  if (!number || *number > kPriorityMax) {
    co_return control::Answer::error(
        "usage: set priority N (0 to 100, 50 is usual) with --queue=DOMAIN/VMTA, --jobId=JOB, --orig=A, "
        "--rcpt=A or "
        "--envId=ID\n");
  }
  const delivery::RecipientFilter& filter = narrowed->filter;
  if (!narrowed->named && !filter.needs_envelope()) {
    co_return control::Answer::error("set priority: which recipients? --queue=*/* for all\n");
  }
  const auto priority = static_cast<std::uint8_t>(*number);
  std::uint64_t changed = 0;
  for (DataShard* shard : shards_) {
    changed += co_await runtime::run_on<std::uint64_t>(control_, shard->id(), [shard, &filter, priority] {
      return shard->dispatcher().set_priority(filter, priority);
    });
  }
  log_.write(fmt::format("set priority {}: {} recipient(s)", priority, changed));
  std::string text = fmt::format("Priority of {} recipient(s) set.\n", changed);
  if (changed == 0) text += co_await empty_hint(filter.queue);
  co_return control::Answer{true, std::move(text)};
}

}  // namespace sluice::shard
