#include "policy/accounting/privacy.h"

#include <wolfssl/options.h>
#include <wolfssl/wolfcrypt/hmac.h>

#include <bit>
#include <optional>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::accounting {
namespace {

using config::PrivacyKind;

constexpr std::size_t kSipKeyBytes = 16;
/// Shorter local parts are replaced only where the address or its VERP form goes on behind them: "a" and "is"
/// are words of their own in every server's sentences.
constexpr std::size_t kWordBytesMin = 3;

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string out;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    int value = 0;
    for (const char c : text.substr(i, 2)) {
      const char low = to_lower(c);
      if (!is_digit(c) && (low < 'a' || low > 'f')) return std::nullopt;
      value = value * 16 + (is_digit(c) ? c - '0' : low - 'a' + 10);
    }
    out += static_cast<char>(value);
  }
  return out;
}

template <class Bytes>
void append_hex(std::string& out, const Bytes& bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  for (const auto byte : bytes) {
    const auto value = static_cast<unsigned>(static_cast<unsigned char>(byte));
    out += kDigits[value / 16];
    out += kDigits[value % 16];
  }
}

std::string_view local_part(std::string_view address) {
  return address.substr(0, std::min(address.rfind('@'), address.size()));
}

/// Part of a local part, when it stands beside one.
bool joins_word(char c) {
  return is_digit(c) || (to_lower(c) >= 'a' && to_lower(c) <= 'z') || c == '.' || c == '_' || c == '+' ||
         c == '-' || static_cast<unsigned char>(c) > 127;
}

std::size_t find_without_case(std::string_view text, std::string_view word, std::size_t from) {
  for (; from + word.size() <= text.size(); ++from) {
    if (iequals(text.substr(from, word.size()), word)) return from;
  }
  return std::string_view::npos;
}

std::uint64_t little_endian(std::string_view bytes) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    out |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  }
  return out;
}

}  // namespace

std::uint64_t siphash24(const std::array<std::uint8_t, 16>& key, std::string_view bytes) {
  const std::string_view key_text(reinterpret_cast<const char*>(key.data()), key.size());
  const std::uint64_t k0 = little_endian(key_text.substr(0, 8));
  const std::uint64_t k1 = little_endian(key_text.substr(8));
  std::uint64_t v0 = k0 ^ 0x736f6d6570736575, v1 = k1 ^ 0x646f72616e646f6d;
  std::uint64_t v2 = k0 ^ 0x6c7967656e657261, v3 = k1 ^ 0x7465646279746573;
  const auto rounds = [&](int count) {
    for (; count > 0; --count) {
      v0 += v1;
      v1 = std::rotl(v1, 13) ^ v0;
      v0 = std::rotl(v0, 32);
      v2 += v3;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1;
      v1 = std::rotl(v1, 17) ^ v2;
      v2 = std::rotl(v2, 32);
    }
  };
  const auto take = [&](std::uint64_t word) {
    v3 ^= word;
    rounds(2);
    v0 ^= word;
  };
  const std::uint64_t length = std::uint64_t{bytes.size() & 0xff} << 56;
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) take(little_endian(bytes.substr(0, 8)));
  take(length | little_endian(bytes));
  v2 ^= 0xff;
  rounds(4);
  return v0 ^ v1 ^ v2 ^ v3;
}

std::expected<Privacy, std::string> Privacy::make(const config::PrivacyPolicy& policy) {
  Privacy out;
  out.kind_ = policy.kind;
  out.key_ = policy.argument;
  if (policy.kind == PrivacyKind::SiphashHexkey || policy.kind == PrivacyKind::HmacSha256Hexkey) {
    auto key = from_hex(policy.argument);
    if (!key)
      return std::unexpected(std::string("the key of privacy-policy has to be pairs of hexadecimal digits"));
    out.key_ = std::move(*key);
  }
  const bool siphash = policy.kind == PrivacyKind::Siphash || policy.kind == PrivacyKind::SiphashHexkey;
  if (siphash && out.key_.size() > kSipKeyBytes) {
    return std::unexpected(std::string("the siphash key of privacy-policy has more than 16 bytes"));
  }
  return out;
}

void Privacy::append_replacement(std::string& out, std::string_view local) const {
  const std::string lower = to_lower(local);
  switch (kind_) {
    case PrivacyKind::Retain: out += local; return;
    case PrivacyKind::Redact: out += key_; return;
    case PrivacyKind::Siphash:
    case PrivacyKind::SiphashHexkey: {
      std::array<std::uint8_t, kSipKeyBytes> key{};
      std::copy(key_.begin(), key_.end(), key.begin());
      const std::uint64_t hash = siphash24(key, lower);
      std::array<unsigned char, 8> bytes{};
      for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<unsigned char>(hash >> (8 * i));
      append_hex(out, bytes);
      return;
    }
    case PrivacyKind::HmacSha256:
    case PrivacyKind::HmacSha256Hexkey: {
      Hmac hmac;
      std::array<unsigned char, WC_SHA256_DIGEST_SIZE> digest{};
      const auto bytes = [](const std::string& text) { return reinterpret_cast<const byte*>(text.data()); };
      const bool good = wc_HmacInit(&hmac, nullptr, INVALID_DEVID) == 0 &&
                        wc_HmacSetKey(&hmac, WC_SHA256, bytes(key_), static_cast<word32>(key_.size())) == 0 &&
                        wc_HmacUpdate(&hmac, bytes(lower), static_cast<word32>(lower.size())) == 0 &&
                        wc_HmacFinal(&hmac, digest.data()) == 0;
      wc_HmacFree(&hmac);
      SLUICE_ASSERT(good);  // only memory is needed; an address in the clear would be worse than a stop
      append_hex(out, digest);
      return;
    }
  }
}

void Privacy::address(std::string& out, std::string_view address) const {
  out.clear();
  if (address.empty()) return;
  const std::string_view local = local_part(address);
  append_replacement(out, local);
  out += address.substr(local.size());
}

void Privacy::original_recipient(std::string& out, std::string_view orcpt) const {
  const std::size_t type_end = orcpt.find(';');
  const std::size_t from = type_end == std::string_view::npos ? 0 : type_end + 1;
  std::string decoded;  // xtext (RFC 3461 4)
  for (std::size_t i = from; i < orcpt.size(); ++i) {
    const auto byte =
        orcpt[i] == '+' && i + 2 < orcpt.size() ? from_hex(orcpt.substr(i + 1, 2)) : std::nullopt;
    decoded += byte ? (*byte)[0] : orcpt[i];
    if (byte) i += 2;
  }
  std::string replaced;
  address(replaced, decoded);
  out.assign(orcpt.substr(0, from));
  out += replaced;
}

void Privacy::sender(std::string& out, std::string_view sender, std::string_view recipient) const {
  out.assign(sender);
  const std::string_view local = local_part(recipient);
  if (local.empty() || local.size() == recipient.size()) return;
  std::string verp(local);
  verp += '=';
  verp += recipient.substr(local.size() + 1);
  const std::size_t at = find_without_case(sender, verp, 0);
  if (at == std::string_view::npos) return;
  out.assign(sender.substr(0, at));
  append_replacement(out, local);
  out += sender.substr(at + local.size());
}

void Privacy::text(std::string& out, std::string_view text, std::string_view recipient) const {
  out.clear();
  const std::string_view local = local_part(recipient);
  std::size_t done = 0;
  for (std::size_t at = 0; !local.empty();) {
    at = find_without_case(text, local, at);
    if (at == std::string_view::npos) break;
    const std::size_t end = at + local.size();
    const char behind = end < text.size() ? text[end] : ' ';
    const bool address_goes_on = behind == '@' || behind == '=';
    const bool is_word =
        (at == 0 || !joins_word(text[at - 1])) &&
        (!joins_word(behind) || (behind == '.' && (end + 1 == text.size() || text[end + 1] == ' ')));
    // In a VERP address the local part has a hyphen in front.
    if (address_goes_on || (is_word && local.size() >= kWordBytesMin)) {
      out += text.substr(done, at - done);
      append_replacement(out, local);
      done = end;
    }
    at = end;
  }
  out += text.substr(done);
}

}  // namespace sluice::accounting
