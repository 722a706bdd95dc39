#pragma once
// Everything a `<domain>` block can say, flattened for one queue (domain, virtual MTA). A default-made object
// holds the defaults of the language: the directive table prints its defaults from here, so they cannot
// differ.

#include <cstdint>
#include <string>
#include <vector>

#include "policy/settings/values.h"

namespace sluice::config {

/// One DKIM signature; `second-dkim-*` fills a second object.
struct DkimSettings {
  DkimSign sign = DkimSign::No;
  DkimAlgorithm algorithm = DkimAlgorithm::RsaSha256;
  Canonicalization body_canon = Canonicalization::Relaxed;
  Canonicalization headers_canon = Canonicalization::Relaxed;
  std::string identity = "sender-or-from";           ///< or "strict-from", "@domain", an address
  std::string identity_fallback;                     ///< empty: leave the message unsigned when no key fits
  std::vector<NameOrRegex> headers;                  ///< signed in addition to the fixed set
  std::vector<std::string> disallow_adding_headers;  ///< oversigned
  TimeOrNever expire_after;
  bool add_timestamp = false;
  bool add_body_limit = false;
  std::string query_method;
  friend bool operator==(const DkimSettings&, const DkimSettings&) = default;
};

/// Effective settings of one queue.
/// Thread: immutable once made; read from anywhere. Rates: `backoff_max_*` are final, that is the normal
/// value where the text did not set them.
struct DomainSettings {
  // Connections and pace.
  CountLimit max_smtp_out = 20;
  CountLimit backoff_max_smtp_out = 20;
  std::vector<PerSource<std::uint32_t>> source_ip_max_smtp_out;
  RateLimit max_connect_rate;
  RateLimit backoff_max_connect_rate;
  std::vector<PerSource<RateLimit>> source_ip_max_connect_rate;
  RateLimit max_msg_rate;
  RateLimit backoff_max_msg_rate;
  std::vector<PerSource<RateLimit>> source_ip_max_msg_rate;
  VolumeLimit max_data_volume_rate;
  VolumeLimit backoff_max_data_volume_rate;
  std::vector<PerSource<VolumeLimit>> source_ip_max_data_volume_rate;
  Duration smtp_out_rampup_interval = 0s;
  Duration connection_idle_timeout = 0s;  ///< at most 10m
  bool share_connections = true;  ///< extension: idle connections serve other domains of the same host
  CountLimit max_msg_per_connection;
  CountLimit max_rcpt_per_message = 1000;  ///< RCPT commands per transaction
  CountLimit max_errors_per_connection;
  std::uint32_t mx_connection_attempts = 10;
  /// Extension: the limits of this domain hold for the queues of all virtual MTAs together.
  bool share_limits_over_vmtas = false;

  // Retry and age.
  std::vector<Duration> retry_after{10min};
  std::vector<Duration> backoff_retry_after{1h};
  Duration retry_after_dns_error = 1min;
  Duration retry_recipients_after = 10min;
  bool retry_upon_new_mail = false;
  Duration bounce_after = 108h;  ///< 4d12h
  BounceUponNoMx bounce_upon_no_mx;
  bool bounce_upon_5xx_greeting = true;
  bool bounce_upon_transfer_failure = false;
  bool bounce_upon_pix_transfer_failure = false;
  bool pix_bug_workaround = true;
  bool assume_delivery_upon_data_termination_timeout = false;
  CountLimit smtp_retries_after_shutoff;  ///< extension; empty: no such limit

  // Time-outs.
  Duration connect_timeout = 2min;
  Duration smtp_greeting_timeout = 5min;
  Duration data_send_timeout = 3min;
  Duration smtp_data_termination_timeout = 10min;
  Duration smtp_multiple_line_response_timeout = 5min;

  // Routing.
  HostList smtp_hosts;
  std::uint16_t default_smtp_port = 25;
  std::string queue_to;  ///< lower case; empty: none
  bool disable_mx_rollup = false;
  std::vector<std::string>
      mx_rollup;  ///< second spelling `mx-rollup gmail.com`: domains of that provider join
  std::string reroute_to_virtual_mta;  ///< VMTA or pool; empty: none
  std::string backoff_reroute_to_virtual_mta;
  std::vector<std::uint32_t> max_cold_virtual_mta_msg;  ///< messages per day and cold VMTA, day by day
  std::uint32_t queue_priority = 50;
  bool allow_priority_interruption = true;
  bool allow_priority_interruption_during_transfer = false;
  bool allow_cancel_during_transfer = true;

  // Replies and modes.
  std::string smtp_pattern_list;  ///< name as written; empty: none. Looked up by Config::find_reply_list.
  std::vector<ReplyRule>
      inline_reply_rules;      ///< from `smtp-pattern-list NAME "text"` and `retry-after TEXT TIME`
  std::string bounce_actions;  ///< extension: name of a <bounce-actions> block; empty: the global one
  bool smtp_421_means_mx_unavailable = false;
  bool smtp_553_means_invalid_mailbox = true;
  bool replace_smtp_421_service_response = false;
  TimeOrNever backoff_to_normal_after;
  bool backoff_to_normal_after_delivery = false;
  bool backoff_upon_all_sources_disabled = false;
  std::vector<std::string> backoff_notify;
  std::vector<std::string> disabled_source_ip_notify;
  TimeOrNever reenable_source_ip_after;
  bool adaptive_pacing = false;  ///< extension: find the rate the receiver takes (policy/backoff/pacing.h)
  RateLimit adaptive_pacing_floor = Rate{1, 60s};  ///< empty: none
  std::uint32_t adaptive_pacing_cut = 50;   ///< percent of the rate that a push-back takes off
  std::uint32_t adaptive_pacing_step = 10;  ///< percent of the ceiling that a calm interval gives back
  Duration adaptive_pacing_interval = 10min;

  // What kind of delivery.
  QueueType type = QueueType::Smtp;
  bool discard_as_bounce = false;
  FileFormat file_format = FileFormat::NewfilePlain;
  std::string file_destination;
  std::string command;
  bool macro_variables_preserve_case = false;
  std::string http_delivery_url;
  std::string http_delivery_extra_headers;

  // AUTH and TLS towards the receiver.
  std::string auth_username;
  std::string auth_password;
  bool use_unencrypted_plain_auth = false;
  bool use_starttls = true;
  bool require_starttls = false;
  bool use_dane = false;
  bool use_mta_sts = false;
  bool reuse_ssl_session = false;
  bool smtp_tls_allow_tlsv1 = false;
  bool smtp_tls_allow_tlsv1_1 = true;
  bool smtp_tls_allow_tlsv1_2 = true;
  bool smtp_tls_allow_tlsv1_3 = true;
  std::string smtp_tls_ciphers = "HIGH:!ADH:@STRENGTH";
  std::string smtp_tls_v1_3_ciphersuites;
  std::string smtp_tls_ca_file;
  CertificateFile smtp_client_certificate;
  bool ignore_8bitmime = false;
  bool ignore_chunking = false;
  bool ignore_pipelining = false;
  bool ignore_dsn = false;
  bool check_spf_outbound = false;

  // The message itself.
  DkimSettings dkim;
  DkimSettings second_dkim;
  std::vector<DomainKey>
      domain_keys;  ///< second spelling: key given in the domain block; searched before all others
  std::vector<std::string> remove_header;
  std::string bcc_upon_delivery;
  bool add_fbl_id_header = false;  ///< extension: signed id of job, VMTA and recipient hash in X-FBLId
  bool add_x_msys_api_header = false;
  bool sparkpost_sandbox = false;
  std::string sparkpost_ip_pool;

  // Reports, records, logs.
  TimeOrNever notify_of_delay_every = 4h;
  DsnFormat dsn_format = DsnFormat::Standard;
  bool deliver_local_dsn = true;
  std::vector<RecordType> disable_acct_records;
  bool track_recipient_events = false;
  std::uint32_t max_events_recorded = 10;
  bool log_connections = false;
  bool log_commands = false;
  bool log_data = false;
  bool log_resolution = false;
  bool log_transfer_failures = false;
  bool log_disabled_ips = false;
  bool log_tls = false;
  bool log_messages = false;

  friend bool operator==(const DomainSettings&, const DomainSettings&) = default;
};

}  // namespace sluice::config
