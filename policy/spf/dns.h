#pragma once
// The questions that checks of a client put to DNS, and the answers they get.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/ip_address.h"

namespace sluice::spf {

enum class RecordType : std::uint8_t { Txt, A, Aaaa, Mx, Ptr };
[[nodiscard]] std::string_view name_of(RecordType type);

/// `name` can be asked for (is_askable_dns_name()), in the spelling of whoever wrote it.
struct Question {
  RecordType type = RecordType::Txt;
  std::string name;
};

struct DnsAnswer {
  enum class Kind : std::uint8_t {
    Records,
    NoData,    ///< the name exists, such records do not
    NoDomain,  ///< RCODE 3
    Failure,   ///< any other RCODE, or nobody answered in time
  };
  Kind kind = Kind::Failure;
  std::vector<std::string>
      texts;  ///< TXT: strings of each record joined; MX: hosts by preference; PTR: names
  std::vector<IpAddress> addresses;  ///< A and AAAA
  [[nodiscard]] bool is_void() const { return kind == Kind::NoData || kind == Kind::NoDomain; }
};

/// "1.2.0.192.in-addr.arpa", or the nibbles under ip6.arpa.
[[nodiscard]] std::string reverse_name(const IpAddress& address);
/// A or AAAA, by the family of `address`.
[[nodiscard]] RecordType family_of(const IpAddress& address);

/// Whose name is this address? Asks for PTR and for the addresses of each name; names that lead back are the
/// validated ones (RFC 7208 5.5, RFC 8601 3).
/// Thread: one at a time. Limits: kNamesMax names are looked at, the others ignored (RFC 7208 4.6.4).
class ClientNames {
 public:
  static constexpr std::size_t kNamesMax = 10;

  explicit ClientNames(const IpAddress& client);
  /// Null when all is known.
  [[nodiscard]] const Question* question() const { return done_ ? nullptr : &question_; }
  /// The answer to question(). Requires one.
  void answer(const DnsAnswer& answer);

  [[nodiscard]] const std::vector<std::string>& validated() const { return validated_; }
  /// How the PTR question ended.
  [[nodiscard]] DnsAnswer::Kind reverse() const { return reverse_; }
  /// Names found by PTR, at most kNamesMax.
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }
  /// The address question of some name failed.
  [[nodiscard]] bool forward_failed() const { return forward_failed_; }
  /// Some name has addresses.
  [[nodiscard]] bool forward_found() const { return forward_found_; }

 private:
  void ask_next();

  IpAddress client_;
  Question question_;
  std::vector<std::string> names_;
  std::vector<std::string> validated_;
  std::size_t next_ = 0;
  DnsAnswer::Kind reverse_ = DnsAnswer::Kind::Failure;
  bool reversed_ = false;
  bool forward_failed_ = false;
  bool forward_found_ = false;
  bool done_ = false;
};

}  // namespace sluice::spf
