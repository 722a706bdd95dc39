#pragma once
// What a start finds on disk. See FORMAT.md, "Recovery".

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/journal/clean_stop.h"
#include "engine/journal/journal.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"
#include "engine/spool/spool.h"

namespace sluice::journal {

struct RecoveryOptions {
  std::string directory;                      ///< the spool's root: journals, checkpoints, messages
  std::vector<std::string> more_directories;  ///< roots of further spools, which hold messages only
  std::uint32_t shards =
      1;  ///< data shards of this run; directories of others are adopted by number mod shards
  bool delete_damaged = false;  ///< `spool-delete-corrupted`: what cannot be read is not kept aside
  bool read_only = false;       ///< tools: report, repair nothing
  JournalCursor accounted;      ///< how far the state of accounting says it has read
  bool accept_damage = false;   ///< the operator has decided to go on, whatever RecoveryReport::doubts says
};

/// One live recipient as it was when the process ended. Views live as long as the visit.
struct RecoveredRecipient {
  std::uint32_t index = 0;  ///< in the message's envelope
  std::string_view domain;  ///< of its address, lower case
  std::string_view vmta;
  std::string_view queue;  ///< "domain/vmta" of its last event; may be empty
  std::uint8_t priority = 50;
  std::uint32_t attempts = 0;
  std::uint8_t shut_attempts = 0;  ///< of these, the last ones in a row while the queue was shut off
  WallTime next_due{};             ///< epoch: at once
  WallTime first_attempt{};        ///< epoch: none yet
};

/// Receives the recovered messages of one shard. Thread: that shard. Called from start-up, in slices: other
/// work of the shard goes on in between.
class RecoveredVisitor {
 public:
  virtual ~RecoveredVisitor() = default;
  /// `recipients` are those that have not ended; message.outstanding() is their number.
  virtual void recovered(spool::StoredMessage& message, std::span<const RecoveredRecipient> recipients) = 0;
};

/// A stretch of a file that failed its checks; its bytes were copied to `kept_as`.
struct Damage {
  std::string file;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::string why;
  std::string kept_as;  ///< empty when it could not be kept
};

struct RecoveryReport {
  /// What cannot be right, each in words, and would send or count twice if the start went on. Empty: nothing.
  std::vector<std::string> doubts;
  [[nodiscard]] bool is_refused(const RecoveryOptions& options) const {
    return !doubts.empty() && !options.accept_damage && !options.read_only;
  }
  std::optional<std::uint64_t>
      messages_at_stop;          ///< set where the last stop in peace left another number of them
  std::uint64_t messages = 0;    ///< live
  std::uint64_t recipients = 0;  ///< live
  std::uint64_t events_read = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t received_completed = 0;    ///< durable messages whose received events are written now
  std::uint64_t received_found_again = 0;  ///< of these, those that a hole in a journal has swallowed
  std::uint64_t torn_tails = 0;            ///< stretches of writes that were not completed
  std::vector<Damage> torn;                ///< these; at most kDamageMax are listed, none is kept aside
  bool journal_holes = false;  ///< journals have holes: the next checkpoint is due as soon as the shards run
  std::uint64_t lost_segment = 0;  ///< live recipients whose segment is gone: they get a final event
  std::uint64_t lost_unnamed = 0;  ///< the same, but nothing names them: no event, found again next time
  std::uint64_t adopted_directories = 0;
  std::vector<Damage> damage;  ///< at most kDamageMax are listed
  std::uint64_t damage_count = 0;
  static constexpr std::size_t kDamageMax = 1000;
};

/// The outcome of recover(): handed to every shard's Storage.
/// Thread: made on one shard; afterwards each shard only takes its own part (asserted), so no locks are
/// needed.
class Recovered {
 public:
  Recovered();
  Recovered(Recovered&&) noexcept;
  Recovered& operator=(Recovered&&) noexcept;
  ~Recovered();
  [[nodiscard]] const RecoveryReport& report() const;
  /// What the last stop has left, when nothing was written since.
  [[nodiscard]] const std::optional<CleanStop>& clean_stop() const;
  /// What is live is with the shards now: its memory is given back. The states go with it.
  void drop_live();
  /// Of the run that begins.
  [[nodiscard]] std::uint32_t incarnation() const;
  /// When the process before wrote its last group, on the lasting line (Reactor::lasting_now); epoch: never.
  [[nodiscard]] WallTime last_written() const;
  /// The latest value put under `key` (Journal::put_state); empty when there is none.
  [[nodiscard]] std::string_view state(std::string_view key) const;
  /// Calls `visit(key, value)` for every stored state whose key begins with `prefix`, sorted by key.
  void for_each_state(std::string_view prefix,
                      void (*visit)(void*, std::string_view key, std::string_view value),
                      void* context) const;

  struct Impl;
  [[nodiscard]] Impl& impl() { return *impl_; }
  [[nodiscard]] const Impl& impl() const { return *impl_; }

 private:
  std::unique_ptr<Impl> impl_;
};

/// Reads the newest valid checkpoint, the journals behind it and the tail of the spools; no bodies. Creates
/// the directories on the first start. Changes nothing on disk except that damaged stretches are copied to
/// "damaged/", and files that say nothing moved there. Where report().is_refused(options), nothing is moved either, and
/// the rest of the answer must not be used. Errors: Unsupported (a newer format: nothing is touched), Permission, Io.
/// Damage is not an error. Figures aimed at: 1 M recipients in 5 s.
[[nodiscard]] runtime::Task<Result<Recovered>> recover(runtime::Reactor& reactor, RecoveryOptions options);

}  // namespace sluice::journal
