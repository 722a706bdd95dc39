// Goal: kind and length of a key are told from its PEM text, and nothing else is taken for a key.
// How: the outer frames of keys, made here with numbers of the right length; no real key is needed to count
// bits.
#include "tools/config_files/private_key.h"

#include <gtest/gtest.h>

#include "policy/base/base64.h"

namespace sluice::tools {
namespace {

using config::KeyFact;

std::string der(char tag, const std::string& content) {
  std::string out(1, tag);
  if (content.size() < 0x80) {
    out += static_cast<char>(content.size());
  } else {
    out += static_cast<char>(0x82);
    out += static_cast<char>(content.size() >> 8);
    out += static_cast<char>(content.size() & 0xff);
  }
  return out + content;
}

/// An RSAPrivateKey whose modulus has `bits` bits.
std::string rsa(std::size_t bits) {
  std::string modulus(bits / 8, '\x55');
  modulus.front() = static_cast<char>(0x80);
  if (bits % 8 != 0) modulus.insert(0, 1, static_cast<char>(1 << (bits % 8 - 1)));
  modulus.insert(0, 1, '\0');
  return der(0x30, der(0x02, std::string(1, '\0')) + der(0x02, modulus) + der(0x02, "\x01\x01"));
}

std::string pkcs8(const std::string& algorithm, const std::string& key) {
  return der(0x30, der(0x02, std::string(1, '\0')) + der(0x30, der(0x06, algorithm)) + der(0x04, key));
}

std::string pem(const std::string& label, const std::string& bytes) {
  std::string base64 = encode_base64(bytes), out = "-----BEGIN " + label + "-----\r\n";
  for (std::size_t i = 0; i < base64.size(); i += 64) out += base64.substr(i, 64) + "\r\n";
  return out + "-----END " + label + "-----\r\n";
}

const std::string kRsaName("\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", 9), kEd25519Name("\x2b\x65\x70", 3),
    kEcName("\x2a\x86\x48\xce\x3d\x02\x01", 7);

TEST(PrivateKey, KindsAndLengths) {
  for (const std::size_t bits : {512u, 768u, 1024u, 1536u, 2048u, 4096u}) {
    SCOPED_TRACE(bits);
    const KeyFact old_form = inspect_private_key(pem("RSA PRIVATE KEY", rsa(bits)));
    EXPECT_EQ(old_form.kind, KeyFact::Kind::Rsa);
    EXPECT_EQ(old_form.bits, bits);
    const KeyFact new_form = inspect_private_key(pem("PRIVATE KEY", pkcs8(kRsaName, rsa(bits))));
    EXPECT_EQ(new_form.kind, KeyFact::Kind::Rsa);
    EXPECT_EQ(new_form.bits, bits);
  }
  EXPECT_EQ(inspect_private_key(pem("PRIVATE KEY", pkcs8(kEd25519Name, "x"))).kind, KeyFact::Kind::Ed25519);
  EXPECT_EQ(inspect_private_key(pem("PRIVATE KEY", pkcs8(kEcName, "x"))).kind, KeyFact::Kind::Other);
  EXPECT_EQ(inspect_private_key(pem("EC PRIVATE KEY", "x")).kind, KeyFact::Kind::Other);
  EXPECT_EQ(inspect_private_key(pem("ENCRYPTED PRIVATE KEY", "x")).kind, KeyFact::Kind::Encrypted);
  EXPECT_EQ(inspect_private_key(
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE "
                "KEY-----\n")
                .kind,
            KeyFact::Kind::Encrypted);
  EXPECT_EQ(inspect_private_key(pem("CERTIFICATE", "x") + pem("RSA PRIVATE KEY", rsa(2048))).bits, 2048u)
      << "a certificate may stand in front";
}

TEST(PrivateKey, EverythingElseIsNoKey) {
  const std::string whole = pem("RSA PRIVATE KEY", rsa(1024));
  for (const std::string& text :
       {std::string(), std::string("not a key"), pem("CERTIFICATE", rsa(1024)), pem("PUBLIC KEY", rsa(1024)),
        pem("RSA PRIVATE KEY", "x"), std::string("-----BEGIN RSA PRIVATE KEY-----"),
        std::string("-----BEGIN RSA PRIVATE KEY-----\n!!!\n-----END RSA PRIVATE KEY-----\n")}) {
    EXPECT_EQ(inspect_private_key(text).kind, KeyFact::Kind::NotAKey) << text;
  }
  for (std::size_t size = 0; size < whole.size(); ++size)
    static_cast<void>(inspect_private_key(std::string_view(whole).substr(0, size)));
  const std::string bytes = rsa(1024);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string hurt = bytes;
    hurt[i] = static_cast<char>(hurt[i] ^ 0xff);
    static_cast<void>(inspect_private_key(pem("RSA PRIVATE KEY", hurt)));
    static_cast<void>(inspect_private_key(pem("PRIVATE KEY", pkcs8(kRsaName, hurt))));
  }
}

}  // namespace
}  // namespace sluice::tools
