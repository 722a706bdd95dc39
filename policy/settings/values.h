#pragma once
// The value types of the configuration language, as the engine uses them. Every "unlimited", "never" and "0 =
// none" of the text has become an empty optional here; no field holds a magic number.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/ip_address.h"
#include "policy/base/rate.h"
#include "policy/base/units.h"
#include "policy/routing/host_list.h"

namespace sluice::config {

/// Dense index of a virtual MTA in Config::vmtas; 0 is `{default}`.
using VmtaId = Strong<struct VmtaIdTag, std::uint32_t>;
/// Dense index of a pool in Config::pools.
using PoolId = Strong<struct PoolIdTag, std::uint32_t>;
using ByteCount = Strong<struct ByteCountTag, std::uint64_t>;

inline constexpr VmtaId kDefaultVmta{0};
inline constexpr std::string_view kDefaultVmtaName = "{default}";

/// A count where the text may say `unlimited` (or 0, where PowerMTA means "no limit" by it).
using CountLimit = std::optional<std::uint32_t>;
using RateLimit = std::optional<Rate>;
/// A time where the text may say `never`.
using TimeOrNever = std::optional<Duration>;
using SizeLimit = std::optional<ByteCount>;

/// "10M/h": bytes per time. Requires bytes >= 1 and per > 0.
struct VolumeRate {
  ByteCount bytes{1};
  Duration per = 1s;
  friend constexpr bool operator==(const VolumeRate&, const VolumeRate&) = default;
};
using VolumeLimit = std::optional<VolumeRate>;

/// Where a line of the configuration stands. `file` indexes Config::files; line 0 means "not from any file".
struct Origin {
  std::uint32_t file = 0;
  std::uint32_t line = 0;
  friend constexpr bool operator==(const Origin&, const Origin&) = default;
};

/// The source text of a regular expression, without its slashes and with `\/` turned into `/`.
/// Case-insensitive unless it says (?-i). Compiled elsewhere; empty matches everything.
struct Regex {
  std::string text;
  Origin origin;
  friend bool operator==(const Regex& a, const Regex& b) { return a.text == b.text; }
};

/// One entry of a list that takes plain names and /regular expressions/.
struct NameOrRegex {
  std::string text;
  bool is_regex = false;
  friend bool operator==(const NameOrRegex&, const NameOrRegex&) = default;
};

/// `CIDR VALUE` of the source-ip-max-* directives.
template <class T>
struct PerSource {
  Cidr source;
  T value{};
  friend bool operator==(const PerSource&, const PerSource&) = default;
};

/// `smtp-hosts`; empty = DNS.
using HostList = routing::HostList;

/// FILE [PASSWORD].
struct CertificateFile {
  std::string path;
  std::string password;
  [[nodiscard]] bool empty() const { return path.empty(); }
  friend bool operator==(const CertificateFile&, const CertificateFile&) = default;
};

/// A source address with the name it says in EHLO. A block adds all local addresses inside it except
/// 127.0.0.1.
struct SourceHost {
  Cidr source;
  std::string ehlo;  ///< empty: the virtual MTA's host-name, else the global one
  Origin origin;
  [[nodiscard]] bool is_single() const { return source.prefix_bits() == source.address().bit_count(); }
  friend bool operator==(const SourceHost& a, const SourceHost& b) {
    return a.source == b.source && a.ehlo == b.ehlo;
  }
};

/// `smtp-proxy-source-host CIDR PROXY:PORT CLIENT-IP[:PORT] HOST`.
struct ProxySourceHost {
  Cidr source;
  std::string proxy;
  std::uint16_t proxy_port = 0;
  Endpoint client;
  std::string ehlo;
  friend bool operator==(const ProxySourceHost&, const ProxySourceHost&) = default;
};

/// `domain-key SELECTOR,DOMAIN,FILE`. First fitting entry in file order wins; "*" fits every domain.
struct DomainKey {
  std::string selector;
  std::string domain;  ///< lower case; "*"; "{domain}" with ${domain} in the path
  std::string path;    ///< file, or "{vault}:/v1/PATH/data/NAME:KEY"
  Origin origin;
  friend bool operator==(const DomainKey& a, const DomainKey& b) {
    return a.selector == b.selector && a.domain == b.domain && a.path == b.path;
  }
};

enum class DomainPatternKind : std::uint8_t { Any, Exact, Subdomains, DomainAndSubdomains, AddressLiteral };

/// DOMAIN-PATTERN: `*`, `dom`, `*.dom`, `[*.]dom`, `[ip/mask]`. Lower case, IDN labels as A-labels.
struct DomainPattern {
  DomainPatternKind kind = DomainPatternKind::Any;
  std::string domain;            ///< Exact, Subdomains, DomainAndSubdomains
  std::optional<Cidr> literals;  ///< AddressLiteral: matches domains written "[10.0.0.1]"
  /// `domain` is lower case, without a dot at its end.
  [[nodiscard]] bool matches(std::string_view domain_name) const;
  [[nodiscard]] std::string text() const;
  [[nodiscard]] static std::optional<DomainPattern> parse(std::string_view text);
  friend bool operator==(const DomainPattern&, const DomainPattern&) = default;
};

/// Lower case; UTF-8 labels become A-labels ("xn--...", RFC 3492); a dot at the end goes. No check of the
/// result.
[[nodiscard]] std::string normalise_domain(std::string_view domain);

/// What to do when a domain has no MX record (`bounce-upon-no-mx`).
struct BounceUponNoMx {
  /// Bounce once the recipient is older than this (0 = at once); empty = never, fall back to A and AAAA.
  std::optional<Duration> age;
  friend constexpr bool operator==(const BounceUponNoMx&, const BounceUponNoMx&) = default;
};

enum class QueueType : std::uint8_t { Smtp, Pipe, File, Discard, HttpDelivery };
enum class FileFormat : std::uint8_t { NewfilePlain, NewfilePickup, AppendMbox };
enum class DkimSign : std::uint8_t { No, Yes, IfOptionsPresent };
enum class DkimAlgorithm : std::uint8_t { RsaSha256, RsaSha1, Ed25519Sha256 };
enum class Canonicalization : std::uint8_t { Relaxed, Simple };
enum class DsnFormat : std::uint8_t { Standard, PlainText };
enum class DsnReturn : std::uint8_t { Headers, Full, System };
enum class AddDateHeader : std::uint8_t { No, Yes, Override };
enum class DateHeaderTime : std::uint8_t { Reception, Delivery };
enum class AuthenticationMethod : std::uint8_t { Password, System, Certificate };
enum class AccessLevel : std::uint8_t { None, Monitor, Operator, Admin };
enum class RecordType : std::uint8_t {
  Delivery,
  Bounce,
  Transient,
  TransientQueue,
  Reception,
  Feedback,
  RemoteBounce,
  RemoteStatus
};
enum class SortOrder : std::uint8_t { Recipients, Name, Size };
enum class StatusProduct : std::uint8_t { PowerMta, Sluice };
enum class QueueMode : std::uint8_t { Normal, Backoff };
/// Which addresses of mail hosts that DNS names are refused (`refuse-mx-addresses`).
enum class MxAddressGuard : std::uint8_t { None, Special, Private };

/// One letter or two as in the `type` column of accounting files: d b t tq r f rb rs.
[[nodiscard]] std::string_view short_name(RecordType type);
/// Long or short form: "delivery", "d", "feedback-loop", "fbl", "f", ...
[[nodiscard]] std::optional<RecordType> parse_record_type(std::string_view word);

/// What a reply of a remote host triggers. PowerMTA's `reply /PCRE/ ACTIONS`, plus `retry-after` and literal
/// prefixes.
struct ReplyRule {
  Regex pattern;
  /// Extension: the rule came as plain text ("421 4.7.0 TS01"); among such rules the longest that matches
  /// wins. 0 for rules written as /regex/, where the first in file order wins.
  std::uint32_t literal_length = 0;
  std::optional<QueueMode> mode;
  std::optional<Duration> backoff_to_normal_after;
  bool skip_mx = false;
  bool bounce_queue = false;
  bool bounce_recipient = false;
  bool defer_queue = false;
  bool disable_source_ip = false;
  std::optional<Duration> reenable_after;
  std::optional<Duration> retry_after;  ///< extension: interval of the queue while this reply holds
  friend bool operator==(const ReplyRule&, const ReplyRule&) = default;
};

enum class BounceActionKind : std::uint8_t { Suppress, Retry, Log };

/// Extension `<bounce-actions>`: what is done about a bounce by its category or reply.
struct BounceAction {
  std::vector<std::string> categories;  ///< any of these; empty when `reply` is set
  std::optional<Regex> reply;           ///< matched against "STATUS;DIAG"
  BounceActionKind action = BounceActionKind::Log;
  bool log_only = false;  ///< record what would be done, do nothing
  std::optional<Duration> retry_after;
  std::optional<Duration> expire;  ///< lifetime of the suppression entry; empty = for ever
  Origin origin;
  friend bool operator==(const BounceAction& a, const BounceAction& b) {
    return a.categories == b.categories && a.reply == b.reply && a.action == b.action &&
           a.log_only == b.log_only && a.retry_after == b.retry_after && a.expire == b.expire;
  }
};

}  // namespace sluice::config
