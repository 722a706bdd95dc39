#include "engine/control/command_help.h"

#include <algorithm>
#include <map>

#include "policy/base/version.h"

namespace sluice::control {
namespace {

using Where = CommandRow::Where;

constexpr std::size_t kColumn = 34;

/// "words   help", the second half at its column.
std::string line(const std::string& left, std::string_view right, std::size_t indent) {
  std::string out(indent, ' ');
  out += left;
  if (out.size() + 2 > kColumn)
    out += right.empty() ? "" : "\n" + std::string(kColumn, ' ');
  else
    out.resize(kColumn, ' ');
  return out.append(right) + '\n';
}

std::string argument_usage(const ArgumentRow& row) {
  const std::string name(row.name);
  switch (row.need) {
    case ArgumentRow::Need::Required: return name;
    case ArgumentRow::Need::Optional: return '[' + name + ']';
    case ArgumentRow::Need::Several: return name + "...";
    case ArgumentRow::Need::Any: return '[' + name + "...]";
  }
  return name;
}

/// The words with arguments, without options.
std::string short_usage(const CommandRow& row) {
  std::string out(row.words);
  for (const ArgumentRow& one : row.arguments) out += ' ' + argument_usage(one);
  return out;
}

std::string_view place(Where where) {
  switch (where) {
    case Where::Daemon: return "asks the daemon";
    case Where::Here: return "needs no daemon";
    case Where::Either: return "asks the daemon; works without one too";
  }
  return "";
}

std::string rows_at(bool here) {
  std::string out;
  for (const CommandRow& row : command_table()) {
    if ((row.where == Where::Here) == here) out += line(short_usage(row), row.help, 2);
  }
  return out;
}

/// Text for a cell of a table in Markdown.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

/// What is the same on every host.
std::optional<Answer> fixed_answer(CommandId id) {
  if (id == CommandId::ShowLicense || id == CommandId::ShowRegistration)
    return Answer{true, "Sluice needs no license and no registration.\n"};
  if (id == CommandId::ClearSecretsCache)
    return Answer::error("Sluice caches no secrets: keys and passwords are read at each reload.\n");
  if (id == CommandId::Register || id == CommandId::Deregister)
    return Answer::error("there is no management console to register with; Sluice needs none\n");
  return std::nullopt;
}

Answer help_answer(const Command& command) {
  if (command.has("markdown")) return {true, commands_manual()};
  if (command.words.size() == 1) return {true, help_text()};
  const std::vector<std::string> words(command.words.begin() + 1, command.words.end());
  std::string out;
  for (const CommandRow& row : command_table()) {
    // `help show`: all that begin so.
    std::string front;
    for (const std::string& word : words) front += (front.empty() ? "" : " ") + word;
    if (row.words != front && row.words.starts_with(front + ' ')) out += line(short_usage(row), row.help, 2);
  }
  const Command typed{.words = words, .options = {}, .given = words};
  const std::expected<const CommandRow*, std::string> row = find_command(typed);
  if (row) return {true, help_text(**row)};
  return out.empty() ? Answer::error(row.error()) : Answer{true, out};
}

}  // namespace

std::string option_usage(const OptionRow& row) {
  std::string out = "--" + std::string(row.name);
  if (row.value == Value::None) return out;
  if (row.value == Value::YesNo) return out + "[=" + std::string(row.shape) + ']';
  return out + '=' + std::string(row.shape);
}

std::string command_usage(const CommandRow& row) {
  std::string out = short_usage(row);
  for (const OptionRow& one : row.options) out += " [" + option_usage(one) + ']';
  return out;
}

std::string help_text() {
  return "Commands to the running daemon:\n" + rows_at(false) + "\nWithout a daemon:\n" + rows_at(true) +
         "\n`sluice help COMMAND` says more, and lists the options. Words may be cut short (show stat).\n"
         "--xml, --json and --dom give answers for programs, in PowerMTA's layouts.\n";
}

std::string help_text(const CommandRow& row) {
  std::string out = short_usage(row) + "\n  " + std::string(row.help) + "\n\n";
  if (!row.options.empty()) {
    for (const OptionRow& one : row.options) out += line(option_usage(one), one.help, 2);
    out += '\n';
  }
  if (!row.more.empty()) out += std::string(row.more) + '\n';
  if (!row.other_words.empty()) {
    out += "Also: ";
    for (std::size_t i = 0; i < row.other_words.size(); ++i)
      out += (i == 0 ? "" : ", ") + std::string(row.other_words[i]);
    out += '\n';
  }
  out += "It " + std::string(place(row.where)) + ".\n";
  return out;
}

std::string commands_manual() {
  std::string out =
      "# Commands\n\n"
      "Made from the table of commands: `sluice help --markdown > docs/commands.md`. Words may be cut short "
      "to three\n"
      "letters and more while they mean one command. The value of an option stands behind `=` or is the next "
      "word. An\n"
      "unknown word, option or value is an error, and nothing is done. `--xml`, `--json` and `--dom` give "
      "answers for\n"
      "programs; `--help` says what a command does.\n\n"
      "| command | what it does | where | options |\n|---|---|---|---|\n";
  for (const CommandRow& row : command_table()) {
    std::string options;
    for (const OptionRow& one : row.options) {
      options += (options.empty() ? "`" : "<br>`") + cell(option_usage(one)) + "` " + cell(one.help);
    }
    std::string where = row.where == Where::Daemon ? "daemon"
                        : row.where == Where::Here ? "program"
                                                   : "either";
    if (row.deletes == CommandRow::Deletes::Recipients) where += ", deletes recipients";
    out +=
        "| `" + cell(short_usage(row)) + "` | " + cell(row.help) + " | " + where + " | " + options + " |\n";
  }
  return out;
}

std::string bash_completion() {
  // What may come behind the words that are there: words of longer commands, else options.
  std::map<std::string, std::vector<std::string>, std::less<>> next;
  for (const CommandRow& row : command_table()) {
    std::string front, rest(row.words);
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      std::vector<std::string>& words = next[front];
      const std::string word = rest.substr(0, end);
      if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
      front += (front.empty() ? "" : " ") + word;
      rest.erase(0, std::min(end + 1, rest.size()));
    }
    std::vector<std::string>& options = next[front];
    for (const OptionRow& one : row.options)
      options.push_back("--" + std::string(one.name) + (one.value == Value::None ? "" : "="));
    for (const OptionRow& one : common_options()) options.push_back("--" + std::string(one.name));
  }
  std::string out =
      "# source <(sluice completion bash)\n"
      "_sluice() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" front=\"\" word list=\"\"\n"
      "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
      "    [[ $word == --* || $word == '=' ]] || front+=\"${front:+ }$word\"\n"
      "  done\n"
      "  while :; do\n"
      "    case \"$front\" in\n";
  for (const auto& [front, words] : next) {
    out += "    '" + front + "') list=\"";
    for (std::size_t i = 0; i < words.size(); ++i) out += (i == 0 ? "" : " ") + words[i];
    out += "\"; break ;;\n";
  }
  out +=
      "    esac\n"
      "    [[ $front == *' '* ]] || break\n"
      "    front=\"${front% *}\"  # behind an argument: what its command takes\n"
      "  done\n"
      "  COMPREPLY=($(compgen -W \"$list\" -- \"$current\"))\n"
      "  [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null\n"
      "  return 0\n"
      "}\n"
      "complete -o default -F _sluice sluice pmta\n";
  return out;
}

std::optional<Answer> answer_alone(const Command& command) {
  const CommandId id = command.row->id;
  if (auto answer = fixed_answer(id)) return answer;
  if (id == CommandId::Help) return help_answer(command);
  if (id == CommandId::Version) return Answer{true, std::string(own_product()) + '\n'};
  if (id == CommandId::Completion) return Answer{true, bash_completion()};
  return std::nullopt;
}

}  // namespace sluice::control
