// sluice: the command line. Also answers to the name pmta.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "engine/control/command.h"
#include "engine/runtime/uring/uring_reactor.h"
#include "policy/config/config.h"
#include "policy/config/directive.h"
#include "tools/config_files/disk_file_source.h"

namespace {

using namespace sluice;

constexpr const char* kUsage =
    "usage: sluice [--socket PATH | --config FILE] COMMAND ...\n"
    "       sluice check FILE [--lenient] [--fragment]\n"
    "\n"
    "Commands go to the running daemon; `sluice help` lists them. Words may be cut short (show stat).\n"
    "  --socket PATH   the daemon's control socket (default: $SLUICE_SOCKET, else /run/sluice/control)\n"
    "  --config FILE   take the socket's place from this configuration\n";

int check(const std::vector<std::string>& arguments) {
  config::LoadOptions options;
  std::string path;
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    if (arguments[i] == "--lenient") {
      options.lenient = true;
    } else if (arguments[i] == "--fragment") {
      options.fragment = true;
    } else {
      path = arguments[i];
    }
  }
  if (path.empty()) {
    std::fputs("sluice check: which file?\n", stderr);
    return 2;
  }
  tools::DiskFileSource files;
  const config::LoadResult loaded = config::load_config(path, files, options);
  std::fputs(config::format(loaded.diagnostics).c_str(), stderr);
  if (loaded.ok()) std::printf("%s: configuration is valid\n", path.c_str());
  return loaded.ok() ? 0 : 1;
}

/// The table of directives: for people who look one up, and for the tests that hold it against the sources.
int directives(const std::vector<std::string>& arguments) {
  if (arguments.size() == 2 && arguments[1] == "--markdown") {
    std::fputs(config::directive_manual().c_str(), stdout);
    return 0;
  }
  if (arguments.size() == 2 && arguments[1] == "--members") {
    std::fputs(config::directive_members_json().c_str(), stdout);
    return 0;
  }
  if (arguments.size() > 1) {
    std::fputs("usage: sluice directives [--markdown | --members]\n", stderr);
    return 2;
  }
  const config::StateCounts counts = config::count_states();
  std::printf("%zu directives work, %zu are to come, %zu are out; docs/directives.md lists them\n",
              counts.works, counts.to_come, counts.out);
  return 0;
}

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
  tools::DiskFileSource files;
  const config::LoadResult loaded = config::load_config(path, files, {.lenient = true});
  if (!loaded.ok()) {
    std::fputs(config::format(loaded.diagnostics).c_str(), stderr);
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
  while (!arguments.empty() && (arguments[0] == "--socket" || arguments[0] == "--config")) {
    if (arguments.size() < 2) {
      std::fputs(kUsage, stderr);
      return 2;
    }
    socket = arguments[0] == "--socket" ? arguments[1] : socket_of_config(arguments[1]);
    arguments.erase(arguments.begin(), arguments.begin() + 2);
  }
  if (arguments.empty() || arguments[0] == "--help") {
    std::fputs(kUsage, arguments.empty() ? stderr : stdout);
    return arguments.empty() ? 2 : 0;
  }
  if (arguments[0] == "check") return check(arguments);
  if (arguments[0] == "directives") return directives(arguments);
  return ask_daemon(socket, std::move(arguments));
}
