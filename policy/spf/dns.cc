#include "policy/spf/dns.h"

#include <algorithm>

#include "policy/base/assert.h"
#include "policy/base/dns_name.h"

namespace sluice::spf {

std::string_view name_of(RecordType type) {
  switch (type) {
    case RecordType::Txt: return "TXT";
    case RecordType::A: return "A";
    case RecordType::Aaaa: return "AAAA";
    case RecordType::Mx: return "MX";
    case RecordType::Ptr: return "PTR";
  }
  return "";
}

std::string reverse_name(const IpAddress& address) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (std::size_t i = address.bit_count() / 8; i-- > 0;) {
    const unsigned octet = address.octets()[i];
    if (address.is_v4()) {
      out += std::to_string(octet);
      out += '.';
    } else {
      out += {kHex[octet & 15], '.', kHex[octet >> 4], '.'};
    }
  }
  out += address.is_v4() ? "in-addr.arpa" : "ip6.arpa";
  return out;
}

RecordType family_of(const IpAddress& address) { return address.is_v4() ? RecordType::A : RecordType::Aaaa; }

ClientNames::ClientNames(const IpAddress& client)
    : client_(client), question_{RecordType::Ptr, reverse_name(client)} {}

void ClientNames::ask_next() {
  if (next_ == names_.size()) {
    done_ = true;
    return;
  }
  question_ = {family_of(client_), names_[next_]};
}

void ClientNames::answer(const DnsAnswer& answer) {
  SLUICE_ASSERT(!done_);
  if (!reversed_) {
    reversed_ = true;
    reverse_ = answer.kind;
    for (const std::string& name : answer.texts) {
      if (names_.size() == kNamesMax) break;
      if (is_plain_dns_name(name)) names_.push_back(name);
    }
    return ask_next();
  }
  if (answer.kind == DnsAnswer::Kind::Failure) forward_failed_ = true;
  if (!answer.addresses.empty()) forward_found_ = true;
  if (std::ranges::find(answer.addresses, client_) != answer.addresses.end()) {
    validated_.push_back(names_[next_]);
  }
  ++next_;
  ask_next();
}

}  // namespace sluice::spf
