#pragma once
// The trace header our server adds (RFC 5321 4.4) and the date text in it (RFC 5322 3.3).

#include <optional>
#include <string>
#include <string_view>

#include "policy/base/ip_address.h"
#include "policy/base/units.h"

namespace sluice::net {

/// "Sat, 21 Nov 2026 18:05:09 +0000". `offset`: of local time from UTC, whole minutes are used. Years 1 ..
/// 9999.
void append_rfc5322_date(std::string& out, WallTime time,
                         std::chrono::minutes offset = std::chrono::minutes{0});
[[nodiscard]] std::string rfc5322_date(WallTime time, std::chrono::minutes offset = std::chrono::minutes{0});

/// What a Received header says. Texts with control bytes or too long are cleaned: what a client sent cannot
/// break the line.
struct ReceivedFields {
  std::string_view helo;            ///< what the client called itself
  std::optional<IpAddress> client;  ///< nothing: no "from" at all (hide-message-source, pickup)
  std::string_view host;            ///< us
  std::string_view product;         ///< "Sluice 0.1.0"
  std::string_view id;              ///< the message's
  std::string_view recipient;       ///< empty: no "for" (several recipients)
  std::string_view date;            ///< rfc5322_date()
  std::string_view envelope_from;   ///< without brackets
  bool show_envelope_from = true;
};

/// Appends one header with CRLF, in PowerMTA's form:
///   Received: from HELO (IP) by HOST (PRODUCT) id ID for <RCPT>; DATE (envelope-from <FROM>)
/// folded so that no line is longer than 998 bytes, and where it can be not longer than 78.
void append_received(std::string& out, const ReceivedFields& fields);

}  // namespace sluice::net
