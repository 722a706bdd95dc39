#include "policy/classify/status_text.h"

#include <algorithm>
#include <iterator>

namespace sluice {
namespace {

struct Words {
  std::uint16_t subject;
  std::uint16_t detail;
  std::string_view text;
};

// Sorted by subject and detail; detail 0 stands for all that are not listed.
constexpr Words kWords[] = {
    {1, 0, "other address status"},
    {1, 1, "bad destination mailbox address"},
    {1, 2, "bad destination system address"},
    {1, 3, "bad destination mailbox address syntax"},
    {1, 4, "destination mailbox address ambiguous"},
    {1, 5, "destination address valid"},
    {1, 6, "destination mailbox has moved, no forwarding address"},
    {1, 7, "bad sender's mailbox address syntax"},
    {1, 8, "bad sender's system address"},
    {1, 9, "message relayed to non-compliant mailer"},
    {1, 10, "recipient address has null MX"},
    {2, 0, "mailbox-related failure"},
    {2, 1, "mailbox disabled, not accepting messages"},
    {2, 2, "mailbox full"},
    {2, 3, "message length exceeds administrative limit"},
    {2, 4, "mailing list expansion problem"},
    {3, 0, "mail system-related failure"},
    {3, 1, "mail system full"},
    {3, 2, "system not accepting network messages"},
    {3, 3, "system not capable of selected features"},
    {3, 4, "message too big for system"},
    {3, 5, "system incorrectly configured"},
    {3, 6, "requested priority was changed"},
    {4, 0, "other or undefined network or routing status"},
    {4, 1, "no answer from host"},
    {4, 2, "bad connection"},
    {4, 3, "directory server failure"},
    {4, 4, "unable to route"},
    {4, 5, "mail system congestion"},
    {4, 6, "routing loop detected"},
    {4, 7, "delivery time expired"},
    {5, 0, "protocol-related failure"},
    {5, 1, "invalid command"},
    {5, 2, "syntax error"},
    {5, 3, "too many recipients"},
    {5, 4, "invalid command arguments"},
    {5, 5, "wrong protocol version"},
    {5, 6, "authentication exchange line is too long"},
    {6, 0, "other or undefined media error"},
    {6, 1, "media not supported"},
    {6, 2, "conversion required and prohibited"},
    {6, 3, "conversion required but not supported"},
    {6, 4, "conversion with loss performed"},
    {6, 5, "conversion failed"},
    {6, 6, "message content not available"},
    {6, 7, "non-ASCII addresses not permitted"},
    {6, 8, "UTF-8 reply required"},
    {6, 9, "UTF-8 header cannot be transferred"},
    {7, 0, "other or undefined security status"},
    {7, 1, "delivery not authorized"},
    {7, 2, "mailing list expansion prohibited"},
    {7, 3, "security conversion required but not possible"},
    {7, 4, "security features not supported"},
    {7, 5, "cryptographic failure"},
    {7, 6, "cryptographic algorithm not supported"},
    {7, 7, "message integrity failure"},
    {7, 8, "authentication credentials invalid"},
    {7, 9, "authentication mechanism is too weak"},
    {7, 10, "encryption needed"},
    {7, 11, "encryption required for requested authentication mechanism"},
    {7, 13, "user account disabled"},
    {7, 14, "trust relationship required"},
    {7, 15, "priority level is too low"},
    {7, 16, "message is too big for the specified priority"},
    {7, 17, "mailbox owner has changed"},
    {7, 18, "domain owner has changed"},
    {7, 20, "no passing DKIM signature found"},
    {7, 21, "no acceptable DKIM signature found"},
    {7, 22, "no valid author-matched DKIM signature found"},
    {7, 23, "SPF validation failed"},
    {7, 24, "SPF validation error"},
    {7, 25, "reverse DNS validation failed"},
    {7, 26, "multiple authentication checks failed"},
    {7, 27, "sender address has null MX"},
    {7, 28, "mail flood detected"},
    {7, 29, "ARC validation failure"},
    {7, 30, "REQUIRETLS support required"},
};

constexpr bool before(const Words& a, const Words& b) {
  return a.subject != b.subject ? a.subject < b.subject : a.detail < b.detail;
}
static_assert(std::is_sorted(std::begin(kWords), std::end(kWords), before));

const Words* find_words(std::uint16_t subject, std::uint16_t detail) {
  const Words wanted{subject, detail, {}};
  const auto* found = std::lower_bound(std::begin(kWords), std::end(kWords), wanted, before);
  const bool hit = found != std::end(kWords) && found->subject == subject && found->detail == detail;
  return hit ? found : nullptr;
}

std::string_view class_words(std::uint8_t klass) {
  switch (klass) {
    case 2: return "success";
    case 4: return "transient failure";
    default: return "undefined status";
  }
}

}  // namespace

std::string_view status_words(const EnhancedStatus& status) {
  // The registry words most subjects as failures; of a success only that it is one is worth saying.
  if (status.klass == 2 && !(status.subject == 1 && status.detail == 5)) return class_words(2);
  if (const Words* words = find_words(status.subject, status.detail)) return words->text;
  if (const Words* words = find_words(status.subject, 0)) return words->text;
  return class_words(status.klass);
}

void append_status(std::string& out, const EnhancedStatus& status) {
  out += status.text();
  out += " (";
  out += status_words(status);
  out += ')';
}

std::string status_text(const EnhancedStatus& status) {
  std::string out;
  append_status(out, status);
  return out;
}

EnhancedStatus status_of_reply(const SmtpReply& reply, ReplyPhase phase, const StatusRules& rules) {
  const int reply_class = reply.code / 100;
  if (reply.enhanced && reply.enhanced->klass == reply_class) return *reply.enhanced;
  switch (reply_class) {
    case 2: return {2, 0, 0};
    case 5:
      if (reply.code == 553 && phase == ReplyPhase::Rcpt && rules.smtp_553_means_invalid_mailbox)
        return {5, 1, 1};
      return {5, 0, 0};
    default: return {4, 0, 0};
  }
}

LocalStatus status_of(LocalFailure failure) {
  const auto plain = [](EnhancedStatus status) { return LocalStatus{status, status_words(status)}; };
  switch (failure) {
    case LocalFailure::NoAnswer: return plain({4, 4, 1});
    case LocalFailure::ConnectionLost: return plain({4, 4, 2});
    case LocalFailure::DnsTemporary: return plain({4, 4, 3});
    case LocalFailure::NoSuchDomain: return {{5, 1, 2}, "bad destination system: no such domain"};
    case LocalFailure::NoUsableHost: return plain({5, 4, 4});
    case LocalFailure::NullMx: return plain({5, 1, 10});
    case LocalFailure::Loop: return plain({5, 4, 6});
    case LocalFailure::Expired: return plain({4, 4, 7});
    case LocalFailure::MessageTooBig: return plain({5, 3, 4});
    case LocalFailure::NeedsConversion: return plain({5, 6, 3});
    case LocalFailure::NeedsUtf8: return plain({5, 6, 7});
    case LocalFailure::TlsRequired: return plain({4, 7, 4});
    case LocalFailure::AuthFailed: return plain({4, 7, 8});
    case LocalFailure::Suppressed: return plain({5, 7, 1});
    case LocalFailure::Deleted: return plain({5, 0, 0});
    case LocalFailure::InvalidAddress: return plain({5, 1, 3});
  }
  return plain({5, 0, 0});
}

std::string LocalStatus::text() const {
  std::string out = status.text();
  out += " (";
  out += words;
  out += ')';
  return out;
}

}  // namespace sluice
