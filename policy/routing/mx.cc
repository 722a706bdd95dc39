#include "policy/routing/mx.h"

#include <algorithm>
#include <array>
#include <string>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::routing {
namespace {

/// A block of addresses: `bits` of `octets` count.
struct Block {
  std::array<std::uint8_t, 8> octets;
  std::uint8_t bits;
};

constexpr Block kNever4[] = {{{0, 0, 0, 0}, 32}, {{224}, 4}, {{255, 255, 255, 255}, 32}};
constexpr Block kNever6[] = {{{0xff}, 8}};
// IANA special-purpose registries (RFC 6890): what never is somebody's mail host on the Internet.
constexpr Block kSpecial4[] = {{{0}, 8},          {{127}, 8},      {{169, 254}, 16},     {{192, 0, 0}, 24},
                               {{192, 0, 2}, 24}, {{198, 18}, 15}, {{198, 51, 100}, 24}, {{203, 0, 113}, 24},
                               {{240}, 4}};
constexpr Block kSpecial6[] = {
    {{0}, 64}, {{0xfe, 0x80}, 10}, {{0xfe, 0xc0}, 10}, {{0x20, 0x01, 0x0d, 0xb8}, 32}, {{0x01, 0}, 64}};
constexpr Block kPrivate4[] = {{{10}, 8}, {{172, 16}, 12}, {{192, 168}, 16}, {{100, 64}, 10}};
constexpr Block kPrivate6[] = {{{0xfc}, 7}};

bool holds(const Block& block, const IpAddress& address) {
  const auto& octets = address.octets();
  for (unsigned bit = 0; bit < block.bits; bit += 8) {
    const unsigned left = block.bits - bit;
    const unsigned mask = left >= 8 ? 0xffu : 0xffu << (8 - left) & 0xffu;
    if ((octets[bit / 8] & mask) != block.octets[bit / 8]) return false;
  }
  return true;
}

bool any_holds(std::span<const Block> blocks, const IpAddress& address) {
  return std::any_of(blocks.begin(), blocks.end(), [&](const Block& block) { return holds(block, address); });
}

/// SplitMix64: a few good numbers out of one seed; the caller owns chance, not this file.
class Chance {
 public:
  explicit Chance(std::uint64_t seed) : state_(seed) {}
  /// 0 .. below - 1. The bias for the small counts here is below 2^-50.
  std::size_t next(std::size_t below) {
    state_ += 0x9e3779b97f4a7c15u;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return static_cast<std::size_t>((z ^ (z >> 31)) % below);
  }

 private:
  std::uint64_t state_;
};

template <class T>
void shuffle(std::span<T> items, Chance& chance) {
  for (std::size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[chance.next(i)]);
}

bool same_rank(const MailHost& a, const MailHost& b) {
  return a.group == b.group && a.preference == b.preference;
}
bool better_rank(const MailHost& a, const MailHost& b) {
  return a.group != b.group ? a.group < b.group : a.preference < b.preference;
}

bool is_own(const MailHost& host, const MxRules& rules) {
  const auto own_address = [&](const IpAddress& address) {
    return std::find(rules.own_addresses.begin(), rules.own_addresses.end(), address) !=
           rules.own_addresses.end();
  };
  const auto own_name = [&](const std::string& name) { return iequals(name, host.name); };
  return std::any_of(host.addresses.begin(), host.addresses.end(), own_address) ||
         std::any_of(rules.own_names.begin(), rules.own_names.end(), own_name);
}

/// What stood between the hosts and a hop; the strongest reason found names the outcome.
struct Losses {
  bool refused = false;
  bool other_family = false;
};

/// A hop and its place within its rank: the n-th address of every host before the n+1st of any.
struct Placed {
  std::uint16_t round;
  std::uint16_t turn;
  HopChoice hop;
};

/// Appends the usable addresses of one host in the order of trying.
void place_host(const MailHost& host, std::uint16_t number, std::uint16_t turn, const MxRules& rules,
                Chance& chance, Losses& losses, std::vector<Placed>& placed) {
  const std::size_t begin = placed.size();
  for (std::size_t i = 0; i < host.addresses.size(); ++i) {
    const IpAddress& address = host.addresses[i];
    if (is_refused_target(address, rules.guard)) {
      losses.refused = true;
    } else if (address.is_v4() ? !rules.families.v4 : !rules.families.v6) {
      losses.other_family = true;
    } else {
      placed.push_back({0, turn, {number, static_cast<std::uint16_t>(i)}});
    }
  }
  const auto own = std::span(placed).subspan(begin);
  shuffle(own, chance);
  std::partition(own.begin(), own.end(), [&](const Placed& place) {
    return host.addresses[place.hop.address].is_v4() != rules.families.v6_first;
  });
  for (std::size_t i = 0; i < own.size(); ++i) own[i].round = static_cast<std::uint16_t>(i);
}

}  // namespace

bool is_permanent(RouteOutcome outcome) {
  return outcome != RouteOutcome::TempFail && outcome != RouteOutcome::Ok;
}

EnhancedStatus status_of(RouteOutcome outcome) {
  switch (outcome) {
    case RouteOutcome::Ok: break;
    case RouteOutcome::NullMx: return {5, 1, 10};  // RFC 7505 4.2
    case RouteOutcome::NoSuchDomain: return {5, 1, 2};
    case RouteOutcome::NoAddress: return {5, 4, 4};  // RFC 3463 3.5: unable to route
    case RouteOutcome::NoUsableAddress: return {5, 4, 4};
    case RouteOutcome::LoopsBack: return {5, 4, 6};
    case RouteOutcome::TargetRefused: return {5, 7, 1};
    case RouteOutcome::BadName: return {5, 1, 2};
    case RouteOutcome::TempFail: return {4, 4, 3};  // directory server failure
  }
  SLUICE_ASSERT(outcome != RouteOutcome::Ok);
  return {};
}

std::string_view text_of(RouteOutcome outcome) {
  switch (outcome) {
    case RouteOutcome::Ok: break;
    case RouteOutcome::NullMx: return "recipient address has null MX";
    case RouteOutcome::NoSuchDomain: return "bad destination system: no such domain";
    case RouteOutcome::NoAddress: return "unable to route: no mail hosts for domain";
    case RouteOutcome::NoUsableAddress:
      return "unable to route: no source address for the mail hosts' address family";
    case RouteOutcome::LoopsBack: return "mail for this domain loops back to this server";
    case RouteOutcome::TargetRefused: return "delivery not authorized: mail hosts have forbidden addresses";
    case RouteOutcome::BadName: return "bad destination system address";
    case RouteOutcome::TempFail: return "directory server failure";
  }
  SLUICE_ASSERT(outcome != RouteOutcome::Ok);
  return {};
}

bool is_refused_target(const IpAddress& address, TargetGuard guard) {
  const bool v4 = address.is_v4();
  if (address.is_any() || any_holds(v4 ? std::span<const Block>(kNever4) : kNever6, address)) return true;
  if (guard == TargetGuard::Off) return false;
  if (address.is_loopback() || any_holds(v4 ? std::span<const Block>(kSpecial4) : kSpecial6, address))
    return true;
  return guard == TargetGuard::Private &&
         any_holds(v4 ? std::span<const Block>(kPrivate4) : kPrivate6, address);
}

MxDecision order_mail_hosts(std::span<const MailHost> hosts, const MxRules& rules, std::uint64_t random) {
  MxDecision out;
  Losses losses;
  Chance chance(random);
  std::vector<std::uint16_t> order(hosts.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::uint16_t>(i);
  std::sort(order.begin(), order.end(), [&](auto a, auto b) {
    return same_rank(hosts[a], hosts[b]) ? a < b : better_rank(hosts[a], hosts[b]);
  });

  std::vector<Placed> placed;
  std::size_t begin = 0;
  while (begin < order.size()) {
    std::size_t end = begin + 1;
    while (end < order.size() && same_rank(hosts[order[begin]], hosts[order[end]])) ++end;
    const std::span<std::uint16_t> rank(order.data() + begin, end - begin);
    // RFC 5321 5.1: this server's own rank and everything behind it would bring the message back here.
    if (std::any_of(rank.begin(), rank.end(), [&](auto i) { return is_own(hosts[i], rules); })) {
      if (out.hops.empty()) out.outcome = RouteOutcome::LoopsBack;
      break;
    }
    shuffle(rank, chance);
    placed.clear();
    for (std::size_t turn = 0; turn < rank.size(); ++turn) {
      place_host(hosts[rank[turn]], rank[turn], static_cast<std::uint16_t>(turn), rules, chance, losses,
                 placed);
    }
    std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
      return a.round != b.round ? a.round < b.round : a.turn < b.turn;
    });
    for (const Placed& place : placed) {
      if (out.hops.size() < rules.hops_max) out.hops.push_back(place.hop);
    }
    begin = end;
  }
  if (!out.hops.empty()) {
    out.outcome = RouteOutcome::Ok;
  } else if (out.outcome != RouteOutcome::LoopsBack) {
    out.outcome = losses.refused        ? RouteOutcome::TargetRefused
                  : losses.other_family ? RouteOutcome::NoUsableAddress
                                        : RouteOutcome::NoAddress;
  }
  return out;
}

}  // namespace sluice::routing
