#include "engine/authentication/sender_checks.h"

#include "net/dns/message.h"

namespace sluice::authentication {
namespace {

using resolver::RrsetRef;
using runtime::Task;

net::dns::Type wire_type(spf::RecordType type) {
  switch (type) {
    case spf::RecordType::Txt: return net::dns::Type::Txt;
    case spf::RecordType::A: return net::dns::Type::A;
    case spf::RecordType::Aaaa: return net::dns::Type::Aaaa;
    case spf::RecordType::Mx: return net::dns::Type::Mx;
    case spf::RecordType::Ptr: return net::dns::Type::Ptr;
  }
  return net::dns::Type::Txt;
}

spf::DnsAnswer::Kind kind_of(resolver::Rrset::Kind kind) {
  using From = resolver::Rrset::Kind;
  using To = spf::DnsAnswer::Kind;
  switch (kind) {
    case From::Records: return To::Records;
    case From::NoData: return To::NoData;
    case From::NxDomain: return To::NoDomain;
    case From::Failure: break;
  }
  return To::Failure;
}

spf::DnsAnswer answer_of(const resolver::Rrset& set, spf::RecordType type) {
  spf::DnsAnswer out;
  out.kind = kind_of(set.kind());
  if (out.kind != spf::DnsAnswer::Kind::Records) return out;
  std::size_t cursor = 0;
  switch (type) {
    case spf::RecordType::A:
    case spf::RecordType::Aaaa:
      for (std::size_t i = 0; i < set.count(); ++i) out.addresses.push_back(set.address(i));
      break;
    case spf::RecordType::Mx:
      for (resolver::Rrset::Mx mx; set.next_mx(cursor, mx);) out.texts.emplace_back(mx.host);
      break;
    case spf::RecordType::Txt:
      for (std::span<const std::byte> raw; set.next_raw(cursor, raw);) {
        if (auto text = net::dns::txt_text(raw)) out.texts.push_back(std::move(*text));
      }
      break;
    case spf::RecordType::Ptr:
      for (std::span<const std::byte> raw; set.next_raw(cursor, raw);) {
        out.texts.emplace_back(reinterpret_cast<const char*>(raw.data()), raw.size());
      }
      break;
  }
  return out;
}

/// What strangers publish ends up in replies, accounting files and terminals.
void make_printable(std::string& text) {
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
}

std::string line_of(const spf::Question& question, const spf::DnsAnswer& answer) {
  std::string out = std::string(name_of(question.type)) + ' ' + question.name + ": ";
  switch (answer.kind) {
    case spf::DnsAnswer::Kind::NoData: return out + "no such record";
    case spf::DnsAnswer::Kind::NoDomain: return out + "no such name";
    case spf::DnsAnswer::Kind::Failure: return out + "DNS failure";
    case spf::DnsAnswer::Kind::Records: break;
  }
  std::string values;
  const auto add = [&values](const std::string& text) { values += (values.empty() ? "" : ", ") + text; };
  for (const IpAddress& address : answer.addresses) add(address.text());
  for (const std::string& text : answer.texts) {
    add(question.type == spf::RecordType::Txt ? '"' + text + '"' : text);
  }
  out += values;
  if (out.size() > kDnsLineBytesMax) out = out.substr(0, kDnsLineBytesMax - 3) + "...";
  make_printable(out);
  return out;
}

/// Feeds `machine` until it has no question, the time is over or nobody wants to know any more.
template <class Machine>
Task<void> run(const Asking& asking, Machine& machine) {
  const MonoTime end = asking.reactor.now() + kCheckTimeMax;
  while (const spf::Question* question = machine.question()) {
    const Duration left = end - asking.reactor.now();
    if (left <= Duration{0} || (asking.stop != nullptr && asking.stop->stopped())) co_return;
    const spf::Question asked = *question;
    const RrsetRef set =
        co_await asking.resolver.lookup(asked.name, wire_type(asked.type), left, asking.stop);
    const spf::DnsAnswer answer = answer_of(*set, asked.type);
    if (asking.lines != nullptr) asking.lines->push_back(line_of(asked, answer));
    machine.answer(answer);
  }
}

}  // namespace

Task<spf::Outcome> check_spf(Asking asking, IpAddress client, spf::Identity identity,
                             spf::CheckSettings settings) {
  settings.now = asking.reactor.wall_now();
  spf::Check check(client, std::move(identity), std::move(settings));
  co_await run(asking, check);
  check.give_up();
  spf::Outcome outcome = check.outcome();
  make_printable(outcome.matched);
  make_printable(outcome.why);
  co_return outcome;
}

Task<spf::IprevOutcome> check_iprev(Asking asking, IpAddress client) {
  spf::ClientNames names(client);
  co_await run(asking, names);
  co_return judge_iprev(names);
}

}  // namespace sluice::authentication
