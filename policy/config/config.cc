// Lookups and the merging of blocks into flat settings.
#include "policy/config/config.h"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/config/directive.h"

namespace sluice::config {
namespace {

/// Places in a list by name, without case.
using Names = std::unordered_map<std::string, std::size_t>;

/// The last definition wins: a user's list replaces the vendor's, which is read before it.
template <class List>
Names last_of_each(const List& list) {
  Names out;
  for (std::size_t i = 0; i < list.size(); ++i) out[to_lower(list[i].name)] = i;
  return out;
}

template <class List>
auto* find_named(const List& list, const Names& names, std::string_view name) {
  const auto found = names.find(to_lower(name));
  return found == names.end() ? nullptr : &list[found->second];
}

template <class Record>
void apply_all(const std::vector<Assignment>& assignments, Record& record) {
  const auto rows = DirectiveTable::get().rows();
  for (const Assignment& assignment : assignments) {
    const Directive& row = rows[assignment.row];
    Value value(assignment.value, row.rules, assignment.origin);
    row.apply(value, &record);
    SLUICE_ASSERT(!value.failed());  // the loader applied it once already
  }
}

/// Where `backoff-*` was not set, the normal value holds: the guide's rule for rates. The connection count
/// has a default of its own.
void fill_backoff(const std::vector<bool>& assigned, DomainSettings& settings) {
  const DirectiveTable& table = DirectiveTable::get();
  const auto is_set = [&](std::string_view name) {
    const Directive* row = table.find(name, Scope::Domain);
    SLUICE_ASSERT(row != nullptr);
    return assigned[table.index_of(*row)];
  };
  if (!is_set("backoff-max-connect-rate")) settings.backoff_max_connect_rate = settings.max_connect_rate;
  if (!is_set("backoff-max-msg-rate") && !is_set("backoff-max-msg-per-hour")) {
    settings.backoff_max_msg_rate = settings.max_msg_rate;
  }
  if (!is_set("backoff-max-data-volume-rate"))
    settings.backoff_max_data_volume_rate = settings.max_data_volume_rate;
}

/// Rules for one text are one rule: the first, with the last time.
void join_inline_rules(std::vector<ReplyRule>& rules) {
  if (rules.size() < 2) return;
  std::vector<ReplyRule> out;
  std::unordered_map<std::string, std::size_t> places;
  for (ReplyRule& rule : rules) {
    const auto [known, fresh] = places.try_emplace(rule.pattern.text, out.size());
    if (fresh)
      out.push_back(std::move(rule));
    else if (rule.retry_after)
      out[known->second].retry_after = rule.retry_after;
  }
  rules = std::move(out);
}

}  // namespace

std::optional<VmtaId> Config::find_vmta(std::string_view name) const {
  const auto it = vmta_ids_.find(to_lower(name));
  return it == vmta_ids_.end() ? std::nullopt : std::optional(it->second);
}

std::optional<PoolId> Config::find_pool(std::string_view name) const {
  const auto it = pool_ids_.find(to_lower(name));
  return it == pool_ids_.end() ? std::nullopt : std::optional(it->second);
}

struct Config::Index {
  Names reply_lists, pattern_lists, address_lists, rewrite_lists, bounce_actions, proxies;
  Names users;  ///< with case
  std::unordered_map<std::string, std::vector<std::size_t>> named_sources;
  /// By the length of the prefix; each in file order.
  std::map<unsigned, std::map<IpAddress, std::vector<std::size_t>>> networks;
};

void Config::make_index() {
  auto out = std::make_shared<Index>();
  out->reply_lists = last_of_each(reply_lists);
  out->pattern_lists = last_of_each(pattern_lists);
  out->address_lists = last_of_each(address_lists);
  out->rewrite_lists = last_of_each(rewrite_lists);
  out->bounce_actions = last_of_each(bounce_actions);
  for (std::size_t i = 0; i < proxies.size(); ++i) out->proxies.try_emplace(to_lower(proxies[i].name), i);
  for (std::size_t i = 0; i < smtp_users.size(); ++i) out->users[smtp_users[i].name] = i;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const SourceBlock& block = sources[i];
    if (block.cidr)
      out->networks[block.cidr->prefix_bits()][block.cidr->address()].push_back(i);
    else
      out->named_sources[to_lower(block.name)].push_back(i);
  }
  index_ = std::move(out);
}

const ReplyList* Config::find_reply_list(std::string_view name) const {
  return find_named(reply_lists, index_->reply_lists, name);
}
const PatternList* Config::find_pattern_list(std::string_view name) const {
  return find_named(pattern_lists, index_->pattern_lists, name);
}
const AddressList* Config::find_address_list(std::string_view name) const {
  return find_named(address_lists, index_->address_lists, name);
}
const RewriteList* Config::find_rewrite_list(std::string_view name) const {
  return find_named(rewrite_lists, index_->rewrite_lists, name);
}
const BounceActionList* Config::find_bounce_actions(std::string_view name) const {
  return find_named(bounce_actions, index_->bounce_actions, name);
}
const Proxy* Config::find_proxy(std::string_view name) const {
  return find_named(proxies, index_->proxies, name);
}
const SmtpUser* Config::find_smtp_user(std::string_view name) const {
  const auto found = index_->users.find(std::string(name));
  return found == index_->users.end() ? nullptr : &smtp_users[found->second];
}

std::vector<std::string> Config::mx_rollup_providers() const {
  const auto rows = DirectiveTable::get().rows();
  std::vector<std::string> out;
  std::unordered_set<std::string> seen;
  for (const DomainLayer& layer : layers_.layers) {
    for (const DomainBlock& block : layer.blocks) {
      const bool names_some =
          std::any_of(block.assignments.begin(), block.assignments.end(),
                      [rows](const Assignment& one) { return rows[one.row].name == "mx-rollup"; });
      if (!names_some) continue;
      const DomainBlock* const chain[] = {&block};
      for (const std::string& domain : flatten(chain).mx_rollup) {
        if (seen.insert(domain).second) out.push_back(domain);
      }
    }
  }
  return out;
}

/// Blocks that hold for a client, in the order they are applied: wider networks first, those of one width as they
/// stand in the file, named ones last.
std::vector<const SourceBlock*> Config::source_chain(const IpAddress* client, std::string_view name) const {
  std::vector<const SourceBlock*> chain;
  const auto take = [&](const std::vector<std::size_t>& blocks) {
    for (const std::size_t i : blocks) chain.push_back(&sources[i]);
  };
  for (const auto& [bits, networks] : index_->networks) {
    if (client == nullptr || bits > client->bit_count()) break;
    const std::size_t before = chain.size();
    const IpAddress own = Cidr(*client, bits).address();
    if (const auto found = networks.find(own); found != networks.end()) take(found->second);
    // 0/0 holds addresses of the other family, too.
    const auto all = bits == 0 && own != IpAddress() ? networks.find(IpAddress()) : networks.end();
    if (all != networks.end()) take(all->second);
    std::sort(chain.begin() + static_cast<std::ptrdiff_t>(before), chain.end());
  }
  if (const auto found = index_->named_sources.find(to_lower(name));
      !name.empty() && found != index_->named_sources.end())
    take(found->second);
  return chain;
}

namespace {

SourceSettings flatten_sources(const std::vector<const SourceBlock*>& chain) {
  SourceSettings out;
  for (const SourceBlock* block : chain) apply_all(block->assignments, out);
  return out;
}

}  // namespace

SourceSettings Config::resolve_source(const IpAddress& client, std::string_view named_source) const {
  return flatten_sources(source_chain(&client, named_source));
}

SourceSettings Config::resolve_named_source(std::string_view name) const {
  return flatten_sources(source_chain(nullptr, name));
}

bool Config::has_source(std::string_view name) const {
  return index_->named_sources.contains(to_lower(name));
}

void Config::collect_blocks(std::string_view domain, VmtaId vmta, BlockChain& out) const {
  SLUICE_ASSERT(vmta.raw() < vmtas.size());
  layers_.layers[0].collect(domain, out);
  if (const auto pool = vmtas[vmta.raw()].domain_pool) {
    if (const auto layer = layers_.of_pool[pool->raw()]; layer != 0)
      layers_.layers[layer].collect(domain, out);
  }
  if (const auto layer = layers_.of_vmta[vmta.raw()]; layer != 0) layers_.layers[layer].collect(domain, out);
}

std::vector<const DomainBlock*> Config::domain_blocks(VmtaId vmta) const {
  std::vector<const DomainBlock*> out;
  const auto add = [&](std::uint32_t layer) {
    for (const DomainBlock& block : layers_.layers[layer].blocks) out.push_back(&block);
  };
  if (vmta == kDefaultVmta) add(0);
  if (const auto pool = vmtas[vmta.raw()].domain_pool) {
    if (const auto layer = layers_.of_pool[pool->raw()]; layer != 0) add(layer);
  }
  if (const auto layer = layers_.of_vmta[vmta.raw()]; layer != 0) add(layer);
  return out;
}

DomainSettings Config::flatten(std::span<const DomainBlock* const> chain) {
  DomainSettings out;
  std::vector<bool> assigned(DirectiveTable::get().rows().size());
  for (const DomainBlock* block : chain) {
    for (const Assignment& assignment : block->assignments) assigned[assignment.row] = true;
    apply_all(block->assignments, out);
  }
  join_inline_rules(out.inline_reply_rules);
  fill_backoff(assigned, out);
  return out;
}

DomainSettings Config::flatten(std::string_view domain, VmtaId vmta) const {
  BlockChain chain;
  collect_blocks(domain, vmta, chain);
  return flatten(chain);
}

void Config::for_each_domain_key(const std::function<void(const DomainKey&)>& use) const {
  const auto rows = DirectiveTable::get().rows();
  for (const DomainLayer& layer : layers_.layers) {
    for (const DomainBlock& block : layer.blocks) {
      for (const Assignment& assignment : block.assignments) {
        const Directive& row = rows[assignment.row];
        if (row.name != "dkim-sign" && row.name != "domain-key") continue;
        DomainSettings one;
        Value value(assignment.value, row.rules, assignment.origin);
        row.apply(value, &one);
        for (const DomainKey& key : one.domain_keys) use(key);
      }
    }
  }
}

bool Config::some_domain_sets(std::string_view directive) const {
  const auto rows = DirectiveTable::get().rows();
  for (const DomainLayer& layer : layers_.layers) {
    for (const DomainBlock& block : layer.blocks) {
      for (const Assignment& assignment : block.assignments) {
        if (rows[assignment.row].name == directive) return true;
      }
    }
  }
  return false;
}

std::size_t DomainSettingsCache::ChainHash::operator()(const Config::BlockChain& chain) const noexcept {
  std::size_t hash = 1469598103934665603u;
  for (const DomainBlock* block : chain) {
    hash = (hash ^ reinterpret_cast<std::uintptr_t>(block)) * 1099511628211u;
  }
  return hash;
}

DomainSettingsCache::DomainSettingsCache(std::shared_ptr<const Config> config) : config_(std::move(config)) {
  SLUICE_ASSERT(config_ != nullptr);
}

const DomainSettings& DomainSettingsCache::settings_for(std::string_view domain, VmtaId vmta) {
  const std::uint32_t scope = config_->domain_scope(vmta);
  key_.assign(reinterpret_cast<const char*>(&scope), sizeof scope).append(domain);
  if (const auto it = queues_.find(key_); it != queues_.end()) return *it->second;
  scratch_.clear();
  config_->collect_blocks(domain, vmta, scratch_);
  auto& slot = flattened_[scratch_];
  if (slot == nullptr) slot = std::make_unique<const DomainSettings>(Config::flatten(scratch_));
  if (queues_.size() < kQueuesMax) queues_.emplace(key_, slot.get());
  return *slot;
}

}  // namespace sluice::config
