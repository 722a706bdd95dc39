#pragma once
// Files of a pickup directory (PowerMTA 5): one message behind x-sender and x-receiver lines, or a batch SMTP
// session. Files come from programs of others: everything in them is checked, nothing is guessed.

#include <cstddef>
#include <cstdint>
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
  bool lenient = false;  ///< XACK OFF: recipients that cannot be are to be bounced, not to refuse the file
  std::vector<PickupRecipient> recipients;  ///< at least one
  std::string text;                         ///< CRLF line ends, unstuffed, ends with a line end
  BodyFacts facts;
};

/// Why a file is refused as a whole.
struct PickupFault {
  std::size_t line = 0;  ///< from 1 on
  std::string text;
};

struct PickupRules {
  bool remove_dot = false;  ///< `pickup-remove-dot`, for the form with x-sender; batch SMTP always unstuffs
  bool allow_no_domain = true;    ///< `auto-qualify-domain`
  bool allow_loose_dots = false;  ///< `allow-loose-dots`
  bool accept_invalid = false;    ///< `accept-invalid-recipients`: as if every message were lenient
};

/// Reads one file, a part at a time. Lines end with LF or CRLF.
///   with x-sender   `x-sender`, `x-receiver` (once or more), `x-envid`, `x-job`, `x-sender-override` in any
///   order,
///                   addresses with or without brackets, as the first lines; what follows is the message
///   batch SMTP      begins with HELO, EHLO, MAIL, XMRG or XACK; HELO, EHLO, XACK ON|OFF, MAIL, RCPT, DATA,
///   RSET,
///                   NOOP, QUIT. A message ends with a line that is a single dot. Mail merge is refused.
/// What is wrong at the end of a file is known only there: whoever refuses files as a whole reads twice.
/// Thread: any. Lifetime: `bytes` outlive it. Limits: kRecipientsMax for each message; it holds one message.
class PickupReader {
 public:
  static constexpr std::size_t kRecipientsMax = 5000;
  static constexpr std::size_t kStepBytes = 256 * 1024;
  enum class Step : std::uint8_t {
    More,     ///< go on when others have had their turn
    Message,  ///< take_message() has one
    End,
  };

  PickupReader(std::string_view bytes, const PickupRules& rules) : left_(bytes), rules_(rules) {}
  /// Reads on for about kStepBytes. After a fault or End there is nothing more to ask.
  [[nodiscard]] std::expected<Step, PickupFault> step();
  /// Once after every Step::Message.
  [[nodiscard]] PickupMessage take_message();
  [[nodiscard]] bool is_batch() const { return form_ == Form::Commands || form_ == Form::Data; }
  /// Of HELO or EHLO; empty: none so far.
  [[nodiscard]] const std::string& hello() const { return hello_; }
  /// A file that holds what is behind the last message of a batch.
  [[nodiscard]] std::string rest() const;

 private:
  using Wrong = std::optional<PickupFault>;
  enum class Form : std::uint8_t {
    Unknown,   ///< before the first line
    Controls,  ///< x-sender lines -> Body
    Body,
    Commands,  ///< batch SMTP <-> Data
    Data,
  };
  [[nodiscard]] bool next(std::string_view& line);
  [[nodiscard]] PickupFault say(std::string text) const { return {number_, std::move(text)}; }
  Wrong read_line(std::string_view line);
  Wrong finish();
  Wrong begin(std::string_view line);
  Wrong control_line(std::string_view line);
  Wrong end_controls() const;
  Wrong set_text(std::string& into, std::string_view name, std::string_view value) const;
  Wrong command(std::string_view line);
  Wrong xack(std::string_view how);
  Wrong mail(std::string_view argument);
  Wrong rcpt(std::string_view argument);
  Wrong data_line(std::string_view line);
  Wrong add_line(std::string_view line);
  Wrong add_recipient(std::string_view path, bool bare, bool utf8);
  [[nodiscard]] AddressRules sender_rules(bool bare, bool utf8) const;

  std::string_view left_;
  PickupRules rules_;
  Form form_ = Form::Unknown;
  std::size_t number_ = 0;              // of the last line
  std::optional<PickupMessage> open_;   // under way; whole when ready_
  std::optional<MailAddress> sender_;   // x-sender
  std::optional<MailAddress> instead_;  // x-sender-override
  std::string hello_;
  std::size_t messages_ = 0;
  bool ready_ = false;
  bool lenient_ = false;
  bool quit_ = false;
};

}  // namespace sluice::net
