#pragma once
// What a lying receiver really did, kept beside what it said: the truth that a client's claims are held against.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::net::test {

/// One try at sending one message. It travels in the addresses, so that the receiver knows what it speaks of
/// even when the two sides have lost step: MAIL FROM:<m12.3@x> RCPT TO:<r12.3.0@y>. Senders that can't number
/// their tries say <m12@x> and <r12-0@y>: each connection's number stands for the try then.
struct TryId {
  std::uint32_t message = 0;
  std::uint32_t number = 0;
  friend auto operator<=>(const TryId&, const TryId&) = default;

  [[nodiscard]] std::string text() const { return std::to_string(message) + '.' + std::to_string(number); }
  [[nodiscard]] std::string sender() const { return 'm' + text() + "@x"; }
  [[nodiscard]] std::string recipient(std::uint32_t index) const {
    return 'r' + text() + '.' + std::to_string(index) + "@y";
  }
  /// The last line of the body: whoever has it has all of the message.
  [[nodiscard]] std::string last_line() const { return "end " + text() + "\r\n"; }
};

/// What became of one try at the receiver.
struct Truth {
  std::string body;  ///< what the client was given to send
  bool mail_came = false;
  /// The recipients whose copy the receiver has: all bytes came, and a 2xx was meant for them.
  std::set<std::uint32_t> taken_for;
  /// Codes of refusals that were meant for the message as a whole, and for single recipients.
  std::set<std::uint16_t> refused_whole;
  std::set<std::pair<std::uint32_t, std::uint16_t>> refused;
  /// The body came complete but is not the one that was sent.
  bool spoiled = false;

  [[nodiscard]] bool refused_by(std::uint32_t recipient, std::uint16_t code) const {
    return refused_whole.contains(code) || refused.contains({recipient, code});
  }
};

/// Thread: one. Lifetime: outlives the receivers that write into it.
struct LiarLedger {
  std::map<TryId, Truth> tries;
  std::map<std::string, std::uint64_t> lies;  ///< how often each was told
  /// What the body of a message ends with, without the last line end; for messages whose tries name no body.
  std::map<std::uint32_t, std::string> endings;
};

}  // namespace sluice::net::test
