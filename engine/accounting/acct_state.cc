#include "engine/accounting/acct_state.h"

#include <array>
#include <charconv>

namespace sluice::accounting {
namespace {

constexpr std::string_view kTitle = "sluice-accounting 1";

std::int64_t number_of(std::chrono::local_days day) { return day.time_since_epoch().count(); }

std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

/// Exactly N numbers, one blank between them.
template <std::size_t N>
std::optional<std::array<std::int64_t, N>> numbers(std::string_view text) {
  std::array<std::int64_t, N> out{};
  for (std::size_t i = 0; i < N; ++i) {
    if (i > 0) {
      if (!text.starts_with(' ')) return std::nullopt;
      text.remove_prefix(1);
    }
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out[i]);
    if (error != std::errc()) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  }
  return text.empty() ? std::optional(out) : std::nullopt;
}

std::optional<FileId> file_id(std::int64_t day, std::int64_t number) {
  constexpr std::int64_t kDaysMax = 4'000'000;
  if (day < -kDaysMax || day > kDaysMax || number < 0 || number > UINT32_MAX) return std::nullopt;
  return FileId{std::chrono::local_days{std::chrono::days(day)}, static_cast<std::uint32_t>(number)};
}

bool parse_line(std::string_view key, std::string_view value, AcctFileState& file) {
  if (key == "layout") {
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), file.layout, 16);
    return error == std::errc() && end == value.data() + value.size();
  }
  if (key == "current") {
    const auto all = numbers<4>(value);
    if (!all || (*all)[2] < 0) return false;
    const auto id = file_id((*all)[0], (*all)[1]);
    if (!id) return false;
    file.current = {*id, static_cast<std::uint64_t>((*all)[2]),
                    WallTime{std::chrono::milliseconds((*all)[3])}, 0};
    return true;
  }
  if (key == "rows") {
    const auto count = numbers<1>(value);
    if (!count || (*count)[0] < 0 || (file.moves.empty() && !file.current)) return false;
    (file.moves.empty() ? file.current->rows : file.moves.back().rows) =
        static_cast<std::uint64_t>((*count)[0]);
    return true;
  }
  if (key != "last" && key != "move") return false;
  std::string_view directory;
  if (key == "move") {
    // "day number directory"; a directory may hold blanks.
    const std::size_t second = value.find(' ', std::min(value.find(' '), value.size() - 1) + 1);
    if (second == std::string_view::npos) return false;
    directory = value.substr(second + 1);
    value = value.substr(0, second);
  }
  const auto pair = numbers<2>(value);
  const auto id = pair ? file_id((*pair)[0], (*pair)[1]) : std::nullopt;
  if (!id) return false;
  if (key == "last") {
    file.last = *id;
  } else {
    file.moves.push_back({*id, std::string(directory), 0});
  }
  return true;
}

}  // namespace

std::string AcctState::text() const {
  std::string out(kTitle);
  out += "\ncursor " + cursor.text() + '\n';
  const auto pair = [](const FileId& id) {
    return std::to_string(number_of(id.day)) + ' ' + std::to_string(id.number);
  };
  const auto rows = [&out](std::uint64_t count) {
    if (count > 0) out += "rows " + std::to_string(count) + '\n';
  };
  for (const AcctPipeState& pipe : pipes)
    out += "pipe " + pipe.command + "\ngiven " + pipe.cursor.text() + '\n';
  for (const AcctFileState& file : files) {
    char layout[16];
    const auto end = std::to_chars(layout, layout + sizeof layout, file.layout, 16).ptr;
    out += "file " + file.path + "\nlayout " + std::string(layout, end) + "\nlast " + pair(file.last) + '\n';
    if (file.current) {
      out += "current " + pair(file.current->id) + ' ' + std::to_string(file.current->length) + ' ' +
             std::to_string(file.current->opened.time_since_epoch().count()) + '\n';
      rows(file.current->rows);
    }
    for (const AcctFileState::Move& move : file.moves) {
      out += "move " + pair(move.id) + ' ' + move.to + '\n';
      rows(move.rows);
    }
  }
  return out;
}

std::optional<AcctState> AcctState::parse(std::string_view text) {
  AcctState out;
  if (take_line(text) != kTitle) return std::nullopt;
  const std::string_view cursor_line = take_line(text);
  if (!cursor_line.starts_with("cursor ")) return std::nullopt;
  auto cursor = journal::JournalCursor::parse(cursor_line.substr(7));
  if (!cursor) return std::nullopt;
  out.cursor = std::move(*cursor);
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    const std::size_t blank = line.find(' ');
    if (blank == std::string_view::npos) return std::nullopt;
    const std::string_view key = line.substr(0, blank);
    const std::string_view value = line.substr(blank + 1);
    if (key == "file") {
      out.files.push_back({});
      out.files.back().path = value;
    } else if (key == "pipe") {
      out.pipes.push_back({std::string(value), {}});
    } else if (key == "given") {
      auto given = journal::JournalCursor::parse(value);
      if (!given || out.pipes.empty()) return std::nullopt;
      out.pipes.back().cursor = std::move(*given);
    } else if (out.files.empty() || !parse_line(key, value, out.files.back())) {
      return std::nullopt;
    }
  }
  return out;
}

const AcctFileState* AcctState::find(std::string_view path) const {
  for (const AcctFileState& file : files) {
    if (file.path == path) return &file;
  }
  return nullptr;
}

const AcctPipeState* AcctState::find_pipe(std::string_view command) const {
  for (const AcctPipeState& pipe : pipes) {
    if (pipe.command == command) return &pipe;
  }
  return nullptr;
}

}  // namespace sluice::accounting
