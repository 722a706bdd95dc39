// Commands that list schedules, virtual MTAs and jobs.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "engine/shard/command_texts.h"
#include "engine/shard/listing.h"
#include "engine/shard/node.h"
#include "policy/base/ascii.h"

namespace sluice::shard {

runtime::Task<control::Answer> Node::show_schedule(const control::Command& command, control::Reply& reply) {
  const std::string pattern = command.words.size() > 2 ? command.words[2] : "*";
  const std::size_t most = max_items(command, 100);
  const std::function<Slice<ScheduleStatus>(DataShard&, const std::string&)> of =
      [&pattern](DataShard& shard, const std::string& after) { return shard.schedules(pattern, after); };
  FirstRows<ScheduleStatus> rows([](const auto& a, const auto& b) { return a.name < b.name; },
                                 std::min(most, kPageRows));
  std::size_t count = 0, shown = 0;
  control::Reply::Part part;
  part.text =
      fmt::format("{:<40} {:>9} {:<19} {:<19}\n", "queue", "#waiting", "next window", "last window ends");
  std::string after;
  for (bool first = true; first || shown < std::min(most, count); first = false) {
    co_await slices_.walk<ScheduleStatus>(of, after, [&](ScheduleStatus&& row) {
      if (first) ++count;
      rows.offer(std::move(row));
      return true;
    });
    const std::vector<ScheduleStatus> page = rows.take();
    for (std::size_t i = 0; i < page.size() && shown < most; ++i, ++shown) {
      part.text += fmt::format("{:<40} {:>9} {:<19} {:<19}\n", page[i].name, page[i].waiting,
                               local_time(page[i].next_opening), local_time(page[i].last_end));
      if (!reply.for_people()) continue;
      const bool read = co_await reply.add(part);
      if (!read) co_return control::Answer();
    }
    if (page.empty()) break;
    after = page.back().name;
    rows.start_behind(page.back());
  }
  part.text += fmt::format("{} of {} queues with scheduled recipients.\n", shown, count);
  if (!reply.for_people()) co_return control::Answer{true, std::move(part.text)};
  [[maybe_unused]] const bool read = co_await reply.add(part);
  co_return control::Answer();
}

namespace {

struct VmtaRow {
  VmtaStatus queued;
  std::uint64_t accepted = 0, delivered = 0, bounced = 0, deferred = 0;
};

void sort_by(std::vector<VmtaRow>& rows, std::string_view sort) {
  if (sort != "name" && sort != "rcpt" && sort != "size") return;
  std::sort(rows.begin(), rows.end(), [sort](const VmtaRow& a, const VmtaRow& b) {
    const VmtaStatus &left = a.queued, &right = b.queued;
    if (sort == "rcpt" && left.recipients != right.recipients) return left.recipients > right.recipients;
    if (sort == "size" && left.bytes != right.bytes) return left.bytes > right.bytes;
    return left.name < right.name;
  });
}

}  // namespace

/// There are as many rows as the configuration has virtual MTAs, whatever is queued.
runtime::Task<control::Answer> Node::show_vmtas(const control::Command& command, control::Reply& reply) {
  std::vector<VmtaRow> rows;
  std::unordered_map<std::string, std::size_t> places;
  for (const queue::Identity& identity : snapshot_->identities) {
    const queue::Traffic& traffic = identity.state->traffic;
    places.try_emplace(identity.name, rows.size());
    rows.push_back({.queued = {.name = identity.name},
                    .accepted = traffic.accepted.load(std::memory_order_relaxed),
                    .delivered = traffic.delivered.load(std::memory_order_relaxed),
                    .bounced = traffic.bounced.load(std::memory_order_relaxed),
                    .deferred = traffic.deferred.load(std::memory_order_relaxed)});
  }
  std::uint64_t total = 0;
  const std::function<Slice<VmtaStatus>(DataShard&, const std::string&)> of =
      [](DataShard& shard, const std::string& after) { return shard.vmtas(after); };
  co_await slices_.walk<VmtaStatus>(of, {}, [&](VmtaStatus&& one) {
    const auto place = places.find(one.name);
    if (place == places.end()) return true;
    VmtaStatus& sum = rows[place->second].queued;
    sum.domains += one.domains;
    sum.recipients += one.recipients;
    sum.bytes += one.bytes;
    sum.connections += one.connections;
    total += one.recipients;
    return true;
  });
  places.clear();
  // `show vmtas NAME`: `show vmta NAME` is the same cut short.
  if (command.words.size() > 2) {
    std::erase_if(rows, [&](const VmtaRow& row) { return !iequals(row.queued.name, command.words[2]); });
    if (rows.empty()) {
      co_return control::Answer::error("no virtual MTA named \"" + command.words[2] + "\"\n");
    }
  }
  sort_by(rows, command.option("sort").value_or(""));
  const std::size_t count = rows.size();
  rows.resize(std::min(max_items(command, 1000), count));
  control::Reply::Part part;
  part.text =
      fmt::format("{:<24} {:>8} {:>9} {:>4} {:>10} {:>5} {:>10} {:>10} {:>9} {:>9}\n", "name", "domains",
                  "#rcpt", "%", "kbytes", "conn", "accepted", "delivered", "bounced", "deferred");
  for (const VmtaRow& row : rows) {
    const std::uint64_t share = total == 0 ? 0 : row.queued.recipients * 100 / total;
    part.text +=
        fmt::format("{:<24} {:>8} {:>9} {:>4} {:>10} {:>5} {:>10} {:>10} {:>9} {:>9}\n", row.queued.name,
                    row.queued.domains, row.queued.recipients, share, kilobytes(row.queued.bytes),
                    row.queued.connections, row.accepted, row.delivered, row.bounced, row.deferred);
    control::Tree& node = part.tree.add_item("vmta");
    node.add_text("name", row.queued.name);
    node.add_number("dom", row.queued.domains);
    node.add_number("rcp", row.queued.recipients);
    node.add_number("kb", kilobytes(row.queued.bytes));
    node.add_number("conn", row.queued.connections);
    node.add_number("accepted", row.accepted);
    node.add_number("delivered", row.delivered);
    node.add_number("bounced", row.bounced);
    node.add_number("deferred", row.deferred);
    const bool read = co_await reply.add(part);
    if (!read) co_return control::Answer();
  }
  part.text += fmt::format("{} of {} virtual MTAs.\n", rows.size(), count);
  [[maybe_unused]] const bool read = co_await reply.add(part);
  co_return control::Answer();
}

runtime::Task<control::Answer> Node::show_jobs(const control::Command& command, control::Reply& reply) {
  const std::size_t most = max_items(command, 1000);
  const std::function<Slice<JobStatus>(DataShard&, const std::string&)> of =
      [](DataShard& shard, const std::string& after) { return shard.jobs(after); };
  control::Reply::Part part;
  part.text = fmt::format("{:<40} {:>9} {:>10}\n", "job-id", "#rcpt", "kbytes");
  // Page by page in the order of names; a job of several shards is one. Behind the last that is shown they are counted.
  std::string after;
  std::size_t count = 0, shown = 0;
  for (bool more = true; more;) {
    std::map<std::string, JobStatus> page;
    more = false;
    std::string shard_has_more_behind;  // the least last name of a shard that was not looked at to its end
    for (DataShard* shard : shards_) {
      std::size_t of_shard = 0;
      co_await slices_.walk_one<JobStatus>(*shard, of, after, [&](JobStatus&& one) {
        if (of_shard == kPageRows) return false;
        if (++of_shard == kPageRows && (shard_has_more_behind.empty() || one.name < shard_has_more_behind))
          shard_has_more_behind = one.name;
        JobStatus& sum = page[one.name];
        sum.recipients += one.recipients;
        sum.bytes += one.bytes;
        sum.paused = sum.paused || one.paused;
        return true;
      });
    }
    more = !shard_has_more_behind.empty();
    if (more) page.erase(page.upper_bound(shard_has_more_behind), page.end());
    count += page.size();
    for (const auto& [name, job] : page) {
      if (shown == most) break;
      ++shown;
      part.text += fmt::format("{:<40} {:>9} {:>10}{}\n", name, job.recipients, kilobytes(job.bytes),
                               job.paused ? "  paused" : "");
      control::Tree& node = part.tree.add_item("job");
      node.add_text("name", name);
      node.add_number("rcp", job.recipients);
      node.add_number("kb", kilobytes(job.bytes));
      node.add_text("paused", job.paused ? "yes" : "no");
      const bool read = co_await reply.add(part);
      if (!read) co_return control::Answer();
    }
    after = std::move(shard_has_more_behind);
  }
  part.text += fmt::format("Total of {} job(s).\n", count);
  part.tree.add_number("totalJobs", count);
  [[maybe_unused]] const bool read = co_await reply.add(part);
  co_return control::Answer();
}

}  // namespace sluice::shard
