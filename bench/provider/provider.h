#pragma once
// An internet of receiving providers, as one value: what sluice-sink plays and what its name server tells.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/lib/name_pattern.h"
#include "bench/lib/values.h"
#include "policy/base/ip_address.h"
#include "policy/base/rate.h"

namespace sluice::bench {

/// Where in a conversation a rule looks. Data is the DATA command or a transaction's first BDAT; Body is while the
/// message's bytes come; Dot is after them (final dot, or BDAT LAST) and before the reply.
enum class Phase : std::uint8_t { Connect, Greeting, Ehlo, Mail, Rcpt, Data, Body, Dot, Rset, Quit };
inline constexpr std::size_t kPhases = 10;
[[nodiscard]] std::string_view name_of(Phase phase);

/// What a rule does. Delay and Slow let the rules after them speak too; all others end the search.
struct Action {
  enum class Kind : std::uint8_t {
    Delay,          ///< waits `time`, then goes on
    Reply,          ///< says `text` instead of the usual reply; 421 also closes
    ReplyAndClose,  ///< says `text`, then closes
    Raw,            ///< sends `parts` as they are, instead of a reply; counts as refused
    Drop,           ///< closes without a reply; at Dot the message is not taken over
    AcceptAndDrop,  ///< Dot: takes the message over, then closes without a reply
    Reset,          ///< closes with RST
    Stall,          ///< says nothing ever again, but keeps the connection
    Pause,          ///< Body: stops reading for `time`
    PauseUntil,     ///< Body: stops reading until `time` after the sink's start
    Slow,           ///< Body: reads at most `bytes_per_second`
  };
  struct Part {
    std::string text;
    std::uint64_t times = 1;
  };
  Kind kind = Kind::Reply;
  DurationRange time;
  std::string text;  ///< whole reply without its last CR LF; lines joined by CR LF
  std::vector<Part> parts;
  std::uint64_t bytes_per_second = 0;
};

/// One "at" line: all conditions must hold.
struct Rule {
  Phase phase = Phase::Greeting;
  Share share;                          ///< of events, drawn from the seed
  bool by_address = false;              ///< the share is of addresses, the same ones every time
  std::optional<std::uint64_t> first;   ///< the first N events of this rule
  std::optional<std::uint64_t> every;   ///< every Nth event of this rule
  std::optional<DurationRange> during;  ///< times since the sink's start
  std::optional<Cidr> source;           ///< the client's address
  std::optional<DomainPattern>
      domain;                     ///< of the recipient (Rcpt) or of the last one accepted (later phases)
  std::uint64_t after_bytes = 0;  ///< Body: once so many bytes of the message came
  Action action;
};

/// ESMTP keywords a provider announces.
struct Extensions {
  bool pipelining = true;
  bool chunking = true;
  bool eight_bit_mime = true;
  bool enhanced_status_codes = true;
  bool dsn = true;
  bool size = true;
  bool smtputf8 = true;
  bool ehlo = true;  ///< off: EHLO is an unknown command, only HELO works
  std::vector<std::string> others;
};

/// A limit and what is said at it.
template <class Value>
struct Limit {
  Value value{};
  std::string reply;
};

struct MxHost {
  std::string name;
  std::uint16_t preference = 10;
  std::vector<Endpoint> addresses;  ///< port 0: the file's port
  bool listens = true;              ///< off ("mx-elsewhere"): named in DNS only, nothing listens there
};

/// What is wrong with the answers about a name.
struct DnsFault {
  enum class Kind : std::uint8_t {
    ServFail,
    Refused,
    NotImplemented,
    NxDomain,
    NoData,
    Drop,
    Delay,
    NullMx,
    WrongId,
    WrongQuestion,
    Truncate,        ///< TC over UDP, whole over TCP
    TruncateAlways,  ///< TC over UDP, and TCP closes
    ManyMx,          ///< `number` MX records
    Huge,            ///< answers padded with records to about `number` bytes
    Ttl,             ///< `number` as TTL, 0 to 2^32 - 1
    CnameLoop,
    Garbage,
  };
  DomainPattern names;
  Kind kind = Kind::ServFail;
  Share share;
  std::uint64_t number = 0;
  Duration delay{0};
};

enum class RecordType : std::uint16_t {
  A = 1,
  Ns = 2,
  Cname = 5,
  Soa = 6,
  Ptr = 12,
  Mx = 15,
  Txt = 16,
  Aaaa = 28,
  Opt = 41,
  Tlsa = 52,
  Any = 255
};

/// A record given by hand.
struct DnsRecord {
  std::string name;  ///< lower case, without final dot; "" is the root
  RecordType type = RecordType::A;
  std::optional<std::uint32_t> ttl;
  std::uint16_t preference = 0;  ///< Mx
  std::string text;              ///< Mx, Ns, Cname, Ptr: a name; Txt: the text; Tlsa: the raw bytes
  IpAddress address;             ///< A, Aaaa
};

struct Provider {
  std::string name;
  std::vector<DomainPattern> domains;
  std::vector<MxHost> mx;
  std::vector<Endpoint> addresses;  ///< of the domains themselves (no MX needed); listened on too
  std::string banner;               ///< behind "220 "; the listener's host name when empty
  bool any_domain = false;          ///< takes recipients of every domain
  Extensions extensions;
  std::optional<std::uint64_t> size_bytes_max;
  std::uint64_t recipients_max = 1000;  ///< in a transaction; 452 beyond
  std::optional<Limit<std::uint64_t>> connections;
  std::optional<Limit<std::uint64_t>> connections_per_source;
  std::optional<Limit<Rate>> connection_rate;
  std::optional<Limit<Rate>> connection_rate_per_source;
  std::optional<Limit<Rate>> message_rate;
  std::optional<Limit<Rate>> message_rate_per_source;
  std::optional<Limit<std::uint64_t>> messages_per_connection;
  std::optional<Limit<Duration>> greylist;
  std::optional<Limit<Share>> unknown_users;
  std::optional<Limit<Duration>> idle;                ///< empty reply: closes without a word
  std::optional<std::uint64_t> receive_buffer_bytes;  ///< SO_RCVBUF
  bool bytewise = false;                              ///< replies go out one byte at a time
  /// What the sender was told to keep to; being above is a violation at the end. Unlike the limits above nothing is
  /// refused.
  std::optional<std::uint64_t> expect_connections;
  std::optional<std::uint64_t> expect_connections_per_source;
  std::optional<std::uint64_t> expect_messages_per_connection;
  std::array<std::vector<Rule>, kPhases> rules;
};

struct Internet {
  std::uint64_t seed = 1;
  std::uint16_t port = 0;  ///< of addresses without their own; 0 = one free port, the same for all
  std::uint32_t ttl_seconds = 300;
  std::uint32_t negative_ttl_seconds = 60;
  std::vector<Provider> providers;
  std::vector<DnsRecord> records;
  std::vector<DnsFault> faults;
};

}  // namespace sluice::bench
