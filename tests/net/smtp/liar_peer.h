#pragma once
// A receiver that misbehaves at random, as bytes: no socket, no clock. It does what its character says and notes
// in the ledger what it meant and what it really took.

#include <deque>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "tests/net/smtp/liar_character.h"
#include "tests/net/smtp/liar_ledger.h"

namespace sluice::net::test {

/// Thread: one. Lifetime: the ledger outlives it. Limits: none of its own; it is fed by a test.
class LiarPeer {
 public:
  /// What leaves at once. Order is kept between packets.
  struct Packet {
    std::string bytes;
    bool is_stray = false;       ///< answers nothing
    bool whole = false;          ///< arrives in one piece
    bool leaves = false;         ///< the connection ends behind it
    std::optional<TryId> early;  ///< a 2xx for a message whose last byte had not come
    /// From here on the number of replies no longer fits the commands, in a way that no client can notice in
    /// time: who counts replies may take one command's answer for another's.
    bool miscounts = false;
  };

  /// `number`: of the connection, see TryId.
  LiarPeer(Random chance, const LiarCharacter& character, LiarLedger& ledger, std::uint32_t number = 0);
  void feed(std::string_view bytes);
  /// False: it leaves what comes in the socket.
  [[nodiscard]] bool reads() const { return reads_ && !gone_; }
  /// It has ended the connection; packets before that may still arrive.
  [[nodiscard]] bool is_gone() const { return gone_; }
  /// Time passes and nothing comes: it may say something all the same.
  void wait() {
    if (!gone_ && !silent_) between_bytes();
  }
  /// It has told lies that no client can always notice in time.
  [[nodiscard]] bool is_unsure() const { return unsure_; }
  /// The client has said QUIT, so it has read every reply before.
  [[nodiscard]] bool heard_quit() const { return heard_quit_; }
  [[nodiscard]] std::deque<Packet>& packets() { return packets_; }

  /// A reply that is due was not said, or not yet.
  [[nodiscard]] bool is_short_of_one() const { return miscounted_ || ignored_ || held_.has_value(); }

 private:
  enum class Kind : std::uint8_t { Greeting, Ehlo, Mail, Rcpt, Data, Final, RefusedChunk, Other, Quit };
  struct Subject {
    std::optional<TryId> id;
    std::uint32_t recipient = 0;
  };
  enum class Input : std::uint8_t { Commands, Body, Chunk, DiscardedChunk };

  // liar_peer.cc: what it does with what comes
  void take_line(std::string_view line);
  void on_mail(std::string_view line);
  void on_rcpt(std::string_view line);
  void on_data();
  void on_bdat(std::string_view line);
  void refuse_chunk(std::uint64_t bytes, std::uint16_t code);
  void begin_body(Input input);
  void take_body_line(std::string_view line);
  void maybe_promise_early();
  void end_of_message();
  void keep_message();
  void end_transaction(bool refused);

  // liar_talk.cc: what it says
  /// Says `code`, or lies. Returns the code that it stands by.
  std::uint16_t say(Kind kind, const Subject& about, std::uint16_t code);
  [[nodiscard]] std::string text_of(Kind kind, std::uint16_t code);
  [[nodiscard]] std::string ehlo_lines() const;
  /// "2.1.5 so it is", as the character has it.
  [[nodiscard]] std::string words_of(Kind kind, std::uint16_t code);
  std::optional<Packet> add_stray(Kind kind, const Subject& about, Packet& packet);
  void note(Kind kind, const Subject& about, std::uint16_t code);
  void send(Packet packet);
  void leave() { gone_ = true; }
  void between_bytes();
  bool lies(double how_often, const char* name);
  [[nodiscard]] std::uint16_t refusal();

  Random chance_;
  LiarCharacter nature_;
  LiarCharacter character_;  // what it shows of it
  LiarLedger& ledger_;
  std::uint32_t number_;
  std::deque<Packet> packets_;
  std::optional<Packet> held_;  // said behind the next one

  std::string input_;
  Input state_ = Input::Commands;
  std::uint64_t chunk_left_ = 0;
  std::string body_;
  std::optional<TryId> mail_;  // the open transaction
  std::optional<TryId> last_mail_;
  std::set<std::pair<TryId, std::uint32_t>> accepted_;
  std::optional<std::size_t> early_at_;  // bytes of the body before it answers
  std::optional<std::uint16_t> early_code_;
  std::uint16_t chunk_code_ = 0;  // what a discarded chunk is answered with; 0: it has been
  std::uint32_t mails_ = 0;
  bool early_takes_ = false;
  bool ignored_ = false;  // a chunk
  bool miscounted_ = false;
  bool unsure_ = false;
  bool heard_quit_ = false;
  bool silent_ = false;
  bool reads_ = true;
  bool gone_ = false;
};

}  // namespace sluice::net::test
