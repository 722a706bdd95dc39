#pragma once

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "policy/base/result.h"

namespace sluice::bench {

/// Lines of a file of any size, one after the other. NUL bytes at the end (a ledger whose writer was killed) end it.
/// Thread: one. Errors: of opening; a read error later ends the file and is told by failed().
class LineReader {
 public:
  [[nodiscard]] static Result<LineReader> open(const std::string& path);
  /// Without its line break; valid until the next call. A last line without line break is not whole and is left out.
  [[nodiscard]] std::optional<std::string_view> next();
  /// The next piece of raw bytes, for files that are not lines; empty at the end. Not to be mixed with next().
  [[nodiscard]] std::string_view next_piece();
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::ignore = std::fclose(file); }
  };
  bool fill();
  std::unique_ptr<std::FILE, Close> file_;
  std::string buffer_;
  std::size_t used_ = 0;
  bool failed_ = false;
};

}  // namespace sluice::bench
