#pragma once
// What a queue of type http-delivery posts.

#include <string>
#include <string_view>

namespace sluice::net::http {

struct DeliveryFacts {
  std::string_view from;     ///< envelope sender; empty: null sender
  std::string_view to;       ///< one recipient
  std::string_view message;  ///< as it would be sent by SMTP, CRLF line ends
};

/// {"msg_from":..,"rcpt_to":..,"content":{"email_rfc822":..,"headers":[{"Name":"value"},..]}}; a message that
/// is not UTF-8 goes as base64 with "email_rfc822_is_base64":true. Header values stand on one line.
[[nodiscard]] std::string delivery_body(const DeliveryFacts& facts);

}  // namespace sluice::net::http
