#pragma once
// SASL as far as SMTP needs it (RFC 4954, 4616, 2195): PLAIN, LOGIN and CRAM-MD5, both sides. The server
// side only reads what a client says; whether it is true is the owner's decision (compare in constant time).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::net {

enum class SaslMechanism : std::uint8_t { Plain, Login, CramMd5 };
[[nodiscard]] std::string_view name_of(SaslMechanism mechanism);
/// "PLAIN", "login", "CRAM-MD5".
[[nodiscard]] std::optional<SaslMechanism> parse_sasl_mechanism(std::string_view name);

/// A set of mechanisms.
struct SaslMechanisms {
  bool plain = false;
  bool login = false;
  bool cram_md5 = false;
  [[nodiscard]] bool any() const { return plain || login || cram_md5; }
  [[nodiscard]] bool has(SaslMechanism mechanism) const;
};

/// What a client claimed. Secrets: never logged.
struct SaslClaim {
  SaslMechanism mechanism = SaslMechanism::Plain;
  std::string user;
  std::string password;    ///< PLAIN and LOGIN
  std::string digest_hex;  ///< CRAM-MD5: 32 lower-case digits; hold against cram_md5_hex(password, challenge)
  std::string authorization;  ///< PLAIN: whom to act as; usually empty
};

/// The server's side of one AUTH command.
/// Thread: one at a time. Limits: kLineBytesMax per line, two lines at most. Errors: Outcome::Malformed.
class SaslServer {
 public:
  static constexpr std::size_t kLineBytesMax = 2048;
  enum class Outcome : std::uint8_t {
    Challenge,  ///< say "334 " and challenge(), feed the next line to step()
    Claimed,    ///< claim() is complete: judge it
    Malformed,  ///< 501: no base64, or not what the mechanism wants
    Cancelled,  ///< 501: the client said "*"
  };

  /// `cram_challenge`: "<1896.697170952@mta.example>", never the same twice; used only by CRAM-MD5.
  SaslServer(SaslMechanism mechanism, std::string cram_challenge);
  /// `initial`: what stood behind the mechanism, still in base64 ("=" for an empty one); nothing: it stood alone.
  Outcome begin(std::optional<std::string_view> initial);
  /// The client's answer line.
  Outcome step(std::string_view line);
  /// In base64.
  [[nodiscard]] const std::string& challenge() const { return challenge_; }
  [[nodiscard]] const SaslClaim& claim() const { return claim_; }
  [[nodiscard]] const std::string& cram_challenge() const { return cram_challenge_; }

 private:
  Outcome take(std::string_view bytes);
  Outcome take_plain(std::string_view bytes);
  Outcome take_login(std::string_view bytes);
  Outcome take_cram(std::string_view bytes);
  Outcome ask(std::string_view text);

  std::string cram_challenge_;
  std::string challenge_;
  SaslClaim claim_;
  bool has_user_ = false;  // LOGIN: the name came, the password is next
};

}  // namespace sluice::net
