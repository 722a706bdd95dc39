#pragma once
// Delivery status codes (RFC 3463, RFC 5248 registry) and the words PowerMTA writes behind them in `dsnStatus`, which
// tools parse: "5.1.1 (bad destination mailbox address)".

#include <cstdint>
#include <string>
#include <string_view>

#include "policy/base/smtp_reply.h"

namespace sluice {

/// "bad destination mailbox address". A detail that is not registered gets the words of its subject, an unknown subject
/// those of its class. Lifetime of the view: static.
[[nodiscard]] std::string_view status_words(const EnhancedStatus& status);

/// Appends "5.1.1 (bad destination mailbox address)".
void append_status(std::string& out, const EnhancedStatus& status);
[[nodiscard]] std::string status_text(const EnhancedStatus& status);

enum class ReplyPhase : std::uint8_t { Rcpt, Other };

struct StatusRules {
  /// `smtp-553-means-invalid-mailbox`: 553 to RCPT without an enhanced code is 5.1.1.
  bool smtp_553_means_invalid_mailbox = true;
};

/// The status of a remote reply. The enhanced code is believed when its class is the reply's (RFC 2034 section 4 wants
/// that); else the class speaks alone: 250 -> 2.0.0, 4yz -> 4.0.0, 550 -> 5.0.0. A reply without a class of its own
/// (3yz where none was asked for, or no reply at all) is a failure that may pass: 4.0.0.
[[nodiscard]] EnhancedStatus status_of_reply(const SmtpReply& reply, ReplyPhase phase,
                                             const StatusRules& rules);

/// Failures that no remote reply describes.
enum class LocalFailure : std::uint8_t {
  NoAnswer,         ///< 4.4.1: connect refused, unreachable or timed out
  ConnectionLost,   ///< 4.4.2
  DnsTemporary,     ///< 4.4.3: the name could not be looked up for now
  NoSuchDomain,     ///< 5.1.2, words "bad destination system: no such domain": NXDOMAIN
  NoUsableHost,     ///< 5.4.4: neither MX nor address, or no host that may be used
  NullMx,           ///< 5.1.10: the domain says that it takes no mail (RFC 7505)
  Loop,             ///< 5.4.6
  Expired,          ///< 4.4.7: older than bounce-after; class 4, as what held it back was never final
  MessageTooBig,    ///< 5.3.4: larger than the host's SIZE
  NeedsConversion,  ///< 5.6.3: 8-bit content, host without 8BITMIME
  NeedsUtf8,        ///< 5.6.7: internationalised address, host without SMTPUTF8
  TlsRequired,      ///< 4.7.4: the queue wants TLS and the host cannot
  AuthFailed,       ///< 4.7.8: our credentials were refused
  Suppressed,       ///< 5.7.1: on a suppression list
  Deleted,          ///< 5.0.0: removed by the operator
  InvalidAddress,   ///< 5.1.3: cannot be sent to any host
};

struct LocalStatus {
  EnhancedStatus status;
  std::string_view words;  ///< static
  [[nodiscard]] std::string text() const;
};
[[nodiscard]] LocalStatus status_of(LocalFailure failure);

}  // namespace sluice
