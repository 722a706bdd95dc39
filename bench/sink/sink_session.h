#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/lib/ledger.h"
#include "bench/provider/directory.h"
#include "bench/provider/limits.h"
#include "bench/sink/counters.h"
#include "bench/sink/message_intake.h"
#include "policy/base/units.h"

namespace sluice::bench {

/// The two times of an event.
struct Moment {
  MonoTime mono;
  std::uint64_t wall_us = 0;
};

/// What all sessions of one shard at one provider share. Everything outlives the sessions.
struct SessionWorld {
  const Directory& directory;
  std::uint32_t provider = 0;  ///< index in the directory's Internet
  ProviderState& state;
  SinkCounters& counters;
  LedgerLog& ledger;
  const MonoTime& start;  ///< of the sink
  bool record_refusals = true;
  bool record_connections = true;
};

/// One SMTP conversation from the receiver's side: bytes in, bytes out, no socket and no clock.
/// The caller follows want(): it sends output() first, then does what is wanted.
///   Input -> consume() | Wait -> resume() after wait() | Stall, Close, Reset -> end()
/// Thread: its shard's. Lifetime: borrows the world. end() exactly once, before destruction (asserted).
/// Limits: kLineMax bytes of a command line; kOutputMax bytes of replies before input is taken again.
class SinkSession {
 public:
  static constexpr std::size_t kLineMax = 4096;
  static constexpr std::size_t kOutputMax = 256 * kKiB;
  enum class Want : std::uint8_t { Input, Wait, Stall, Close, Reset };

  /// `number` is unique in this run. `source_text` is source's text, kept by the caller.
  SinkSession(const SessionWorld& world, std::uint64_t number, const IpAddress& source,
              std::string_view source_text, std::string_view host);
  SinkSession(const SinkSession&) = delete;
  SinkSession& operator=(const SinkSession&) = delete;
  ~SinkSession();

  /// The connection is there.
  void begin(Moment now);
  /// Takes bytes while want() is Input; answers how many were taken (all of them unless want() changed).
  std::size_t consume(std::string_view bytes, Moment now);
  /// The wait is over.
  void resume(Moment now);
  /// The idle time-out has passed.
  void on_idle(Moment now);
  /// The connection is gone or is about to be closed.
  void end(Farewell farewell, Moment now);

  [[nodiscard]] Want want() const { return want_; }
  [[nodiscard]] Duration wait() const { return wait_; }
  /// Replies to send; the caller takes them out.
  [[nodiscard]] std::string& output() { return output_; }
  /// The output tells of messages taken over since the last call: the ledger comes first.
  [[nodiscard]] bool take_commit_wanted() { return std::exchange(commit_wanted_, false); }
  /// Bytes a second to read while this is set.
  [[nodiscard]] std::optional<std::uint64_t> read_speed() const { return read_speed_; }
  [[nodiscard]] bool said_quit() const { return said_quit_; }
  [[nodiscard]] const Provider& provider() const { return world_.state.provider(); }

 private:
  enum class State : std::uint8_t { Command, Body, Chunk };
  /// Which usual reply follows once the rules have had their say.
  struct Event {
    Phase phase = Phase::Connect;
    const Action* action = nullptr;  // nullptr: the usual
  };
  struct Verdict {
    const Action* action = nullptr;
    Duration delay{0};
  };

  // Rules (sink_rules.cc).
  [[nodiscard]] bool applies(const Rule& rule, std::size_t index, std::string_view address, Moment now);
  [[nodiscard]] Verdict decide(Phase phase, std::string_view address, Moment now);
  void event(Phase phase, std::string_view address, Moment now);
  void conclude(const Event& event, Moment now);
  void perform(Phase phase, const Action& action, Moment now);
  void start_body_rules(Moment now);
  [[nodiscard]] std::size_t bytes_to_next_trigger() const;
  void pull_body_triggers(Moment now);

  // The usual course.
  void usual(Phase phase, Moment now);
  void effect(Phase phase, std::string_view reply, Moment now);
  void greet(Moment now);
  void say_ehlo();
  void check_mail(Moment now);
  void check_recipient(Moment now);
  [[nodiscard]] const char* recipient_refusal(Moment now);
  void take_over(std::string_view reply, Certainty certainty, Moment now);
  void refuse(Phase phase, std::string_view reply, Moment now);

  // Input.
  std::size_t take_command(std::string_view bytes, Moment now);
  std::size_t take_body(std::string_view bytes, Moment now);
  std::size_t take_chunk(std::string_view bytes, Moment now);
  void command(std::string_view line, Moment now);
  void mail(std::string_view line, Moment now);
  void recipient(std::string_view line, Moment now);
  void data(Moment now);
  void chunk_command(std::string_view argument, Moment now);
  void chunk_done(Moment now);

  void say(std::string_view reply);
  void close() { want_ = Want::Close; }
  void reset_transaction();
  void record(LedgerKind kind, std::string_view recipient, Certainty certainty, std::string_view reply,
              Moment now);
  [[nodiscard]] std::string_view recipient_at(std::size_t index) const;
  [[nodiscard]] std::string_view last_recipient() const {
    return recipient_ends_.empty() ? std::string_view() : recipient_at(recipient_ends_.size() - 1);
  }

  const SessionWorld& world_;
  const std::uint64_t number_;
  const IpAddress source_;
  const std::string_view source_text_;
  const std::string_view host_;
  SourceState* source_state_ = nullptr;  // set while this connection is counted

  State state_ = State::Command;
  Want want_ = Want::Input;
  Duration wait_{0};
  std::optional<Event> pending_;  // concluded by resume()
  std::string output_;
  std::string line_;  // a command line that came in pieces
  bool line_too_long_ = false;
  bool commit_wanted_ = false;
  bool said_quit_ = false;
  bool greeted_ = false;
  bool ended_ = false;
  bool is_esmtp_ = false;
  std::optional<std::uint64_t> read_speed_;

  // The transaction.
  bool has_sender_ = false;
  std::string sender_;
  std::string recipients_;  // one behind the other
  std::vector<std::uint32_t> recipient_ends_;
  std::string asked_recipient_;  // of the RCPT under way
  MessageIntake intake_;
  std::uint64_t body_taken_ = 0;       // bytes of the body as received
  std::vector<const Rule*> triggers_;  // body rules still to come, by after_bytes
  std::uint64_t chunk_left_ = 0;
  bool chunk_is_last_ = false;
  bool chunk_is_void_ = false;  // its bytes are thrown away
  bool in_chunks_ = false;      // the message has begun with BDAT
  bool chunks_failed_ = false;  // and was refused: later chunks are void too (RFC 3030 3)
  std::string chunk_refusal_;

  std::uint64_t messages_ = 0;  // taken over on this connection
  std::uint64_t transactions_ = 0;
  std::uint64_t draws_ = 0;
  std::string ledger_text_;
};

}  // namespace sluice::bench
