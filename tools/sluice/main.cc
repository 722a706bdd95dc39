// sluice: the command line. Also answers to the name pmta.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "engine/control/command.h"
#include "engine/runtime/uring/uring_reactor.h"
#include "policy/config/config.h"
#include "tools/config_files/report.h"
#include "tools/sluice/offline.h"

namespace {

using namespace sluice;

constexpr const char* kUsage =
    "usage: sluice [--socket PATH | --config FILE] COMMAND ...\n"
    "\n"
    "Without a daemon:\n"
    "  sluice check FILE [--json] [--lenient] [--fragment] [--offline]\n"
    "                  everything wrong with a configuration; exits with 0 when it loads.\n"
    "                  --lenient: unknown directives only warn; --fragment: FILE is one part of a "
    "configuration;\n"
    "                  --offline: do not look at this host's files, addresses and DNS, and fetch no included "
    "URL\n"
    "  sluice --config FILE settings DOMAIN[/VMTA]             effective settings of a queue\n"
    "  sluice --config FILE explain DOMAIN[/VMTA] [DIRECTIVE]  and the file and line of each value\n"
    "  sluice fmt FILE... [--write | --check]                  lay a configuration out evenly\n"
    "  sluice digest TEXT --hmac-sha256|--siphash --key=KEY|--hexkey=HEX\n"
    "                  what a privacy-policy of accounting makes of a local part\n"
    "\n"
    "All others go to the running daemon; `sluice help` lists them. Words may be cut short (show stat).\n"
    "  --socket PATH   the daemon's control socket (default: $SLUICE_SOCKET, else /run/sluice/control)\n"
    "  --config FILE   take the socket's place from this configuration\n";

runtime::Task<void> send(runtime::Reactor& reactor, std::string socket, std::vector<std::string> command,
                         int& status) {
  const Result<control::Answer> answer = co_await control::ask(reactor, socket, std::move(command));
  if (!answer) {
    std::fprintf(
        stderr,
        "sluice: no daemon answers at %s: %s\nIs sluiced running? --socket PATH names another place.\n",
        socket.c_str(), answer.error().text().c_str());
    status = 1;
  } else {
    std::fputs(answer->text.c_str(), answer->ok ? stdout : stderr);
    status = answer->ok ? 0 : 1;
  }
  reactor.stop();
}

int ask_daemon(const std::string& socket, std::vector<std::string> command) {
  auto made = runtime::UringReactor::create(ShardId{0}, runtime::UringOptions::small());
  if (!made) {
    std::fprintf(stderr, "sluice: %s\n%s\n", made.error().text().c_str(),
                 runtime::UringReactor::explain(made.error()).c_str());
    return 1;
  }
  int status = 1;
  runtime::TaskGroup tasks;
  tasks.spawn(send(**made, socket, std::move(command), status));
  (*made)->run();
  return status;
}

std::string socket_of_config(const std::string& path) {
  config::LoadResult loaded = tools::load_configuration(path, {.lenient = true});
  // A web server that is away must not keep commands from the daemon.
  if (!loaded.ok()) {
    config::LoadResult local = tools::load_configuration(path, {.lenient = true, .skip_urls = true});
    if (local.ok()) loaded = std::move(local);
  }
  if (!loaded.ok()) {
    std::fputs(tools::load_failure_text(path, loaded).c_str(), stderr);
    std::exit(1);
  }
  const config::GlobalSettings& global = loaded.config->globals;
  return global.control_socket.empty() ? global.run_dir + "/control" : global.control_socket;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const char* environment = std::getenv("SLUICE_SOCKET");
  std::string socket = environment != nullptr ? environment : "/run/sluice/control";
  std::string config;
  // Wherever they stand: behind a command is where many hands put them.
  for (auto at = arguments.begin(); at != arguments.end();) {
    if (*at != "--socket" && *at != "--config") {
      ++at;
      continue;
    }
    if (at + 1 == arguments.end()) {
      std::fputs(kUsage, stderr);
      return 2;
    }
    (*at == "--socket" ? socket : config) = at[1];
    at = arguments.erase(at, at + 2);
  }
  if (arguments.empty() || arguments[0] == "--help") {
    std::fputs(kUsage, arguments.empty() ? stderr : stdout);
    return arguments.empty() ? 2 : 0;
  }
  if (const auto status = tools::run_offline(arguments, config)) return *status;
  // `sluice settings X` is `show settings X` of the daemon.
  if (arguments[0] == "settings") arguments.insert(arguments.begin(), "show");
  if (!config.empty()) socket = socket_of_config(config);
  return ask_daemon(socket, std::move(arguments));
}
