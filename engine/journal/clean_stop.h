#pragma once
// What a stop in peace knows of all files at once; FORMAT.md, "clean-stop".

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/journal/journal_reader.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"

namespace sluice::journal {

/// Written when everything else is durable and closed; read by the next start, and taken away before that writes.
/// So where it is found, nothing may be missing of what it names.
struct CleanStop {
  std::uint32_t incarnation = 0;  ///< of the run that stopped
  std::uint32_t checkpoint = 0;   ///< number of the newest one; 0: there was none
  std::uint64_t messages = 0;     ///< live
  JournalCursor journals;         ///< where each ended
  std::uint64_t accounting = 0;   ///< sequence of the state of accounting
  JournalCursor accounted;        ///< its cursor

  [[nodiscard]] std::string text() const;
  [[nodiscard]] static std::optional<CleanStop> parse(std::string_view text);
  friend bool operator==(const CleanStop&, const CleanStop&) = default;
};

/// nullopt: there is none, or it is damaged, which says nothing. Errors: Io.
[[nodiscard]] runtime::Task<Result<std::optional<CleanStop>>> read_clean_stop(runtime::Reactor& reactor,
                                                                              std::string root);
[[nodiscard]] runtime::Task<Status> write_clean_stop(runtime::Reactor& reactor, std::string root,
                                                     CleanStop mark);
/// Durable when it answers. No mark is no error.
[[nodiscard]] runtime::Task<Status> remove_clean_stop(runtime::Reactor& reactor, std::string root);

}  // namespace sluice::journal
