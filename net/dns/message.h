#pragma once
// DNS messages (RFC 1035, 2181, 2308, 3596, 6698, 6891): bytes to values and back. Answers come from
// strangers, so every length, count and pointer is checked and bounded.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "policy/base/ip_address.h"
#include "policy/base/result.h"
#include "policy/base/units.h"

namespace sluice::net::dns {

inline constexpr std::size_t kMessageBytesMax =
    65535;                                        ///< RFC 1035 4.2.2: the length in front of a TCP message
inline constexpr std::size_t kNameWireMax = 255;  ///< RFC 1035 2.3.4, with length bytes and the root
inline constexpr std::size_t kLabelBytesMax = 63;
inline constexpr std::size_t kRecordsMax = 4096;  ///< in all sections together; more is refused
inline constexpr std::size_t kQuestionsMax = 4;
/// RFC 2181 8 allows 68 years; nobody means that, and a poisoned record should not outlive a week.
inline constexpr std::chrono::seconds kTtlMax = std::chrono::hours{24 * 7};

/// Any 16-bit value may come from the wire; the named ones are understood.
enum class Type : std::uint16_t {
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
/// Any 4-bit value may come from the wire.
enum class Rcode : std::uint8_t {
  NoError = 0,
  FormErr = 1,
  ServFail = 2,
  NxDomain = 3,
  NotImp = 4,
  Refused = 5
};
inline constexpr std::uint16_t kClassInternet = 1;

/// "MX", or "TYPE257" for a type without a name here.
[[nodiscard]] std::string text_of(Type type);
/// "SERVFAIL", or "RCODE11".
[[nodiscard]] std::string text_of(Rcode rcode);

// Names are text: labels joined by dots, no dot at the end, lower case when parsed, "" is the root. Bytes
// outside printable ASCII, dots inside labels and backslashes are written \DDD (RFC 1035 5.1).

/// Flags and id of a message. `rcode` is the 4 bits of the header: extended codes are only used by EDNS
/// itself.
struct Header {
  std::uint16_t id = 0;
  bool response = false;
  std::uint8_t opcode = 0;
  bool authoritative = false;
  bool truncated = false;
  bool recursion_desired = true;
  bool recursion_available = false;
  bool authentic_data = false;
  bool checking_disabled = false;
  Rcode rcode = Rcode::NoError;
  friend bool operator==(const Header&, const Header&) = default;
};

struct Question {
  std::string name;
  Type type = Type::A;
  std::uint16_t klass = kClassInternet;
  friend bool operator==(const Question&, const Question&) = default;
};

struct MxData {
  std::uint16_t preference = 0;
  std::string host;  ///< "" with preference 0 as the only record: null MX (RFC 7505)
  friend bool operator==(const MxData&, const MxData&) = default;
};
/// CNAME, NS and PTR.
struct NameData {
  std::string name;
  friend bool operator==(const NameData&, const NameData&) = default;
};
struct SoaData {
  std::string primary;
  std::string contact;
  std::uint32_t serial = 0;
  std::uint32_t refresh_sec = 0;
  std::uint32_t retry_sec = 0;
  std::uint32_t expire_sec = 0;
  std::chrono::seconds minimum{0};  ///< bounds negative caching, RFC 2308 4; clamped like a TTL
  friend bool operator==(const SoaData&, const SoaData&) = default;
};
/// TXT, TLSA and every type not listed above, as on the wire.
struct RawData {
  std::vector<std::byte> bytes;
  friend bool operator==(const RawData&, const RawData&) = default;
};

struct Record {
  std::string name;
  Type type = Type::A;
  std::uint16_t klass = kClassInternet;
  std::chrono::seconds ttl{0};  ///< 0 .. kTtlMax; a set top bit counts as 0 (RFC 2181 8)
  std::variant<IpAddress, MxData, NameData, SoaData, RawData> data;
  friend bool operator==(const Record&, const Record&) = default;
};

/// EDNS(0), RFC 6891.
struct Edns {
  std::uint16_t udp_size = 1232;
  bool dnssec_ok = false;
  friend bool operator==(const Edns&, const Edns&) = default;
};

struct Message {
  Header header;
  std::vector<Question> questions;
  std::vector<Record> answers;
  std::vector<Record> authority;
  /// Only counted and checked while parsing: nothing there is trusted, so nothing is kept except the OPT.
  std::optional<Edns> edns;
  friend bool operator==(const Message&, const Message&) = default;
};

/// Reads a whole message. Bytes behind the last record are ignored.
/// Errors: BadInput - cut off, a length or pointer that lies, more than kRecordsMax records, data of a known
///         type that
/// does not have that type's form. Records of classes other than Internet are left out.
[[nodiscard]] Result<Message> parse_message(std::span<const std::byte> bytes);

/// A query with recursion desired. Errors: BadInput - `name` is no encodable name.
[[nodiscard]] Result<std::vector<std::byte>> build_query(std::uint16_t id, std::string_view name, Type type,
                                                         std::optional<Edns> edns = std::nullopt);

/// Writes any message, with owner names compressed against names written before. What does not fit into
/// `bytes_max` is left out by whole records and the truncated flag is set. Errors: BadInput - a name or text
/// that cannot be encoded.
[[nodiscard]] Result<std::vector<std::byte>> build_message(const Message& message,
                                                           std::size_t bytes_max = kMessageBytesMax);

/// The character strings of a TXT record joined (RFC 7208 3.3). Errors: BadInput - lengths that lie.
[[nodiscard]] Result<std::string> txt_text(std::span<const std::byte> raw);

}  // namespace sluice::net::dns
