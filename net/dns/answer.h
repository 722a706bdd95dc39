#pragma once
// What a message says about the question that was asked.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/dns/message.h"

namespace sluice::net::dns {

/// The meaning of one answer.
struct Answer {
  enum class Kind : std::uint8_t {
    Records,   ///< `records` answer the question, directly or behind aliases
    Alias,     ///< the message ends with an alias: ask for `alias` next
    NoData,    ///< the name exists without records of the type
    NxDomain,  ///< the name does not exist, and its zone says so: AA is set or the zone's SOA is enclosed
    Failure,   ///< SERVFAIL, REFUSED and the like, or an NXDOMAIN or empty answer that nobody vouches for
    Bad,       ///< not an answer to this question, or aliases in a circle
  };
  static constexpr std::size_t kAliasesMax = 16;  ///< followed within one message

  Kind kind = Kind::Bad;
  std::vector<Record> records;              ///< Records only
  std::string alias;                        ///< Alias only
  std::optional<std::chrono::seconds> ttl;  ///< the least of all that was used; absent: the zone gave none
  Rcode rcode = Rcode::NoError;
  bool authentic = false;  ///< the resolver says DNSSEC holds (AD); trust it only on a trusted path
};

/// Judges `message` as the answer to (name, type). The case of `name` does not matter. Consumes the records.
[[nodiscard]] Answer interpret_answer(Message message, std::string_view name, Type type);

}  // namespace sluice::net::dns
