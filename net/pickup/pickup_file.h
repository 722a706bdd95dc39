#pragma once
// Files of a pickup directory (PowerMTA 5): one message behind x-sender and x-receiver lines, or a batch SMTP
// session. Files come from programs of others: everything in them is checked, nothing is guessed.

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/smtp/body_scan.h"
#include "net/smtp/dsn.h"
#include "policy/base/mail_address.h"

namespace sluice::net {

struct PickupRecipient {
  MailAddress address;                ///< may lack a domain (PickupRules); null when `fault` is set
  std::string raw;                    ///< as written
  std::optional<AddressFault> fault;  ///< only of a PickupMessage::lenient
  DsnNotify notify;
  std::string orcpt;  ///< "rfc822;xtext" or empty
};

struct PickupMessage {
  MailAddress sender;  ///< may lack a domain; null: the null path
  std::string env_id;  ///< as written: xtext behind MAIL, anything printable behind x-envid
  std::string job;     ///< x-job; empty: none
  DsnReturn ret = DsnReturn::Unset;
  bool smtp_utf8 = false;
  bool verp = false;
  bool lenient =
      false;  ///< XACK OFF: recipients that cannot be are to be bounced instead of refusing the file
  std::vector<PickupRecipient> recipients;  ///< at least one
  std::string text;                         ///< CRLF line ends, unstuffed, ends with a line end
  BodyFacts facts;
};

struct PickupFile {
  bool is_batch = false;  ///< batch SMTP
  std::string hello;      ///< of HELO or EHLO; empty: none
  std::vector<PickupMessage> messages;
};

/// Why a file is refused as a whole.
struct PickupFault {
  std::size_t line = 0;  ///< from 1 on
  std::string text;
};

struct PickupRules {
  bool remove_dot = false;  ///< `pickup-remove-dot`, for the form with x-sender; batch SMTP always unstuffs
  bool allow_no_domain = true;  ///< `auto-qualify-domain`
  bool accept_invalid = false;  ///< `accept-invalid-recipients`: as if every message were lenient
};

/// Reads a whole file. Lines end with LF or CRLF.
///   with x-sender   `x-sender`, `x-receiver` (once or more), `x-envid`, `x-job`, `x-sender-override` in any
///   order,
///                   addresses with or without brackets, as the first lines; what follows is the message
///   batch SMTP      begins with HELO, EHLO, MAIL, XMRG or XACK; HELO, EHLO, XACK ON|OFF, MAIL, RCPT, DATA,
///   RSET,
///                   NOOP, QUIT. A message ends with a line that is a single dot. Mail merge is refused.
/// Limits: kPickupRecipientsMax for each message.
[[nodiscard]] std::expected<PickupFile, PickupFault> parse_pickup(std::string_view bytes,
                                                                  const PickupRules& rules);
inline constexpr std::size_t kPickupRecipientsMax = 5000;

}  // namespace sluice::net
