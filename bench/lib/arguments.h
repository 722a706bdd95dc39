#pragma once
// The command line of the bench programs: "--name VALUE" or "--name=VALUE", flags, --help.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/lib/values.h"
#include "policy/base/ip_address.h"

namespace sluice::bench {

/// Options declared once: the declaration is the parser and the help text.
/// Thread: one. Lifetime: the variables given to the declarations outlive parse().
/// Errors: one sentence that names the option, for standard error.
class Arguments {
 public:
  /// Takes the value's text over, or says what is wrong with it.
  using Take = std::function<Parsed<void>(std::string_view)>;

  Arguments(std::string program, std::string purpose)
      : program_(std::move(program)), purpose_(std::move(purpose)) {}

  /// A headline in the help text, before the options declared after it.
  void section(std::string title);
  void option(std::string name, std::string value, std::string help, Take take);
  void flag(std::string name, std::string help, bool& into);
  void text(std::string name, std::string value, std::string help, std::string& into);
  void texts(std::string name, std::string value, std::string help, std::vector<std::string>& into);
  void number(std::string name, std::string value, std::string help, std::uint64_t& into, std::uint64_t max);
  void size(std::string name, std::string help, std::uint64_t& into);
  void duration(std::string name, std::string help, Duration& into);
  void endpoint(std::string name, std::string help, std::optional<Endpoint>& into);
  /// Words that are no options; without this declaration they are refused.
  void operands(std::string value, std::string help, std::vector<std::string>& into);
  /// Further text at the end of the help.
  void epilogue(std::string text) { epilogue_ = std::move(text); }

  enum class Outcome : std::uint8_t { Run, HelpShown };
  /// Every option may be given again; the last one counts, lists grow.
  [[nodiscard]] Parsed<Outcome> parse(int count, const char* const* words) const;
  [[nodiscard]] std::string help() const;

 private:
  struct Option {
    std::string name;   // "--port"; empty: a headline, whose text is `help`
    std::string value;  // empty: a flag
    std::string help;
    Take take;
  };
  [[nodiscard]] const Option* find(std::string_view name) const;
  std::string program_;
  std::string purpose_;
  std::string epilogue_;
  std::vector<Option> options_;
  std::string operand_value_;
  std::string operand_help_;
  std::vector<std::string>* operands_ = nullptr;
};

/// parse(), and for a program's main(): nullopt to go on, else the exit status (0 after --help, 2 after an error, which
/// has been printed).
[[nodiscard]] std::optional<int> parse_or_exit_status(const Arguments& arguments, std::string_view program,
                                                      int count, const char* const* words);

}  // namespace sluice::bench
