#pragma once
// Command lines of a client: verbs and the arguments of MAIL, RCPT and BDAT (RFC 5321 4.1.1, 1870, 3030,
// 3461, 6531). Views point into the line.

#include <cstdint>
#include <expected>
#include <optional>
#include <string_view>

#include "net/smtp/dsn.h"

namespace sluice::net {

enum class Verb : std::uint8_t {
  Helo,
  Ehlo,
  Mail,
  Rcpt,
  Data,
  Bdat,
  Rset,
  Noop,
  Vrfy,
  Expn,
  Help,
  Quit,
  Auth,
  StartTls,
  WebRequest,  ///< GET, POST, CONNECT ..: a browser or proxy made to talk to us
  Unknown,
};

struct CommandLine {
  Verb verb = Verb::Unknown;
  std::string_view argument;  ///< without blanks at both ends
};
/// `line` without its line end.
[[nodiscard]] CommandLine parse_command(std::string_view line);

enum class BodyType : std::uint8_t { SevenBit, EightBitMime };

/// The reply that refuses an argument: a code and a text with enhanced code. Texts are literals.
struct ArgumentFault {
  std::uint16_t code = 501;
  std::string_view text;
};

struct MailArguments {
  std::string_view path;  ///< as written
  bool bare = false;      ///< without angle brackets, as sloppy clients write it
  std::optional<std::uint64_t> size_bytes;
  BodyType body = BodyType::SevenBit;
  DsnReturn ret = DsnReturn::Unset;
  std::string_view envid;
  bool smtp_utf8 = false;
  bool verp = false;
};

struct RcptArguments {
  std::string_view path;
  bool bare = false;
  DsnNotify notify;
  std::string_view orcpt;
};

struct BdatArguments {
  std::uint64_t bytes = 0;
  bool last = false;
};

/// `argument` is what stands behind the verb: "FROM:<a@b> SIZE=1". Paths are found, not checked.
[[nodiscard]] std::expected<MailArguments, ArgumentFault> parse_mail(std::string_view argument);
[[nodiscard]] std::expected<RcptArguments, ArgumentFault> parse_rcpt(std::string_view argument);
[[nodiscard]] std::optional<BdatArguments> parse_bdat(std::string_view argument);

}  // namespace sluice::net
