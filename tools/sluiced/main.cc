// sluiced: the daemon. Reads the command line, loads the configuration, starts the threads, waits for the
// end.
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "engine/resolver/cares_transport.h"
#include "engine/runtime/uring/process.h"
#include "engine/runtime/uring/uring_reactor.h"
#include "engine/shard/node.h"
#include "policy/base/version.h"
#include "policy/config/facts.h"
#include "tools/config_files/report.h"
#include "tools/sluiced/host_system.h"
#include "tools/sluiced/memory_limit.h"
#include "tools/sluiced/rights.h"

namespace {

using namespace sluice;

constexpr const char* kUsage =
    "usage: sluiced [--config FILE] [--shards N] [--lenient]\n"
    "       sluiced --check FILE [--lenient]\n"
    "\n"
    "  --config FILE   configuration to run with (default /etc/sluice/config); stays in the foreground\n"
    "  --check FILE    read FILE, report everything wrong with it, exit with 0 when it would load\n"
    "  --shards N      data shards; default: the configuration's `shards`, else one for each core\n"
    "  --lenient       unknown directives are warnings\n"
    "  --version, --help\n";

struct Arguments {
  std::string config = tools::kDefaultConfig;
  std::string check;
  bool lenient = false;
  std::optional<std::uint32_t> shards;
};

[[noreturn]] void usage_error(const std::string& what) {
  std::fprintf(stderr, "sluiced: %s\n%s", what.c_str(), kUsage);
  std::exit(2);
}

Arguments parse_arguments(int argc, char** argv) {
  Arguments out;
  for (int i = 1; i < argc; ++i) {
    const std::string_view one = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= argc) usage_error(std::string(one) + " needs a value");
      return argv[++i];
    };
    if (one == "--config") {
      out.config = value();
    } else if (one == "--check") {
      out.check = value();
    } else if (one == "--lenient") {
      out.lenient = true;
    } else if (one == "--shards") {
      const std::string text = value();
      char* end = nullptr;
      const unsigned long number = std::strtoul(text.c_str(), &end, 10);
      if (text.empty() || *end != '\0' || number == 0 || number > 1024)
        usage_error("--shards takes 1 to 1024");
      out.shards = static_cast<std::uint32_t>(number);
    } else if (one == "--version") {
      std::printf("%s\n", std::string(own_product()).c_str());
      std::exit(0);
    } else if (one == "--help") {
      std::fputs(kUsage, stdout);
      std::exit(0);
    } else {
      usage_error("unknown option " + std::string(one));
    }
  }
  return out;
}

config::LoadResult load(const std::string& path, bool lenient) {
  return tools::load_configuration(path, {.lenient = lenient});
}

resolver::CaresOptions dns_options(const config::GlobalSettings& global) {
  resolver::CaresOptions out{.servers = global.name_server};
  if (global.edns_udp_length) out.edns_udp_bytes = static_cast<std::uint16_t>(*global.edns_udp_length);
  return out;
}

Result<std::unique_ptr<resolver::DnsTransport>> open_dns(runtime::Reactor& reactor,
                                                         const config::GlobalSettings& global) {
  return resolver::CaresTransport::open(reactor, dns_options(global));
}

accounting::ZoneChoice zone_choice() {
  accounting::ZoneChoice out;
  if (const char* tz = std::getenv("TZ"); tz != nullptr) out.tz = tz;
  if (const char* directory = std::getenv("TZDIR"); directory != nullptr && *directory != '\0')
    out.directory = directory;
  return out;
}

tools::MemoryNeed memory_need(std::uint32_t shards, const journal::StorageOptions& storage) {
  const runtime::UringOptions ring;
  constexpr std::uint64_t kRest = 16 * kMiB;  // rings, journals, tables that are still empty
  return {.shards = shards,
          .shard_bytes = storage.spool.commit_buffers * spool::Spool::kCommitBufferBytes +
                         storage.reader.pool_bytes + std::uint64_t{ring.buffer_count} * ring.buffer_bytes +
                         kRest};
}

[[noreturn]] void end_start(const std::string& why) {
  std::fprintf(stderr, "Startup error: %s\n", why.c_str());
  std::_Exit(1);  // nothing has been accepted yet; the other threads wait for this one
}

/// A data shard's thread, from its first to its last line.
void run_shard(Result<std::unique_ptr<runtime::UringReactor>> made, runtime::Mailboxes& boxes,
               shard::Node& node, shard::DataShard::World& world, const journal::StorageOptions& storage,
               const resolver::CaresOptions& dns) {
  if (!made) end_start(made.error().text() + '\n' + runtime::UringReactor::explain(made.error()));
  runtime::UringReactor& reactor = **made;
  reactor.join_world(boxes);
  auto transport = resolver::CaresTransport::open(reactor, dns);
  if (!transport) {
    end_start("DNS: " + transport.error().text() +
              "\nSet name-server in the configuration, or /etc/resolv.conf.");
  }
  std::optional<shard::DataShard> data;
  try {
    data.emplace(reactor, world, std::move(*transport), storage);
  } catch (const std::bad_alloc&) {
    const auto shards = static_cast<std::uint32_t>(world.dispatchers.size());
    end_start(tools::memory_refused(memory_need(shards, storage), tools::memory_limit()));
  }
  reactor.send_to(world.control, [&node, &data] { node.shard_ready(*data); });
  reactor.run();
}

runtime::Task<void> watch_signals(runtime::Signals& signals, shard::Node& node, const bool& started) {
  for (;;) {
    const Result<int> number = co_await signals.next();
    if (!number) co_return;
    if (!started) {
      if (*number == SIGHUP) continue;
      // A start may take long, or hang with its disk. It takes no mail, and a kill at any moment does no harm.
      std::fputs("Shutdown during the start\n", stderr);
      std::fflush(stderr);
      std::_Exit(0);
    }
    if (*number == SIGHUP) {
      runtime::notify_supervisor("RELOADING=1");
      const control::Answer answer = co_await node.reload();
      if (!answer.ok) std::fputs(answer.text.c_str(), stderr);
      runtime::notify_supervisor("READY=1");
    } else {
      node.request_shutdown();
      co_return;
    }
  }
}

struct Daemon {
  runtime::Reactor& control;
  runtime::Mailboxes& boxes;
  runtime::Signals& signals;
  shard::Node& node;
  std::uint32_t shards;
  int exit_status = 0;
};

runtime::Task<void> run_daemon(Daemon& daemon, std::shared_ptr<const config::Config> config,
                               shard::Node::Launch launch) {
  runtime::TaskGroup watchers;
  bool has_started = false;
  watchers.spawn(watch_signals(daemon.signals, daemon.node, has_started));
  bool launched = false;
  std::expected<void, std::string> started;
  try {
    started = co_await daemon.node.start(std::move(config), [&](auto& world, const auto& storage) {
      launched = true;
      launch(world, storage);
    });
  } catch (const std::bad_alloc&) {
    end_start(tools::memory_refused(memory_need(daemon.shards, {}), tools::memory_limit()));
  } catch (const std::exception& error) {  // a thread that the system does not give
    end_start(error.what());
  }
  has_started = true;
  if (started) {
    runtime::notify_supervisor("READY=1");
    co_await daemon.node.shutdown_requested();
    runtime::notify_supervisor("STOPPING=1");
  } else {
    std::fprintf(stderr, "Startup error: %s\n", started.error().c_str());
    daemon.node.log().write("Startup error: " + started.error());
    daemon.exit_status = 1;
    daemon.signals.stop();
  }
  co_await daemon.node.stop();
  if (!daemon.node.gave_up().empty()) {
    std::fprintf(stderr, "Shutdown: gave up waiting for %s\n", daemon.node.gave_up().c_str());
    std::fflush(stderr);
    std::_Exit(1);  // the threads wait for what does not end, and the kernel may still use their memory
  }
  daemon.signals.stop();
  co_await watchers.join();
  for (std::uint32_t i = 0; launched && i < daemon.shards; ++i) {
    runtime::Mailboxes* boxes = &daemon.boxes;
    daemon.control.send_to(ShardId{i}, [boxes, i] { boxes->at(ShardId{i}).stop(); });
  }
  // One turn more, so that these wakes leave the ring.
  co_await runtime::sleep_for(daemon.control, 1ms);
  daemon.control.stop();
}

int run(const Arguments& arguments) {
  config::LoadResult loaded = load(arguments.config, arguments.lenient);
  if (!loaded.ok()) {
    std::fputs(tools::load_failure_text(arguments.config, loaded).c_str(), stderr);
    return 1;
  }
  std::fputs(config::format(loaded.diagnostics).c_str(), stderr);
  runtime::prepare_process();
  if (!loaded.config->globals.run_as_root) {
    if (const auto dropped = tools::drop_rights(config::kRunAsUsers, tools::own_paths(*loaded.config));
        !dropped) {
      std::fprintf(stderr, "Startup error: %s\n", dropped.error().c_str());
      return 1;
    }
  }
  const std::vector<unsigned> cpus = runtime::usable_cpus();
  const auto shards = arguments.shards.value_or(
      loaded.config->globals.shards.value_or(static_cast<std::uint32_t>(cpus.size())));

  const tools::MemoryNeed need = memory_need(shards, journal::StorageOptions());
  std::string too_little = tools::too_little_memory(need, tools::memory_limit());
  // What this process has mapped by now counts as well.
  if (too_little.empty() && !tools::is_given(need.bytes()))
    too_little = tools::memory_refused(need, tools::memory_limit());
  if (!too_little.empty()) {
    std::fprintf(stderr, "Startup error: %s\n", too_little.c_str());
    return 1;
  }
  runtime::Mailboxes boxes(shards + 1);  // outlives the reactors: they take leave of it
  auto made = runtime::UringReactor::create(ShardId{shards}, runtime::UringOptions::small());
  if (!made) {
    std::fprintf(stderr, "Startup error: %s\n%s\n", made.error().text().c_str(),
                 runtime::UringReactor::explain(made.error()).c_str());
    return 1;
  }
  runtime::Reactor& control = **made;
  control.join_world(boxes);
  runtime::Signals signals(control, {SIGTERM, SIGINT, SIGHUP});
  shard::Node node(control, boxes,
                   {.shards = shards,
                    .load = [&arguments] { return load(arguments.config, arguments.lenient); },
                    .storage = {},
                    .host = tools::host_system(),
                    .open_dns = open_dns,
                    .zone = zone_choice(),
                    .findings = loaded.diagnostics});
  const resolver::CaresOptions dns = dns_options(loaded.config->globals);

  runtime::ShardThreads threads;
  Daemon daemon{control, boxes, signals, node, shards};
  runtime::TaskGroup main_task;
  main_task.spawn(run_daemon(
      daemon, loaded.config, [&](shard::DataShard::World& world, const journal::StorageOptions& storage) {
        for (std::uint32_t i = 0; i < shards; ++i) {
          const std::optional<unsigned> cpu = shards <= cpus.size() ? std::optional(cpus[i]) : std::nullopt;
          threads.start(
              "shard-" + std::to_string(i), ShardId{i}, {}, cpu,
              [&boxes, &node, &world, storage, dns](Result<std::unique_ptr<runtime::UringReactor>> reactor) {
                run_shard(std::move(reactor), boxes, node, world, storage, dns);
              });
        }
      }));
  control.run();
  threads.join();
  return daemon.exit_status;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse_arguments(argc, argv);
  if (!arguments.check.empty()) {
    tools::CheckOptions options;
    options.load.lenient = arguments.lenient;
    const tools::CheckReport report = tools::check_configuration(arguments.check, options);
    std::fputs(report.text.c_str(), report.ok ? stdout : stderr);
    return report.ok ? 0 : 1;
  }
  return run(arguments);
}
