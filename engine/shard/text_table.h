#pragma once
// Lists for people in PowerMTA's layout: a heading, dashes under each column, rows, an empty line, the count. Scripts
// cut them by line number (tail -n +3 | head -n -2).

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace sluice::shard {

struct Column {
  std::string_view name;
  std::size_t width;  ///< a longer cell pushes the others aside
  bool right = false;
};

/// The columns of a list. Thread: any; immutable.
template <std::size_t N>
class TextTable {
 public:
  explicit constexpr TextTable(std::array<Column, N> columns) : columns_(columns) {}

  [[nodiscard]] std::string heading() const {
    std::array<std::string, N> names, dashes;
    for (std::size_t i = 0; i < N; ++i) {
      names[i] = columns_[i].name;
      dashes[i] = std::string(columns_[i].width, '-');
    }
    return row(names) + row(dashes);
  }
  /// Line breaks in a cell would break the layout: the caller's cells have none, see one_line().
  [[nodiscard]] std::string row(const std::array<std::string, N>& cells) const {
    std::string out;
    for (std::size_t i = 0; i < N; ++i) {
      if (i > 0) out += ' ';
      const std::size_t free = columns_[i].width - std::min(columns_[i].width, cells[i].size());
      if (columns_[i].right) out.append(free, ' ');
      out += cells[i];
      if (!columns_[i].right) out.append(free, ' ');
    }
    return out.erase(out.find_last_not_of(' ') + 1) + '\n';
  }

 private:
  std::array<Column, N> columns_;
};
template <std::size_t N>
TextTable(std::array<Column, N>) -> TextTable<N>;

}  // namespace sluice::shard
