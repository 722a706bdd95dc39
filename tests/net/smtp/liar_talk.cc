// What a lying receiver says: the answer it means, and everything that can become of it on the way.

#include <array>

#include "tests/net/smtp/liar_peer.h"

namespace sluice::net::test {
namespace {

constexpr std::array<std::uint16_t, 17> kOddCodes = {200, 211, 220, 221, 250, 251, 252, 299, 334,
                                                     354, 399, 421, 450, 499, 550, 552, 599};
constexpr std::array<std::uint16_t, 7> kStrayCodes = {250, 250, 354, 451, 550, 554, 503};

std::string line_of(std::uint16_t code, char separator, std::string_view text) {
  return std::to_string(code) + separator + std::string(text) + "\r\n";
}

}  // namespace

bool LiarPeer::lies(double how_often, const char* name) {
  if (!chance_.chance(how_often)) return false;
  ++ledger_.lies[name];
  return true;
}

std::uint16_t LiarPeer::refusal() {
  constexpr std::array<std::uint16_t, 6> kCodes = {450, 451, 452, 550, 552, 554};
  return kCodes[chance_.below(kCodes.size())];
}

void LiarPeer::between_bytes() {
  if (lies(character_.stops_reading, "stops reading")) reads_ = false;
  if (lies(character_.leaves_anywhere, "leaves anywhere")) leave();
  if (lies(character_.unasked_closing, "421 or 221 that answers nothing")) {
    Packet packet{.bytes = chance_.chance(0.5) ? "421 4.3.2 going down\r\n" : "221 2.0.0 bye\r\n"};
    packet.leaves = chance_.chance(0.7);
    if (!packet.leaves) miscounted_ = unsure_ = true;
    send(std::move(packet));
  }
}

std::uint16_t LiarPeer::say(Kind kind, const Subject& about, std::uint16_t code) {
  bool leaves = lies(character_.leaves, "leaves behind a reply");
  if (lies(character_.odd_code, "odd code")) {
    // Nothing is taken of a refused chunk: "yes" to it, or to its lines, would be a lie that nobody can notice.
    const bool is_refusal = kind == Kind::RefusedChunk || (kind == Kind::Other && code == 500);
    code = kOddCodes[chance_.below(kOddCodes.size())];
    if (is_refusal && code < 300) code = 599;
  }
  if (lies(character_.closing, "421 or 221 as answer")) {
    code = chance_.chance(0.5) ? 421 : 221;
    leaves |= chance_.chance(0.7);
  }
  std::uint16_t first = code;
  if (lies(character_.changed_codes, "code changes inside a reply")) first = code == 250 ? 550 : 250;
  note(kind, about, code);
  if (lies(character_.falls_silent, "falls silent")) {
    silent_ = true;
    return code;
  }
  if (lies(character_.missing, "no reply")) {
    miscounted_ = unsure_ = true;
    return code;
  }
  Packet packet;
  packet.bytes = text_of(kind, code);
  if (first != code) packet.bytes = line_of(first, '-', "well") + packet.bytes;
  if (lies(character_.garbage, "garbage")) {
    constexpr std::array<std::string_view, 7> kGarbage = {
        "hello\r\n", "25 ok\r\n", "2500 ok\r\n", "999 no\r\n", "\r\n", "-250 ok\r\n", "250_ok\r\n"};
    packet.bytes = kGarbage[chance_.below(kGarbage.size())];
  }
  if (lies(character_.bare_lf, "bare LF")) std::erase(packet.bytes, '\r');
  std::optional<Packet> stray = add_stray(kind, about, packet);
  if (lies(character_.cut, "cut inside a reply")) {
    packet.bytes.resize(chance_.below(packet.bytes.size() + 1));
    leaves = true;
  }
  packet.leaves = leaves;
  if (!leaves && !held_ && lies(character_.swapped, "said behind the next one")) {
    miscounted_ = unsure_ = true;
    held_ = std::move(packet);
  } else {
    send(std::move(packet));
    if (stray) send(std::move(*stray));
  }
  return code;
}

/// A reply too many, in the packet of `packet` or in one of its own. In the same packet as the answer to a message,
/// or to a client that sends nothing ahead, it can be noticed; elsewhere it looks like the answer to a command that
/// is under way.
std::optional<LiarPeer::Packet> LiarPeer::add_stray(Kind kind, const Subject& about, Packet& packet) {
  const bool ends_message = kind == Kind::Final || kind == Kind::RefusedChunk;
  const bool behind_final = ends_message && lies(character_.stray_behind_final, "stray behind a final reply");
  if (!behind_final && !lies(character_.stray, "stray reply")) return std::nullopt;
  unsure_ = true;
  const bool twice = chance_.chance(0.3);
  const std::uint16_t code = kStrayCodes[chance_.below(kStrayCodes.size())];
  const std::string stray = twice ? packet.bytes : text_of(Kind::Other, code);
  if (!behind_final && chance_.chance(0.5)) return Packet{.bytes = stray, .is_stray = true, .whole = true};
  packet.bytes += stray;
  packet.whole = true;
  const bool nothing_ahead = !character_.pipelining || kind == Kind::Greeting || kind == Kind::Ehlo;
  if (!behind_final && !nothing_ahead) packet.miscounts = true;
  if (kind == Kind::Data) packet.early = about.id;
  return std::nullopt;
}

void LiarPeer::note(Kind kind, const Subject& about, std::uint16_t code) {
  if (!about.id || code < 400) return;
  Truth& truth = ledger_.tries[*about.id];
  if (kind == Kind::Rcpt) {
    truth.refused.insert({about.recipient, code});
  } else {
    truth.refused_whole.insert(code);
  }
}

void LiarPeer::send(Packet packet) {
  if (gone_) return;
  packet.miscounts |= miscounted_;
  const bool leaves = packet.leaves;
  packets_.push_back(std::move(packet));
  if (held_ && !leaves) {
    held_->miscounts = true;
    packets_.push_back(std::move(*held_));
    held_.reset();
  }
  if (leaves) leave();
}

std::string LiarPeer::ehlo_lines() const {
  std::string out = "250-liar.example at your service\r\n";
  if (character_.pipelining) out += "250-PIPELINING\r\n";
  if (character_.chunking) out += "250-CHUNKING\r\n";
  if (character_.eight_bit_mime) out += "250-8BITMIME\r\n";
  if (character_.codes != LiarCharacter::Codes::None) out += "250-ENHANCEDSTATUSCODES\r\n";
  if (character_.dsn) out += "250-DSN\r\n";
  if (character_.size) out += "250-SIZE 1500\r\n";
  if (character_.rcpt_max) out += "250-LIMITS RCPTMAX=" + std::to_string(*character_.rcpt_max) + "\r\n";
  if (character_.mail_max) out += "250-LIMITS MAILMAX=" + std::to_string(*character_.mail_max) + "\r\n";
  return out + "250 HELP\r\n";
}

std::string LiarPeer::words_of(Kind kind, std::uint16_t code) {
  using Codes = LiarCharacter::Codes;
  const std::string_view words = "so it is";
  if (character_.codes == Codes::None || code < 200 || (code >= 300 && code < 400)) return std::string(words);
  constexpr std::array<std::string_view, 5> kDetails = {".0.0 ", ".1.0 ", ".1.5 ", ".6.0 ", ".7.1 "};
  std::size_t at = 0;
  if (character_.codes == Codes::Right && kind == Kind::Mail) at = 1;
  if (character_.codes == Codes::Right && kind == Kind::Rcpt) at = 2;
  if (character_.codes == Codes::Random) at = chance_.below(kDetails.size());
  std::string out = std::to_string(code / 100) + std::string(kDetails[at]) + std::string(words);
  // Most servers name a message they have taken.
  if (character_.codes == Codes::Right && kind == Kind::Final) out += ", number " + std::to_string(mails_);
  return out;
}

std::string LiarPeer::text_of(Kind kind, std::uint16_t code) {
  if (kind == Kind::Ehlo && code == 250) return ehlo_lines();
  std::string out;
  if (lies(character_.many_lines, "many lines")) {
    for (std::uint64_t i = chance_.below(4) + 1; i > 0; --i) out += line_of(code, '-', "and");
  }
  if (lies(character_.long_reply, "reply too long")) {
    for (int i = 0; i < 80; ++i) out += line_of(code, '-', std::string(1000, 'q'));
  }
  if (lies(character_.long_line, "line too long")) {
    const bool last = chance_.chance(0.5);
    out += line_of(code, last ? ' ' : '-', std::string(4000 + chance_.below(6000), 'q'));
    if (last) return out;
  }
  return out + line_of(code, ' ', words_of(kind, code));
}

}  // namespace sluice::net::test
