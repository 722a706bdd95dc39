// The commands about DNS: `resolve` and `show precache`.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "engine/shard/command_texts.h"
#include "engine/shard/node.h"
#include "engine/shard/text_table.h"
#include "policy/base/ascii.h"
#include "policy/base/dns_name.h"
#include "policy/spf/dns.h"

namespace sluice::shard {
namespace {

using net::dns::Type;
using resolver::Rrset;

std::string text_strings(std::span<const std::byte> raw) {
  std::string out;
  while (!raw.empty()) {
    const auto size = std::min(std::to_integer<std::size_t>(raw.front()), raw.size() - 1);
    out += out.empty() ? "\"" : " \"";
    for (const std::byte byte : raw.subspan(1, size)) {
      const char c = std::to_integer<char>(byte);
      if (c == '"' || c == '\\') out += '\\';
      if (static_cast<unsigned char>(c) < 32 || c == 127) {
        out += fmt::format("\\{:03}", static_cast<unsigned>(static_cast<unsigned char>(c)));
      } else {
        out += c;
      }
    }
    out += '"';
    raw = raw.subspan(1 + size);
  }
  return out;
}

std::string_view status_of(Rrset::Kind kind) {
  switch (kind) {
    case Rrset::Kind::Records: return "StatusOk";
    case Rrset::Kind::NoData: return "StatusNoData";
    case Rrset::Kind::NxDomain: return "StatusNoDomain";
    case Rrset::Kind::Failure: break;
  }
  return "StatusDnsQueryFailed";
}

long seconds_left(MonoTime until, MonoTime now) {
  return static_cast<long>(
      std::chrono::duration_cast<std::chrono::seconds>(std::max(until - now, Duration{0})).count());
}

std::string records_text(const Rrset& set, MonoTime now) {
  std::string out;
  const auto line = [&](const std::string& value) {
    out += fmt::format("{:<40} {:>6} {:<5} {}\n", set.name(), seconds_left(set.expires(), now),
                       text_of(set.type()), value);
  };
  std::size_t cursor = 0;
  if (set.type() == Type::A || set.type() == Type::Aaaa) {
    for (std::size_t i = 0; i < set.count(); ++i) line(set.address(i).text());
  } else if (set.type() == Type::Mx) {
    for (Rrset::Mx mx; set.next_mx(cursor, mx);)
      line(fmt::format("{} {}", mx.preference, mx.host.empty() ? "." : mx.host));
  } else {
    for (std::span<const std::byte> raw; set.next_raw(cursor, raw);) {
      line(set.type() == Type::Txt ? text_strings(raw)
                                   : std::string(reinterpret_cast<const char*>(raw.data()), raw.size()));
    }
  }
  return out;
}

runtime::Task<control::Answer> resolve_records(resolver::Resolver& resolver, runtime::Reactor& reactor,
                                               std::string name, Type type) {
  const resolver::RrsetRef set = co_await resolver.lookup(std::move(name), type);
  std::string text = "status = " + std::string(status_of(set->kind())) + '\n';
  if (set->kind() == Rrset::Kind::Records) text += records_text(*set, reactor.now());
  co_return control::Answer{set->kind() == Rrset::Kind::Records, std::move(text)};
}

/// The MX records, then the hosts as a connection would try them.
runtime::Task<control::Answer> resolve_route(resolver::Resolver& resolver, runtime::Reactor& reactor,
                                             std::string domain, routing::Families families) {
  std::string text;
  if (is_host_name(domain)) {
    const resolver::RrsetRef mx = co_await resolver.lookup(domain, Type::Mx);
    text += mx->kind() == Rrset::Kind::Records
                ? records_text(*mx, reactor.now())
                : fmt::format("{:<40} {:>6} MX    {}\n", domain, seconds_left(mx->expires(), reactor.now()),
                              status_of(mx->kind()));
  }
  resolver::RouteOptions options;
  options.families = families;
  const resolver::RouteAnswer route = co_await resolver.resolve_mail_hosts(domain, options);
  if (!route.ok()) co_return control::Answer{false, text + "status = " + route.error_text() + '\n'};
  text += "status = StatusOk\n";
  if (route.no_mx) text += "no MX record: the addresses of the domain itself\n";
  if (route.incomplete) text += "not all hosts could be resolved\n";
  text += fmt::format("\n{:>4} {:<40} {}\n", "pref", "host name", "IP addresses");
  for (std::size_t i = 0; i < route.hops.size(); ++i) {
    const resolver::RouteHop& hop = route.hops[i];
    const auto is_same = [&hop](const resolver::RouteHop& one) { return one.host == hop.host; };
    if (std::any_of(route.hops.begin(), route.hops.begin() + static_cast<std::ptrdiff_t>(i), is_same))
      continue;
    std::string addresses;
    for (const resolver::RouteHop& one : route.hops) {
      if (is_same(one)) addresses += (addresses.empty() ? "" : ", ") + one.endpoint.address.text();
    }
    text += fmt::format("{:>4} {:<40} {}\n", hop.preference, route.host_of(hop), addresses);
  }
  co_return control::Answer{true, std::move(text)};
}

}  // namespace

runtime::Task<control::Answer> Node::resolve(const control::Command& command) {
  static const std::map<std::string, Type, std::less<>> kTypes = {
      {"a", Type::A}, {"aaaa", Type::Aaaa}, {"mx", Type::Mx}, {"ptr", Type::Ptr}, {"txt", Type::Txt}};
  std::string name = to_lower(command.words[1]);
  if (name.ends_with('.')) name.pop_back();
  std::optional<Type> type;
  if (const auto given = command.option("type")) type = kTypes.find(*given)->second;
  if (const auto address = IpAddress::parse(name)) {
    name = spf::reverse_name(*address);
    type = Type::Ptr;
  }
  if (!is_host_name(name) && (type || !name.starts_with('['))) {
    co_return control::Answer::error("resolve: \"" + name + "\" is no name that can be asked for\n");
  }
  // By the cache that connections use: what it knows is what they do. `clear dnscache` comes first for news.
  DataShard& shard = *shards_.front();
  const auto ask = [&shard, &name, type, families = snapshot_->families] {
    return type ? resolve_records(shard.resolver(), shard.dispatcher().reactor(), name, *type)
                : resolve_route(shard.resolver(), shard.dispatcher().reactor(), name, families);
  };
  co_return co_await runtime::run_on<control::Answer>(control_, shard.id(), ask);
}

runtime::Task<control::Answer> Node::show_precache() {
  // Every shard keeps the same list; the first one speaks for all.
  DataShard& shard = *shards_.front();
  const auto seen =
      co_await runtime::call_on(control_, shard.id(), [&shard] { return shard.precache().report(); });
  if (seen.path.empty()) co_return control::Answer{true, "No <dns> block names a precached-domains-file.\n"};
  std::string out = fmt::format("precached-domains-file {}, {} round(s)\n", seen.path, seen.rounds);
  if (!seen.complaint.empty()) out += seen.complaint + '\n';
  static constexpr TextTable kTable(std::array{Column{"domain", 40}, Column{"hops", 6, true},
                                               Column{"expires in", 10, true}, Column{"status", 40}});
  out += kTable.heading();
  std::size_t good = 0;
  for (const auto& one : seen.domains) {
    good += one.status.empty() ? 1 : 0;
    out += kTable.row({one.name, std::to_string(one.hops), clock_text(one.valid_for),
                       one.status.empty() ? "StatusOk" : one_line(one.status)});
  }
  out += fmt::format("\n{} of {} domains in the cache.\n", good, seen.domains.size());
  co_return control::Answer{true, std::move(out)};
}

}  // namespace sluice::shard
