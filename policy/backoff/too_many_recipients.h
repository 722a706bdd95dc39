#pragma once

#include "policy/base/smtp_reply.h"

namespace sluice {

/// A reply to RCPT that refuses because the transaction has enough recipients. RFC 5321 4.5.3.1.10: 452 says
/// so, older servers say 552, and either is temporary: the recipient belongs into a further transaction.
/// `others_accepted`: an earlier RCPT of the transaction was accepted; then a bare 552 means this too, unless
/// it speaks of a mailbox.
[[nodiscard]] bool means_too_many_recipients(const SmtpReply& reply, bool others_accepted);

}  // namespace sluice
