#include "engine/queue/snapshot.h"

#include <xxhash.h>

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <unordered_set>

#include "engine/queue/sources.h"
#include "policy/accounting/record_layout.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::queue {
namespace {

std::uint64_t hash_of(std::string_view domain) {
  const std::uint64_t hash = XXH3_64bits(domain.data(), domain.size());
  return hash == 0 ? 1 : hash;
}

/// Groups of VMTAs that share a source address, by union and find.
class Groups {
 public:
  explicit Groups(std::size_t count) : parent_(count) {
    for (std::size_t i = 0; i < count; ++i) parent_[i] = i;
  }
  std::size_t find(std::size_t one) {
    while (parent_[one] != one) one = parent_[one] = parent_[parent_[one]];
    return one;
  }
  void join(std::size_t a, std::size_t b) {
    parent_[std::max(find(a), find(b))] = std::min(find(a), find(b));
  }

 private:
  std::vector<std::size_t> parent_;
};

void assign_homes(Snapshot& snapshot, const Snapshot* before) {
  Groups groups(snapshot.identities.size());
  std::unordered_map<IpAddress, std::size_t> first_user;
  for (std::size_t i = 0; i < snapshot.identities.size(); ++i) {
    for (const SourceAddress& source : snapshot.identities[i].sources) {
      if (!source.address) continue;
      const auto [at, is_new] = first_user.try_emplace(*source.address, i);
      if (!is_new) groups.join(at->second, i);
    }
  }
  // Who has a shard keeps it, so that a reload moves as little as it can; of groups that have been joined the
  // first one's counts. The others are dealt out in the order of the configuration, so that the same file
  // gives the same layout.
  std::unordered_map<std::size_t, ShardId> home_of_group;
  std::vector<std::size_t> groups_at(snapshot.shards);
  const auto is_bound = [](const Identity& identity) { return identity.sources.front().address.has_value(); };
  const auto settle = [&](std::size_t group, ShardId home) {
    const auto [at, is_new] = home_of_group.try_emplace(group, home);
    if (is_new) ++groups_at[home.raw()];
    return at->second;
  };
  for (std::size_t i = 0; before != nullptr && i < snapshot.identities.size(); ++i) {
    if (!is_bound(snapshot.identities[i])) continue;
    const auto old = before->config->find_vmta(snapshot.identities[i].name);
    if (old && before->identity(*old).home) settle(groups.find(i), *before->identity(*old).home);
  }
  for (std::size_t i = 0; i < snapshot.identities.size(); ++i) {
    Identity& identity = snapshot.identities[i];
    if (!is_bound(identity)) continue;
    const auto fewest = std::min_element(groups_at.begin(), groups_at.end()) - groups_at.begin();
    identity.home = settle(groups.find(i), ShardId{static_cast<std::uint32_t>(fewest)});
  }
}

/// Virtual MTAs whose queues may be elsewhere than `before` says, or about which it says nothing.
void find_moved(Snapshot& snapshot, const Snapshot& before) {
  for (std::size_t i = 0; i < snapshot.identities.size(); ++i) {
    const auto old = before.config->find_vmta(snapshot.identities[i].name);
    if (old && before.identity(*old).home == snapshot.identities[i].home) continue;
    snapshot.moved.push_back(config::VmtaId{static_cast<std::uint32_t>(i)});
  }
}

std::expected<std::shared_ptr<const identity::Rules>, std::string> identity_rules(
    const std::shared_ptr<const config::Config>& config) {
  auto made = identity::Rules::make(config);
  if (!made) return std::unexpected(error_at(*config, made.error().where, made.error().why));
  return std::move(*made);
}

std::expected<std::shared_ptr<const BounceClassifier>, std::string> bounce_categories(
    const config::Config& config) {
  std::vector<BounceRule> rules;
  for (const config::BounceCategoryRule& rule : config.bounce_categories) {
    rules.push_back({rule.pattern.text, rule.category});
  }
  auto made = BounceClassifier::make(rules);
  if (made) return std::make_shared<const BounceClassifier>(std::move(*made));
  const config::Origin& at = config.bounce_categories[made.error().rule].pattern.origin;
  return std::unexpected(error_at(config, at, "bounce category pattern: " + made.error().message));
}

std::expected<std::vector<ReplyRules>, std::string> reply_rules(const config::Config& config) {
  std::vector<ReplyRules> out;
  for (const config::ReplyList& list : config.reply_lists) {
    auto made = ReplyRules::make(list.rules);
    if (!made) {
      const config::Origin& at = list.rules[made.error().rule].pattern.origin;
      return std::unexpected("Error in line " + std::to_string(at.line) + " of " + config.files[at.file] +
                             ": pattern of <smtp-pattern-list " + list.name + ">: " + made.error().message);
    }
    out.push_back(std::move(*made));
  }
  return out;
}

std::expected<std::vector<BounceActions>, std::string> bounce_actions(const config::Config& config) {
  std::vector<BounceActions> out;
  for (const config::BounceActionList& list : config.bounce_actions) {
    auto made = BounceActions::make(list.actions);
    if (!made) {
      const config::Origin& at = list.actions[made.error().action].origin;
      return std::unexpected("Error in line " + std::to_string(at.line) + " of " + config.files[at.file] +
                             ": pattern of <bounce-actions>: " + made.error().message);
    }
    out.push_back(std::move(*made));
  }
  return out;
}

/// Headers that accounting files ask for, each once: injection keeps them with the message.
std::expected<std::vector<std::string>, std::string> accounted_headers(const config::Config& config) {
  std::vector<std::string> out;
  std::unordered_set<std::string> seen;
  for (const config::AcctFile& file : config.acct_files) {
    const auto layout = accounting::RecordLayout::make(file);
    if (!layout) return std::unexpected(file.path + ": " + layout.error().message);
    for (const config::RecordType type : {config::RecordType::Delivery, config::RecordType::Bounce,
                                          config::RecordType::Transient, config::RecordType::Reception}) {
      for (std::string& name : layout->headers_needed(type)) {
        if (seen.insert(to_lower(name)).second) out.push_back(std::move(name));
      }
    }
  }
  return out;
}

std::vector<Snapshot::OwnHosts> own_hosts(const config::Config& config,
                                          const std::vector<IpAddress>& local_addresses) {
  std::vector<Snapshot::OwnHosts> out;
  for (const config::SmtpListener& listener : config.listeners) {
    auto at = std::find_if(out.begin(), out.end(),
                           [&listener](const Snapshot::OwnHosts& one) { return one.port == listener.port; });
    if (at == out.end()) at = out.insert(out.end(), {listener.port, {}});
    const IpAddress& address = listener.address.address();
    if (!address.is_any()) {
      at->addresses.push_back(address);
      continue;
    }
    at->addresses.insert(at->addresses.end(), local_addresses.begin(), local_addresses.end());
  }
  return out;
}

/// The totals of a virtual MTA or pool. What outlives a reload is taken up as it is; apply_limits() changes
/// it.
Totals totals_of(const std::shared_ptr<IdentityState>& state, const config::IdentitySettings& settings,
                 std::string_view kind, std::string_view name, const Clocks& clocks,
                 const Remembered& remembered) {
  Totals out{state, {}, nullptr};
  if (settings.max_smtp_msg_rate) {
    out.messages.key = Remembered::total_rate_key(kind, name);
    if (!state->messages) {
      state->messages = std::make_shared<TokenBucket>(*settings.max_smtp_msg_rate);
      remembered.restore(*state->messages, out.messages.key, clocks.now, clocks.wall_now);
    }
    out.messages.bucket = state->messages;
  }
  if (settings.max_smtp_data_volume_rate) {
    if (!state->volume) {
      state->volume = std::make_shared<VolumeGate>(*settings.max_smtp_data_volume_rate,
                                                   Remembered::total_volume_key(kind, name));
      remembered.restore(state->volume->budget, state->volume->key, clocks.now, clocks.wall_now);
    }
    out.volume = state->volume;
  }
  return out;
}

void apply_totals(IdentityState& state, const config::IdentitySettings& settings, MonoTime now) {
  if (settings.max_smtp_out) {
    state.connections.set_limit(*settings.max_smtp_out);
  } else {
    state.connections.clear_limit();
  }
  if (settings.max_smtp_msg_rate) state.messages->set_rate(*settings.max_smtp_msg_rate);
  if (settings.max_smtp_data_volume_rate) {
    const config::VolumeRate& rate = *settings.max_smtp_data_volume_rate;
    state.volume->budget.set_rate(now, rate.bytes.raw(), rate.per);
  }
}

/// Nobody knows it any more but the map it is in, and its rates owe nothing: what comes under that name again
/// may begin anew.
bool is_forgotten(const std::shared_ptr<IdentityState>& state, MonoTime now) {
  return state.use_count() == 1 && (!state->messages || state->messages->debt(now) == Duration{0}) &&
         (!state->volume || state->volume->budget.at_rest(now));
}

bool has_totals(const config::Pool& pool) {
  const config::IdentitySettings& settings = pool.settings;
  return settings.max_smtp_out || settings.max_smtp_msg_rate || settings.max_smtp_data_volume_rate;
}

std::string domain_suffix(const config::GlobalSettings& global) {
  if (!global.domain_suffix.empty()) return global.domain_suffix;
  if (global.host_name.empty()) return "localdomain";
  const std::string& host = global.host_name.front();
  const std::size_t dot = host.find('.');
  return dot == std::string::npos ? host : host.substr(dot + 1);
}

}  // namespace

std::string error_at(const config::Config& config, const config::Origin& at, const std::string& why) {
  if (at.line == 0) return why;
  return "Error in line " + std::to_string(at.line) + " of " + config.files[at.file] + ": " + why;
}

const BounceActions* Snapshot::find_bounce_actions(const config::DomainSettings& settings) const {
  if (bounce_actions.empty()) return nullptr;
  const std::string& name =
      settings.bounce_actions.empty() ? config->globals.bounce_actions : settings.bounce_actions;
  const config::BounceActionList* list = config->find_bounce_actions(name);
  return list == nullptr ? nullptr
                         : &bounce_actions[static_cast<std::size_t>(list - config->bounce_actions.data())];
}

const ReplyRules* Snapshot::find_reply_rules(std::string_view name) const {
  if (name.empty()) return nullptr;
  const config::ReplyList* list = config->find_reply_list(name);
  return list == nullptr ? nullptr
                         : &reply_rules[static_cast<std::size_t>(list - config->reply_lists.data())];
}

void BlockedDomains::set(std::string_view domain, bool blocked) {
  const std::uint64_t hash = hash_of(domain);
  for (std::atomic<std::uint64_t>& slot : hashes_) {
    std::uint64_t expected = blocked ? 0 : hash;
    if (!slot.compare_exchange_strong(expected, blocked ? hash : 0, std::memory_order_relaxed)) continue;
    count_.fetch_add(blocked ? 1u : ~0u, std::memory_order_relaxed);
    return;
  }
}

bool BlockedDomains::find(std::string_view domain, std::uint32_t joined) const {
  const std::uint64_t hash = hash_of(domain);
  return std::ranges::any_of(hashes_, [hash, joined](const std::atomic<std::uint64_t>& slot) {
    const std::uint64_t one = slot.load(std::memory_order_relaxed);
    return one == hash || (joined != 0 && static_cast<std::uint32_t>(one) == joined);
  });
}

void JoinedDomains::set(const void* whose, std::string_view domain, std::string_view joins) {
  const std::uint64_t hash = hash_of(domain) ^ std::hash<const void*>{}(whose) * 0x9e37'79b9'7f4a'7c15u;
  const std::uint64_t mark = joins.empty() ? 0 : static_cast<std::uint32_t>(hash_of(joins));
  std::atomic<std::uint64_t>& place = places_[hash % kPlaces];
  const std::uint64_t entry = hash >> 32 << 32 | mark;
  const std::uint64_t there = place.load(std::memory_order_relaxed);
  if (there == entry || (mark == 0 && there >> 32 != hash >> 32)) return;
  place.store(mark == 0 ? 0 : entry, std::memory_order_relaxed);
}

std::uint32_t JoinedDomains::find(const void* whose, std::string_view domain) const {
  const std::uint64_t hash = hash_of(domain) ^ std::hash<const void*>{}(whose) * 0x9e37'79b9'7f4a'7c15u;
  const std::uint64_t there = places_[hash % kPlaces].load(std::memory_order_relaxed);
  return there >> 32 == hash >> 32 ? static_cast<std::uint32_t>(there) : 0;
}

std::span<const IpAddress> Snapshot::own_addresses(std::uint16_t port) const {
  const auto found = std::find_if(own_hosts.begin(), own_hosts.end(),
                                  [port](const OwnHosts& one) { return one.port == port; });
  return found == own_hosts.end() ? std::span<const IpAddress>() : found->addresses;
}

std::optional<std::uint32_t> Snapshot::mx_limit(std::string_view host) const {
  std::optional<std::uint32_t> out;
  std::size_t best = 0;
  for (const config::MxConnectionLimit& one : config->globals.mx_connection_limit) {
    // The most specific pattern counts, as for <domain> blocks; of two alike the later line.
    const bool exact = one.mx.kind == config::DomainPatternKind::Exact;
    const std::size_t rank = 1 + 2 * one.mx.domain.size() + (exact ? 1 : 0);
    if (rank < best || !one.mx.matches(host)) continue;
    best = rank;
    out = one.limit;
  }
  return out;
}

std::optional<std::uint32_t> Snapshot::ip_limit(const IpAddress& destination) const {
  std::optional<std::uint32_t> out;
  unsigned best = 0;
  for (const config::IpConnectionLimit& one : config->globals.ip_connection_limit) {
    if (one.destination.prefix_bits() < best || !one.destination.contains(destination)) continue;
    best = one.destination.prefix_bits();
    out = one.limit;
  }
  return out;
}

ShardId Snapshot::home_of(config::VmtaId vmta, std::string_view domain) const {
  const Identity& one = identity(vmta);
  if (one.home) return *one.home;
  return ShardId{static_cast<std::uint32_t>(std::hash<std::string_view>{}(domain) % shards)};
}

namespace {

/// What is made of the text alone, and can fail.
std::expected<void, std::string> compile(Snapshot& out) {
  auto categories = bounce_categories(*out.config);
  if (!categories) return std::unexpected(categories.error());
  out.bounce_categories = std::move(*categories);
  auto replies = reply_rules(*out.config);
  if (!replies) return std::unexpected(replies.error());
  out.reply_rules = std::move(*replies);
  auto actions = bounce_actions(*out.config);
  if (!actions) return std::unexpected(actions.error());
  out.bounce_actions = std::move(*actions);
  auto headers = accounted_headers(*out.config);
  if (!headers) return std::unexpected(headers.error());
  out.accounted_headers = std::move(*headers);
  auto rules = identity_rules(out.config);
  if (!rules) return std::unexpected(rules.error());
  out.rules = std::move(*rules);
  return {};
}

}  // namespace

std::expected<void, std::string> check_compiles(std::shared_ptr<const config::Config> config) {
  Snapshot scratch;
  scratch.config = std::move(config);
  return compile(scratch);
}

std::expected<std::shared_ptr<const Snapshot>, std::string> make_snapshot(
    std::shared_ptr<const config::Config> config, std::uint32_t shards,
    const std::vector<IpAddress>& local_addresses, const Clocks& clocks, SharedState& shared,
    const Snapshot* before) {
  SLUICE_ASSERT(shards > 0);
  auto out = std::make_shared<Snapshot>();
  out->config = std::move(config);
  out->shards = shards;
  out->number = before == nullptr ? 1 : before->number + 1;
  if (auto compiled = compile(*out); !compiled) return std::unexpected(compiled.error());
  const config::GlobalSettings& global = out->config->globals;
  out->own_hosts = own_hosts(*out->config, local_addresses);
  out->domain_suffix = domain_suffix(global);
  out->source_groups = shared.inbound.groups_of(out->config->source_groups);
  out->joined = shared.joined;
  for (const config::Vmta& vmta : out->config->vmtas) {
    Identity identity;
    identity.name = vmta.name;
    add_sources(identity, *out->config, vmta, local_addresses);
    auto& state = shared.identities[vmta.name];
    if (!state) state = std::make_shared<IdentityState>();
    identity.state = state;
    identity.totals.push_back(totals_of(state, vmta.settings, "vmta", vmta.name, clocks, shared.remembered));
    out->identities.push_back(std::move(identity));
  }
  for (const config::Pool& pool : out->config->pools) {
    if (!has_totals(pool)) continue;
    auto& state = shared.pool_totals[pool.name];
    if (!state) state = std::make_shared<IdentityState>();
    const Totals totals = totals_of(state, pool.settings, "pool", pool.name, clocks, shared.remembered);
    for (const config::PoolMember& member : pool.settings.members)
      out->identities[member.id.raw()].totals.push_back(totals);
  }
  out->rollups = routing::RollupTable(out->config->mx_rollups);
  out->rollup_providers = out->config->mx_rollup_providers();
  for (const routing::RollupTable::Target& target : out->rollups.targets()) {
    auto& anchor = shared.rollup_anchors[target.name];
    if (!anchor) {
      anchor = std::make_shared<RollupAnchor>();
      anchor->replace("", shared.remembered.text(Remembered::rollup_key(target.name)));
    }
    out->rollup_anchors.push_back(anchor);
  }
  out->families = {.v4 = false, .v6 = false};
  for (const Identity& identity : out->identities) {
    out->families.v4 = out->families.v4 || identity.has_v4;
    out->families.v6 = out->families.v6 || identity.has_v6;
  }
  for (const config::Pool& pool : out->config->pools) {
    auto& state = shared.pools[pool.name];
    if (!state) state = std::make_shared<PoolState>();
    out->pools.push_back(state);
  }
  assign_homes(*out, before);
  if (before != nullptr) find_moved(*out, *before);
  out->owners = owners_of(*out->config, out->identities);
  return out;
}

void apply_limits(const Snapshot& snapshot, SharedState& shared, MonoTime now) {
  const config::Config& config = *snapshot.config;
  const config::GlobalSettings& global = config.globals;
  shared.outbound.set_limit(global.total_max_smtp_out);
  const std::uint32_t half = global.total_max_smtp_out / 2;
  shared.connecting.set_limit(std::max(1u, half));
  shared.strangers.set_limit(std::max(1u, half - half / 4));
  shared.penalty.set_limit(std::max(1u, half / 2));
  shared.inbound.set_limits(global.total_max_smtp_in, config.source_groups);
  if (global.total_max_file) {
    shared.files.set_limit(*global.total_max_file);
  } else {
    shared.files.clear_limit();
  }
  for (const config::Vmta& vmta : config.vmtas)
    apply_totals(*shared.identities.at(vmta.name), vmta.settings, now);
  for (const config::Pool& pool : config.pools) {
    if (has_totals(pool)) apply_totals(*shared.pool_totals.at(pool.name), pool.settings, now);
  }
  for (const config::VmtaId id : snapshot.moved)
    snapshot.identity(id).state->leaving.fetch_add(snapshot.shards, std::memory_order_relaxed);
  const auto is_gone = [now](const auto& entry) { return is_forgotten(entry.second, now); };
  std::erase_if(shared.identities, is_gone);
  std::erase_if(shared.pool_totals, is_gone);
  std::erase_if(shared.pools, [](const auto& entry) { return entry.second.use_count() == 1; });
}

}  // namespace sluice::queue
