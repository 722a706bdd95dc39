#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/journal/journal_reader.h"
#include "policy/accounting/file_naming.h"
#include "policy/base/units.h"

namespace sluice::accounting {

/// What is durable of one `<acct-file>`.
struct AcctFileState {
  std::string path;          ///< as configured: its identity
  std::uint64_t layout = 0;  ///< fingerprint of the header row
  FileId last;               ///< the last day and number used
  struct Current {
    FileId id;
    std::uint64_t length = 0;  ///< synced bytes that belong to events before the cursor; 0: may not exist yet
    WallTime opened{};
    std::uint64_t rows = 0;  ///< in these bytes, since a version that counts them
    friend bool operator==(const Current&, const Current&) = default;
  };
  std::optional<Current> current;
  struct Move {
    FileId id;
    std::string to;  ///< directory
    std::uint64_t rows = 0;
    friend bool operator==(const Move&, const Move&) = default;
  };
  std::vector<Move> moves;  ///< ended and on their way; may have arrived already
  friend bool operator==(const AcctFileState&, const AcctFileState&) = default;
};

/// How far the program of a pipe was given rows.
struct AcctPipeState {
  std::string command;  ///< as configured: its identity
  journal::JournalCursor cursor;
  friend bool operator==(const AcctPipeState&, const AcctPipeState&) = default;
};

/// Everything accounting remembers: how far the journals were read, and which bytes of which files that made.
/// Both move as one, which is why no record is lost or doubled.
struct AcctState {
  journal::JournalCursor cursor;
  std::vector<AcctFileState> files;
  std::vector<AcctPipeState> pipes;

  /// Lines of words; FORMAT.md.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] static std::optional<AcctState> parse(std::string_view text);
  [[nodiscard]] const AcctFileState* find(std::string_view path) const;
  [[nodiscard]] const AcctPipeState* find_pipe(std::string_view command) const;
  friend bool operator==(const AcctState&, const AcctState&) = default;
};

}  // namespace sluice::accounting
