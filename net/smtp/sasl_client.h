#pragma once

#include <string>
#include <string_view>

#include "net/smtp/client.h"
#include "net/smtp/sasl.h"

namespace sluice::net {

/// HMAC-MD5 of `challenge` under `password`, as CRAM-MD5 wants it: 32 lower-case hexadecimal digits.
[[nodiscard]] std::string cram_md5_hex(std::string_view password, std::string_view challenge);

/// auth-username and auth-password towards a server: the strongest of CRAM-MD5, PLAIN and LOGIN that it offers and
/// settings allow. Nothing that fits: no AUTH is said and the session goes on.
/// Thread: one at a time. Lifetime: what begin() and answer() return is valid until the next call.
class SaslClient final : public ClientAuth {
 public:
  struct Settings {
    std::string user;
    std::string password;
    bool encrypted = false;          ///< the connection runs under TLS
    bool plain_unencrypted = false;  ///< use-unencrypted-plain-auth: PLAIN and LOGIN without TLS, too
  };
  explicit SaslClient(Settings settings) : settings_(std::move(settings)) {}
  /// To be told when STARTTLS succeeded.
  void set_encrypted() { settings_.encrypted = true; }
  std::string_view begin(const Capabilities& capabilities) override;
  std::string_view answer(std::string_view challenge) override;

 private:
  Settings settings_;
  SaslMechanism mechanism_ = SaslMechanism::Plain;
  bool user_said_ = false;
  std::string line_;
};

}  // namespace sluice::net
