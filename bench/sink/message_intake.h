#pragma once

#include <xxhash.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::bench {

/// Takes one message's bytes in any pieces: finds the end of DATA, its id, counts and hashes its body.
/// Only header lines are looked at one by one; the body is scanned once (body_scan.h) and hashed once.
/// Thread: one. Limits: kHeaderLineMax bytes of a header line are kept; the rest of it is skipped.
class MessageIntake {
 public:
  static constexpr std::size_t kHeaderLineMax = 2000;
  enum class Framing : std::uint8_t { Dot, Counted };

  MessageIntake();
  /// A new message. Dot: the bytes after 354; Counted: BDAT chunks.
  void begin(Framing framing);
  /// The message is done with: no id and no bytes until begin().
  void forget() {
    id_.clear();
    bytes_ = 0;
  }
  /// Takes bytes up to the end of the message; answers how many were taken. ended() tells whether the final dot was
  /// among them (never with Counted).
  std::size_t take(std::string_view bytes);

  [[nodiscard]] bool ended() const { return ended_; }
  /// X-Sluice-Load-Id, else Message-ID, without angle brackets; empty: none.
  [[nodiscard]] std::string_view id() const { return id_; }
  [[nodiscard]] bool bare_line_end() const { return bare_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }  ///< dots removed, final dot not counted
  [[nodiscard]] std::uint64_t body_bytes() const { return body_bytes_; }  ///< behind the empty line
  [[nodiscard]] std::uint64_t body_hash() const { return XXH3_64bits_digest(hash_.get()); }

 private:
  // Where the dot framing stands between two bytes.
  enum class Line : std::uint8_t { Middle, Start, Dot, DotCr };
  std::size_t take_dotted(std::string_view bytes);
  void content(std::string_view bytes);
  void header_line(std::string_view line);

  struct FreeHash {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, FreeHash> hash_{XXH3_createState()};
  std::string header_;  // a header line that came in pieces
  std::string id_;
  std::uint64_t bytes_ = 0;
  std::uint64_t body_bytes_ = 0;
  Framing framing_ = Framing::Dot;
  Line line_ = Line::Start;
  char before_ = '\n';
  bool in_header_ = true;
  bool id_is_ours_ = false;
  bool id_follows_ = false;  // "Message-ID:" whose value is on the next, folded line
  bool bare_ = false;
  bool ended_ = false;
};

}  // namespace sluice::bench
