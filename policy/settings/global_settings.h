#pragma once
// Directives outside of any block.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "policy/settings/values.h"

namespace sluice::config {

/// Versions, ciphers and files of a TLS server. Ciphers in OpenSSL's notation.
struct ServerTls {
  CertificateFile certificate;
  std::string ca_file;
  bool allow_tlsv1 = false;
  bool allow_tlsv1_1 = true;
  bool allow_tlsv1_2 = true;
  bool allow_tlsv1_3 = true;
  std::string ciphers = "HIGH:!ADH:@STRENGTH";
  std::string v1_3_ciphersuites;  ///< empty: the library's five standard suites
  std::uint32_t dh_key_length = 1024;
  friend bool operator==(const ServerTls&, const ServerTls&) = default;
};

/// `http-access CIDR LEVEL`; first match in file order wins.
struct HttpAccess {
  Cidr client;
  AccessLevel level = AccessLevel::None;
  bool deny_logs = false;
  Origin origin;
  friend bool operator==(const HttpAccess& a, const HttpAccess& b) {
    return a.client == b.client && a.level == b.level && a.deny_logs == b.deny_logs;
  }
};

/// `pickup DIR BADDIR`.
struct PickupDirs {
  std::string dir;
  std::string bad_dir;
  friend bool operator==(const PickupDirs&, const PickupDirs&) = default;
};

/// `alias SRC DST[,DST]`.
struct Alias {
  std::string source;  ///< "a@d", "a" (local host names), "*@d"
  std::vector<std::string> destinations;
  friend bool operator==(const Alias&, const Alias&) = default;
};

/// `mx-connection-limit MX-PATTERN N` and `ip-connection-limit CIDR N`.
struct MxConnectionLimit {
  DomainPattern mx;
  std::uint32_t limit = 0;
  friend bool operator==(const MxConnectionLimit&, const MxConnectionLimit&) = default;
};
struct IpConnectionLimit {
  Cidr destination;
  std::uint32_t limit = 0;
  friend bool operator==(const IpConnectionLimit&, const IpConnectionLimit&) = default;
};

/// The built-in sink (`dummy-smtp-*`).
struct DummySmtp {
  std::optional<IpAddress> ip;
  std::uint16_t port = 0;  ///< 0 = off, as the engine's listener table reads it
  std::uint32_t latency_ms = 0;
  bool await_slot = false;
  bool has_chunking = false;
  bool has_pipelining = false;
  bool has_verp = false;
  bool has_mailmerge = false;
  bool update_stats = true;
  std::string blacklist;
  bool log_blacklist = false;
  std::string blacklist_bounce_method;
  std::uint32_t blacklist_bounce_percent = 0;
  friend bool operator==(const DummySmtp&, const DummySmtp&) = default;
};

struct GlobalSettings {
  // Operator, logs.
  std::vector<std::string> postmaster;
  std::string log_file;
  std::uint32_t log_rotate = 8;
  bool log_auto_rotation = true;
  bool log_file_world_readable = false;

  // Machine.
  bool run_as_root = true;
  std::uint32_t thread_min_priority = 15;
  std::uint32_t thread_max_priority = 0;
  bool thread_reuse = true;
  std::uint32_t max_memory_usage_percent = 90;
  std::uint32_t total_max_smtp_out = 1200;
  std::uint32_t total_max_smtp_in = 100;
  std::optional<std::uint32_t> total_max_file;
  std::optional<std::uint32_t> shards;  ///< extension; empty = auto: one per core
  std::string run_dir = "/run/sluice";  ///< extension; where the control socket lives
  std::string control_socket;           ///< extension; empty: RUN-DIR/control

  // Spool.
  bool spool_delete_corrupted = false;
  std::optional<std::uint64_t> spool_max_recipients;  ///< empty = auto
  bool sync_msg_create = true;
  bool sync_msg_update = true;

  // Names and DNS.
  std::vector<std::string> host_name;
  std::uint32_t host_id = 0;
  std::string domain_suffix;
  std::vector<Endpoint> name_server;  ///< empty: the system's resolvers
  std::optional<std::uint32_t> edns_udp_length;
  /// Extension: domains whose MX records are the same share a queue, as if an <mx-rollup-list> named them.
  bool auto_mx_rollup = false;
  MxAddressGuard refuse_mx_addresses = MxAddressGuard::None;  ///< extension

  // Source addresses when a virtual MTA has none.
  std::vector<SourceHost> smtp_source_host;
  std::vector<ProxySourceHost> smtp_proxy_source_host;
  std::vector<std::string> use_proxy;
  std::string ehlo_hostname;  ///< second spelling: EHLO name for `smtp-source-ip` lines

  // Listening.
  std::optional<IpAddress> smtp_ip;        ///< old
  std::optional<std::uint16_t> smtp_port;  ///< old
  bool smtp_await_slot = false;
  ServerTls smtp_server_tls;

  // Relaying and addresses.
  bool always_allow_relaying = false;
  std::vector<DomainPattern> relay_domain;
  std::vector<NameOrRegex> relay_address;
  bool relay_debug = false;
  std::vector<Alias> alias;

  // Reports to senders.
  std::string custom_dsn_from_header;
  std::string dsn_failed_from_template;
  std::string dsn_failed_subject_template;
  std::string dsn_failed_body_template_from;

  // Message handling.
  std::vector<DomainKey> domain_key;
  std::vector<std::string> include_headers_from;
  std::string invalid_virtual_mta_fallback;
  bool mailmerge_expands_undefined_variables = true;
  std::optional<PickupDirs> pickup;
  bool pickup_remove_dot = false;
  bool track_time_first_attempt = false;
  std::vector<MxConnectionLimit> mx_connection_limit;
  std::vector<IpConnectionLimit> ip_connection_limit;
  std::string enable_signals;
  SizeLimit pmc_acct_min_free_space;
  std::string volume_audit_api_key;

  // Monitor.
  std::uint16_t http_mgmt_port = 8080;       ///< 0 = off
  std::vector<IpAddress> http_mgmt_address;  ///< extension; empty: loopback only
  std::string http_access_file;              ///< extension
  std::vector<HttpAccess> http_access;
  std::vector<std::string> http_api_key;
  bool http_csrf_protection = true;
  bool http_redirect_to_https = true;
  std::uint64_t http_strict_transport_security_max_age = 0;
  ServerTls http_tls;
  bool http_log_requests = false;
  bool http_log_data = false;
  bool http_log_tls = false;
  std::uint32_t http_default_max_items = 10;
  SortOrder http_default_sort_order = SortOrder::Recipients;

  DummySmtp dummy_smtp;
  std::string
      bounce_actions;  ///< extension: name of the <bounce-actions> block that applies where no other does

  StatusProduct status_product = StatusProduct::PowerMta;  ///< extension: what status calls the product

  friend bool operator==(const GlobalSettings&, const GlobalSettings&) = default;
};

}  // namespace sluice::config
