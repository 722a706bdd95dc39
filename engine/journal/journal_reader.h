#pragma once
// Readers of the journals: accounting, counters, suppression, the monitor.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/journal/event.h"
#include "engine/journal/journal.h"
#include "engine/log/aligned.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"
#include "policy/base/result.h"

namespace sluice::journal {

/// How far a reader has come in every shard directory's journal. Stored by the reader's owner together with what it
/// made of the events (accounting: with the length of its file), so that both move as one.
struct JournalCursor {
  static constexpr std::size_t kTextBytesMax = 64 * kKiB;
  std::vector<std::pair<std::uint32_t, JournalPosition>> positions;  ///< directory shard -> position, sorted
  /// "1 0:12:4096 1:3:8192": version, then directory:segment:offset.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] static std::optional<JournalCursor> parse(std::string_view text);
  [[nodiscard]] JournalPosition at(std::uint32_t directory_shard) const;  ///< zero position when absent
  void set(std::uint32_t directory_shard, JournalPosition position);
  friend bool operator==(const JournalCursor&, const JournalCursor&) = default;
};

/// Some consecutive events of one shard directory. Views in the events point into `bytes`.
struct EventBatch {
  std::uint32_t directory_shard = 0;
  std::vector<Event> events;
  JournalPosition after;         ///< set this in the cursor once the batch has been handled
  std::uint64_t damaged = 0;     ///< stretches passed over because they failed their checks
  log::AlignedMemory bytes;
};

/// Reads durable events only, those of one shard directory in order; directories take turns.
/// Thread:   one shard, typically the control shard. It reads with its own descriptors.
/// Lifetime: open() at start, stop() before destruction (asserted). `directory` outlives it.
/// Limits:   a batch comes from at most kReadBytes of journal, or from one group larger than that.
/// Keeping:  a journal segment stays until every reader that JournalDirectory knows has acknowledged it.
class JournalReader {
 public:
  static constexpr std::size_t kReadBytes = 256 * kKiB;

  /// `name` identifies the reader for status and retention ("accounting").
  JournalReader(runtime::Reactor& reactor, JournalDirectory& directory, std::string name, JournalCursor from);
  JournalReader(const JournalReader&) = delete;
  JournalReader& operator=(const JournalReader&) = delete;
  ~JournalReader();

  /// The next batch; waits, woken by the journals, while there is none. Errors: Cancelled after stop(); Io.
  [[nodiscard]] runtime::Task<Result<EventBatch>> next();
  /// As next(), but answers an empty optional instead of waiting.
  [[nodiscard]] runtime::Task<Result<std::optional<EventBatch>>> next_if_any();
  /// What lies before `cursor` is safe with this reader's owner and may be dropped.
  void acknowledge(const JournalCursor& cursor);
  /// Ends a waiting next().
  void stop();
  /// Durable bytes not yet read, of all directories.
  [[nodiscard]] std::uint64_t lag_bytes() const;
  [[nodiscard]] const JournalCursor& acknowledged() const;

 private:
  friend class JournalDirectory;
  void wake();
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::journal
