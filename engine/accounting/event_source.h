#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/journal/event.h"
#include "engine/journal/journal_reader.h"
#include "engine/runtime/task.h"

namespace sluice::journal {
class JournalDirectory;
}

namespace sluice::accounting {

/// Where events come from: the journals, or a list in tests. The contract is JournalReader's; only one of
/// next() and next_if_any() is under way at a time. Thread: the reader's shard. Lifetime: stop() before
/// destruction, and no call under way.
class EventSource {
 public:
  virtual ~EventSource() = default;
  [[nodiscard]] virtual runtime::Task<Result<journal::EventBatch>> next() = 0;
  [[nodiscard]] virtual runtime::Task<Result<std::optional<journal::EventBatch>>> next_if_any() = 0;
  virtual void acknowledge(const journal::JournalCursor& cursor) = 0;
  virtual void stop() = 0;
  [[nodiscard]] virtual std::uint64_t lag_bytes() const = 0;
};

/// Makes a source that begins behind `from`, for the reader `name` (status and retention).
using MakeEventSource =
    std::move_only_function<std::unique_ptr<EventSource>(std::string name, journal::JournalCursor from)>;

/// The journals of `directory`. `reactor` and `directory` outlive the sources made.
[[nodiscard]] MakeEventSource events_of_journals(runtime::Reactor& reactor,
                                                 journal::JournalDirectory& directory);

}  // namespace sluice::accounting
