#include "policy/backoff/reply_verdict.h"

#include <algorithm>

#include "policy/backoff/too_many_recipients.h"
#include "policy/base/ascii.h"

namespace sluice {
namespace {

constexpr std::uint16_t kServiceNotAvailable = 421;

bool contains_word(std::string_view text, std::string_view lower_words) {
  const auto same = [](char a, char b) { return to_lower(a) == b; };
  return std::search(text.begin(), text.end(), lower_words.begin(), lower_words.end(), same) != text.end();
}

/// Words of receivers that want less mail at a time. Each names a rate, a load or a reputation, never a
/// mailbox.
constexpr std::string_view kSlowerWords[] = {
    "rate limit",
    "rate-limit",
    "ratelimit",
    "throttl",
    "too many connections",
    "too many messages",
    "too many concurrent",
    "too fast",
    "too much mail",
    "slow down",
    "unusual rate",
    "exceeded the rate",
    "connection limit",
    "sending rate",
    "high volume",
    "temporarily deferred due to",
    "user complaints",
    "reputation",
    "server busy",
    "overloaded",
    "too many sessions",
    "message rate",
    "try again later, too many",
};

/// What 552 says where it is about one mailbox or one message.
constexpr std::string_view kMailboxWords[] = {"quota",   "full",      "mailbox", "storage", "space",
                                              "too big", "too large", "size",    "virus",   "infected"};

/// RFC 3463 codes about the receiver as a whole: load, congestion, policy.
bool speaks_of_load(const EnhancedStatus& status) {
  return (status.subject == 3 && status.detail == 2) || (status.subject == 4 && status.detail == 5) ||
         (status.subject == 7 && status.detail == 28);
}

}  // namespace

ReplyVerdict judge_reply(RefusalPhase phase, const SmtpReply& reply, const ReplyActions& actions,
                         const config::DomainSettings& settings) {
  using Recipients = ReplyVerdict::Recipients;
  using Connection = ReplyVerdict::Connection;
  const bool session = phase == RefusalPhase::Greeting || phase == RefusalPhase::Session;
  ReplyVerdict out;
  out.bounce_queue = actions.bounce_queue;
  out.defer_queue = actions.defer_queue;
  out.queue_wait = actions.retry_after;
  out.recipient_wait = actions.retry_after;
  if (session) {
    out.connection = Connection::NextHost;
    if (phase == RefusalPhase::Greeting && reply.permanent() && settings.bounce_upon_5xx_greeting &&
        !actions.skip_mx) {
      out.bounce_queue = true;
    }
  } else {
    if (actions.skip_mx) {
      out.recipients = Recipients::NextHost;
      out.connection = Connection::NextHost;
    } else if (reply.permanent() || actions.bounce_queue) {
      out.recipients = Recipients::Bounce;
    }
    if (actions.bounce_recipient && phase == RefusalPhase::Rcpt && reply.transient()) {
      out.recipients = Recipients::Bounce;
    }
    if (reply.code == kServiceNotAvailable && settings.smtp_421_means_mx_unavailable) {
      out.connection = Connection::NextHost;
    }
    if (actions.disable_source_ip) out.connection = Connection::Stop;
  }
  // A queue that rests or is bounced as a whole tries no other host.
  if (out.defer_queue || out.bounce_queue) {
    out.connection = Connection::Stop;
    if (out.recipients == Recipients::NextHost) out.recipients = Recipients::Wait;
  }
  // A host of its own choice is of no use from an address that is not to be used.
  if (actions.disable_source_ip) {
    out.connection = Connection::Stop;
    if (out.recipients == Recipients::NextHost) out.recipients = Recipients::Wait;
  }
  return out;
}

bool means_too_many_recipients(const SmtpReply& reply, bool others_accepted) {
  if (reply.code != 452 && reply.code != 552) return false;
  if (reply.enhanced && (reply.enhanced->subject != 0 || reply.enhanced->detail != 0)) {
    return reply.enhanced->subject == 5 && reply.enhanced->detail == 3;
  }
  if (contains_word(reply.text, "too many recipients")) return true;
  if (reply.code != 552 || !others_accepted) return false;
  return std::none_of(std::begin(kMailboxWords), std::end(kMailboxWords),
                      [&reply](std::string_view words) { return contains_word(reply.text, words); });
}

bool is_push_back(RefusalPhase phase, const SmtpReply& reply, const ReplyActions& actions) {
  if (actions.mode == config::QueueMode::Backoff || actions.defer_queue || actions.disable_source_ip)
    return true;
  if (actions.mode == config::QueueMode::Normal) return false;  // the operator says that it means nothing
  if (reply.code == kServiceNotAvailable || phase == RefusalPhase::Greeting) return true;
  if (reply.enhanced && speaks_of_load(*reply.enhanced)) return true;
  return std::any_of(std::begin(kSlowerWords), std::end(kSlowerWords),
                     [&reply](std::string_view words) { return contains_word(reply.text, words); });
}

}  // namespace sluice
