#pragma once
// DNS on the wire, as much as an authoritative server that lies on purpose needs (RFC 1035, EDNS of RFC 6891).

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/provider/provider.h"

namespace sluice::bench {

enum class DnsCode : std::uint8_t {
  NoError = 0,
  FormErr = 1,
  ServFail = 2,
  NxDomain = 3,
  NotImplemented = 4,
  Refused = 5
};

struct DnsQuestion {
  std::uint16_t id = 0;
  std::uint8_t opcode = 0;
  bool recursion_desired = false;
  std::string name;       ///< lower case, without final dot; a dot inside a label reads as '\x01'
  std::string wire_name;  ///< as it was sent, letter case kept (resolvers compare it)
  std::uint16_t type = 0;
  std::uint16_t klass = 1;
  bool edns = false;
  bool dnssec_ok = false;
  std::uint16_t udp_bytes_max = 512;
};

/// Reads a query. nullopt: not a query that can be answered at all (too short, a response, a name that runs over).
[[nodiscard]] std::optional<DnsQuestion> parse_dns_question(std::span<const std::byte> bytes);

/// Builds one response.
/// Limits: kBytesMax; what would pass it is left out and overflowed() tells.
class DnsResponse {
 public:
  static constexpr std::size_t kBytesMax = 65535;
  enum class Section : std::uint8_t { Answer = 0, Authority = 1, Additional = 2 };

  explicit DnsResponse(const DnsQuestion& question);

  /// Sections are filled in their order (asserted). Names: as in DnsQuestion::name.
  void add_address(Section section, std::string_view owner, std::uint32_t ttl, const IpAddress& address);
  void add_mx(std::string_view owner, std::uint32_t ttl, std::uint16_t preference, std::string_view host);
  void add_name(Section section, RecordType type, std::string_view owner, std::uint32_t ttl,
                std::string_view target);
  void add_text(std::string_view owner, std::uint32_t ttl, std::string_view text);
  void add_raw(RecordType type, std::string_view owner, std::uint32_t ttl, std::string_view data);
  void add_soa(Section section, std::string_view owner, std::uint32_t ttl, std::uint32_t negative_ttl);
  void set_code(DnsCode code) { code_ = code; }

  [[nodiscard]] bool overflowed() const { return overflowed_; }
  /// The message; cut to header and question with TC set when it is longer than `bytes_max`.
  [[nodiscard]] std::string finish(std::size_t bytes_max) const;

 private:
  void begin_record(Section section, std::string_view owner, RecordType type, std::uint32_t ttl);
  void end_record();
  void put16(std::uint16_t value);
  void put32(std::uint32_t value);
  void put_name(std::string_view name);

  const DnsQuestion& question_;
  DnsCode code_ = DnsCode::NoError;
  std::string bytes_;
  std::size_t question_end_ = 0;
  std::size_t record_start_ = 0;
  std::size_t length_at_ = 0;
  Section section_ = Section::Answer;
  std::uint16_t counts_[3] = {};
  bool overflowed_ = false;
  // Suffixes that can be pointed at, with their places (RFC 1035 4.1.4). Few: a list beats a map.
  std::vector<std::pair<std::string, std::uint16_t>> places_;
};

}  // namespace sluice::bench
