#include "bench/lib/arguments.h"

#include <fmt/format.h>

#include <cstdio>

namespace sluice::bench {

void Arguments::section(std::string title) { options_.push_back({{}, {}, std::move(title), {}}); }

void Arguments::option(std::string name, std::string value, std::string help, Take take) {
  options_.push_back({std::move(name), std::move(value), std::move(help), std::move(take)});
}

void Arguments::flag(std::string name, std::string help, bool& into) {
  option(std::move(name), "", std::move(help), [&into](std::string_view) -> Parsed<void> {
    into = true;
    return {};
  });
}

void Arguments::text(std::string name, std::string value, std::string help, std::string& into) {
  option(std::move(name), std::move(value), std::move(help), [&into](std::string_view given) -> Parsed<void> {
    into = given;
    return {};
  });
}

void Arguments::texts(std::string name, std::string value, std::string help, std::vector<std::string>& into) {
  option(std::move(name), std::move(value), std::move(help), [&into](std::string_view given) -> Parsed<void> {
    into.emplace_back(given);
    return {};
  });
}

void Arguments::number(std::string name, std::string value, std::string help, std::uint64_t& into,
                       std::uint64_t max) {
  option(std::move(name), std::move(value), std::move(help), [&into, max](std::string_view given) {
    return mapped(parse_number(given, max), [&into](std::uint64_t number) { into = number; });
  });
}

void Arguments::size(std::string name, std::string help, std::uint64_t& into) {
  option(std::move(name), "SIZE", std::move(help), [&into](std::string_view given) {
    return mapped(parse_size(given), [&into](std::uint64_t bytes) { into = bytes; });
  });
}

void Arguments::duration(std::string name, std::string help, Duration& into) {
  option(std::move(name), "TIME", std::move(help), [&into](std::string_view given) {
    return mapped(parse_duration(given), [&into](Duration time) { into = time; });
  });
}

void Arguments::endpoint(std::string name, std::string help, std::optional<Endpoint>& into) {
  option(std::move(name), "IP:PORT", std::move(help), [&into](std::string_view given) -> Parsed<void> {
    into = Endpoint::parse(given);
    if (!into)
      return complain(fmt::format("'{}' is not an address with a port; write 127.0.0.1:2525", given));
    return {};
  });
}

void Arguments::operands(std::string value, std::string help, std::vector<std::string>& into) {
  operand_value_ = std::move(value);
  operand_help_ = std::move(help);
  operands_ = &into;
}

const Arguments::Option* Arguments::find(std::string_view name) const {
  for (const Option& option : options_) {
    if (!option.name.empty() && option.name == name) return &option;
  }
  return nullptr;
}

Parsed<Arguments::Outcome> Arguments::parse(int count, const char* const* words) const {
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == "--help" || word == "-h") {
      std::fputs(help().c_str(), stdout);
      return Outcome::HelpShown;
    }
    if (!word.starts_with("--")) {
      if (operands_ == nullptr) return complain(fmt::format("'{}' is not an option; see --help", word));
      operands_->emplace_back(word);
      continue;
    }
    const std::size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const Option* option = find(name);
    if (option == nullptr) return complain(fmt::format("unknown option {}; see --help", name));
    std::string_view value;
    if (equals != std::string_view::npos) {
      if (option->value.empty()) return complain(fmt::format("{} takes no value", name));
      value = word.substr(equals + 1);
    } else if (!option->value.empty()) {
      if (++i >= count) return complain(fmt::format("{} needs a value: {}", name, option->value));
      value = words[i];
    }
    const auto taken = option->take(value);
    if (!taken) return complain(fmt::format("{}: {}", name, taken.error()));
  }
  return Outcome::Run;
}

std::string Arguments::help() const {
  std::string out = fmt::format("{}: {}\n\nusage: {} [OPTION]...", program_, purpose_, program_);
  if (operands_ != nullptr)
    out += fmt::format(" {}\n  {:<26} {}", operand_value_, operand_value_, operand_help_);
  out += "\n";
  for (const Option& option : options_) {
    if (option.name.empty()) {
      out += fmt::format("\n{}\n", option.help);
      continue;
    }
    const std::string left = option.value.empty() ? option.name : option.name + " " + option.value;
    // The help text's own line breaks are kept and lined up.
    std::string indented;
    for (const char c : option.help) {
      indented += c;
      if (c == '\n') indented.append(29, ' ');
    }
    if (left.size() <= 26) {
      out += fmt::format("  {:<26} {}\n", left, indented);
    } else {
      out += fmt::format("  {}\n  {:<26} {}\n", left, "", indented);
    }
  }
  if (!epilogue_.empty()) out += "\n" + epilogue_ + "\n";
  return out;
}

std::optional<int> parse_or_exit_status(const Arguments& arguments, std::string_view program, int count,
                                        const char* const* words) {
  const auto outcome = arguments.parse(count, words);
  if (!outcome) {
    fmt::print(stderr, "{}: {}\n", program, outcome.error());
    return 2;
  }
  if (*outcome == Arguments::Outcome::HelpShown) return 0;
  return std::nullopt;
}

}  // namespace sluice::bench
