#pragma once
// Ledgers: what load was promised and what the sink received, one text line for each event. Format: bench/FORMAT.md.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bench/lib/values.h"
#include "policy/base/result.h"

namespace sluice::bench {

/// The first field of a line.
enum class LedgerKind : char {
  Injected = 'I',   ///< load: a message and what became of its injection
  Received = 'A',   ///< sink: a recipient's copy was taken over
  Refused = 'R',    ///< sink: a recipient or message was refused, with the reply given
  Connected = 'C',  ///< sink: a connection came
  Ended = 'E',      ///< sink: a connection ended
};

/// How sure the receiver of a reply can be that it arrived.
enum class Certainty : char {
  Answered = 'a',  ///< the reply was given
  Dropped = 'd',   ///< taken over, but the connection was closed on purpose before the reply
  Unknown = 'u',   ///< load: the connection ended between the first body byte and the reply
};

/// How a connection ended.
enum class Farewell : char {
  Quit = 'q',     ///< the client said QUIT
  Lost = 'l',     ///< the client went without a word
  Closed = 'c',   ///< the sink ended it (421, drop, idle)
  Stopped = 's',  ///< the sink was shut down
};

/// One line as values. Which fields have a meaning depends on the kind (FORMAT.md); views point into the line.
struct LedgerLine {
  LedgerKind kind = LedgerKind::Injected;
  std::uint64_t time_us = 0;  ///< microseconds since 1970
  std::uint64_t session = 0;  ///< number of the connection in its program's run
  std::string_view provider;
  std::string_view source;      ///< IP address of the client
  std::string_view message;     ///< message id without angle brackets; "-" unknown
  std::string_view recipients;  ///< I: comma list of accepted recipients; A, R: one
  Certainty certainty = Certainty::Answered;
  Farewell farewell = Farewell::Quit;
  std::uint64_t body_bytes = 0;
  std::uint64_t body_hash = 0;  ///< XXH3 of the body behind the empty line, dots removed
  std::string_view reply;       ///< "250 2.0.0 Ok"
};

/// Appends the line's text with its final LF. Tabs, line breaks and other control bytes in texts become '?'.
void append_ledger_line(const LedgerLine& line, std::string& to);
/// nullopt: not a whole line of a ledger. `text` without LF.
[[nodiscard]] std::optional<LedgerLine> parse_ledger_line(std::string_view text);

/// Where lines go.
/// Thread: one; every shard has its own.
class LedgerLog {
 public:
  virtual ~LedgerLog() = default;
  /// When it returns the text survives the end of this process (but not of the machine).
  virtual void append(std::string_view text) = 0;
};

/// Lines in memory, for tests and for running without a ledger.
class MemoryLedger final : public LedgerLog {
 public:
  explicit MemoryLedger(bool keep) : keep_(keep) {}
  void append(std::string_view text) override {
    if (keep_) text_ += text;
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  bool keep_;
  std::string text_;
};

/// A ledger file written through a shared mapping: an append is a copy, costs no system call, and a killed process
/// loses nothing that was appended. Chunks are allocated ahead, so a full disk is an error and not a signal.
/// Limits: kChunkBytes at a time; a line longer than kLineBytesMax is refused by assertion.
/// Lifetime: closing cuts the file to its length; after a kill it ends with NUL bytes, which readers skip.
class LedgerFile final : public LedgerLog {
 public:
  static constexpr std::size_t kChunkBytes = 16 * kMiB;
  static constexpr std::size_t kLineBytesMax = 256 * kKiB;

  /// Creates `path`; an existing file is replaced.
  [[nodiscard]] static Result<std::unique_ptr<LedgerFile>> create(const std::string& path);
  ~LedgerFile() override;
  LedgerFile(const LedgerFile&) = delete;
  LedgerFile& operator=(const LedgerFile&) = delete;

  /// After a failed allocation (disk full) lines are dropped and counted by lost(): whoever has a promise to keep asks.
  void append(std::string_view text) override;
  [[nodiscard]] std::uint64_t lost() const { return lost_; }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  explicit LedgerFile(int fd) : fd_(fd) {}
  [[nodiscard]] Status map_next();
  int fd_;
  char* chunk_ = nullptr;
  std::uint64_t chunk_start_ = 0;
  std::size_t used_ = 0;
  std::uint64_t lost_ = 0;
};

}  // namespace sluice::bench
