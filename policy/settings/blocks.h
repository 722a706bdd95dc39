#pragma once
// The blocks other than `<domain>` and `<source>`, as they come out of the loader.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "policy/settings/global_settings.h"
#include "policy/settings/values.h"

namespace sluice::config {

/// `virtual-mta NAME [weight=W]` inside a pool. The weight is an extension; 1 is PowerMTA's plain round
/// robin.
struct PoolMember {
  std::string name;
  std::uint32_t weight = 1;
  VmtaId id;  ///< set once the whole configuration is read
  Origin origin;
  friend bool operator==(const PoolMember& a, const PoolMember& b) {
    return a.name == b.name && a.weight == b.weight;
  }
};

/// What a `<virtual-mta>` and a `<virtual-mta-pool>` have in common.
struct IdentitySettings {
  std::vector<SourceHost> smtp_source_host;  ///< empty: the global list
  std::vector<ProxySourceHost> smtp_proxy_source_host;
  std::uint32_t proxy_protocol = 1;
  std::string host_name;              ///< EHLO name when no source host gives one
  std::string ehlo_hostname;          ///< second spelling of host-name, for `smtp-source-ip` lines
  std::vector<DomainKey> domain_key;  ///< searched before the global keys
  CountLimit max_smtp_out;            ///< over all queues
  RateLimit max_smtp_msg_rate;        ///< over all queues
  VolumeLimit max_smtp_data_volume_rate;
  std::vector<std::string> cold_virtual_mta;
  std::vector<std::string> include_headers_from;
  std::string rewrite_list;
  std::vector<std::string> use_proxy;
  std::string enable_signals;
  std::vector<PoolMember> members;  ///< pools only
  friend bool operator==(const IdentitySettings&, const IdentitySettings&) = default;
};

struct Vmta {
  std::string name;
  VmtaId id;
  IdentitySettings settings;
  std::optional<PoolId> domain_pool;  ///< the pool whose <domain> blocks this VMTA inherits
  Origin origin;
};

struct Pool {
  std::string name;
  PoolId id;
  IdentitySettings settings;
  Origin origin;
};

struct Spool {
  std::string dir;
  std::uint32_t priority = 1;  ///< 1 .. 100; the highest is used until it is full
  std::optional<ByteCount> min_free_space;
  bool deliver_only = false;
  bool delete_file_holders = false;
  Origin origin;
};

/// `smtp-listener A:P [source=NAME]` or `<smtp-listener A:P>`.
struct SmtpListener {
  Cidr address;  ///< 0.0.0.0/0 = all; a block = every local address inside it
  std::uint16_t port = 25;
  std::string source;  ///< empty: by client address only
  /// Second spelling `{{ default-virtual-mta X }}`; over `source`, under the message's own choice. Empty:
  /// none.
  std::string default_virtual_mta;
  bool await_slot = false;
  bool immediate_tls = false;
  ServerTls tls;  ///< certificate empty: the global one
  Origin origin;
};

struct SmtpUser {
  std::string name;
  std::string password;
  AuthenticationMethod authentication_method = AuthenticationMethod::Password;
  std::string tls_certificate;
  std::string source = "{auth}";
  Origin origin;
};

struct SourceGroup {
  std::string name;
  CountLimit max_smtp_in;
  CountLimit reserved_smtp_in;
  Origin origin;
};

/// `privacy-policy` of accounting files and of <signals>.
enum class PrivacyKind : std::uint8_t {
  Retain,
  Redact,
  Siphash,
  SiphashHexkey,
  HmacSha256,
  HmacSha256Hexkey
};
struct PrivacyPolicy {
  PrivacyKind kind = PrivacyKind::Retain;
  std::string argument;  ///< replacement text of redact ("..."), else the key as written
  friend bool operator==(const PrivacyPolicy&, const PrivacyPolicy&) = default;
};

/// `record-fields TYPE LIST`.
struct RecordFields {
  RecordType type = RecordType::Delivery;
  std::vector<std::string> fields;  ///< "*", "!field", "header_NAME", "arf_NAME", names as written
  Origin origin;
  friend bool operator==(const RecordFields& a, const RecordFields& b) {
    return a.type == b.type && a.fields == b.fields;
  }
};

/// `map-header-to-field TYPE header_NAME FIELD`; the first header that exists wins.
struct HeaderToField {
  RecordType type = RecordType::Delivery;
  std::string header;  ///< without "header_"
  std::string field;
  friend bool operator==(const HeaderToField&, const HeaderToField&) = default;
};

/// One entry of `queue-filter`: `[!]dom[/vmta]`, `*` allowed on both sides; the first match decides.
struct QueueFilter {
  bool negative = false;
  std::string domain;
  std::string vmta;  ///< "*" when not given
  friend bool operator==(const QueueFilter&, const QueueFilter&) = default;
};

struct AcctFile {
  std::string path;     ///< empty for a pipe
  std::string command;  ///< behind `|`
  std::vector<RecordType> records{RecordType::Delivery, RecordType::Bounce};
  bool records_given = false;
  std::vector<RecordFields> record_fields;  ///< a type without entry writes "*"
  std::vector<HeaderToField> map_header_to_field;
  std::string move_to;
  Duration move_interval = 24h;
  bool move_interval_given = false;
  ByteCount max_size{250 * kMiB};
  TimeOrNever delete_after = 192h;  ///< 8d
  bool world_readable = false;
  bool sync = false;
  bool iso_times = true;
  std::string user_string;
  std::vector<QueueFilter> queue_filter;
  bool count_moved_records = false;
  PrivacyPolicy privacy_policy;
  Duration retry_interval = 5min;
  Duration write_timeout = 1min;
  std::string http_webhook_url;
  std::string http_webhook_extra_headers;
  std::string http_webhook_certificate;
  std::string http_webhook_ca_file;
  Duration http_webhook_max_interval = 1min;
  std::string http_webhook_transfer_encoding;
  Duration http_webhook_connect_timeout = 5s;
  Duration http_webhook_io_timeout = 5s;
  bool http_webhook_log_verbose = false;
  Origin origin;
  [[nodiscard]] bool is_pipe() const { return !command.empty(); }
  [[nodiscard]] bool is_webhook() const { return !http_webhook_url.empty(); }
};

/// `mx PATTERN TARGET.rollup [rollup-by-ip]`.
struct MxRollup {
  DomainPattern mx;
  std::string target;
  bool by_ip = false;
  Origin origin;
  friend bool operator==(const MxRollup& a, const MxRollup& b) {
    return a.mx == b.mx && a.target == b.target && a.by_ip == b.by_ip;
  }
};

/// `<smtp-pattern-list NAME>`.
struct ReplyList {
  std::string name;
  std::vector<ReplyRule> rules;
  Origin origin;
};

enum class MessagePatternKind : std::uint8_t { Header, MailFrom, RcptTo, Any };

/// One line of a `<pattern-list>`; with `nested`, the results are those of the first match inside.
struct MessagePattern {
  MessagePatternKind kind = MessagePatternKind::Any;
  std::string header;  ///< Header only
  Regex pattern;
  std::string virtual_mta;  ///< VMTA or pool; empty: not chosen here
  std::optional<std::uint32_t> recipient_priority;
  std::string call_to;  ///< another list; empty: none
  std::vector<MessagePattern> nested;
  Origin origin;
};

struct PatternList {
  std::string name;
  std::vector<MessagePattern> patterns;
  Origin origin;
};

/// `/PCRE/ CATEGORY`, first match wins.
struct BounceCategoryRule {
  Regex pattern;
  std::string category;
};

/// Entry of an `<address-list>`.
struct AddressEntry {
  enum class Kind : std::uint8_t { LocalPart, Address, Regex, Domain, File };
  Kind kind = Kind::Address;
  std::string text;
  Origin origin;
  friend bool operator==(const AddressEntry& a, const AddressEntry& b) {
    return a.kind == b.kind && a.text == b.text;
  }
};

struct AddressList {
  std::string name;  ///< empty inside a processor
  std::vector<AddressEntry> entries;
  Origin origin;
};

/// `mail-from SRC DST` / `from-domain PATTERN DOMAIN`; `*` in DST copies that part.
struct RewriteRule {
  enum class Kind : std::uint8_t { MailFrom, FromDomain };
  Kind kind = Kind::MailFrom;
  std::string source;
  std::string destination;
};

struct RewriteList {
  std::string name;
  std::vector<RewriteRule> rules;
  Origin origin;
};

struct DomainKeyList {
  std::string name;
  std::vector<DomainKey> keys;
  Origin origin;
};

/// Extension `<bounce-actions [NAME]>`; the first entry that matches decides.
struct BounceActionList {
  std::string name;
  std::vector<BounceAction> actions;
  Origin origin;
};

enum class ReportAction : std::uint8_t { Log, Suppress, Pipe };

/// `<bounce-processor>`, `<feedback-loop-processor>` and the second spelling `<fbl>`.
struct ReportProcessor {
  std::optional<bool> deliver_unmatched_email;  ///< empty: true without forward address, else false
  bool deliver_matched_email = false;
  std::vector<std::string> forward_unmatched_to;
  std::vector<std::string> forward_errors_to;
  std::vector<AddressEntry> addresses;
  std::vector<std::string> body_pattern_files;
  bool log_match_info = false;
  ReportAction action = ReportAction::Log;  ///< extension
  std::string pipe_command;                 ///< extension, with action pipe
  std::vector<std::string> virtual_mtas;    ///< extension: only complaints about these; empty: all
  std::vector<std::string> input_dirs;      ///< extension: Maildir folders or mbox files that are read
  Origin origin;
};

/// A share of the recipients of one stream, in parts of a million: "0.5%" is 5000.
using Share = Strong<struct ShareTag, std::uint32_t>;

/// `bounce-rate CATEGORY PERCENT|off`.
struct BounceRateAlert {
  std::string category;
  std::optional<Share> above;  ///< empty: no alert for this category
  friend bool operator==(const BounceRateAlert&, const BounceRateAlert&) = default;
};

/// Extension `<alerts>`: when somebody is told about a campaign or stream, or a listed address.
struct AlertSettings {
  bool enabled = true;
  std::vector<BounceRateAlert> bounce_rate{{"bad-mailbox", Share{5000}}, {"spam-related", Share{2000}}};
  std::optional<Share> complaint_rate = Share{1000};
  std::uint32_t min_recipients = 1000;  ///< fewer say nothing about a rate
  Duration window = 24h;                ///< rates are those of the last `window`
  std::vector<std::string> blocklist{"zen.spamhaus.org"};
  Duration blocklist_interval = 24h;
  std::vector<std::string> notify;  ///< empty: the postmaster
  std::string webhook_url;
  bool hold_stream = false;  ///< pause the stream until somebody resumes it
};

struct DnsSettings {
  std::string precached_domains_file;
  Duration precached_refresh_interval = 5min;
  std::uint32_t precached_max_domains = 500;
};

struct ApiListener {
  Endpoint address;
  ServerTls tls;
  Origin origin;
};

struct TransmissionsApi {
  std::vector<std::string> api_key;
  bool log_requests = false;
  bool log_data = false;
  bool log_tls = false;
};

struct Proxy {
  std::string name;
  std::string server;
  std::vector<std::string> client;
  std::uint32_t protocol_version = 1;
  Origin origin;
};

struct Vault {
  std::string server_url;
  std::string access_token;
  Duration cache_ttl = 24h;
};

}  // namespace sluice::config
