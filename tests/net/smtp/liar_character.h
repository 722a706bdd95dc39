#pragma once
// What kind of receiver answers on one connection: what it offers, how it breaks it, and which lies it tells.

#include <cstdint>
#include <optional>

#include "engine/runtime/sim/random.h"

namespace sluice::net::test {

using runtime::sim::Random;

/// Chances are per reply unless said otherwise.
struct LiarCharacter {
  /// So many messages it takes as the best of receivers, so that a client comes to trust it.
  std::uint32_t calm_for = 0;
  // What EHLO offers.
  bool esmtp = true;
  bool pipelining = false;
  bool chunking = false;
  bool eight_bit_mime = false;
  bool dsn = false;
  bool size = false;
  enum class Codes : std::uint8_t { None, Right, Same, Random } codes = Codes::None;  ///< RFC 3463, in texts
  std::optional<std::uint32_t> rcpt_max;
  std::optional<std::uint32_t> mail_max;  ///< it answers more with 421 and leaves

  // How it goes about BDAT (RFC 3030), which is where real receivers differ.
  enum class Bdat : std::uint8_t { Takes, Refuses, Ignores } bdat = Bdat::Takes;
  bool discards_chunks = true;     ///< of refused transactions; else their lines are taken for commands
  bool keeps_transaction = false;  ///< after a refused message: the next MAIL gets 503 until RSET
  bool sloppy_data = false;        ///< 354 although nobody was accepted

  // Honest refusals.
  double refuse_greeting = 0;
  double refuse_ehlo = 0;
  double refuse_mail = 0;
  double refuse_rcpt = 0;
  double refuse_data = 0;
  double refuse_final = 0;

  // One reply for one command, but what a reply.
  double odd_code = 0;
  double closing = 0;        ///< 421 or 221 in place of the answer
  double early = 0;          ///< per message: the final reply before the last byte
  double early_takes = 0.5;  ///< of these: takes the rest all the same
  double cut = 0;            ///< the connection ends within the reply
  double leaves = 0;         ///< the connection ends behind the reply
  double long_line = 0;
  double long_reply = 0;
  double many_lines = 0;
  double changed_codes = 0;  ///< 250- and then 550: the last line counts
  double bare_lf = 0;
  double garbage = 0;

  // The count is wrong.
  double stray_behind_final = 0;  ///< in the same packet as the answer to a message
  double stray = 0;               ///< behind any reply
  double unasked_closing = 0;     ///< per bytes that came: 421 or 221 that answers nothing
  double missing = 0;
  double swapped = 0;  ///< said only after the next one

  // Time and space.
  double falls_silent = 0;     ///< per reply: never says anything again
  double stops_reading = 0;    ///< per bytes that came
  double leaves_anywhere = 0;  ///< per bytes that came

  [[nodiscard]] static LiarCharacter draw(Random& chance);
  [[nodiscard]] LiarCharacter calm() const;
};

}  // namespace sluice::net::test
