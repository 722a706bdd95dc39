// `show status` and `show version`, as text and as the tree that PowerMTA has.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <unordered_set>

#include "engine/shard/command_texts.h"
#include "engine/shard/node.h"
#include "policy/base/version.h"

namespace sluice::shard {
namespace {

std::string traffic_row(std::string_view name, const TrafficCount& in, const TrafficCount& out) {
  return fmt::format("{:>11}  {:>10} {:>9} {:>11}  {:>10} {:>9} {:>11}\n", name, in.recipients, in.messages,
                     kilobytes(in.bytes), out.recipients, out.messages, kilobytes(out.bytes));
}

std::string uptime_text(Duration up) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(up).count();
  return fmt::format("{:>3} {:>2}:{:02}:{:02}", seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60,
                     seconds % 60);
}

/// What status calls the product, and what stands beside it.
struct Product {
  std::string_view name, version;
  std::string_view other_name, other_version;
  [[nodiscard]] std::string text() const { return std::string(name) + ' ' + std::string(version); }
  [[nodiscard]] std::string other() const {
    return std::string(other_name) + ' ' + std::string(other_version);
  }
};

Product product_of(config::StatusProduct which) {
  switch (which) {
    case config::StatusProduct::PowerMta: return {kReplacedName, kReplacedVersion, kOwnName, version()};
    case config::StatusProduct::Sluice: return {kOwnName, version(), kReplacedName, kReplacedVersion};
  }
  return {};
}

void add_queues(control::Tree& tree, std::string_view name, const QueueTypeSum& sum) {
  control::Tree& node = tree.add(name);
  node.add_number("rcp", sum.recipients);
  node.add_number("dom", sum.domains);
  node.add_number("kb", kilobytes(sum.bytes));
}

void add_host(control::Tree& mta, const HostSystem& host) {
  control::Tree& licence = mta.add("lak");  // there is none; who reads it finds the nodes
  licence.add_text("serial", "");
  licence.add_number("instances", 0);
  control::Tree& system = mta.add("os");
  system.add_text("name", host.os_name);
  system.add_text("version", host.os_version);
  system.add_text("build", host.os_build);
  control::Tree& cpu = mta.add("cpu");
  cpu.add_text("type", host.cpu_type);
  cpu.add_number("count", host.cpu_count);
  mta.add("ram").add_number("real", host.ram_kib);
}

void add_product(control::Tree& mta, const Product& product) {
  control::Tree& node = mta.add("product");
  node.add_text("name", product.name);
  node.add_text("version", product.version);
  node.add_text("buildDate", build_date());
  node.add_text("revision", version());
  node.add_number("bits", sizeof(void*) * 8);
  // The truth, or what it stands in for.
  const bool is_ours = product.name == kOwnName;
  control::Tree& beside = node.add(is_ours ? "compatibleWith" : "implementation");
  beside.add_text("name", product.other_name);
  beside.add_text("version", product.other_version);
}

}  // namespace

runtime::Task<QueueSums> Node::sum_queues(const ShardStatus& now) {
  QueueSums out;
  std::array<std::unordered_set<std::size_t>, kQueueTypes> domains;
  co_await summing_.take(1);
  const std::function<Slice<QueueSum>(DataShard&, const std::string&)> of =
      [](DataShard& shard, const std::string& after) { return shard.queue_sums(after); };
  co_await slices_.walk<QueueSum>(of, {}, [&](QueueSum&& one) {
    const auto type = static_cast<std::size_t>(one.type);
    out.by_type[type].recipients += one.recipients;
    out.by_type[type].bytes += one.bytes;
    domains[type].insert(one.domain);
    return true;
  });
  summing_.give(1);
  for (std::size_t i = 0; i < kQueueTypes; ++i) out.by_type[i].domains = domains[i].size();
  // Mail moves while slices are walked: the sum is the counters' and not the walk's.
  QueueTypeSum& smtp = out.of(config::QueueType::Smtp);
  std::uint64_t others = 0, other_bytes = 0;
  for (std::size_t i = 0; i < kQueueTypes; ++i) {
    others += &out.by_type[i] == &smtp ? 0 : out.by_type[i].recipients;
    other_bytes += &out.by_type[i] == &smtp ? 0 : out.by_type[i].bytes;
  }
  smtp.recipients = now.queued_recipients - std::min(now.queued_recipients, others);
  smtp.bytes = now.queued_bytes - std::min(now.queued_bytes, other_bytes);
  co_return out;
}

control::Answer Node::show_version() const {
  const Product product = product_of(snapshot_->config->globals.status_product);
  return {true, fmt::format("{} ({}).\n", product.text(), product.other())};
}

std::shared_ptr<control::Tree> Node::status_tree(const ShardStatus& now, const QueueSums& queues) const {
  auto tree = std::make_shared<control::Tree>();
  const config::GlobalSettings& globals = snapshot_->config->globals;
  control::Tree& mta = tree->add("mta");
  add_product(mta, product_of(globals.status_product));
  add_host(mta, settings_.host);
  mta.add_text("fullHostName", globals.host_name.empty() ? "localhost" : globals.host_name.front());
  mta.add_text("userString", "");
  mta.add_number("hostId", globals.host_id);
  control::Tree& status = tree->add("status");
  status.add_text("timeNow", local_time(control_.wall_now()));
  status.add_text("startupTime", local_time(started_));
  status.add_flag("shuttingDown", shutdown_.is_open());
  control::Tree& traffic = status.add("traffic");
  const auto add_traffic = [&traffic](std::string_view name, const TrafficCount& in,
                                      const TrafficCount& out) {
    control::Tree& node = traffic.add(name);
    for (const auto& [direction, count] : {std::pair("out", &out), std::pair("in", &in)}) {
      control::Tree& side = node.add(direction);
      side.add_number("rcp", count->recipients);
      side.add_number("msg", count->messages);
      side.add_number("kb", kilobytes(count->bytes));
    }
    node.add_number("bounceProcessed", 0);
    node.add_number("feedbackLoopProcessed", 0);
  };
  add_traffic("total", inbound_.total(), outbound_.total());
  add_traffic("lastHr", inbound_.last_hour(), outbound_.last_hour());
  add_traffic("lastMin", inbound_.last_minute(), outbound_.last_minute());
  add_traffic("topPerHr", inbound_.top_hour(), outbound_.top_hour());
  add_traffic("topPerMin", inbound_.top_minute(), outbound_.top_minute());
  control::Tree& perf = traffic.add("perf").add("lastMin").add("in");
  for (const std::string_view name : {"count", "mailFromTime", "dataTime", "totalTime"})
    perf.add_number(name, 0);
  control::Tree& connections = status.add("conn");
  const auto add_connections = [&connections](std::string_view name, std::uint64_t cur, std::uint64_t max,
                                              std::uint64_t top) {
    control::Tree& node = connections.add(name);
    node.add_number("cur", cur);
    node.add_number("max", max);
    node.add_number("top", top);
  };
  add_connections("smtpIn", shared_.inbound.used(), shared_.inbound.limit(), shared_.inbound.top());
  add_connections("smtpOut", shared_.outbound.used(), shared_.outbound.limit(), shared_.outbound.top());
  control::Tree& resolver = status.add("resolver");
  resolver.add_number("namesCached", now.names_cached);
  resolver.add_number("queriesPending", now.queries_pending);
  resolver.add_number("queriesActive", now.queries_active);
  control::Tree& by_type = status.add("queue");
  add_queues(by_type, "smtp", queues.of(config::QueueType::Smtp));
  add_queues(by_type, "pipe", queues.of(config::QueueType::Pipe));
  add_queues(by_type, "discard", queues.of(config::QueueType::Discard));
  add_queues(by_type, "file", queues.of(config::QueueType::File));
  // Aliases are followed at reception here, and reports are not processed yet.
  for (const std::string_view name : {"alias", "bounceProcessor", "feedbackLoopProcessor"})
    add_queues(by_type, name, {});
  add_queues(by_type, "httpDelivery", queues.of(config::QueueType::HttpDelivery));
  control::Tree& spool = status.add("spool");
  spool.add_number("initPct", 100);  // commands are answered once recovery is over
  spool.add_number("dirs", spools_.places.size());
  control::Tree& files = spool.add("files");
  files.add_number("inUse", now.spool.segments_in_use);
  files.add_number("recycled", now.spool.segments_spare);
  files.add_number("total", now.spool.segments_in_use + now.spool.segments_spare);
  spool.add_number("totalRcp", now.queued_recipients);
  const std::uint64_t most = shared_.pressure.recipients_max.load(std::memory_order_relaxed);
  spool.add_number("maxRcp", most == std::numeric_limits<std::uint64_t>::max() ? 0 : most);
  status.add_number("internalErrors", now.contained);
  for (const IntakeWatch::Standing& one : intake_watch_.standing()) {
    control::Tree& refused = status.add_item("refused");
    refused.add_text("reply", one.refused.reply);
    refused.add_text("since", local_time(control_.on_calendar(one.since)));
    refused.add_text("reason", one.refused.why);
  }
  status.add_text("status", shutdown_.is_open() ? "shutting down" : "running");
  return tree;
}

runtime::Task<control::Answer> Node::show_status() {
  const ShardStatus now = co_await total_status();
  const QueueSums queues = co_await sum_queues(now);
  inbound_.refresh({now.in_recipients, now.in_messages, now.in_bytes});
  outbound_.refresh({now.out_recipients, now.out_messages, now.out_bytes});
  const config::GlobalSettings& globals = snapshot_->config->globals;
  const Product product = product_of(globals.status_product);
  std::string out = fmt::format("{} status on {} on {}\n\n", product.text(),
                                globals.host_name.empty() ? "localhost" : globals.host_name.front(),
                                local_time(control_.wall_now()));
  out += "  Traffic    ------------inbound------------  ------------outbound-----------\n";
  out += "                 rcpts      msgs      kbytes      rcpts      msgs      kbytes\n";
  out += traffic_row("Total", inbound_.total(), outbound_.total());
  out += traffic_row("Last Hour", inbound_.last_hour(), outbound_.last_hour());
  out += traffic_row("Top/Hour", inbound_.top_hour(), outbound_.top_hour());
  out += traffic_row("Last Min.", inbound_.last_minute(), outbound_.last_minute());
  out += traffic_row("Top/Min.", inbound_.top_minute(), outbound_.top_minute());
  out += "\n Connections    active       top     maximum  Domain       cached     pending\n";
  out += fmt::format("    Inbound {:>9} {:>9} {:>11}  Names   {:>11} {:>11}\n", shared_.inbound.used(),
                     shared_.inbound.top(), shared_.inbound.limit(), now.names_cached, now.queries_pending);
  out += fmt::format("   Outbound {:>9} {:>9} {:>11}\n", shared_.outbound.used(), shared_.outbound.top(),
                     shared_.outbound.limit());
  const QueueTypeSum& smtp = queues.of(config::QueueType::Smtp);
  const QueueTypeSum other = queues.others();
  out += "\n     Queues      rcpts   domains      kbytes  Spool        in use    recycled\n";
  out +=
      fmt::format("       SMTP {:>10} {:>9} {:>11}  Files   {:>11} {:>11}\n", smtp.recipients, smtp.domains,
                  kilobytes(smtp.bytes), now.spool.segments_in_use, now.spool.segments_spare);
  out += fmt::format("      other {:>10} {:>9} {:>11}  Init.      complete\n", other.recipients,
                     other.domains, kilobytes(other.bytes));
  out += fmt::format("    bounced {:>10}  deferred {:>11}  queue failures {}\n", now.bounced, now.deferred,
                     now.queue_failures);
  out += '\n' + accounting_text();
  watch_intake(now);
  out += refused_text();
  if (now.contained > 0)
    out +=
        fmt::format("     ERRORS  {} internal ones since the start; the log says what each of them ended\n",
                    now.contained);
  out += fmt::format("\n     Status    {}    Started  {}    Uptime {}\n",
                     shutdown_.is_open() ? "shutting down" : "running", local_time(started_),
                     uptime_text(control_.now() - started_at_));
  const bool is_ours = globals.status_product == config::StatusProduct::Sluice;
  out += fmt::format("    Program    {}\n", is_ours ? product.text() : product.other());
  co_return control::Answer{true, std::move(out), status_tree(now, queues)};
}

runtime::Task<control::Answer> Node::reset_counters() {
  const ShardStatus now = co_await total_status();
  inbound_.reset({now.in_recipients, now.in_messages, now.in_bytes});
  outbound_.reset({now.out_recipients, now.out_messages, now.out_bytes});
  log_.write("Traffic counters reset");
  co_return control::Answer{true, "Traffic counters reset.\n"};
}

}  // namespace sluice::shard
