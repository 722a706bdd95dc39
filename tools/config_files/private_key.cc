#include "tools/config_files/private_key.h"

#include <bit>
#include <cstdint>
#include <optional>
#include <string>

#include "policy/base/ascii.h"
#include "policy/base/base64.h"

namespace sluice::tools {
namespace {

using config::KeyFact;

constexpr char kInteger = 0x02, kOctets = 0x04, kObject = 0x06, kSequence = 0x30;
constexpr std::string_view kRsaEncryption("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 9);  // 1.2.840.113549.1.1.1
constexpr std::string_view kEd25519("\x2b\x65\x70", 3);                                // 1.3.101.112

/// Takes one DER element with this tag off the front of `in`; nothing when there is another or it is cut
/// short.
std::optional<std::string_view> take(std::string_view& in, char tag) {
  if (in.size() < 2 || in[0] != tag) return std::nullopt;
  std::size_t length = static_cast<unsigned char>(in[1]);
  std::size_t head = 2;
  if (length >= 0x80) {
    const std::size_t bytes = length & 0x7f;
    if (bytes == 0 || bytes > 4 || in.size() < 2 + bytes) return std::nullopt;
    length = 0;
    for (std::size_t i = 0; i < bytes; ++i) length = length << 8 | static_cast<unsigned char>(in[2 + i]);
    head += bytes;
  }
  if (length > in.size() - head) return std::nullopt;
  const std::string_view content = in.substr(head, length);
  in.remove_prefix(head + length);
  return content;
}

/// RSAPrivateKey ::= SEQUENCE { version INTEGER, modulus INTEGER, ... }
KeyFact inspect_rsa(std::string_view der) {
  auto key = take(der, kSequence);
  if (!key || !take(*key, kInteger)) return {};
  const auto modulus = take(*key, kInteger);
  if (!modulus) return {};
  std::string_view number = *modulus;
  while (!number.empty() && number.front() == 0) number.remove_prefix(1);
  if (number.empty()) return {};
  const auto top = static_cast<unsigned char>(number.front());
  return {KeyFact::Kind::Rsa, static_cast<std::uint32_t>((number.size() - 1) * 8 +
                                                         static_cast<std::size_t>(std::bit_width(top)))};
}

/// PrivateKeyInfo ::= SEQUENCE { version INTEGER, SEQUENCE { algorithm OBJECT IDENTIFIER, ... }, key OCTET
/// STRING, ... }
KeyFact inspect_pkcs8(std::string_view der) {
  auto info = take(der, kSequence);
  if (!info || !take(*info, kInteger)) return {};
  auto algorithm = take(*info, kSequence);
  if (!algorithm) return {};
  const auto name = take(*algorithm, kObject);
  const auto key = take(*info, kOctets);
  if (!name || !key) return {};
  if (*name == kRsaEncryption) return inspect_rsa(*key);
  return {*name == kEd25519 ? KeyFact::Kind::Ed25519 : KeyFact::Kind::Other, 0};
}

}  // namespace

KeyFact inspect_private_key(std::string_view pem) {
  static constexpr std::string_view kBegin = "-----BEGIN ", kDashes = "-----";
  for (std::size_t at = pem.find(kBegin); at != std::string_view::npos; at = pem.find(kBegin, at + 1)) {
    const std::size_t label_at = at + kBegin.size();
    const std::size_t label_end = pem.find(kDashes, label_at);
    if (label_end == std::string_view::npos) return {};
    const std::string_view label = pem.substr(label_at, label_end - label_at);
    if (!label.ends_with("PRIVATE KEY")) continue;  // a certificate in front of its key
    if (label == "ENCRYPTED PRIVATE KEY") return {KeyFact::Kind::Encrypted, 0};
    const std::size_t end = pem.find("-----END ", label_end);
    if (end == std::string_view::npos) return {};
    const std::string_view body = pem.substr(label_end + kDashes.size(), end - label_end - kDashes.size());
    if (body.find("ENCRYPTED") != std::string_view::npos) return {KeyFact::Kind::Encrypted, 0};
    std::string base64;
    for (const char c : body) {
      if (!is_blank(c) && c != '\r' && c != '\n') base64 += c;
    }
    const auto der = decode_base64(base64);
    if (!der) return {};
    if (label == "RSA PRIVATE KEY") return inspect_rsa(*der);
    if (label == "PRIVATE KEY") return inspect_pkcs8(*der);
    return {KeyFact::Kind::Other, 0};
  }
  return {};
}

}  // namespace sluice::tools
