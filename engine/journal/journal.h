#pragma once
// One shard's record of what happened: events become durable in groups, in the order they were appended.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/journal/event.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"
#include "engine/spool/spool.h"

namespace sluice::journal {

class JournalDirectory;
struct JournalInheritance;

struct JournalOptions {
  std::string directory;                     ///< of this shard: "<spool>/shard-0003"
  std::uint64_t segment_bytes = 16 * kMiB;   ///< multiple of 4096
  /// Segments kept ready beside the current one, so that endings can be recorded when the disk is full.
  std::uint32_t reserve_segments = 2;
  bool prefill = true;  ///< new segment files are written once with zeros (log/segment_store.h)
};

/// A place between two groups of events: behind the last one a reader has handled. Ordered in one directory.
struct JournalPosition {
  std::uint32_t segment = 0;
  std::uint32_t offset = 0;  ///< bytes, of a group in the segment file
  friend auto operator<=>(const JournalPosition&, const JournalPosition&) = default;
};

/// Appends events.
/// Thread:   its shard only.
/// Lifetime: start() before use, stop() before destruction (asserted). `homes[i]` is shard i's spool, needed for
///           releases; the array and the spools outlive it.
/// Durable:  groups. The next one starts when the previous one is done, but not more often than every kGroupGapMin
///           unless kEagerBytes wait: an ending that takes 2 ms longer to become durable delays nobody (a crash in
///           between repeats an attempt at worst), while a sync for every few events would compete with the spool's.
/// Limits:   append() never blocks. healthy() turns false when kBacklogBytesMax wait to be written or writing failed:
///           the engine then stops starting new attempts.
class Journal final : public spool::DurableSink {
 public:
  static constexpr Duration kGroupGapMin = 2ms;
  static constexpr std::size_t kEagerBytes = 64 * kKiB;
  static constexpr Duration kGroupGapLazy = 250ms;              ///< `sync-msg-update no`
  static constexpr std::size_t kEagerBytesLazy = 512 * kKiB;
  static constexpr std::size_t kBacklogBytesMax = 64 * kMiB;

  Journal(runtime::Reactor& reactor, JournalOptions options, JournalDirectory& directory,
          std::span<spool::Spool* const> homes);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal() override;

  [[nodiscard]] runtime::Task<Status> start(JournalInheritance inheritance);
  /// `sync-msg-update`. False: events become durable within kGroupGapLazy, in fewer and larger groups; a crash
  /// repeats more attempts then. Nothing is lost, and no record doubled, either way.
  void set_hurry(bool hurry);
  /// Makes everything appended durable, then ends. Errors: those of the last group.
  [[nodiscard]] runtime::Task<Status> stop();

  /// Copies `event`. Once it is durable, one recipient of `release_when_durable` is released at the message's home
  /// shard; the caller must not touch the message after this call on account of that recipient.
  void append(const Event& event, spool::StoredMessage* release_when_durable = nullptr);
  /// Keeps `value` under `key` for the next start (modes, pauses, warm-up, rate state). An empty value forgets it.
  /// The latest put of any shard wins. Limits: key 1 KiB, value 64 KiB (asserted).
  void put_state(std::string_view key, std::string_view value);
  /// Resolves once everything appended before the call is durable. Errors: Io, NoSpace.
  [[nodiscard]] runtime::Task<Status> flush();
  [[nodiscard]] bool healthy() const;

  /// Segments of `directory_shard` (the own or an adopted one) before `keep_from` are needed no more.
  void trim(std::uint32_t directory_shard, JournalPosition keep_from);

  // spool::DurableSink: the Received events, one per recipient.
  void message_durable(spool::StoredMessage& message, const spool::MessageView& view,
                       const spool::MessagePlace& place) override;
  void message_moved(spool::StoredMessage& message, const spool::MessagePlace& from,
                     const spool::MessagePlace& to) override;

  struct Stats {
    std::uint64_t events_appended = 0;
    std::uint64_t events_durable = 0;
    std::uint64_t groups_committed = 0;
    std::uint64_t bytes_committed = 0;
    std::uint64_t backlog_bytes = 0;
    std::uint64_t segments = 0;        ///< holding events that somebody still needs, the current one included
    std::uint64_t segments_spare = 0;
  };
  [[nodiscard]] Stats stats() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace sluice::journal
