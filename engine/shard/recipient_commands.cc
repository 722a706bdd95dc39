// Commands about jobs and recipients: show jobs, pause job, resume job, delete.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "engine/shard/node.h"
#include "policy/config/value.h"

namespace sluice::shard {

runtime::Task<control::Answer> Node::show_jobs(const control::Command& command) {
  std::map<std::string, JobStatus> sums;
  for (DataShard* shard : shards_) {
    const auto some = co_await runtime::call_on(control_, shard->id(), [shard] { return shard->jobs(); });
    for (const JobStatus& one : some) {
      JobStatus& sum = sums[one.name];
      sum.recipients += one.recipients;
      sum.bytes += one.bytes;
      sum.paused = sum.paused || one.paused;
    }
  }
  std::size_t most = 1000;
  if (const auto given = command.option("maxitems")) {
    std::from_chars(given->data(), given->data() + given->size(), most);
  }
  std::string out = fmt::format("{:<40} {:>9} {:>10}\n", "job-id", "#rcpt", "kbytes");
  std::size_t shown = 0;
  for (const auto& [name, job] : sums) {
    if (shown++ == most) break;
    out += fmt::format("{:<40} {:>9} {:>10}{}\n", name, job.recipients, (job.bytes + 1023) / 1024,
                       job.paused ? "  paused" : "");
  }
  out += fmt::format("Total of {} job(s).\n", sums.size());
  co_return control::Answer{true, std::move(out)};
}

runtime::Task<control::Answer> Node::pause_job(const control::Command& command, bool paused) {
  if (command.words.size() < 3) co_return control::Answer::error("which job? For example: job17\n");
  const std::string name = command.words[2];
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
  delivery::RecipientFilter filter;
  const auto take = [&command](std::string_view option, std::string& into) {
    const auto given = command.option(option);
    if (given) into = *given;
    return given.has_value();
  };
  const bool by_queue = take("queue", filter.queue);
  const bool by_job = take("jobid", filter.job);
  take("orig", filter.orig);
  take("rcpt", filter.rcpt);
  take("envid", filter.env_id);
  if (const auto age = command.option("older-than")) {
    filter.older_than = config::parse_duration(*age);
    if (!filter.older_than) co_return control::Answer::error("--older-than takes a time such as 2d12h\n");
  }
  if ((!by_queue && !by_job) || command.words.size() > 1) {
    co_return control::Answer::error(
        "delete needs --queue=DOMAIN/VMTA (with *) or --jobId=JOB; --orig, --rcpt, --envId and --older-than "
        "narrow "
        "it down\n");
  }
  std::uint64_t deleted = 0;
  for (DataShard* shard : shards_) {
    deleted += co_await runtime::run_on<std::uint64_t>(
        control_, shard->id(), [shard, &filter] { return shard->dispatcher().remove(filter); });
  }
  log_.write(fmt::format("delete: {} recipient(s)", deleted));
  co_return control::Answer{true, fmt::format("{} recipient(s) deleted.\n", deleted)};
}

}  // namespace sluice::shard
