#pragma once
// Reports to senders by mail: what became of their message (RFC 3461, 3462, 3464). Texts only: who gets one,
// and when, is engine/delivery's.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace sluice::report {

/// RFC 3464 2.3.3. Expanded does not happen here.
enum class Action : std::uint8_t { Failed, Delayed, Delivered, Relayed };
[[nodiscard]] std::string_view name_of(Action action);

/// What became of one recipient. Strangers' words may have any byte: they are cleaned here.
struct Fate {
  Action action = Action::Failed;
  std::string_view recipient;      ///< local@domain
  std::string_view original;       ///< "rfc822;local@domain", decoded; empty: not given
  std::string_view status;         ///< as in accounting: "5.1.1 (bad destination mailbox address)"
  std::string_view diagnostic;     ///< as in accounting: "smtp;550 5.1.1 unknown"
  std::string_view remote_mta;     ///< "mx.example.com (192.0.2.1)"; empty: none had a part in it
  std::string_view category;       ///< bounce category; empty: none
  std::string_view retried_until;  ///< Delayed: RFC 5322 date; empty: not known
};

/// What comes back of the message, as RET= asks.
enum class Returned : std::uint8_t { Nothing, Headers, Full };

/// `dsn-failed-...-template`: texts with ${hostName}, ${originator}, ${subject}, ${recipient}, ${date},
/// ${timeQueued}, ${retryAfter}, ${bounceAfter} and ${response}. Empty: ours. Only for failures.
struct Templates {
  std::string_view from, subject, body;
  [[nodiscard]] bool any() const { return !from.empty() || !subject.empty() || !body.empty(); }
};

/// What a report says besides fates. Dates are RFC 5322's.
struct Facts {
  std::string_view host;  ///< who reports
  std::string_view vmta;  ///< the message went by
  std::string_view from;  ///< the field body, ready (`custom-dsn-from-header`, postmaster)
  std::string_view to;    ///< envelope sender of the message, never empty
  std::string_view date;
  std::string_view arrival_date;
  std::string_view envelope_id;                ///< ENVID, decoded; empty: none
  std::string_view subject;                    ///< of the message
  std::string_view id;                         ///< unique on `host`, an atom: of Message-ID and boundaries
  std::string_view retry_after, bounce_after;  ///< for the templates
  bool plain_text = false;                     ///< `dsn-format plain-text`: the second part is text/plain
  bool utf8 = false;  ///< addresses are not ASCII: RFC 6533, and the report needs SMTPUTF8
  Returned returned = Returned::Headers;
  std::string_view content;  ///< headers, or the whole message; CRLF line ends
  Templates templates;
};

inline constexpr std::size_t kDiagnosticBytesMax = 2000;  ///< the rest of what a stranger said is cut

/// The message, CRLF line ends, no line longer than 998 bytes but those of `content`.
/// Requires fates; with templates one, since they speak of one recipient.
[[nodiscard]] std::string text(const Facts& facts, std::span<const Fate> fates);

/// Values of the variables of a template.
struct Variables {
  std::string_view host_name, originator, subject, recipient, date, time_queued, retry_after, bounce_after,
      response;
};
/// `text` with ${name} replaced; what is no variable stays as it is.
[[nodiscard]] std::string fill(std::string_view text, const Variables& values);
/// The first ${name} in `text` that is no variable; empty: all are.
[[nodiscard]] std::string_view unknown_variable(std::string_view text);

}  // namespace sluice::report
