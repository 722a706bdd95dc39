// Goal: what is not in the table of commands is an error that says what was meant, for every command and option; what
//       is in it is understood, cut short or not.
// How:  most cases are made from the table itself, so that a new row is tried without a new test.
#include "engine/control/command_table.h"

#include <gtest/gtest.h>

#include <set>

#include "engine/control/command.h"
#include "engine/control/command_help.h"
#include "tests/support/command_words.h"

namespace sluice::control {
namespace {

using test::some_value;
using test::Typed;
using test::with;
using test::words_of;

std::expected<Command, std::string> read(const Typed& words) {
  const auto typed = Command::of(words);
  if (!typed) return std::unexpected("nothing was typed");
  return understand(*typed);
}

std::string error_of(const Typed& words) {
  const auto command = read(words);
  return command ? "(understood)" : command.error();
}

TEST(CommandTable, EveryRowIsUnderstoodInItsSpellings) {
  std::set<CommandId> ids;
  for (const CommandRow& row : command_table()) {
    SCOPED_TRACE(row.words);
    EXPECT_TRUE(ids.insert(row.id).second);
    EXPECT_FALSE(row.help.empty());
    for (const bool all : {false, true}) {
      const auto command = read(test::command_line(row, all));
      ASSERT_TRUE(command) << command.error();
      EXPECT_EQ(command->row, &row);
      EXPECT_EQ(command->words, test::command_line(row, all));
    }
    for (const std::string_view other : row.other_words) {
      Typed words = words_of(other);
      const Typed plain = test::command_line(row);
      const auto arguments = static_cast<std::ptrdiff_t>(words_of(row.words).size());
      words.insert(words.end(), plain.begin() + arguments, plain.end());
      const auto command = read(words);
      ASSERT_TRUE(command) << other << ": " << command.error();
      EXPECT_EQ(command->words, plain) << "handlers see one spelling";
    }
  }
}

TEST(CommandTable, EveryOptionIsReadWithEachKindOfValue) {
  for (const CommandRow& row : command_table()) {
    for (const OptionRow& option : row.options) {
      const std::string name = "--" + std::string(option.name);
      SCOPED_TRACE(std::string(row.words) + ' ' + name);
      const std::string value = some_value(option.value, option.shape);
      std::string key(option.name);
      for (char& c : key) c = static_cast<char>(std::tolower(c));
      if (option.value == Value::None) {
        const auto command = read(with(test::command_line(row), name));
        ASSERT_TRUE(command) << command.error();
        EXPECT_TRUE(command->has(key));
        EXPECT_TRUE(read(with(with(test::command_line(row), name), name))) << "no harm";
        EXPECT_NE(error_of(with(test::command_line(row), name + "=no")).find("takes no value"),
                  std::string::npos);
        continue;
      }
      const auto joined = read(with(test::command_line(row), name + '=' + value));
      ASSERT_TRUE(joined) << joined.error();
      EXPECT_EQ(joined->option(key), value);
      const auto apart = read(with(with(test::command_line(row), name), value));
      ASSERT_TRUE(apart) << apart.error();
      EXPECT_EQ(apart->option(key), value);
      EXPECT_EQ(apart->words, test::command_line(row)) << "a value is no argument";
      EXPECT_NE(error_of(with(test::command_line(row), name + '=')).find("empty value"), std::string::npos);
      EXPECT_NE(error_of(with(with(test::command_line(row), name + '=' + value), name + '=' + value))
                    .find("given twice"),
                std::string::npos);
      if (option.value == Value::YesNo) {
        EXPECT_EQ(read(with(test::command_line(row), name))->option(key), "yes");
        EXPECT_EQ(read(with(test::command_line(row), name + "=TRUE"))->option(key), "yes");
      } else {
        EXPECT_NE(error_of(with(test::command_line(row), name)).find("needs a value"), std::string::npos);
        EXPECT_NE(error_of(with(with(test::command_line(row), name), "--json")).find("needs a value"),
                  std::string::npos);
      }
      if (option.value != Value::Text) {
        const std::string wrong = error_of(with(test::command_line(row), name + "=@!"));
        EXPECT_NE(wrong.find("not \"@!\""), std::string::npos) << wrong;
      }
    }
  }
}

TEST(CommandTable, NoCommandTakesWhatItDoesNotKnow) {
  for (const CommandRow& row : command_table()) {
    SCOPED_TRACE(row.words);
    for (const char* unknown : {"--frobnicate", "--frobnicate=1", "--", "--now", "--=x"}) {
      if (std::string_view(unknown) == "--") continue;
      const std::string error = error_of(with(test::command_line(row), unknown));
      EXPECT_NE(error.find("there is no option --"), std::string::npos) << unknown << ": " << error;
      EXPECT_TRUE(error.ends_with('\n'));
    }
    // Every option of another command.
    for (const CommandRow& other : command_table()) {
      for (const OptionRow& option : other.options) {
        const bool knows = std::any_of(row.options.begin(), row.options.end(),
                                       [&](const OptionRow& one) { return one.name == option.name; });
        if (!knows) {
          EXPECT_FALSE(read(with(test::command_line(row), "--" + std::string(option.name) + "=1")))
              << option.name;
        }
      }
    }
    // A typing error in each option is answered with the option.
    for (const OptionRow& option : row.options) {
      std::string typed(option.name);
      if (typed.size() < 4) continue;
      std::swap(typed[typed.size() - 2], typed[typed.size() - 1]);
      if (typed == option.name) typed += 'x';
      const std::string error = error_of(with(test::command_line(row), "--" + typed));
      EXPECT_NE(error.find("did you mean --"), std::string::npos) << error;
      EXPECT_NE(error.find("--" + std::string(option.name)), std::string::npos) << error;
    }
    // One word more than it takes.
    const bool repeats = !row.arguments.empty() && row.arguments.back().need >= ArgumentRow::Need::Several;
    if (!repeats)
      EXPECT_NE(error_of(with(test::command_line(row, true), "more")).find("what is \"more\"?"),
                std::string::npos);
    // One word fewer.
    for (std::size_t left = words_of(row.words).size(); left < test::command_line(row).size(); ++left) {
      Typed words = test::command_line(row);
      words.resize(left);
      EXPECT_NE(error_of(words).find("usage: "), std::string::npos) << error_of(words);
    }
    if (!row.arguments.empty()) {
      Typed words = test::command_line(row, true);
      words.back().clear();
      EXPECT_FALSE(read(words)) << "an empty argument";
    }
  }
}

TEST(CommandTable, HelpIsAskedForAnywhereAndDoesNothing) {
  for (const CommandRow& row : command_table()) {
    SCOPED_TRACE(row.words);
    const auto command = read(with(words_of(row.words), "--help"));
    ASSERT_TRUE(command) << command.error();
    EXPECT_EQ(command->row->id, CommandId::Help);
    const auto answer = answer_alone(*command);
    ASSERT_TRUE(answer && answer->ok);
    EXPECT_NE(answer->text.find(row.help), std::string::npos) << answer->text;
    for (const OptionRow& option : row.options)
      EXPECT_NE(answer->text.find(option_usage(option)), std::string::npos) << option.name;
    EXPECT_NE(help_text().find(row.help), std::string::npos);
    EXPECT_NE(commands_manual().find(row.words), std::string::npos);
  }
  EXPECT_FALSE(answer_alone(*read({"help", "frobnicate"}))->ok);
  EXPECT_NE(answer_alone(*read({"help", "pause"}))->text.find("pause job"), std::string::npos);
}

TEST(CommandTable, WordsMayBeCutShort) {
  const auto id = [](const Typed& words) {
    const auto command = read(words);
    return command ? std::string(command->row->words) : command.error();
  };
  EXPECT_EQ(id({"sho", "stat"}), "show status");
  EXPECT_EQ(id({"SHOW", "Status", "detail"}), "show status");
  EXPECT_EQ(id({"status"}), "show status");
  EXPECT_EQ(id({"show", "dom", "gmail.com"}), "show domains");
  EXPECT_EQ(id({"reset", "count"}), "reset counters");
  EXPECT_EQ(id({"res", "job", "x"}), "resume job");
  EXPECT_EQ(id({"show", "vmta", "v1"}), "show vmtas");
  EXPECT_EQ(id({"show", "vmta-s", "v1"}), "show vmta-settings");
  EXPECT_EQ(id({"show", "dis"}), "show disabled sources");
  EXPECT_EQ(id({"settings", "x"}), "show settings");
  EXPECT_EQ(id({"check", "spf", "192.0.2.1", "mx"}), "check spf");
  EXPECT_EQ(id({"check", "./spf"}), "check");
  EXPECT_EQ(id({"rel"}), "reload");
  for (const Typed& wrong : std::vector<Typed>{
           {"sh", "status"}, {"show"}, {"show", "statusx"}, {"s"}, {""}, {"show", ""}, {"--"}, {"--json"}})
    EXPECT_FALSE(read(wrong)) << wrong.front();
}

TEST(CommandTable, SaysWhatWasMeant) {
  const auto says = [](const Typed& words, std::string_view part) {
    const std::string error = error_of(words);
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  says({"delete", "--jobId=warm1", "--recipient=a@b"}, "did you mean --rcpt?");
  says({"delete", "--jobId=warm1", "--from=a@b"}, "did you mean --orig?");
  says({"delete", "--job=warm1"}, "did you mean --jobId?");
  says({"delete", "warm1"}, "what is \"warm1\"?");
  says({"delete", "-jobId=warm1"}, "two dashes: --jobId=JOB");
  says({"delete", "\xe2\x80\x93jobId=warm1"}, "typographic dash");
  says({"reload", "--dryrun"}, "did you mean --dry-run?");
  says({"shutdown", "--now"}, "shutdown takes none");
  says({"shutdwon"}, "did you mean `shutdown`?");
  says({"stop"}, "did you mean `shutdown`?");
  says({"purge", "--jobId=x"}, "did you mean `delete`?");
  says({"queues"}, "`show queues`");
  says({"show", "queus"}, "did you mean `show queues`?");
  says({"show", "top"}, "may mean `show topqueues` or `show topdomains`");
  says({"show"}, "needs a word more");
  says({"pasue", "job", "x"}, "did you mean `pause job`?");
  says({"frobnicate"}, "`sluice help` lists all");
  says({"set", "queue", "--mode=fast", "x/*"}, "`normal` or `backoff`, not \"fast\"");
  says({"disable", "source", "300.1.1.1", "x/*"}, "an IP address");
  says({"list", "--maxitems=-1"}, "a number");
  says({"list", "--older-than=soon"}, "a time, for example 30m");
  says({"show", "queues", "--paused=maybe"}, "yes or no");
  says({"show", "queues", "--xml", "--json"}, "one of --xml, --json and --dom");
  says({"pause", "queue", "a\x1b[2Jb", "c"}, "what is \"c\"");
  says({"pause", "queue", "a", "\x1b[2J"}, "what is \".[2J\"");
  // `--paused yes` is one thing, `--paused QUEUE` two.
  EXPECT_EQ(read({"show", "queues", "--paused", "no", "a/*"})->words, (Typed{"show", "queues", "a/*"}));
  EXPECT_EQ(read({"show", "queues", "--paused", "a/*"})->words, (Typed{"show", "queues", "a/*"}));
  // Behind -- everything is a word.
  EXPECT_EQ(read({"pause", "job", "--", "--json"})->words, (Typed{"pause", "job", "--json"}));
  EXPECT_FALSE(read({"pause", "job", "--json"}));
}

TEST(CommandTable, CompletionKnowsEveryWordAndOption) {
  const std::string script = bash_completion();
  for (const CommandRow& row : command_table()) {
    EXPECT_NE(script.find("'" + std::string(row.words) + "') list=\""), std::string::npos) << row.words;
    for (const OptionRow& option : row.options)
      EXPECT_NE(script.find("--" + std::string(option.name)), std::string::npos) << option.name;
  }
}

}  // namespace
}  // namespace sluice::control
