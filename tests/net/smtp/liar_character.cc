#include "tests/net/smtp/liar_character.h"

#include <array>

namespace sluice::net::test {
namespace {

void draw_offers(LiarCharacter& one, Random& chance) {
  if (chance.chance(0.25)) one.calm_for = 8 + static_cast<std::uint32_t>(chance.below(8));
  one.esmtp = chance.chance(0.97);
  one.pipelining = chance.chance(0.8);
  one.chunking = chance.chance(0.55);
  one.eight_bit_mime = chance.chance(0.7);
  one.dsn = chance.chance(0.4);
  one.size = chance.chance(0.6);
  one.codes = static_cast<LiarCharacter::Codes>(chance.below(4));
  if (chance.chance(0.15)) one.rcpt_max = 1 + static_cast<std::uint32_t>(chance.below(3));
  if (chance.chance(0.15)) one.mail_max = 1 + static_cast<std::uint32_t>(chance.below(4));
  if (chance.chance(0.2)) {
    one.bdat = chance.chance(0.6) ? LiarCharacter::Bdat::Refuses : LiarCharacter::Bdat::Ignores;
  }
  one.discards_chunks = chance.chance(0.6);
  one.keeps_transaction = chance.chance(0.2);
  one.sloppy_data = chance.chance(0.2);
  if (one.calm_for == 0) return;
  one.pipelining = one.chunking = true;
  one.codes = LiarCharacter::Codes::Right;
  one.rcpt_max = one.mail_max = {};
}

void draw_refusals(LiarCharacter& one, Random& chance) {
  if (chance.chance(0.03)) one.refuse_greeting = 1;
  if (chance.chance(0.05)) one.refuse_ehlo = 1;
  if (chance.chance(0.3)) one.refuse_mail = 0.15;
  if (chance.chance(0.6)) one.refuse_rcpt = chance.chance(0.5) ? 0.2 : 0.6;
  if (chance.chance(0.2)) one.refuse_data = 0.2;
  if (chance.chance(0.4)) one.refuse_final = 0.3;
}

}  // namespace

LiarCharacter LiarCharacter::calm() const {
  LiarCharacter one;
  one.pipelining = pipelining;
  one.chunking = chunking;
  one.eight_bit_mime = eight_bit_mime;
  one.dsn = dsn;
  one.size = size;
  one.codes = codes;
  return one;
}

LiarCharacter LiarCharacter::draw(Random& chance) {
  LiarCharacter one;
  draw_offers(one, chance);
  draw_refusals(one, chance);
  if (chance.chance(0.2)) return one;
  constexpr std::array kLies = {&LiarCharacter::odd_code,       &LiarCharacter::closing,
                                &LiarCharacter::early,          &LiarCharacter::cut,
                                &LiarCharacter::leaves,         &LiarCharacter::long_line,
                                &LiarCharacter::long_reply,     &LiarCharacter::many_lines,
                                &LiarCharacter::changed_codes,  &LiarCharacter::bare_lf,
                                &LiarCharacter::garbage,        &LiarCharacter::stray_behind_final,
                                &LiarCharacter::stray,          &LiarCharacter::unasked_closing,
                                &LiarCharacter::missing,        &LiarCharacter::swapped,
                                &LiarCharacter::falls_silent,   &LiarCharacter::stops_reading,
                                &LiarCharacter::leaves_anywhere};
  // Few lies at a time, so that a conversation gets somewhere before it breaks.
  const std::uint64_t count = 1 + chance.below(2);
  for (std::uint64_t i = 0; i < count; ++i) {
    constexpr std::array kChances = {0.02, 0.1, 0.3};
    one.*kLies[chance.below(kLies.size())] = kChances[chance.below(kChances.size())];
  }
  return one;
}

}  // namespace sluice::net::test
