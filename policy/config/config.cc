// Lookups and the merging of blocks into flat settings.
#include "policy/config/config.h"

#include <algorithm>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/config/directive.h"

namespace sluice::config {
namespace {

template <class List>
auto* find_named(const List& list, std::string_view name) {
  const typename List::value_type* found = nullptr;
  // The last definition wins: a user's list replaces the vendor's, which is read before it.
  for (const auto& item : list) {
    if (iequals(item.name, name)) found = &item;
  }
  return found;
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

/// Row that prints the member which `row` sets: the row itself, or the visible one it is another name of.
struct OriginTable {
  struct Entry {
    const Assignment* assignment = nullptr;
    std::string block;
  };
  std::vector<Entry> by_row;
};

template <class Record>
std::vector<SettingOrigin> explain_rows(Scope scope, const Record& record, const OriginTable& origins) {
  std::vector<SettingOrigin> out;
  const auto rows = DirectiveTable::get().rows();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Directive& row = rows[i];
    const OriginTable::Entry& entry = origins.by_row[i];
    if (!row.allowed_in(scope) || (row.format == nullptr && entry.assignment == nullptr)) continue;
    if (row.has(kHidden) && entry.assignment == nullptr) continue;
    std::vector<std::string> values;
    if (row.format != nullptr)
      row.format(&record, values);
    else
      values.push_back(entry.assignment->value);
    for (std::string& value : values) {
      SettingOrigin origin{
          row.name, row.has(kSecret) && value != "\"\"" ? "*****" : std::move(value), {}, "default"};
      if (entry.assignment != nullptr) {
        origin.origin = entry.assignment->origin;
        origin.block = entry.block;
      }
      out.push_back(std::move(origin));
    }
  }
  return out;
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

template <class Record>
std::string listing(Scope scope, const Record& record) {
  std::string out;
  std::vector<std::string> values;
  for (const Directive& row : DirectiveTable::get().rows()) {
    if (!row.allowed_in(scope) || row.format == nullptr || row.has(kHidden)) continue;
    values.clear();
    row.format(&record, values);
    if (values.empty()) values.emplace_back("\"\"");
    for (const std::string& value : values) {
      out.append(row.name) += ' ';
      out += value.empty() ? "\"\"" : row.has(kSecret) && value != "\"\"" ? "*****" : value;
      out += '\n';
    }
  }
  return out;
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

const ReplyList* Config::find_reply_list(std::string_view name) const {
  return find_named(reply_lists, name);
}
const PatternList* Config::find_pattern_list(std::string_view name) const {
  return find_named(pattern_lists, name);
}
const AddressList* Config::find_address_list(std::string_view name) const {
  return find_named(address_lists, name);
}
const RewriteList* Config::find_rewrite_list(std::string_view name) const {
  return find_named(rewrite_lists, name);
}
const BounceActionList* Config::find_bounce_actions(std::string_view name) const {
  return find_named(bounce_actions, name);
}

const SmtpUser* Config::find_smtp_user(std::string_view name) const {
  const SmtpUser* found = nullptr;
  for (const SmtpUser& user : smtp_users) {
    if (user.name == name) found = &user;
  }
  return found;
}

namespace {

/// Blocks that hold for a client, in the order they are applied.
std::vector<const SourceBlock*> source_chain(const std::vector<SourceBlock>& sources, const IpAddress* client,
                                             std::string_view name) {
  std::vector<const SourceBlock*> chain;
  for (const SourceBlock& block : sources) {
    if (client != nullptr && block.cidr && block.cidr->contains(*client)) chain.push_back(&block);
  }
  // Not stable_sort: libstdc++ 12 implements it with a function it calls deprecated. Blocks stand in file
  // order.
  std::sort(chain.begin(), chain.end(), [](const SourceBlock* a, const SourceBlock* b) {
    const unsigned bits_a = a->cidr->prefix_bits(), bits_b = b->cidr->prefix_bits();
    return bits_a != bits_b ? bits_a < bits_b : a < b;
  });
  if (!name.empty()) {
    for (const SourceBlock& block : sources) {
      if (!block.cidr && iequals(block.name, name)) chain.push_back(&block);
    }
  }
  return chain;
}

SourceSettings flatten_sources(const std::vector<const SourceBlock*>& chain) {
  SourceSettings out;
  for (const SourceBlock* block : chain) apply_all(block->assignments, out);
  return out;
}

}  // namespace

SourceSettings Config::resolve_source(const IpAddress& client, std::string_view named_source) const {
  return flatten_sources(source_chain(sources, &client, named_source));
}

SourceSettings Config::resolve_named_source(std::string_view name) const {
  return flatten_sources(source_chain(sources, nullptr, name));
}

bool Config::has_source(std::string_view name) const {
  return std::any_of(sources.begin(), sources.end(),
                     [&](const SourceBlock& block) { return !block.cidr && iequals(block.name, name); });
}

std::vector<SettingOrigin> Config::explain_source(const IpAddress& client,
                                                  std::string_view named_source) const {
  const auto chain = source_chain(sources, &client, named_source);
  OriginTable origins{std::vector<OriginTable::Entry>(DirectiveTable::get().rows().size())};
  for (const SourceBlock* block : chain) {
    for (const Assignment& assignment : block->assignments) {
      origins.by_row[assignment.row] = {&assignment, "<source " + block->name + '>'};
    }
  }
  return explain_rows(Scope::Source, flatten_sources(chain), origins);
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

DomainSettings Config::flatten(std::span<const DomainBlock* const> chain) {
  DomainSettings out;
  std::vector<bool> assigned(DirectiveTable::get().rows().size());
  for (const DomainBlock* block : chain) {
    for (const Assignment& assignment : block->assignments) assigned[assignment.row] = true;
    apply_all(block->assignments, out);
  }
  fill_backoff(assigned, out);
  return out;
}

DomainSettings Config::flatten(std::string_view domain, VmtaId vmta) const {
  BlockChain chain;
  collect_blocks(domain, vmta, chain);
  return flatten(chain);
}

std::vector<SettingOrigin> Config::explain(std::string_view domain, VmtaId vmta) const {
  BlockChain chain;
  collect_blocks(domain, vmta, chain);
  OriginTable origins{std::vector<OriginTable::Entry>(DirectiveTable::get().rows().size())};
  for (const DomainBlock* block : chain) {
    for (const Assignment& assignment : block->assignments) {
      origins.by_row[assignment.row] = {&assignment, block->where};
    }
  }
  return explain_rows(Scope::Domain, flatten(chain), origins);
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

std::string settings_listing(const DomainSettings& settings) { return listing(Scope::Domain, settings); }
std::string settings_listing(const SourceSettings& settings) { return listing(Scope::Source, settings); }
std::string settings_listing(const GlobalSettings& settings) { return listing(Scope::Global, settings); }
std::string settings_listing(const IdentitySettings& settings, bool pool) {
  return listing(pool ? Scope::Pool : Scope::Vmta, settings);
}
std::string settings_listing(const AcctFile& file) { return listing(Scope::AcctFile, file); }

}  // namespace sluice::config
