#include "bench/dns/dns_responder.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/lib/hash.h"

namespace sluice::bench {
namespace {

using Section = DnsResponse::Section;
using Kind = DnsFault::Kind;

bool asks(const DnsQuestion& question, RecordType type) {
  return question.type == static_cast<std::uint16_t>(type) ||
         question.type == static_cast<std::uint16_t>(RecordType::Any);
}

std::string simple_answer(const DnsQuestion& question, DnsCode code) {
  DnsResponse out(question);
  out.set_code(code);
  return out.finish(DnsResponse::kBytesMax);
}

// Bytes that are no DNS message, and look different every time.
std::string garbage(std::uint64_t draw) {
  std::string out;
  const std::size_t size = 1 + draw % 64;
  for (std::size_t i = 0; i < size; ++i) out += static_cast<char>(mix(draw, i) & 0xff);
  return out;
}

}  // namespace

// One walk through the names of a question: the owner changes when a CNAME is followed.
struct DnsResponder::Look {
  const DnsQuestion& question;
  DnsResponse& out;
  std::string_view owner;
  std::uint32_t ttl;
  bool exists = false;
  bool answered = false;
  std::vector<std::string_view> hosts;  // MX targets, whose addresses go into the additional section
};

// Adds what is known of look.owner. Answers true when a CNAME was followed and the walk has to go on.
bool DnsResponder::add_records(Look& look) const {
  const Internet& internet = directory_.internet();
  if (const auto* records = directory_.records(look.owner)) {
    look.exists = true;
    for (const DnsRecord* record : *records) {
      const std::uint32_t ttl = record->ttl.value_or(look.ttl);
      const bool follow = record->type == RecordType::Cname && !asks(look.question, RecordType::Cname);
      if (!asks(look.question, record->type) && !follow) continue;
      look.answered = true;
      switch (record->type) {
        case RecordType::A:
        case RecordType::Aaaa: look.out.add_address(Section::Answer, look.owner, ttl, record->address); break;
        case RecordType::Mx:
          look.out.add_mx(look.owner, ttl, record->preference, record->text);
          look.hosts.push_back(record->text);
          break;
        case RecordType::Txt: look.out.add_text(look.owner, ttl, record->text); break;
        case RecordType::Tlsa: look.out.add_raw(RecordType::Tlsa, look.owner, ttl, record->text); break;
        default: look.out.add_name(Section::Answer, record->type, look.owner, ttl, record->text); break;
      }
      if (follow) {
        look.owner = record->text;
        return true;
      }
    }
  }
  if (const auto* addresses = directory_.host(look.owner)) {
    look.exists = true;
    for (const IpAddress& address : *addresses) {
      if (!asks(look.question, address.is_v4() ? RecordType::A : RecordType::Aaaa)) continue;
      look.out.add_address(Section::Answer, look.owner, look.ttl, address);
      look.answered = true;
    }
  }
  const auto provider = directory_.named_provider_of(look.owner);
  if (!provider) return false;
  look.exists = true;
  const Provider& here = internet.providers[*provider];
  if (asks(look.question, RecordType::Mx)) {
    for (const MxHost& mx : here.mx) {
      look.out.add_mx(look.owner, look.ttl, mx.preference, mx.name);
      look.hosts.push_back(mx.name);
      look.answered = true;
    }
  }
  for (const Endpoint& at : here.addresses) {
    if (!asks(look.question, at.address.is_v4() ? RecordType::A : RecordType::Aaaa)) continue;
    look.out.add_address(Section::Answer, look.owner, look.ttl, at.address);
    look.answered = true;
  }
  if (asks(look.question, RecordType::Soa)) {
    look.out.add_soa(Section::Answer, look.owner, look.ttl, internet.negative_ttl_seconds);
    look.answered = true;
  }
  if (asks(look.question, RecordType::Ns)) {
    look.out.add_name(Section::Answer, RecordType::Ns, look.owner, look.ttl, "ns.sink.invalid");
    look.answered = true;
  }
  return false;
}

// Saves the asker a second question for each mail host.
void DnsResponder::add_hosts(const Look& look) const {
  for (const std::string_view name : look.hosts) {
    const auto* addresses = directory_.host(name);
    if (addresses == nullptr) continue;
    for (const IpAddress& address : *addresses)
      look.out.add_address(Section::Additional, name, look.ttl, address);
  }
}

void DnsResponder::fill(const DnsQuestion& question, const DnsFault* fault, DnsResponse& out) const {
  const Internet& internet = directory_.internet();
  const bool ttl_given = fault != nullptr && fault->kind == Kind::Ttl;
  Look look{.question = question,
            .out = out,
            .owner = question.name,
            .ttl = ttl_given ? static_cast<std::uint32_t>(fault->number) : internet.ttl_seconds,
            .hosts = {}};
  for (unsigned i = 0; i < kChainMax && add_records(look); ++i) {
  }
  if (fault != nullptr && fault->kind == Kind::ManyMx && asks(question, RecordType::Mx)) {
    look.answered = look.exists = true;
    for (std::uint64_t i = 0; i < fault->number && !out.overflowed(); ++i) {
      out.add_mx(question.name, look.ttl, static_cast<std::uint16_t>(i),
                 fmt::format("mx{}.many.sink.invalid", i));
    }
  }
  if (fault != nullptr && fault->kind == Kind::Huge) {
    const std::string padding(200, 'x');
    for (std::uint64_t i = 0; i * 220 < fault->number && !out.overflowed(); ++i) {
      out.add_text(question.name, look.ttl, padding);
    }
  }
  if (!look.answered) {
    if (!look.exists && !directory_.is_above(look.owner)) out.set_code(DnsCode::NxDomain);
    // RFC 2308: the SOA tells how long this may be remembered. The root stands for the zone nobody named.
    out.add_soa(Section::Authority, look.exists ? look.owner : std::string_view(), look.ttl,
                internet.negative_ttl_seconds);
    return;
  }
  add_hosts(look);
}

DnsAnswer DnsResponder::answer(std::span<const std::byte> query, DnsTransport transport,
                               std::uint64_t draw) const {
  DnsAnswer answer;
  auto question = parse_dns_question(query);
  if (!question) return answer;
  const std::size_t bytes_max =
      transport == DnsTransport::Udp ? question->udp_bytes_max : DnsResponse::kBytesMax;
  if (question->opcode != 0) {
    answer.bytes = simple_answer(*question, DnsCode::NotImplemented);
    return answer;
  }
  const DnsFault* fault = directory_.fault(question->name, draw);
  const auto say = [&](DnsCode code) {
    answer.bytes = simple_answer(*question, code);
    return answer;
  };
  DnsResponse out(*question);
  if (fault != nullptr) {
    switch (fault->kind) {
      case Kind::ServFail: return say(DnsCode::ServFail);
      case Kind::Refused: return say(DnsCode::Refused);
      case Kind::NotImplemented: return say(DnsCode::NotImplemented);
      case Kind::Drop: return answer;
      case Kind::Garbage: answer.bytes = garbage(draw); return answer;
      case Kind::NxDomain:
      case Kind::NoData:
        if (fault->kind == Kind::NxDomain) out.set_code(DnsCode::NxDomain);
        out.add_soa(Section::Authority, "", directory_.internet().ttl_seconds,
                    directory_.internet().negative_ttl_seconds);
        answer.bytes = out.finish(bytes_max);
        return answer;
      case Kind::NullMx:
        if (!asks(*question, RecordType::Mx)) break;
        out.add_mx(question->name, directory_.internet().ttl_seconds, 0, "");
        answer.bytes = out.finish(bytes_max);
        return answer;
      case Kind::CnameLoop:
        out.add_name(Section::Answer, RecordType::Cname, question->name, 60, "loop." + question->name);
        out.add_name(Section::Answer, RecordType::Cname, "loop." + question->name, 60, question->name);
        answer.bytes = out.finish(bytes_max);
        return answer;
      case Kind::WrongQuestion: {
        DnsQuestion other = *question;
        other.name = "other.sink.invalid";
        other.wire_name = std::string("\5other\4sink\7invalid\0", 20);
        DnsResponse wrong(other);
        fill(*question, nullptr, wrong);
        answer.bytes = wrong.finish(bytes_max);
        return answer;
      }
      case Kind::Truncate:
      case Kind::TruncateAlways:
        if (transport == DnsTransport::Udp) {
          fill(*question, fault, out);
          answer.bytes = out.finish(0);
          return answer;
        }
        answer.close = fault->kind == Kind::TruncateAlways;
        if (answer.close) return answer;
        break;
      case Kind::Delay: answer.delay = fault->delay; break;
      case Kind::WrongId: ++question->id; break;
      case Kind::ManyMx:
      case Kind::Huge:
      case Kind::Ttl: break;
    }
  }
  fill(*question, fault, out);
  answer.bytes = out.finish(bytes_max);
  return answer;
}

}  // namespace sluice::bench
