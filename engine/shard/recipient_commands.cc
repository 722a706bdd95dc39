// Commands about jobs and recipients: show jobs, pause job, resume job, delete, list, set priority.
#include <fmt/format.h>

#include <algorithm>
#include <expected>

#include "engine/shard/command_texts.h"
#include "engine/shard/node.h"
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

}  // namespace

runtime::Task<control::Answer> Node::pause_job(const control::Command& command, bool paused) {
  if (command.words.size() < 3) co_return control::Answer::error("which job? For example: job17\n");
  const std::string name = command.words[2];
  if (name.size() > kJobBytesMax)
    co_return control::Answer::error(fmt::format("a job's name has at most {} characters\n", kJobBytesMax));
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
  co_return control::Answer{true, paused ? "paused job.\n" : "resumed job.\n"};
}

runtime::Task<control::Answer> Node::delete_recipients(const control::Command& command) {
  const auto narrowed = narrow(command);
  if (!narrowed) co_return control::Answer::error(narrowed.error());
  if (!narrowed->named || command.words.size() > 1) {
    co_return control::Answer::error(
        "delete needs --queue=DOMAIN/VMTA (with *) or --jobId=JOB; --orig, --rcpt, --envId and --older-than "
        "narrow it down\n");
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
  co_return control::Answer{true, fmt::format("{} recipient(s) deleted.\n", deleted)};
}

namespace {

void add_recipient(control::Reply::Part& part, const delivery::ListedRecipient& one, bool pause,
                   bool priority) {
  part.text +=
      fmt::format("{:<40} {:<32} {:<40} {:<16} {:<19} {:>8} {:>5}{}{}\n", one.rcpt, '<' + one.orig + '>',
                  one.queue, one.job.empty() ? "-" : one.job, local_time(one.received), kilobytes(one.bytes),
                  one.attempts, pause ? fmt::format(" {:>6}", one.paused ? "yes" : "no") : std::string(),
                  priority ? fmt::format(" {:>5}", one.priority) : std::string());
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
}

}  // namespace

/// Shard by shard, queue by queue: a page of names, then the recipients of these queues, a slice at a time.
runtime::Task<control::Answer> Node::list_recipients(const control::Command& command, control::Reply& reply) {
  static constexpr std::size_t kListedUsually = 100, kListedMax = 1'000'000, kRecipients = 1024, kNames = 512;
  const auto narrowed = narrow(command);
  if (!narrowed) co_return control::Answer::error(narrowed.error());
  const delivery::RecipientFilter& filter = narrowed->filter;
  const std::size_t most = std::min(max_items(command, kListedUsually), kListedMax);
  const bool pause = command.has("pause"), priority = command.has("priority");
  control::Reply::Part part;
  part.text =
      fmt::format("{:<40} {:<32} {:<40} {:<16} {:<19} {:>8} {:>5}{}{}\n", "rcpt", "orig", "queue", "job-id",
                  "queued", "kbytes", "tries", pause ? " paused" : "", priority ? "  prio" : "");
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
          add_recipient(part, one, pause, priority);
          const bool read = co_await reply.add(part);
          if (!read) co_return control::Answer();
        }
      }
      more = more && listed < most;
    }
  }
  part.text += fmt::format("{} recipient(s) listed.\n", listed);
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
  co_return control::Answer{true, fmt::format("Priority of {} recipient(s) set.\n", changed)};
}

}  // namespace sluice::shard
