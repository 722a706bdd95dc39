// sluice-sink: an internet of receiving providers on one machine, with its name server.
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>

#include "bench/lib/arguments.h"
#include "bench/lib/process.h"
#include "bench/provider/provider_file.h"
#include "bench/sink/sink_report.h"
#include "bench/sink/stats_server.h"
#include "engine/runtime/mailbox.h"
#include "engine/runtime/uring/uring_reactor.h"

namespace sluice::bench {
namespace {

using runtime::Task;
using runtime::UringReactor;

constexpr std::uint64_t kThreadsMax = 256;

struct Options {
  std::string providers;
  std::optional<Endpoint> listen;
  std::optional<Endpoint> dns;
  std::string ledger;
  std::string stats_socket;
  Duration stats_interval{0};
  std::uint64_t threads = 1;
  std::uint64_t port = 0;
  std::uint64_t seed = 0;
  std::uint64_t stop_after = 0;
  bool port_given = false;
  bool seed_given = false;
  bool ledger_sync = false;
  bool messages_only = false;
  bool json = false;
  bool strict = false;
  bool check = false;
};

void declare(Arguments& arguments, Options& options) {
  arguments.section("What is played");
  arguments.text("--providers", "FILE", "provider file; see bench/README.md and bench/providers/",
                 options.providers);
  arguments.endpoint("--listen", "without a file: one provider that takes everything, here", options.listen);
  arguments.endpoint("--dns", "answer DNS queries here, UDP and TCP; port 0 lets the system choose",
                     options.dns);
  arguments.option("--port", "PORT", "SMTP port of addresses without their own; 0: one free port",
                   [&options](std::string_view text) {
                     options.port_given = true;
                     return mapped(parse_number(text, 65535),
                                   [&](std::uint64_t port) { options.port = port; });
                   });
  arguments.option("--seed", "N", "instead of the file's seed", [&options](std::string_view text) {
    options.seed_given = true;
    return mapped(parse_number(text), [&](std::uint64_t seed) { options.seed = seed; });
  });
  arguments.number("--threads", "N", "threads, each with its own ring (1)", options.threads, kThreadsMax);
  arguments.flag("--check", "read the file, say what it holds, and end", options.check);
  arguments.section("What is recorded");
  arguments.text("--ledger", "PREFIX", "write PREFIX.0, PREFIX.1 ..., one for each thread", options.ledger);
  arguments.flag("--ledger-sync", "and sync it to the disk before every 250", options.ledger_sync);
  arguments.flag("--ledger-messages-only", "neither refusals nor connections", options.messages_only);
  arguments.section("What is shown");
  arguments.text("--stats-socket", "PATH",
                 "live figures: echo text | nc -U PATH, or curl --unix-socket PATH http://x/",
                 options.stats_socket);
  arguments.duration("--stats-interval", "print a line of figures every so often", options.stats_interval);
  arguments.flag("--json", "the final figures as JSON", options.json);
  arguments.flag("--strict", "exit status 1 when a sender broke a rule or an expectation", options.strict);
  arguments.number("--stop-after", "N", "end after so many messages", options.stop_after, UINT64_MAX);
  arguments.epilogue(
      "Once it listens it prints \"listen PROVIDER HOST IP:PORT\" lines, \"dns IP:PORT\" and \"ready\".\n"
      "It ends on SIGINT or SIGTERM with its final figures.");
}

Parsed<Internet> load_internet(const Options& options) {
  if (options.providers.empty()) {
    const auto at = options.listen ? options.listen : Endpoint::parse("127.0.0.1:2525");
    return internet_of_one(*at);
  }
  const auto text = read_file(options.providers);
  if (!text) return complain(fmt::format("{}: {}", options.providers, text.error().text()));
  auto internet = parse_provider_file(*text);
  if (!internet) return complain(fmt::format("{}: {}", options.providers, internet.error()));
  if (options.port_given) internet->port = static_cast<std::uint16_t>(options.port);
  if (options.seed_given) internet->seed = options.seed;
  return internet;
}

/// The threads of one sink and how they end together. The vectors hold a place for each thread, filled by it before it
/// joins the mailboxes.
struct Sink {
  Options options;
  SinkShared& shared;
  runtime::Mailboxes& boxes;
  int signals = -1;
  std::vector<SinkListen> listens;
  std::vector<SinkShard*> shards;
  std::vector<runtime::Gate*> ends;
  std::atomic<int> status{0};
};

void complain_and_end(Sink& sink, const std::string& sentence) {
  fmt::print(stderr, "sluice-sink: {}\n", sentence);
  sink.status = 2;
}

std::uint64_t messages_of(const std::vector<ProviderFigures>& figures) {
  std::uint64_t sum = 0;
  for (const ProviderFigures& one : figures) sum += one.value("messages");
  return sum;
}

Task<void> wait_for_signal(runtime::Reactor& reactor, runtime::Op& op, int fd) {
  op.kind = runtime::OpKind::Poll;
  op.fd = fd;
  op.poll_events = POLLIN;
  std::ignore = co_await perform(reactor, op);
}

void print_ready(const Sink& sink, const std::optional<Endpoint>& dns) {
  for (const SinkListen& one : sink.listens) {
    fmt::print("listen {} {} {}\n", sink.shared.internet.providers[one.provider].name, one.host,
               one.at.text());
  }
  if (dns) fmt::print("dns {}\n", dns->text());
  fmt::print("ready\n");
  std::fflush(stdout);
}

Task<void> show_figures(runtime::Reactor& reactor, Sink& sink, runtime::Op& signal_op, const bool& stopping) {
  const Duration step = sink.options.stats_interval > 0s ? sink.options.stats_interval : Duration(100ms);
  std::uint64_t before = 0;
  MonoTime then = reactor.now();
  while (!stopping) {
    co_await sleep_for(reactor, std::min<Duration>(step, 100ms));
    if (sink.options.stop_after != 0 && messages_of(figures_of(sink.shared)) >= sink.options.stop_after) {
      reactor.cancel(signal_op);
      co_return;
    }
    if (sink.options.stats_interval <= 0s || reactor.now() - then < sink.options.stats_interval) continue;
    const auto figures = figures_of(sink.shared);
    const std::uint64_t messages = messages_of(figures);
    const double seconds = static_cast<double>((reactor.now() - then).count()) / 1e9;
    std::string line = fmt::format("{:.0f}/s", static_cast<double>(messages - before) / seconds);
    for (const ProviderFigures& one : figures) line += fmt::format(" {}={}", one.name, one.value("messages"));
    fmt::print("{}\n", line);
    std::fflush(stdout);
    before = messages;
    then = reactor.now();
  }
}

// The other threads open what thread 0 opened: by then every port is known.
Task<Parsed<void>> open_everywhere(UringReactor& reactor, Sink& sink) {
  auto opened = sink.shards[0]->open(sink.listens);
  for (std::uint32_t i = 1; opened && i < sink.boxes.shards(); ++i) {
    opened = co_await call_on(reactor, ShardId(i), [&sink, i] { return sink.shards[i]->open(sink.listens); });
  }
  co_return opened;
}

Task<void> end_everywhere(UringReactor& reactor, Sink& sink) {
  for (std::uint32_t i = 1; i < sink.boxes.shards(); ++i) {
    co_await call_on(reactor, ShardId(i), [&sink, i] { sink.ends[i]->open(); });
  }
  co_await sink.shards[0]->stop();
}

// Thread 0: answers DNS and figures, watches the signals, and takes the others along.
Task<void> lead(UringReactor& reactor, Sink& sink) {
  while (!sink.boxes.complete()) co_await sleep_for(reactor, 1ms);
  const DnsResponder responder(sink.shared.directory);
  DnsServer dns(reactor, responder, sink.shared.internet.seed);
  StatsServer stats(reactor, [&](StatsServer::Form form) {
    const auto figures = figures_of(sink.shared);
    if (form == StatsServer::Form::Text) return figures_text(figures);
    return figures_json(figures, &dns.counters(), reactor.now() - sink.shared.start);
  });
  auto opened = co_await open_everywhere(reactor, sink);
  std::optional<Endpoint> dns_at;
  if (opened && sink.options.dns) {
    const auto at = dns.open(*sink.options.dns);
    if (at) dns_at = *at;
    if (!at) opened = complain(fmt::format("DNS at {}: {}", sink.options.dns->text(), at.error().text()));
  }
  if (opened && !sink.options.stats_socket.empty()) {
    const auto at = stats.open(sink.options.stats_socket);
    if (!at) opened = complain(fmt::format("{}: {}", sink.options.stats_socket, at.error().text()));
  }
  if (opened) {
    print_ready(sink, dns_at);
    runtime::Op signal_op;
    runtime::TaskGroup group;
    bool stopping = false;
    group.spawn(show_figures(reactor, sink, signal_op, stopping));
    co_await wait_for_signal(reactor, signal_op, sink.signals);
    stopping = true;
    co_await group.join();
  } else {
    complain_and_end(sink, opened.error());
  }
  co_await stats.stop();
  co_await dns.stop();
  co_await end_everywhere(reactor, sink);
  // One more turn, so that what was asked of the ring in this one is submitted.
  co_await yield(reactor);
  reactor.stop();
}

Task<void> follow(UringReactor& reactor, Sink& sink, runtime::Gate& end) {
  co_await end.wait();
  co_await sink.shards[reactor.shard().raw()]->stop();
  co_await yield(reactor);
  reactor.stop();
}

void run_shard(Sink& sink, std::unique_ptr<LedgerFile> ledger, Result<std::unique_ptr<UringReactor>> made) {
  if (!made) {
    // Without its ring a thread cannot even tell the others: end the whole program.
    fmt::print(stderr, "sluice-sink: {}: {}\n", made.error().text(), UringReactor::explain(made.error()));
    std::_Exit(2);
  }
  UringReactor& reactor = **made;
  const std::size_t index = reactor.shard().raw();
  const int ledger_fd = ledger ? ledger->fd() : -1;
  std::unique_ptr<LedgerLog> log = std::move(ledger);
  if (!log) log = std::make_unique<MemoryLedger>(false);
  if (index == 0) sink.shared.start = reactor.read_clock();
  SinkShard shard(reactor, sink.shared, std::move(log), ledger_fd);
  runtime::Gate end(reactor);
  sink.shards[index] = &shard;
  sink.ends[index] = &end;
  reactor.join_world(sink.boxes);
  runtime::TaskGroup group;
  group.spawn(index == 0 ? lead(reactor, sink) : follow(reactor, sink, end));
  reactor.run();
}

int run(const Options& options, Internet internet, int signals) {
  const std::size_t threads = static_cast<std::size_t>(std::max<std::uint64_t>(1, options.threads));
  auto listens = listens_of(internet);
  if (!listens || listens->empty()) {
    fmt::print(stderr, "sluice-sink: {}\n",
               listens ? "no provider has an address to listen on" : listens.error());
    return 2;
  }
  if (options.check) {
    fmt::print("{} providers, {} addresses, {} records\n", internet.providers.size(), listens->size(),
               internet.records.size());
    return 0;
  }
  SinkShared shared(std::move(internet), threads);
  shared.record_refusals = shared.record_connections = !options.messages_only;
  shared.ledger_sync = options.ledger_sync;
  runtime::Mailboxes boxes(threads);
  Sink sink{.options = options,
            .shared = shared,
            .boxes = boxes,
            .signals = signals,
            .listens = *std::move(listens),
            .shards = std::vector<SinkShard*>(threads),
            .ends = std::vector<runtime::Gate*>(threads)};
  std::vector<std::unique_ptr<LedgerFile>> ledgers(threads);
  for (std::size_t i = 0; i < threads && !options.ledger.empty(); ++i) {
    auto file = LedgerFile::create(fmt::format("{}.{}", options.ledger, i));
    if (!file) {
      fmt::print(stderr, "sluice-sink: {}.{}: {}\n", options.ledger, i, file.error().text());
      return 2;
    }
    ledgers[i] = *std::move(file);
  }
  runtime::ShardThreads pool;
  for (std::size_t i = 0; i < threads; ++i) {
    pool.start(fmt::format("sink-{}", i), ShardId(static_cast<std::uint32_t>(i)), runtime::UringOptions(),
               std::nullopt,
               [&sink, ledger = std::move(ledgers[i])](Result<std::unique_ptr<UringReactor>> made) mutable {
                 run_shard(sink, std::move(ledger), std::move(made));
               });
  }
  pool.join();
  const auto figures = figures_of(shared);
  const CpuTime cpu = own_cpu_time();
  if (options.json) {
    fmt::print("{}", figures_json(figures, nullptr, Duration(0)));
  } else if (sink.status == 0) {
    fmt::print("{}", figures_text(figures));
    const std::uint64_t messages = std::max<std::uint64_t>(1, messages_of(figures));
    fmt::print("cpu {} user {} system, {:.2f} us a message\n", duration_text(cpu.user),
               duration_text(cpu.system),
               static_cast<double>(cpu.total().count()) / 1e3 / static_cast<double>(messages));
  }
  if (sink.status == 0 && options.strict && any_violation(figures)) return 1;
  return sink.status;
}

int start(int count, const char* const* words) {
  Options options;
  Arguments arguments("sluice-sink",
                      "receives mail as many providers, behaves as badly as told, records everything");
  declare(arguments, options);
  if (const auto status = parse_or_exit_status(arguments, "sluice-sink", count, words)) return *status;
  auto internet = load_internet(options);
  if (!internet) {
    fmt::print(stderr, "sluice-sink: {}\n", internet.error());
    return 2;
  }
  const auto signals = signal_descriptor();
  if (!signals) {
    fmt::print(stderr, "sluice-sink: {}\n", signals.error().text());
    return 2;
  }
  raise_descriptor_limit();
  return run(options, *std::move(internet), *signals);
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** words) { return sluice::bench::start(count, words); }
