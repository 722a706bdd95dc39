// Splitting, quoting and regular expression tokens of values.
#include "policy/config/value.h"

#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::config {

std::size_t Value::offset_of(std::string_view at) const {
  if (at.data() == nullptr || at.data() < text_.data() || at.data() > text_.data() + text_.size()) return 0;
  return static_cast<std::size_t>(at.data() - text_.data());
}

void Value::fail(std::string_view at, std::string message, std::string expected, std::string suggestion) {
  if (failure_) return;
  failure_ = ValueFailure{std::move(message), std::move(expected), std::move(suggestion), offset_of(at)};
}

void Value::warn(std::string_view at, std::string message, std::string suggestion) {
  warnings_.push_back(ValueFailure{std::move(message), {}, std::move(suggestion), offset_of(at)});
}

namespace {

/// End of the quoted text that starts at `begin`: behind the closing quote, or the end of `text` when it
/// stays open.
std::size_t quoted_end(std::string_view text, std::size_t begin) {
  for (std::size_t i = begin + 1; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\'))
      ++i;
    else if (text[i] == '"' && i + 1 < text.size() && text[i + 1] == '"')
      ++i;
    else if (text[i] == '"')
      return i + 1;
  }
  return text.size();
}

}  // namespace

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> out;
  std::size_t i = 0;
  while (i < text.size()) {
    if (is_blank(text[i])) {
      ++i;
      continue;
    }
    const std::size_t begin = i;
    while (i < text.size() && !is_blank(text[i])) {
      if (text[i] == '"')
        i = quoted_end(text, i);
      else if (text[i] == '\\' && i + 1 < text.size())
        i += 2;
      else
        ++i;
    }
    i = std::min(i, text.size());
    out.push_back(text.substr(begin, i - begin));
  }
  return out;
}

/// Words of a value with a fixed number of arguments; fails with PowerMTA's wording.
std::optional<std::vector<std::string_view>> split_arguments(std::string_view token, Value& value,
                                                             std::size_t min, std::size_t max,
                                                             std::string_view grammar) {
  auto words = split_words(token);
  if (words.size() < min) {
    value.fail(token.substr(token.size()), "argument missing", std::string(grammar));
    return std::nullopt;
  }
  if (words.size() > max) {
    value.fail(words[max], "too many arguments", std::string(grammar));
    return std::nullopt;
  }
  return words;
}

std::vector<std::string_view> split_list(std::string_view text) {
  std::vector<std::string_view> out;
  std::size_t begin = 0, i = 0;
  bool at_start = true;  // a slash counts as a regex only where an item begins
  const auto push = [&](std::size_t end) {
    const std::string_view item = trim(text.substr(begin, end - begin));
    if (!item.empty()) out.push_back(item);
  };
  while (i < text.size()) {
    const std::size_t regex = at_start && text[i] == '/' ? regex_length(text.substr(i)) : 0;
    if (regex > 0)
      i += regex;
    else if (text[i] == '"')
      i = quoted_end(text, i);
    else if (text[i] == ',') {
      push(i);
      begin = ++i;
      at_start = true;
      continue;
    } else if (is_blank(text[i]) && at_start) {
      ++i;
      continue;
    } else
      ++i;
    at_start = false;
  }
  push(text.size());
  return out;
}

std::vector<std::string_view> split_at(std::string_view text, char separator) {
  std::vector<std::string_view> out;
  while (true) {
    const std::size_t end = text.find(separator);
    out.push_back(trim(text.substr(0, end)));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

std::optional<Attributes> parse_attributes(std::string_view text) {
  Attributes out;
  text = trim(text);
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0) return std::nullopt;
    const std::string_view name = trim(text.substr(0, equals));
    for (const char c : name) {
      if (!is_alpha(c) && !is_digit(c) && c != '-' && c != '_') return std::nullopt;
    }
    text = text.substr(equals + 1);
    if (text.empty()) return std::nullopt;
    std::string content;
    if (text.front() == '"' || text.front() == '\'') {
      const std::size_t end = text.find(text.front(), 1);
      if (end == std::string_view::npos) return std::nullopt;
      content = text.substr(1, end - 1);
      text.remove_prefix(end + 1);
    } else {
      const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
      content = text.substr(0, end);
      text.remove_prefix(end);
    }
    if (!text.empty() && !is_blank(text.front())) return std::nullopt;
    out.emplace_back(to_lower(name), std::move(content));
    text = trim(text);
  }
  return out;
}

std::string attribute(const Attributes& attributes, std::string_view name) {
  for (const auto& [key, content] : attributes) {
    if (key == name) return content;
  }
  return {};
}

std::optional<std::string> unquote(std::string_view token, Value& value) {
  std::string out;
  out.reserve(token.size());
  for (std::size_t i = 0; i < token.size(); ++i) {
    const char c = token[i];
    const char next = i + 1 < token.size() ? token[i + 1] : '\0';
    if (c == '"') {
      const std::size_t open = i;
      bool closed = false;
      for (++i; i < token.size() && !closed; ++i) {
        const char inner = token[i];
        const char after = i + 1 < token.size() ? token[i + 1] : '\0';
        if (inner == '\\' && (after == '"' || after == '\\'))
          out += token[++i];
        else if (inner == '"' && after == '"')
          out += token[++i];
        else if (inner == '"')
          closed = true;
        else
          out += inner;
      }
      --i;
      if (!closed) {
        value.fail(token.substr(open), "closing quote missing", "\"text\", with \\\" for a quote inside");
        return std::nullopt;
      }
    } else if (c == '\\' && (next == ' ' || next == '"' || next == '$')) {
      out += token[++i];
    } else {
      out += c;
    }
  }
  return out;
}

std::string quote_if_needed(std::string_view text) {
  if (!text.empty() && text.find_first_of(" \t\"") == std::string_view::npos) return std::string(text);
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

std::size_t regex_length(std::string_view text) {
  if (text.empty() || text.front() != '/') return 0;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\')
      ++i;
    else if (text[i] == '/')
      return i + 1;
  }
  return 0;
}

std::optional<Regex> take_regex(std::string_view& text, Value& value) {
  const std::size_t length = regex_length(text);
  if (length == 0) {
    if (text.empty())
      value.fail(text, "argument missing", "/REGEX/");
    else if (text.front() != '/')
      value.fail(text, "regular expression missing", "/REGEX/");
    else
      value.fail(text, "regular expression without its closing slash",
                 "/REGEX/, with \\/ for a slash inside");
    return std::nullopt;
  }
  Regex out{{}, value.origin()};
  const std::string_view inner = text.substr(1, length - 2);
  for (std::size_t i = 0; i < inner.size(); ++i) {
    if (inner[i] == '\\' && i + 1 < inner.size()) {
      if (inner[i + 1] != '/') out.text += inner[i];
      out.text += inner[++i];
    } else {
      out.text += inner[i];
    }
  }
  text.remove_prefix(length);
  return out;
}

std::string format_regex(std::string_view text) {
  std::string out = "/";
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size())
      out += text[i++];
    else if (text[i] == '/')
      out += '\\';
    out += text[i];
  }
  return out + '/';
}

}  // namespace sluice::config
