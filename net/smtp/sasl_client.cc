#include "net/smtp/sasl_client.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include <array>

#include "policy/base/assert.h"
#include "policy/base/base64.h"

namespace sluice::net {

std::string cram_md5_hex(std::string_view password, std::string_view challenge) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::array<byte, WC_MD5_DIGEST_SIZE> digest{};
  const auto* key = reinterpret_cast<const byte*>(password.data());
  const auto* text = reinterpret_cast<const byte*>(challenge.data());
  Hmac hmac;
  // In memory, with sizes far below any limit: only a broken library fails here.
  bool fine = wc_HmacInit(&hmac, nullptr, INVALID_DEVID) == 0;
  fine = fine && wc_HmacSetKey(&hmac, WC_MD5, key, static_cast<word32>(password.size())) == 0;
  fine = fine && wc_HmacUpdate(&hmac, text, static_cast<word32>(challenge.size())) == 0;
  fine = fine && wc_HmacFinal(&hmac, digest.data()) == 0;
  SLUICE_ASSERT(fine);
  wc_HmacFree(&hmac);
  std::string out;
  for (const byte one : digest) {
    out += kHex[one >> 4U];
    out += kHex[one & 15U];
  }
  return out;
}

std::string_view SaslClient::begin(const Capabilities& capabilities) {
  const AuthMechanisms& offered = capabilities.auth;
  const bool may_show_password = settings_.encrypted || settings_.plain_unencrypted;
  user_said_ = false;
  if (offered.has(AuthMechanisms::kCramMd5)) {
    mechanism_ = SaslMechanism::CramMd5;
    return "AUTH CRAM-MD5";
  }
  if (may_show_password && offered.has(AuthMechanisms::kPlain)) {
    mechanism_ = SaslMechanism::Plain;
    std::string message(1, '\0');
    message += settings_.user;
    message += '\0';
    message += settings_.password;
    line_ = "AUTH PLAIN " + encode_base64(message);
    return line_;
  }
  if (may_show_password && offered.has(AuthMechanisms::kLogin)) {
    mechanism_ = SaslMechanism::Login;
    return "AUTH LOGIN";
  }
  return {};
}

std::string_view SaslClient::answer(std::string_view challenge) {
  switch (mechanism_) {
    case SaslMechanism::Plain: break;  // everything was said; a challenge now makes no sense
    case SaslMechanism::Login:
      line_ = encode_base64(user_said_ ? settings_.password : settings_.user);
      user_said_ = true;
      return line_;
    case SaslMechanism::CramMd5: {
      const auto text = decode_base64(challenge);
      if (!text || user_said_) break;
      user_said_ = true;
      line_ = encode_base64(settings_.user + ' ' + cram_md5_hex(settings_.password, *text));
      return line_;
    }
  }
  return "*";
}

}  // namespace sluice::net
