// Commands that list schedules, virtual MTAs and jobs.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "engine/shard/command_texts.h"
#include "engine/shard/listing.h"
#include "engine/shard/node.h"
#include "engine/shard/text_table.h"
#include "policy/base/ascii.h"

namespace sluice::shard {
namespace {

constexpr TextTable kScheduleTable(std::array{Column{"queue", 40}, Column{"#waiting", 9, true},
                                              Column{"next window", 19}, Column{"last window ends", 19}});
constexpr TextTable kVmtaTable(std::array{
    Column{"name", 24}, Column{"domains", 8, true}, Column{"#rcpt", 9, true}, Column{"% total", 7, true},
    Column{"kbytes", 10, true}, Column{"conn", 5, true}, Column{"accepted", 10, true},
    Column{"delivered", 10, true}, Column{"bounced", 9, true}, Column{"deferred", 9, true},
    Column{"cold today", 10, true}});
constexpr TextTable kPoolTable(std::array{Column{"pool", 24}, Column{"member", 24}, Column{"weight", 6, true},
                                          Column{"turns", 10, true}, Column{"#rcpt", 9, true},
                                          Column{"kbytes", 10, true}, Column{"conn", 5, true},
                                          Column{"accepted", 10, true}, Column{"delivered", 10, true},
                                          Column{"bounced", 9, true}, Column{"deferred", 9, true}});
constexpr TextTable kJobTable(std::array{Column{"job-id", 40}, Column{"#rcpt", 9, true},
                                         Column{"kbytes", 10, true}, Column{"state", 6}});

}  // namespace

runtime::Task<control::Answer> Node::show_schedule(const control::Command& command, control::Reply& reply) {
  const std::string pattern = command.words.size() > 2 ? command.words[2] : "*";
  const std::size_t most = max_items(command, 100);
  const std::function<Slice<ScheduleStatus>(DataShard&, const std::string&)> of =
      [&pattern](DataShard& shard, const std::string& after) { return shard.schedules(pattern, after); };
  FirstRows<ScheduleStatus> rows([](const auto& a, const auto& b) { return a.name < b.name; },
                                 std::min(most, kPageRows));
  std::size_t count = 0, shown = 0;
  control::Reply::Part part;
  part.text = kScheduleTable.heading();
  std::string after;
  for (bool first = true; first || shown < std::min(most, count); first = false) {
    co_await slices_.walk<ScheduleStatus>(of, after, [&](ScheduleStatus&& row) {
      if (first) ++count;
      rows.offer(std::move(row));
      return true;
    });
    const std::vector<ScheduleStatus> page = rows.take();
    for (std::size_t i = 0; i < page.size() && shown < most; ++i, ++shown) {
      part.text += kScheduleTable.row({page[i].name, std::to_string(page[i].waiting),
                                       local_time(page[i].next_opening), local_time(page[i].last_end)});
      if (!reply.for_people()) continue;
      const bool read = co_await reply.add(part);
      if (!read) co_return control::Answer();
    }
    if (page.empty()) break;
    after = page.back().name;
    rows.start_behind(page.back());
  }
  part.text += fmt::format("\n{} of {} queues with scheduled recipients.\n", shown, count);
  if (!reply.for_people()) co_return control::Answer{true, std::move(part.text)};
  [[maybe_unused]] const bool read = co_await reply.add(part);
  co_return control::Answer();
}

namespace {

void sort_by(std::vector<VmtaRow>& rows, std::string_view sort) {
  if (sort != "name" && sort != "rcpt" && sort != "size") return;
  std::sort(rows.begin(), rows.end(), [sort](const VmtaRow& a, const VmtaRow& b) {
    const VmtaStatus &left = a.queued, &right = b.queued;
    if (sort == "rcpt" && left.recipients != right.recipients) return left.recipients > right.recipients;
    if (sort == "size" && left.bytes != right.bytes) return left.bytes > right.bytes;
    return left.name < right.name;
  });
}

void add_figures(control::Tree& node, const VmtaRow& row) {
  node.add_number("rcp", row.queued.recipients);
  node.add_number("kb", kilobytes(row.queued.bytes));
  node.add_number("conn", row.queued.connections);
  node.add_number("accepted", row.accepted);
  node.add_number("delivered", row.delivered);
  node.add_number("bounced", row.bounced);
  node.add_number("deferred", row.deferred);
}

}  // namespace

/// There are as many rows as the configuration has virtual MTAs, whatever is queued. In the order of the configuration.
runtime::Task<std::vector<VmtaRow>> Node::vmta_rows() {
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
    return true;
  });
  // Warming: what this process gave today, and what the one before it had given.
  const auto today =
      static_cast<identity::DayNumber>(shared_.zone.day_of(control_.wall_now()).time_since_epoch().count());
  const auto add = [&](const std::string& name, std::uint64_t messages) {
    const auto place = places.find(name);
    if (place != places.end()) rows[place->second].cold_today += messages;
  };
  for (DataShard* shard : shards_) {
    const auto given = co_await runtime::call_on(control_, shard->id(),
                                                 [shard, today] { return shard->cold_book().given(today); });
    for (const auto& [name, messages] : given) add(name, messages);
  }
  shared_.remembered.for_each_cold([&](std::string_view name, std::string_view text) {
    const auto count = identity::ColdCount::parse(text);
    if (count && count->day == today) add(std::string(name), count->used);
  });
  co_return rows;
}

runtime::Task<control::Answer> Node::show_vmtas(const control::Command& command, control::Reply& reply) {
  std::vector<VmtaRow> rows = co_await vmta_rows();
  std::uint64_t total = 0;
  for (const VmtaRow& row : rows) total += row.queued.recipients;
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
  part.text = kVmtaTable.heading();
  for (const VmtaRow& row : rows) {
    const std::uint64_t share = total == 0 ? 0 : row.queued.recipients * 100 / total;
    const auto number = [](std::uint64_t value) { return std::to_string(value); };
    part.text += kVmtaTable.row({row.queued.name, number(row.queued.domains), number(row.queued.recipients),
                                 number(share), kbytes_text(row.queued.bytes), number(row.queued.connections),
                                 number(row.accepted), number(row.delivered), number(row.bounced),
                                 number(row.deferred), number(row.cold_today)});
    control::Tree& node = part.tree.add_item("vmta");
    node.add_text("name", row.queued.name);
    node.add_number("dom", row.queued.domains);
    add_figures(node, row);
    node.add_number("coldToday", row.cold_today);
    const bool read = co_await reply.add(part);
    if (!read) co_return control::Answer();
  }
  part.text += fmt::format("\n{} of {} virtual MTAs.\n", rows.size(), count);
  [[maybe_unused]] const bool read = co_await reply.add(part);
  co_return control::Answer();
}

/// A row for each member, whose figures are those of the virtual MTA whichever way its mail came; before them one for
/// the pool with their sums and the turns it has given.
runtime::Task<control::Answer> Node::show_pools(const control::Command& command, control::Reply& reply) {
  const std::vector<VmtaRow> vmtas = co_await vmta_rows();
  std::unordered_map<std::string_view, const VmtaRow*> by_name;
  for (const VmtaRow& one : vmtas) by_name.emplace(one.queued.name, &one);
  const std::shared_ptr<const queue::Snapshot> snapshot = snapshot_;
  const std::string wanted = command.words.size() > 2 ? command.words[2] : std::string();
  control::Reply::Part part;
  part.text = kPoolTable.heading();
  const auto number = [](std::uint64_t value) { return std::to_string(value); };
  const auto row_of = [&](const std::string& pool, const VmtaRow& row, const std::string& weight,
                          const std::string& turns) {
    return kPoolTable.row({pool, row.queued.name, weight, turns, number(row.queued.recipients),
                           kbytes_text(row.queued.bytes), number(row.queued.connections),
                           number(row.accepted), number(row.delivered), number(row.bounced),
                           number(row.deferred)});
  };
  std::size_t count = 0;
  const auto& pools = snapshot->config->pools;
  for (std::size_t i = 0; i < pools.size(); ++i) {
    const config::Pool& pool = pools[i];
    if (!wanted.empty() && !iequals(pool.name, wanted)) continue;
    ++count;
    VmtaRow sum{.queued = {.name = "(all)"}};
    std::string members;
    control::Tree& node = part.tree.add_item("pool");
    node.add_text("name", pool.name);
    const std::uint64_t turns = snapshot->pools[i]->turn.load(std::memory_order_relaxed);
    node.add_number("turns", turns);
    for (const config::PoolMember& member : pool.settings.members) {
      const std::string& name = snapshot->identity(member.id).name;
      const auto found = by_name.find(name);
      const VmtaRow row = found == by_name.end() ? VmtaRow{.queued = {.name = name}} : *found->second;
      members += row_of("", row, number(member.weight), "");
      sum.queued.recipients += row.queued.recipients;
      sum.queued.bytes += row.queued.bytes;
      sum.queued.connections += row.queued.connections;
      sum.accepted += row.accepted;
      sum.delivered += row.delivered;
      sum.bounced += row.bounced;
      sum.deferred += row.deferred;
      control::Tree& item = node.add_item("member");
      item.add_text("name", name);
      item.add_number("weight", member.weight);
      add_figures(item, row);
    }
    add_figures(node, sum);
    part.text += row_of(pool.name, sum, "", number(turns)) + members;
    const bool read = co_await reply.add(part);
    if (!read) co_return control::Answer();
  }
  if (count == 0 && !wanted.empty()) {
    co_return control::Answer::error("no pool named \"" + wanted + "\"\n");
  }
  part.text += fmt::format("\n{} of {} pools.\n", count, pools.size());
  [[maybe_unused]] const bool read = co_await reply.add(part);
  co_return control::Answer();
}

/// Page by page in the order of names; a job of several shards is one.
runtime::Task<void> Node::walk_jobs(std::string after, std::function<bool(JobStatus&&)> take) {
  const std::function<Slice<JobStatus>(DataShard&, const std::string&)> of =
      [](DataShard& shard, const std::string& behind) { return shard.jobs(behind); };
  for (bool more = true; more;) {
    std::map<std::string, JobStatus> page;
    std::string shard_has_more_behind;  // the least last name of a shard that was not looked at to its end
    for (DataShard* shard : shards_) {
      std::size_t of_shard = 0;
      co_await slices_.walk_one<JobStatus>(*shard, of, after, [&](JobStatus&& one) {
        if (of_shard == kPageRows) return false;
        if (++of_shard == kPageRows && (shard_has_more_behind.empty() || one.name < shard_has_more_behind))
          shard_has_more_behind = one.name;
        JobStatus& sum = page[one.name];
        sum.name = one.name;
        sum.recipients += one.recipients;
        sum.bytes += one.bytes;
        sum.paused = sum.paused || one.paused;
        return true;
      });
    }
    more = !shard_has_more_behind.empty();
    if (more) page.erase(page.upper_bound(shard_has_more_behind), page.end());
    for (auto& [name, job] : page) {
      if (!take(std::move(job))) co_return;
    }
    after = std::move(shard_has_more_behind);
  }
}

runtime::Task<control::Answer> Node::show_jobs(const control::Command& command, control::Reply& reply) {
  const std::size_t most = max_items(command, 1000);
  const std::string sort(command.option("sort").value_or("name"));
  const bool by_name = sort == "name";
  FirstRows<JobStatus> rows(order_of<JobStatus>(sort), std::min(most, kPageRows));
  control::Reply::Part part;
  part.text = kJobTable.heading();
  std::size_t count = 0, shown = 0;
  std::string after;
  for (bool first = true; first || shown < std::min(most, count); first = false) {
    std::size_t offered = 0;
    co_await walk_jobs(after, [&](JobStatus&& job) {
      if (first) ++count;
      rows.offer(std::move(job));
      return first || !by_name || ++offered < kPageRows;
    });
    const std::vector<JobStatus> page = rows.take();
    for (std::size_t i = 0; i < page.size() && shown < most; ++i, ++shown) {
      const JobStatus& job = page[i];
      part.text += kJobTable.row({one_line(job.name), std::to_string(job.recipients), kbytes_text(job.bytes),
                                  job.paused ? "paused" : ""});
      control::Tree& node = part.tree.add_item("job");
      node.add_text("name", job.name);
      node.add_number("rcp", job.recipients);
      node.add_number("kb", kilobytes(job.bytes));
      node.add_text("paused", job.paused ? "yes" : "no");
      const bool read = co_await reply.add(part);
      if (!read) co_return control::Answer();
    }
    if (page.empty()) break;
    if (by_name) after = page.back().name;
    rows.start_behind(page.back());
  }
  part.text += fmt::format("\nTotal of {} job(s).\n", count);
  part.tree.add_number("totalJobs", count);
  [[maybe_unused]] const bool read = co_await reply.add(part);
  co_return control::Answer();
}

}  // namespace sluice::shard
