// sluice: the command line. Also answers to the name pmta.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "engine/control/command.h"
#include "engine/control/command_help.h"
#include "engine/control/command_table.h"
#include "engine/runtime/uring/uring_reactor.h"
#include "policy/config/config.h"
#include "tools/config_files/report.h"
#include "tools/sluice/offline.h"

namespace {

using namespace sluice;

constexpr int kGood = 0, kFailed = 1, kBadCommand = 2;

constexpr const char* kUsage = "usage: sluice [--socket PATH | --config FILE] COMMAND ...\n\n";
constexpr const char* kOwnOptions =
    "\n  --socket PATH   the daemon's control socket (default: $SLUICE_SOCKET, else /run/sluice/control)\n"
    "  --config FILE   take the socket's place from this configuration\n";

/// What stands on the command line besides the command.
struct CommandLine {
  std::vector<std::string> command;
  std::string socket;
  std::string config;
};

[[noreturn]] void end_with(int status, const std::string& text) {
  std::fputs(text.c_str(), status == kGood ? stdout : stderr);
  std::exit(status);
}

/// --socket and --config stand anywhere: behind a command is where many hands put them.
CommandLine read_command_line(int argc, char** argv) {
  CommandLine out;
  bool options = true;
  for (int i = 1; i < argc; ++i) {
    const std::string one = argv[i];
    options = options && one != "--";
    const std::size_t equals = one.find('=');
    const std::string name = one.substr(0, equals);
    if (!options || (name != "--socket" && name != "--config")) {
      out.command.push_back(one);
      continue;
    }
    std::string& value = name == "--socket" ? out.socket : out.config;
    if (!value.empty()) end_with(kBadCommand, "sluice: " + name + " is given twice\n");
    if (equals != std::string::npos) {
      value = one.substr(equals + 1);
    } else if (i + 1 < argc) {
      value = argv[++i];
    }
    if (value.empty()) end_with(kBadCommand, "sluice: " + name + " needs a value: " + name + " PATH\n");
  }
  return out;
}

void print(const control::Answer& answer) { std::fputs(answer.text.c_str(), answer.ok ? stdout : stderr); }

runtime::Task<void> send(runtime::Reactor& reactor, const std::string& socket,
                         std::vector<std::string> command, Result<control::Answer>& answer) {
  answer = co_await control::ask(reactor, socket, std::move(command));
  reactor.stop();
}

/// Nothing: no daemon has answered, and the reason was printed, or noted in `silence` when it is wanted.
std::optional<control::Answer> ask_daemon(const std::string& socket, std::vector<std::string> command,
                                          std::string& silence) {
  auto made = runtime::UringReactor::create(ShardId{0}, runtime::UringOptions::small());
  if (!made) {
    silence = "sluice: " + made.error().text() + '\n' + runtime::UringReactor::explain(made.error()) + '\n';
    return std::nullopt;
  }
  Result<control::Answer> answer;
  runtime::TaskGroup tasks;
  tasks.spawn(send(**made, socket, std::move(command), answer));
  (*made)->run();
  if (answer) return std::move(*answer);
  silence = "sluice: no daemon answers at " + socket + ": " + answer.error().text() +
            "\nIs sluiced running? --socket PATH names another place.\n";
  return std::nullopt;
}

std::string socket_of_config(const std::string& path) {
  config::LoadResult loaded = tools::load_configuration(path, {.lenient = true});
  // A web server that is away must not keep commands from the daemon.
  if (!loaded.ok()) {
    config::LoadResult local = tools::load_configuration(path, {.lenient = true, .skip_urls = true});
    if (local.ok()) loaded = std::move(local);
  }
  if (!loaded.ok()) end_with(kFailed, tools::load_failure_text(path, loaded));
  const config::GlobalSettings& global = loaded.config->globals;
  return global.control_socket.empty() ? global.run_dir + "/control" : global.control_socket;
}

std::string socket_of(const CommandLine& line) {
  if (!line.socket.empty()) return line.socket;
  if (!line.config.empty()) return socket_of_config(line.config);
  const char* const environment = std::getenv("SLUICE_SOCKET");
  return environment != nullptr && *environment != '\0' ? environment : "/run/sluice/control";
}

/// At a terminal only: programs that delete wait for nobody.
bool wants_question(const control::Command& command) {
  return command.row->deletes != control::CommandRow::Deletes::Nothing && !command.has("yes") &&
         !command.has("dry-run") && ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
}

bool says_yes() {
  std::fputs("Delete them? [y/N] ", stderr);
  char answer[16] = {};
  if (std::fgets(answer, sizeof answer, stdin) == nullptr) return false;
  const std::string_view text(answer);
  return text == "y\n" || text == "Y\n" || text == "yes\n" || text == "YES\n" || text == "Yes\n";
}

int run_on_daemon(const CommandLine& line, const control::Command& command) {
  const std::string socket = socket_of(line);
  std::string silence;
  if (wants_question(command)) {
    std::vector<std::string> first{"--dry-run"};
    for (const std::string& word : line.command) {
      if (word != "--xml" && word != "--json" && word != "--dom") first.push_back(word);
    }
    const auto would = ask_daemon(socket, std::move(first), silence);
    if (!would) end_with(kFailed, silence);
    std::fputs(would->text.c_str(), stderr);
    if (!would->ok) return kFailed;
    if (would->text.starts_with("0 ")) return kGood;
    if (!says_yes()) end_with(kFailed, "Nothing was deleted.\n");
  }
  const auto answer = ask_daemon(socket, line.command, silence);
  if (answer) {
    print(*answer);
    return answer->ok ? kGood : kFailed;
  }
  if (command.row->where == control::CommandRow::Where::Either) {
    if (const auto status = tools::run_without_daemon(command)) {
      std::fputs(silence.c_str(), stderr);
      return *status;
    }
  }
  end_with(kFailed, silence);
}

}  // namespace

int main(int argc, char** argv) {
  const CommandLine line = read_command_line(argc, argv);
  const std::string help = kUsage + control::help_text() + kOwnOptions;
  if (line.command.empty()) end_with(kBadCommand, help);
  if (line.command.size() == 1) {
    const std::string& one = line.command.front();
    if (one == "--help" || one == "-h" || one == "help") end_with(kGood, help);
  }
  std::vector<std::string> words = line.command;
  if (words.size() == 1 && (words[0] == "--version" || words[0] == "-V")) words = {"version"};
  const auto typed = control::Command::of(words);
  if (!typed) {
    end_with(kBadCommand, "sluice: no command given, only " + words.front() + "; `sluice help` lists all\n");
  }
  const auto command = control::understand(*typed);
  if (!command) {
    print(control::in_format(*typed, control::Answer::error(command.error())));
    return kBadCommand;
  }
  if (const auto answer = control::answer_alone(*command)) {
    print(control::in_format(*command, *answer));
    return answer->ok ? kGood : kFailed;
  }
  if (const auto status = tools::run_offline(*command, line.config)) return *status;
  return run_on_daemon(line, *command);
}
