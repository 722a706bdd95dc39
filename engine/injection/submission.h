#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/ip_address.h"
#include "policy/base/units.h"
#include "policy/settings/source_settings.h"

namespace sluice::injection {

/// A recipient a client named and policy let in.
struct SubmittedRecipient {
  std::string address;  ///< local@domain
  std::string domain;   ///< lower case
  std::string orcpt;
  std::uint8_t notify_bits = 0;
};

/// One message as a client handed it over, whatever the way (SMTP, later HTTP and files). Reused: reset()
/// keeps memory.
struct Submission {
  // The session's.
  std::shared_ptr<const config::SourceSettings> rules;
  std::string_view source_type = "smtp";
  std::string client_name;  ///< what it called itself
  Endpoint client;
  Endpoint local;
  std::string user;                  ///< authenticated; empty: not
  std::string listener_virtual_mta;  ///< default of the listener; empty: none
  // The envelope.
  std::string sender;  ///< empty: null path
  std::string env_id;
  std::uint8_t ret = 0;  ///< spool::DsnReturn
  bool smtp_utf8 = false;
  std::vector<SubmittedRecipient> recipients;
  std::size_t recipient_count = 0;  ///< entries in use; the others keep their memory
  // The message, CRLF line ends, unstuffed.
  std::string text;
  bool eight_bit = false;
  bool has_dot_lines = false;

  SubmittedRecipient& add_recipient() {
    if (recipient_count == recipients.size()) recipients.emplace_back();
    return recipients[recipient_count++];
  }
  void reset() {
    sender.clear();
    env_id.clear();
    ret = 0;
    smtp_utf8 = false;
    recipient_count = 0;
    text.clear();
    eight_bit = false;
    has_dot_lines = false;
  }
};

}  // namespace sluice::injection
