#pragma once
// Command lines made from the table of commands, so that a new row or option is tried by every test that goes over it.

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "engine/control/command_table.h"

namespace sluice::test {

using Typed = std::vector<std::string>;

inline Typed words_of(std::string_view text) {
  Typed out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

/// A value that fits.
inline std::string some_value(control::Value kind, std::string_view shape) {
  switch (kind) {
    case control::Value::None: return "";
    case control::Value::YesNo: return "no";
    case control::Value::Text: return "some*text";
    case control::Value::Number: return "7";
    case control::Value::Time: return "2d12h";
    case control::Value::Choice: return std::string(shape.substr(0, shape.find('|')));
    case control::Value::Address: return "192.0.2.1";
  }
  return "";
}

/// The words of a row with an argument for each that has to be there; `all`: also for those that may be.
inline Typed command_line(const control::CommandRow& row, bool all = false) {
  Typed out = words_of(row.words);
  for (const control::ArgumentRow& one : row.arguments) {
    using enum control::ArgumentRow::Need;
    if (one.need == Required || one.need == Several || all) out.push_back(some_value(one.value, one.shape));
  }
  return out;
}

inline Typed with(Typed words, std::string last) {
  words.push_back(std::move(last));
  return words;
}

/// "--maxitems=7".
inline std::string some_option(const control::OptionRow& row) {
  const std::string name = "--" + std::string(row.name);
  return row.value == control::Value::None ? name : name + '=' + some_value(row.value, row.shape);
}

}  // namespace sluice::test
