#include "bench/provider/dns_lines.h"

#include <fmt/format.h>

#include <algorithm>

#include "policy/base/ascii.h"

namespace sluice::bench {

std::string name_text(std::string_view text) {
  std::string name = to_lower(text);
  if (name.ends_with('.')) name.pop_back();
  return name;
}

namespace {

struct FaultName {
  std::string_view name;
  DnsFault::Kind kind;
  bool wants_number = false;
};
constexpr FaultName kFaultNames[] = {
    {"servfail", DnsFault::Kind::ServFail},
    {"refused", DnsFault::Kind::Refused},
    {"notimp", DnsFault::Kind::NotImplemented},
    {"nxdomain", DnsFault::Kind::NxDomain},
    {"nodata", DnsFault::Kind::NoData},
    {"drop", DnsFault::Kind::Drop},
    {"null-mx", DnsFault::Kind::NullMx},
    {"wrong-id", DnsFault::Kind::WrongId},
    {"wrong-question", DnsFault::Kind::WrongQuestion},
    {"truncate", DnsFault::Kind::Truncate},
    {"truncate-always", DnsFault::Kind::TruncateAlways},
    {"many-mx", DnsFault::Kind::ManyMx, true},
    {"huge", DnsFault::Kind::Huge, true},
    {"ttl", DnsFault::Kind::Ttl, true},
    {"cname-loop", DnsFault::Kind::CnameLoop},
    {"garbage", DnsFault::Kind::Garbage},
};

}  // namespace

Parsed<DnsFault> parse_dns_fault(const Words& words, std::size_t at) {
  DnsFault fault;
  if (at < words.size() && words[at].text.ends_with('%')) {
    const auto share = parse_share(words[at++].text);
    if (!share) return std::unexpected(share.error());
    fault.share = *share;
  }
  if (at >= words.size()) return complain("the kind of fault is missing");
  const std::string& kind = words[at++].text;
  const auto argument = [&]() -> Parsed<std::string> {
    if (at >= words.size()) return complain(fmt::format("{} wants an argument", kind));
    return words[at++].text;
  };
  if (kind == "delay") {
    fault.kind = DnsFault::Kind::Delay;
    const auto word = argument();
    if (!word) return std::unexpected(word.error());
    const auto delay = parse_duration(*word);
    if (!delay) return std::unexpected(delay.error());
    fault.delay = *delay;
  } else {
    const auto* const found = std::ranges::find(kFaultNames, kind, &FaultName::name);
    if (found == std::end(kFaultNames)) return complain(fmt::format("unknown DNS fault '{}'", kind));
    fault.kind = found->kind;
    if (found->wants_number) {
      const auto word = argument();
      if (!word) return std::unexpected(word.error());
      const auto number = parse_number(*word, UINT32_MAX);
      if (!number) return std::unexpected(number.error());
      fault.number = *number;
    }
  }
  if (at != words.size()) return complain(fmt::format("'{}' is too much", words[at].text));
  return fault;
}

Parsed<DnsRecord> parse_dns_record(Words words) {
  DnsRecord record;
  if (words.size() >= 6 && words[words.size() - 2].text == "ttl") {
    const auto ttl = parse_number(words.back().text, UINT32_MAX);
    if (!ttl) return std::unexpected(ttl.error());
    record.ttl = static_cast<std::uint32_t>(*ttl);
    words.resize(words.size() - 2);
  }
  record.name = name_text(words[2].text);
  const std::string type = to_lower(words[1].text);
  const std::string& value = words[3].text;
  const auto need = [&](std::size_t count) -> Parsed<void> {
    if (words.size() == count) return {};
    return complain(fmt::format("a record of type {} has {} values", words[1].text, count - 3));
  };
  if (type == "a" || type == "aaaa") {
    const auto address = IpAddress::parse(value);
    record.type = type == "a" ? RecordType::A : RecordType::Aaaa;
    if (!address || address->is_v4() != (type == "a"))
      return complain(fmt::format("'{}' is no such address", value));
    record.address = *address;
    if (const auto count = need(4); !count) return std::unexpected(count.error());
    return record;
  }
  if (type == "mx") {
    if (const auto count = need(5); !count) return std::unexpected(count.error());
    const auto preference = parse_number(value, 65535);
    if (!preference) return std::unexpected(preference.error());
    record.type = RecordType::Mx;
    record.preference = static_cast<std::uint16_t>(*preference);
    record.text = name_text(words[4].text);
    return record;
  }
  if (type == "txt") record.type = RecordType::Txt;
  if (type == "cname") record.type = RecordType::Cname;
  if (type == "ns") record.type = RecordType::Ns;
  if (type == "ptr") record.type = RecordType::Ptr;
  if (type == "tlsa") record.type = RecordType::Tlsa;
  if (record.type == RecordType::A) return complain(fmt::format("unknown record type '{}'", words[1].text));
  record.text = record.type == RecordType::Txt || record.type == RecordType::Tlsa ? value : name_text(value);
  if (const auto count = need(4); !count) return std::unexpected(count.error());
  return record;
}

}  // namespace sluice::bench
