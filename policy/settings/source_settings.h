#pragma once
// Everything a `<source>` block can say, flattened for one client: address, listener or SMTP user.

#include <cstdint>
#include <string>
#include <vector>

#include "policy/settings/values.h"

namespace sluice::config {

/// No message above this is taken, whatever `max-message-size` says.
inline constexpr ByteCount kMessageSizeMax{60 * kMiB};

/// Rules for a submitting client. Defaults are those of the language.
/// Thread: immutable once made.
struct SourceSettings {
  bool smtp_service = true;
  bool always_allow_relaying = false;
  bool allow_auth = true;
  bool require_auth = false;
  bool allow_unencrypted_plain_auth = false;
  RateLimit smtp_max_auth_failure_rate;
  bool allow_starttls = false;
  bool require_starttls_before_auth = false;
  bool allow_chunking = true;
  bool allow_smtputf8 = true;
  bool allow_mailmerge = false;
  bool always_allow_api_submission = false;
  Duration smtp_command_timeout = 10min;
  Duration smtp_data_timeout = 10min;
  SizeLimit max_message_size;
  std::uint32_t max_message_hops = 100;
  CountLimit max_rcpt_per_message;
  bool too_many_rcpts_fails_message = false;
  bool disconnect_on_transient_error = false;
  bool accept_invalid_recipients = false;
  bool auto_qualify_domain = true;
  bool allow_loose_dots = false;

  // Which virtual MTA.
  std::string default_virtual_mta{kDefaultVmtaName};  ///< VMTA, pool or "by-smtp-source-ip"
  bool reject_invalid_virtual_mta = true;
  bool allow_empty_x_virtual_mta = false;
  bool process_x_virtual_mta = false;
  bool retain_x_virtual_mta = false;
  bool add_x_virtual_mta_header = false;
  std::string pattern_list;  ///< empty: none

  // Control headers.
  bool process_x_job = false;
  bool retain_x_job = false;
  std::string jobid_header;
  std::string jobid_prefix;
  bool process_x_envid = false;
  bool process_x_schedule = false;
  bool retain_x_schedule = false;
  bool process_x_dkim_options = false;
  bool retain_x_dkim_options = false;
  bool process_x_dkim_key = false;
  bool retain_x_dkim_key = false;

  // Lists and groups.
  std::vector<std::string> suppression_lists;
  std::string rewrite_list;
  std::string source_group;
  std::string bcc;

  // Changes to the message.
  bool add_received_header = true;
  bool hide_message_source = false;
  std::vector<std::string> remove_header;
  bool remove_received_headers = false;
  AddDateHeader add_date_header = AddDateHeader::No;
  DateHeaderTime date_header_time = DateHeaderTime::Reception;
  bool add_message_id_header = false;
  bool verp_default = false;
  bool suppress_local_dsn = false;
  DsnReturn dsn_return_default = DsnReturn::System;

  // Checks of the client.
  bool check_spf_inbound = false;
  bool check_dkim_inbound = false;
  bool check_iprev_inbound = false;
  bool trace_spf_check = false;
  bool trace_dkim_check = false;
  bool trace_iprev_check = false;
  std::uint32_t check_spf_inbound_max_void_lookups = 2;
  bool reject_spf_check_fail = true;
  bool reject_spf_check_permerror = true;
  bool reject_spf_check_temperror = true;
  bool reject_iprev_check_fail = false;
  bool reject_iprev_check_permerror = false;
  bool reject_iprev_check_temperror = false;

  bool log_connections = false;
  bool log_commands = false;
  bool log_data = false;
  bool log_tls = false;

  friend bool operator==(const SourceSettings&, const SourceSettings&) = default;
};

}  // namespace sluice::config
