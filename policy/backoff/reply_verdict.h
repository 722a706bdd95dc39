#pragma once
// What a refusal of the receiver means for the recipient, the connection and the queue.

#include <cstdint>
#include <optional>

#include "policy/base/smtp_reply.h"
#include "policy/classify/reply_rules.h"
#include "policy/settings/domain_settings.h"

namespace sluice {

/// Where in the conversation a reply came.
enum class RefusalPhase : std::uint8_t {
  Greeting,
  Session,  ///< EHLO, HELO, STARTTLS, AUTH, RSET
  Mail,
  Rcpt,
  Data,   ///< in place of the 354
  Final,  ///< behind the message
};

/// What is done about it. Everything else about the rules (mode, disabled source address) is the queue's and
/// the same in every phase.
struct ReplyVerdict {
  /// The recipients the reply is about: the one of a RCPT, those of the transaction otherwise. In the phases
  /// Greeting and Session nobody is under way.
  enum class Recipients : std::uint8_t {
    Wait,  ///< retry-recipients-after, or recipient_wait
    Bounce,
    NextHost,  ///< kept, and offered to the next MX of this run
  };
  Recipients recipients = Recipients::Wait;
  std::optional<Duration> recipient_wait;  ///< instead of retry-recipients-after
  enum class Connection : std::uint8_t {
    GoOn,
    NextHost,  ///< nothing more through this host in this run
    Stop,      ///< nothing more through this connection
  };
  Connection connection = Connection::GoOn;
  bool bounce_queue = false;           ///< everything that waits in the queue
  bool defer_queue = false;            ///< the queue goes into retry now
  std::optional<Duration> queue_wait;  ///< instead of the interval of the list
  friend bool operator==(const ReplyVerdict&, const ReplyVerdict&) = default;
};

/// `reply` is not positive. `actions`: of the queue's rules.
///   5xx            bounces, unless skip-mx matched: then it is kept for the next host.
///   4xx            waits; bounce-rcpt bounces it, in phase Rcpt only.
///   421            as 4xx; with smtp-421-means-mx-unavailable the connection goes on to the next host.
///   Greeting, 5xx  bounces the queue (bounce-upon-5xx-greeting), unless skip-mx matched.
///   Greeting, Session: the connection is over whatever is asked; the next host is tried.
[[nodiscard]] ReplyVerdict judge_reply(RefusalPhase phase, const SmtpReply& reply,
                                       const ReplyActions& actions, const config::DomainSettings& settings);

/// Does the receiver say "slower"? What adaptive pacing cuts for: rules that ask for backoff or more, 421 in
/// any phase, a greeting that refuses, and 4xx or 5xx whose enhanced code or words speak of rates, reputation
/// or load. Not: what concerns one mailbox or one message.
[[nodiscard]] bool is_push_back(RefusalPhase phase, const SmtpReply& reply, const ReplyActions& actions);

}  // namespace sluice
