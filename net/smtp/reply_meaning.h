#pragma once
// What the code of a reply says by itself (RFC 5321 4.2.1). For the machine in client.h.

#include "policy/base/smtp_reply.h"

namespace sluice::net {

/// The server does not know the command, or not here (RFC 5321 4.2.2), as opposed to: not this message.
inline bool is_unknown_command(const SmtpReply& reply) { return reply.code >= 500 && reply.code <= 504; }
/// 211 and 214 answer HELP, 220 opens a session, 235 ends AUTH, 252 answers VRFY (RFC 5321 4.2.3, 4954 6).
inline bool names_another_command(const SmtpReply& reply) {
  return reply.code == 211 || reply.code == 214 || reply.code == 220 || reply.code == 235 ||
         reply.code == 252;
}
inline bool is_success(const SmtpReply& reply) { return reply.code >= 200 && reply.code < 300; }
inline bool is_intermediate(const SmtpReply& reply) { return reply.code >= 300 && reply.code < 400; }

}  // namespace sluice::net
