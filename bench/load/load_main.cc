// sluice-load: injects mail over SMTP, measures how it is taken, and records every promise it got.
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <cstdio>

#include "bench/lib/arguments.h"
#include "bench/lib/hash.h"
#include "bench/lib/process.h"
#include "bench/load/load_report.h"
#include "engine/runtime/mailbox.h"
#include "engine/runtime/uring/uring_reactor.h"

namespace sluice::bench {
namespace {

using runtime::Task;
using runtime::UringReactor;

constexpr std::uint64_t kThreadsMax = 256;

struct Options {
  LoadPlan plan;
  std::uint64_t threads = 1;
  std::string ledger;
  Duration progress{0};
  std::vector<std::uint64_t> watched;
  bool json = false;
};

// Takes every part of a comma list.
template <class Take>
Arguments::Take list_of(Take take) {
  return [take](std::string_view text) -> Parsed<void> {
    for (const std::string_view part : split(text, ',')) {
      const Parsed<void> taken = take(part);
      if (!taken) return taken;
    }
    return {};
  };
}

Parsed<void> take_domain(LoadPlan& plan, std::string_view text) {
  const auto named = parse_weighted(text);
  if (!named) return std::unexpected(named.error());
  return mapped(NameRange::parse(named->value),
                [&](NameRange names) { plan.domains.push_back({std::move(names), named->weight}); });
}

void declare_load(Arguments& arguments, LoadPlan& plan) {
  arguments.section("How the load comes");
  arguments.option("--mode", "MODE", "lockstep, pipelined (default) or bdat",
                   [&](std::string_view text) -> Parsed<void> {
                     if (text == "lockstep")
                       plan.mode = InjectMode::Lockstep;
                     else if (text == "pipelined")
                       plan.mode = InjectMode::Pipelined;
                     else if (text == "bdat")
                       plan.mode = InjectMode::Chunked;
                     else
                       return complain(fmt::format("'{}' is none of lockstep, pipelined, bdat", text));
                     return {};
                   });
  arguments.number("--connections", "N", "connections in all (10)", plan.connections,
                   LoadPlan::kConnectionsMax);
  arguments.number("--window", "N", "bdat: transactions under way on a connection (4)", plan.window,
                   LoadPlan::kWindowMax);
  arguments.option("--messages", "N", "messages in all (10000, unless --duration)",
                   [&](std::string_view text) {
                     return mapped(parse_number(text), [&](std::uint64_t count) { plan.messages = count; });
                   });
  arguments.option("--duration", "TIME", "start messages for so long", [&](std::string_view text) {
    return mapped(parse_duration(text), [&](Duration time) { plan.duration = time; });
  });
  arguments.number("--messages-per-connection", "N", "then QUIT and connect again",
                   plan.messages_per_connection, UINT64_MAX);
  arguments.option("--rate", "STEPS",
                   "open loop: 500/s or 500/s:30s,1000/s:30s; latency counts\n"
                   "from the time a message was due, not from when a connection was free",
                   [&](std::string_view text) {
                     return mapped(parse_rate_steps(text),
                                   [&](std::vector<RateStep> steps) { plan.rates = steps; });
                   });
  arguments.option("--arrivals", "KIND", "even (default) or poisson",
                   [&](std::string_view text) -> Parsed<void> {
                     if (text != "even" && text != "poisson")
                       return complain(fmt::format("'{}' is neither even nor poisson", text));
                     plan.arrivals = text == "even" ? Arrivals::Even : Arrivals::Poisson;
                     return {};
                   });
  arguments.duration("--timeout", "for a connection or reply (60s)", plan.timeout);
  arguments.duration("--reconnect", "keep trying for so long when the server is away (0)", plan.reconnect);
}

void declare_mail(Arguments& arguments, LoadPlan& plan) {
  arguments.section("What is sent");
  arguments.option("--size", "SIZES", "10k (default), 1k..50k, or 2k:70,10k:25,100k:5 with weights",
                   [&](std::string_view text) {
                     return mapped(parse_sizes(text), [&](auto sizes) { plan.sizes = std::move(sizes); });
                   });
  arguments.option("--recipients", "N|A..B", "of a message (1)", [&](std::string_view text) {
    return mapped(parse_count_range(text, LoadPlan::kRecipientsMax), [&](SizeRange range) {
      plan.recipients_low = range.low;
      plan.recipients_high = range.high;
    });
  });
  arguments.option("--domain", "NAME[:WEIGHT],...",
                   "of recipients; d[0-999].example are a thousand (load.example)",
                   list_of([&](std::string_view text) { return take_domain(plan, text); }));
  const auto take_into = [](std::vector<Weighted<std::string>>& list) {
    return list_of([&list](std::string_view text) {
      return mapped(parse_weighted(text),
                    [&list](Weighted<std::string> one) { list.push_back(std::move(one)); });
    });
  };
  arguments.option("--vmta", "NAME[:WEIGHT],...", "x-virtual-mta header", take_into(plan.vmtas));
  arguments.option("--job", "NAME[:WEIGHT],...", "x-job header", take_into(plan.jobs));
  arguments.text("--sender", "ADDRESS", "of the envelope and From (bounce@load.example)", plan.sender);
  arguments.text("--host", "NAME", "in EHLO and Message-ID (load.example)", plan.host);
  arguments.option("--source", "IP,...", "local addresses to connect from, in turn",
                   list_of([&](std::string_view text) -> Parsed<void> {
                     const auto address = IpAddress::parse(text);
                     if (!address) return complain(fmt::format("'{}' is not an IP address", text));
                     plan.sources.push_back(*address);
                     return {};
                   }));
  arguments.text("--run", "NAME", "part of every Message-ID and recipient (random)", plan.run);
  arguments.number("--seed", "N", "of sizes, domains and counts (1)", plan.seed, UINT64_MAX);
}

void declare(Arguments& arguments, Options& options) {
  LoadPlan& plan = options.plan;
  arguments.section("Where to");
  arguments.option("--to", "IP:PORT,...", "the server; several are used in turn (127.0.0.1:2525)",
                   list_of([&plan](std::string_view text) -> Parsed<void> {
                     const auto at = Endpoint::parse(text);
                     if (!at) return complain(fmt::format("'{}' is not an address with a port", text));
                     plan.targets.push_back(*at);
                     return {};
                   }));
  arguments.number("--threads", "N", "threads, each with its own ring (1)", options.threads, kThreadsMax);
  declare_load(arguments, plan);
  declare_mail(arguments, plan);
  arguments.section("What is recorded and shown");
  arguments.text("--ledger", "PREFIX", "write PREFIX.0, PREFIX.1 ..., one for each thread", options.ledger);
  arguments.duration("--progress", "print a line every so often", options.progress);
  arguments.option("--watch-pid", "PID,...", "report the processor time of these too",
                   list_of([&options](std::string_view text) {
                     return mapped(parse_number(text),
                                   [&](std::uint64_t pid) { options.watched.push_back(pid); });
                   }));
  arguments.flag("--json", "the result as JSON", options.json);
  arguments.epilogue("Exit status: 0 all accepted, 1 some were not, 2 nothing could be done.");
}

/// The threads of one load and how they end together. The vectors hold a place for each thread, filled by it before it
/// joins the mailboxes.
struct Load {
  const Options& options;
  runtime::Mailboxes& boxes;
  int signals = -1;
  std::vector<std::unique_ptr<LoadCounters>> counters;
  std::vector<LoadShard*> shards;
  std::vector<runtime::Wakeup*> wakeups;
  std::vector<Duration> active;
  std::atomic<std::size_t> running{0};
};

std::uint64_t sum_of(const Load& load, Counter LoadCounters::* member) {
  std::uint64_t sum = 0;
  for (const auto& one : load.counters) sum += (*one.*member).value();
  return sum;
}

Task<void> watch_signals(runtime::Reactor& reactor, Load& load, runtime::Op& op) {
  op.kind = runtime::OpKind::Poll;
  op.fd = load.signals;
  op.poll_events = POLLIN;
  const std::int32_t result = co_await perform(reactor, op);
  if (result < 0) co_return;
  for (std::uint32_t i = 0; i < load.boxes.shards(); ++i) {
    co_await call_on(reactor, ShardId(i), [&load, i] { load.shards[i]->stop(); });
  }
}

Task<void> show_progress(runtime::Reactor& reactor, Load& load, const bool& over) {
  std::uint64_t before = 0;
  MonoTime then = reactor.now();
  while (!over) {
    co_await sleep_for(reactor, std::min<Duration>(load.options.progress, 50ms));
    if (over || reactor.now() - then < load.options.progress) continue;
    const std::uint64_t accepted = sum_of(load, &LoadCounters::accepted);
    const double seconds = static_cast<double>((reactor.now() - then).count()) / 1e9;
    fmt::print(stderr, "accepted {} ({:.0f}/s) refused {} unknown {}\n", accepted,
               static_cast<double>(accepted - before) / seconds, sum_of(load, &LoadCounters::refused),
               sum_of(load, &LoadCounters::unknown));
    before = accepted;
    then = reactor.now();
  }
}

// Thread 0 waits for the others, so that every ring lives as long as mail may go to it.
Task<void> lead(UringReactor& reactor, Load& load, runtime::Wakeup& wakeup) {
  while (!load.boxes.complete()) co_await sleep_for(reactor, 1ms);
  runtime::Op signal_op;
  runtime::TaskGroup group;
  bool over = false;
  group.spawn(watch_signals(reactor, load, signal_op));
  if (load.options.progress > 0s) group.spawn(show_progress(reactor, load, over));
  co_await load.shards[0]->run();
  load.active[0] = load.shards[0]->active_time();
  while (load.running > 1) co_await wakeup.wait();
  over = true;
  reactor.cancel(signal_op);
  co_await group.join();
  for (std::uint32_t i = 1; i < load.boxes.shards(); ++i) {
    co_await call_on(reactor, ShardId(i), [&load, i] { load.wakeups[i]->set(); });
  }
  co_await yield(reactor);
  reactor.stop();
}

Task<void> follow(UringReactor& reactor, Load& load, runtime::Wakeup& wakeup) {
  while (!load.boxes.complete()) co_await sleep_for(reactor, 1ms);
  const std::size_t index = reactor.shard().raw();
  co_await load.shards[index]->run();
  load.active[index] = load.shards[index]->active_time();
  reactor.send_to(ShardId(0), [&load] {
    --load.running;
    load.wakeups[0]->set();
  });
  co_await wakeup.wait();
  co_await yield(reactor);
  reactor.stop();
}

void run_shard(Load& load, std::unique_ptr<LedgerLog> ledger, Result<std::unique_ptr<UringReactor>> made) {
  if (!made) {
    fmt::print(stderr, "sluice-load: {}: {}\n", made.error().text(), UringReactor::explain(made.error()));
    std::_Exit(2);
  }
  UringReactor& reactor = **made;
  const std::size_t index = reactor.shard().raw();
  LoadShard shard(reactor, load.options.plan, load.boxes.shards(), std::move(ledger), *load.counters[index]);
  runtime::Wakeup wakeup(reactor);
  load.shards[index] = &shard;
  load.wakeups[index] = &wakeup;
  reactor.join_world(load.boxes);
  runtime::TaskGroup group;
  group.spawn(index == 0 ? lead(reactor, load, wakeup) : follow(reactor, load, wakeup));
  reactor.run();
}

// A name no other run on this machine has soon: the process id and the time it started.
std::string random_run_name() {
  const auto stat = read_file("/proc/self/stat", 64 * kKiB);
  return fmt::format("{:x}", stat ? hash_of(*stat) & 0xffffffffffULL : 0);
}

Parsed<void> complete(Options& options) {
  LoadPlan& plan = options.plan;
  if (plan.targets.empty()) plan.targets.push_back(*Endpoint::parse("127.0.0.1:2525"));
  if (plan.domains.empty()) plan.domains.push_back({*NameRange::parse("load.example"), 1});
  if (!plan.messages && !plan.duration && (plan.rates.empty() || !plan.rates.back().lasts))
    plan.messages = 10'000;
  if (plan.run.empty()) plan.run = random_run_name();
  if (plan.run.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") !=
      std::string::npos) {
    return complain("--run: letters, digits, - and _ only");
  }
  if (plan.connections == 0) return complain("--connections: at least one");
  if (plan.window == 0) return complain("--window: at least one");
  options.threads = std::clamp<std::uint64_t>(options.threads, 1, plan.connections);
  for (const Endpoint& target : plan.targets) {
    for (const IpAddress& source : plan.sources) {
      if (source.is_v4() != target.address.is_v4()) return complain("--source and --to mix IPv4 and IPv6");
    }
  }
  return {};
}

int run(Options& options, int signals) {
  const auto threads = static_cast<std::size_t>(options.threads);
  runtime::Mailboxes boxes(threads);
  Load load{.options = options,
            .boxes = boxes,
            .signals = signals,
            .counters = {},
            .shards = std::vector<LoadShard*>(threads),
            .wakeups = std::vector<runtime::Wakeup*>(threads),
            .active = std::vector<Duration>(threads)};
  load.running = threads;
  std::vector<std::unique_ptr<LedgerLog>> ledgers;
  for (std::size_t i = 0; i < threads; ++i) {
    load.counters.push_back(std::make_unique<LoadCounters>());
    if (options.ledger.empty()) {
      ledgers.push_back(std::make_unique<MemoryLedger>(false));
      continue;
    }
    auto file = LedgerFile::create(fmt::format("{}.{}", options.ledger, i));
    if (!file) {
      fmt::print(stderr, "sluice-load: {}.{}: {}\n", options.ledger, i, file.error().text());
      return 2;
    }
    ledgers.push_back(*std::move(file));
  }
  std::vector<WatchedProcess> watched;
  for (const std::uint64_t pid : options.watched) {
    const auto before = cpu_time_of(pid);
    if (before) watched.push_back({pid, *before, *before});
  }
  const CpuTime cpu_before = own_cpu_time();
  runtime::ShardThreads pool;
  for (std::size_t i = 0; i < threads; ++i) {
    pool.start(fmt::format("load-{}", i), ShardId(static_cast<std::uint32_t>(i)), runtime::UringOptions(),
               std::nullopt,
               [&load, ledger = std::move(ledgers[i])](Result<std::unique_ptr<UringReactor>> made) mutable {
                 run_shard(load, std::move(ledger), std::move(made));
               });
  }
  pool.join();
  LoadResult result = add_up(load.counters);
  const CpuTime cpu_after = own_cpu_time();
  result.run = options.plan.run;
  result.time = *std::ranges::max_element(load.active);
  result.cpu = {cpu_after.user - cpu_before.user, cpu_after.system - cpu_before.system};
  for (WatchedProcess& process : watched) {
    // It may have ended meanwhile; then what was read before stands and says zero.
    if (const auto after = cpu_time_of(process.pid)) process.after = *after;
  }
  result.watched = std::move(watched);
  fmt::print("{}", options.json ? load_result_json(result) : load_result_text(result));
  if (result.accepted == 0) return 2;
  return result.refused + result.unknown + result.unsent == 0 ? 0 : 1;
}

int start(int count, const char* const* words) {
  Options options;
  Arguments arguments("sluice-load", "injects mail over SMTP and measures how it is taken");
  declare(arguments, options);
  if (const auto status = parse_or_exit_status(arguments, "sluice-load", count, words)) return *status;
  const auto completed = complete(options);
  const auto signals = signal_descriptor();
  if (!completed || !signals) {
    fmt::print(stderr, "sluice-load: {}\n", completed ? signals.error().text() : completed.error());
    return 2;
  }
  raise_descriptor_limit();
  return run(options, *signals);
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** words) { return sluice::bench::start(count, words); }
