// `<source>`: rules for submitting clients.
#include "policy/config/rows/row.h"
#include "policy/config/rows/rows.h"

namespace sluice::config::rows {

void append_source(std::vector<Directive>& out) {
  using S = SourceSettings;
  add(out, one<&S::smtp_service>("smtp-service", "answer at all; no: greet with 521"));
  add(out, one<&S::always_allow_relaying>("always-allow-relaying", "accept any recipient domain"));
  add(out, one<&S::allow_auth>("allow-auth", "offer AUTH"));
  add(out, one<&S::require_auth>("require-auth", "refuse mail before AUTH"));
  add(out, one<&S::allow_unencrypted_plain_auth>("allow-unencrypted-plain-auth",
                                                 "offer PLAIN and LOGIN without TLS"));
  add(out,
      one<&S::smtp_max_auth_failure_rate>("smtp-max-auth-failure-rate", "failed AUTH commands per time"));
  add(out, one<&S::allow_starttls>("allow-starttls", "offer STARTTLS"));
  add(out, one<&S::require_starttls_before_auth>("require-starttls-before-auth", "refuse AUTH without TLS"));
  add(out, one<&S::allow_chunking>("allow-chunking", "offer CHUNKING"));
  add(out, one<&S::allow_smtputf8>("allow-smtputf8", "offer SMTPUTF8"));
  add(out, one<&S::allow_mailmerge>("allow-mailmerge", "offer mail merge (XMRG, XDFN, XPRT)"));
  add(out, one<&S::always_allow_api_submission>("always-allow-api-submission",
                                                "allow mail merge from the submission libraries"));
  add(out, one<&S::smtp_command_timeout>("smtp-command-timeout", "time for the whole of the next command",
                                         {.min = 1}));
  add(out, one<&S::smtp_data_timeout>(
               "smtp-data-timeout",
               "time for the next piece of a message; behind it a message needs 1,000 bytes a second",
               {.min = 1}));
  add(out,
      one<&S::max_message_size>("max-message-size", "largest message taken; 0 and more than 60M mean 60M"));
  add(out, one<&S::max_message_hops>("max-message-hops", "Received headers a message may have"));
  add(out, one<&S::max_rcpt_per_message>("max-rcpt-per-message", "recipients per message",
                                         {.zero_is_unlimited = true, .default_text = "0"}));
  add(out, one<&S::too_many_rcpts_fails_message>("too-many-rcpts-fails-message",
                                                 "refuse the message, not the recipients above the limit"));
  add(out, one<&S::disconnect_on_transient_error>("disconnect-on-transient-error",
                                                  "close the connection instead of a 4xx"));
  add(out, one<&S::accept_invalid_recipients>("accept-invalid-recipients",
                                              "take malformed recipients and bounce them at once"));
  add(out, one<&S::auto_qualify_domain>("auto-qualify-domain", "complete addresses with domain-suffix"));
  add(out, one<&S::allow_loose_dots>("allow-loose-dots",
                                     "take local parts with dots at an end or side by side (a..b@, a.@)",
                                     {.since = Since::Extension}));
  add(out,
      one<&S::default_virtual_mta>("default-virtual-mta", "virtual MTA or pool where the message names none",
                                   {.grammar = "VMTA|POOL|by-smtp-source-ip"}));
  add(out, one<&S::reject_invalid_virtual_mta>("reject-invalid-virtual-mta",
                                               "refuse messages that name an unknown virtual MTA"));
  add(out, one<&S::allow_empty_x_virtual_mta>("allow-empty-x-virtual-mta",
                                              "an empty x-virtual-mta header means {default}"));
  add(out, one<&S::process_x_virtual_mta>("process-x-virtual-mta",
                                          "the x-virtual-mta header selects the virtual MTA"));
  add(out, one<&S::retain_x_virtual_mta>("retain-x-virtual-mta", "keep that header"));
  add(out, one<&S::add_x_virtual_mta_header>("add-x-virtual-mta-header",
                                             "add a header naming the virtual MTA used"));
  add(out, one<&S::process_x_job>("process-x-job", "the x-job header sets the job"));
  add(out, one<&S::retain_x_job>("retain-x-job", "keep that header"));
  add(out, one<&S::jobid_header>("jobid-header", "another header that sets the job", {.grammar = "HEADER"}));
  add(out, one<&S::jobid_prefix>("jobid-prefix", "put in front of the job; {auth} is the user name",
                                 {.grammar = "TEXT|{auth}"}));
  add(out, one<&S::process_x_envid>("process-x-envid", "the x-envid header sets the DSN envelope id"));
  add(out, one<&S::process_x_schedule>("process-x-schedule", "the x-schedule header sets delivery windows"));
  add(out, one<&S::retain_x_schedule>("retain-x-schedule", "keep that header"));
  add(out, one<&S::process_x_dkim_options>("process-x-dkim-options",
                                           "the x-dkim-options header chooses the signature"));
  add(out, one<&S::retain_x_dkim_options>("retain-x-dkim-options", "keep that header"));
  add(out, one<&S::process_x_dkim_key>("process-x-dkim-key", "the x-dkim-key header brings a private key"));
  add(out, one<&S::retain_x_dkim_key>("retain-x-dkim-key", "keep that header"));
  add(out, one<&S::pattern_list>("pattern-list", "patterns that choose virtual MTA and priority",
                                 {.grammar = "NAME"}));
  add(out, one<&S::suppression_lists>("suppression-lists", "address lists never sent to",
                                      {.grammar = "NAME[,NAME...]"}));
  add(out, one<&S::rewrite_list>("rewrite-list", "rewriting of sender addresses", {.grammar = "NAME"}));
  add(out,
      one<&S::source_group>("source-group", "inbound limits shared with other sources", {.grammar = "NAME"}));
  add(out, one<&S::bcc>("bcc", "who gets a copy of each message received", {.grammar = "ADDRESS"}));
  add(out, one<&S::add_received_header>("add-received-header", "add a Received header"));
  add(out, one<&S::hide_message_source>("hide-message-source", "no client name or address in it"));
  add(out,
      one<&S::remove_header>("remove-header", "headers removed at delivery", {.grammar = "HEADER-LIST"}));
  add(out, one<&S::remove_received_headers>("remove-received-headers",
                                            "remove Received headers that came with the message",
                                            {.since = Since::Field}));
  add(out, one<&S::add_date_header>("add-date-header", "add a missing Date header, or override it"));
  add(out, one<&S::date_header_time>("date-header-time", "time the added Date header shows"));
  add(out, one<&S::add_message_id_header>("add-message-id-header", "add a missing Message-ID header"));
  add(out, one<&S::verp_default>("verp-default", "encode the recipient in the envelope sender"));
  add(out,
      one<&S::suppress_local_dsn>("suppress-local-dsn", "no bounce reports for messages of this source"));
  add(out, one<&S::dsn_return_default>("dsn-return-default",
                                       "what bounce reports return where the client says nothing"));
  add(out, one<&S::check_spf_inbound>("check-spf-inbound", "check SPF and record the result"));
  add(out, one<&S::check_dkim_inbound>("check-dkim-inbound", "check DKIM and record the result"));
  add(out, one<&S::check_iprev_inbound>("check-iprev-inbound",
                                        "check the client's reverse DNS and record the result"));
  add(out, one<&S::trace_spf_check>("trace-spf-check", "show DNS details of the SPF check"));
  add(out, one<&S::trace_dkim_check>("trace-dkim-check", "show DNS details of the DKIM check"));
  add(out, one<&S::trace_iprev_check>("trace-iprev-check", "show DNS details of the reverse DNS check"));
  add(out, one<&S::check_spf_inbound_max_void_lookups>("check-spf-inbound-max-void-lookups",
                                                       "SPF look-ups that may find nothing"));
  add(out, one<&S::reject_spf_check_fail>("reject-spf-check-fail", "refuse on SPF fail"));
  add(out, one<&S::reject_spf_check_permerror>("reject-spf-check-permerror", "refuse on SPF permerror"));
  add(out, one<&S::reject_spf_check_temperror>("reject-spf-check-temperror", "4xx on SPF temperror"));
  add(out, one<&S::reject_iprev_check_fail>("reject-iprev-check-fail", "refuse on reverse DNS fail"));
  add(out, one<&S::reject_iprev_check_permerror>("reject-iprev-check-permerror",
                                                 "refuse on reverse DNS permerror"));
  add(out,
      one<&S::reject_iprev_check_temperror>("reject-iprev-check-temperror", "4xx on reverse DNS temperror"));
  add(out, one<&S::log_connections>("log-connections", "log connections"));
  add(out, one<&S::log_commands>("log-commands", "log commands and replies"));
  add(out, one<&S::log_data>("log-data", "log message data"));
  add(out, one<&S::log_tls>("log-tls", "log TLS handshakes"));
  add(out, ignored("check-mfrom-inbound", in(Scope::Source), "Sender-ID is historic",
                   {.since = Since::Field, .flags = kDeprecated, .grammar = "BOOLEAN"}));
  add(out, ignored("check-pra-inbound", in(Scope::Source), "Sender-ID is historic",
                   {.since = Since::Field, .flags = kDeprecated, .grammar = "BOOLEAN"}));
  add(out, ignored("broken-auth-clients", in(Scope::Source), "no longer needed",
                   {.flags = kDeprecated, .grammar = "BOOLEAN"}));
  add(out, ignored("check-spf-inbound-best-guess", in(Scope::Source), "no longer defined",
                   {.flags = kDeprecated, .grammar = "BOOLEAN"}));
}

}  // namespace sluice::config::rows
