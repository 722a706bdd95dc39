#include "net/dns/answer.h"

#include <algorithm>

#include "policy/base/ascii.h"

namespace sluice::net::dns {
namespace {

bool answers_question(const Message& message, std::string_view name, Type type) {
  return message.header.response && message.header.opcode == 0 && message.questions.size() == 1 &&
         iequals(message.questions[0].name, name) && message.questions[0].type == type &&
         message.questions[0].klass == kClassInternet;
}

bool is_in_zone(std::string_view name, std::string_view zone) {
  if (zone.empty() || iequals(name, zone)) return true;
  return name.size() > zone.size() && name[name.size() - zone.size() - 1] == '.' &&
         iequals(name.substr(name.size() - zone.size()), zone);
}

void lower_ttl(std::optional<std::chrono::seconds>& ttl, std::chrono::seconds other) {
  ttl = ttl ? std::min(*ttl, other) : other;
}

/// RFC 2308 5: the least of the SOA's own TTL and its MINIMUM field. nullopt: no SOA of a zone that holds
/// `name`.
std::optional<std::chrono::seconds> negative_ttl(const Message& message, std::string_view name) {
  for (const Record& record : message.authority) {
    const auto* soa = std::get_if<SoaData>(&record.data);
    if (soa != nullptr && is_in_zone(name, record.name)) return std::min(record.ttl, soa->minimum);
  }
  return std::nullopt;
}

}  // namespace

Answer interpret_answer(Message message, std::string_view name, Type type) {
  Answer out;
  out.rcode = message.header.rcode;
  out.authentic = message.header.authentic_data;
  if (!answers_question(message, name, type)) return out;
  if (out.rcode != Rcode::NoError && out.rcode != Rcode::NxDomain) {
    out.kind = Answer::Kind::Failure;
    return out;
  }
  // Aliases first: the rcode speaks about the last name of the chain (RFC 6604 2).
  std::string current = to_lower(name);
  bool aliased = false;
  for (std::size_t aliases = 0;; ++aliases) {
    for (Record& record : message.answers) {
      if (record.type != type || record.name != current) continue;
      lower_ttl(out.ttl, record.ttl);
      out.records.push_back(std::move(record));
    }
    if (!out.records.empty()) {
      out.kind = Answer::Kind::Records;
      return out;
    }
    const auto alias = std::find_if(
        message.answers.begin(), message.answers.end(),
        [&](const Record& record) { return record.type == Type::Cname && record.name == current; });
    if (type == Type::Cname || alias == message.answers.end()) break;
    if (aliases == Answer::kAliasesMax) return out;  // a circle, or as good as one: Bad
    lower_ttl(out.ttl, alias->ttl);
    current = std::get<NameData>(alias->data).name;
    aliased = true;
  }
  const auto soa_ttl = negative_ttl(message, current);
  if (soa_ttl) lower_ttl(out.ttl, *soa_ttl);
  if (out.rcode == Rcode::NxDomain) {
    // Without AA or SOA it may be any box on the way that says "no such name"; mail must not bounce for that.
    out.kind = message.header.authoritative || soa_ttl ? Answer::Kind::NxDomain : Answer::Kind::Failure;
  } else if (aliased && !soa_ttl) {
    out.kind = Answer::Kind::Alias;
    out.alias = std::move(current);
  } else if (soa_ttl || message.header.authoritative || message.header.recursion_available) {
    out.kind = Answer::Kind::NoData;
  } else {
    out.kind = Answer::Kind::Failure;  // a referral: this server neither knows nor asks others
  }
  return out;
}

}  // namespace sluice::net::dns
