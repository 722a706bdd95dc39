// What needs the whole configuration: names, macros, pools, indexes. Checks and warnings are in checks.cc.
#include <algorithm>
#include <map>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/config/loader.h"

namespace sluice::config {
namespace {

constexpr std::size_t kMacroDepthMax = 64;
constexpr std::size_t kDomainBytesMax = 1024;  ///< of an expression after expansion; names have 253 at most

}  // namespace

Finisher::Finisher(Config& config, Reporter& reporter,
                   const std::unordered_map<std::string, MacroDefinition>& macros,
                   const std::vector<std::uint32_t>& implicit_blocks)
    : config_(config),
      reporter_(reporter),
      macros_(macros),
      implicit_blocks_(implicit_blocks),
      table_(DirectiveTable::get()) {}

void Finisher::run() {
  config_.make_index();
  join_bounce_rates();
  note_values_to_come();
  name_identities();
  resolve_pools();
  expand_macros();
  index_domains();
  fill_ehlo_names();
  number_scopes();
  check_required();
  check_references();
  check_traps();
}

void Finisher::error(Origin where, std::string message, std::string suggestion) {
  reporter_.add(where, 0, {Severity::Error, std::move(message), {}, std::move(suggestion)});
}

void Finisher::warn(Origin where, std::string message, std::string suggestion) {
  reporter_.add(where, 0, {Severity::Warning, std::move(message), {}, std::move(suggestion)});
}

void Finisher::name_identities() { config_.vmta_ids_[std::string(kDefaultVmtaName)] = kDefaultVmta; }

void Finisher::resolve_pools() {
  for (Pool& pool : config_.pools) {
    for (PoolMember& member : pool.settings.members) {
      const auto id = config_.find_vmta(member.name);
      if (!id) {
        missing(member.origin, "virtual MTA", member.name, identity_names(), "the pool does without it");
        continue;
      }
      member.id = *id;
      if (config_.layers_.of_pool[pool.id.raw()] == 0) continue;
      auto& domain_pool = config_.vmtas[id->raw()].domain_pool;
      if (domain_pool && *domain_pool != pool.id) {
        error(member.origin, "virtual MTA \"" + member.name + "\" is in two pools with <domain> blocks, \"" +
                                 config_.pool(*domain_pool).name + "\" and \"" + pool.name + '"');
      }
      domain_pool = pool.id;
    }
    // Unknown members must not pass for {default}.
    std::erase_if(pool.settings.members,
                  [&](const PoolMember& member) { return !config_.find_vmta(member.name); });
    if (pool.settings.members.empty()) warn(pool.origin, "pool \"" + pool.name + "\" has no members");
  }
}

const std::vector<std::string>* Finisher::macro(std::string_view name, Origin origin,
                                                std::vector<std::string>& open) {
  std::string key = to_lower(name);
  if (const auto done = config_.domain_macros.find(key); done != config_.domain_macros.end())
    return &done->second;
  const auto it = macros_.find(key);
  if (it == macros_.end()) {
    missing(origin, "domain macro", key, [this] {
      std::vector<std::string_view> known;
      for (const auto& [known_name, definition] : macros_) known.push_back(known_name);
      return known;
    });
    return &config_.domain_macros[key];
  }
  if (std::find(open.begin(), open.end(), key) != open.end()) {
    error(it->second.origin, "domain macro \"" + key + "\" uses itself");
    return &config_.domain_macros[key];
  }
  if (open.size() >= kMacroDepthMax) {
    error(it->second.origin, "domain macro \"" + key + "\": too many macros inside of each other");
    return &config_.domain_macros[key];
  }
  open.push_back(key);
  std::vector<std::string> out;
  for (const std::string& item : it->second.items) {
    for (std::string& domain : substitute(item, it->second.origin, open)) out.push_back(std::move(domain));
  }
  open.pop_back();
  // unordered_map keeps addresses of its elements.
  return &(config_.domain_macros[key] = std::move(out));
}

/// Every `$NAME` replaced by each of its domains: "$a.$b" makes all pairs.
std::vector<std::string> Finisher::substitute(std::string_view text, Origin origin,
                                              std::vector<std::string>& open) {
  std::vector<std::string> out{""};
  while (!text.empty()) {
    const std::size_t dollar = text.find('$');
    for (std::string& part : out) part += text.substr(0, dollar);
    if (dollar == std::string_view::npos) break;
    text.remove_prefix(dollar + 1);
    std::size_t length = 0;
    while (length < text.size() &&
           (is_alpha(text[length]) || is_digit(text[length]) || text[length] == '_')) {
      ++length;
    }
    const auto* domains = macro(text.substr(0, length), origin, open);
    text.remove_prefix(length);
    std::vector<std::string> product;
    for (const std::string& part : out) {
      for (const std::string& domain : *domains) {
        if (expanded_ >= kMacroExpansionMax || part.size() + domain.size() > kDomainBytesMax) {
          if (!expansion_cut_) error(origin, "domain macros make too many or too long domains");
          expansion_cut_ = true;
          return {};
        }
        ++expanded_;
        product.push_back(part + domain);
      }
    }
    out = std::move(product);
  }
  return out;
}

std::vector<std::string> Finisher::expand(std::string_view expression, Origin origin, bool& from_macro) {
  std::vector<std::string> open;
  from_macro = expression.find('$') != std::string_view::npos;
  return substitute(expression, origin, open);
}

void Finisher::expand_patterns(std::vector<DomainPattern>& patterns) {
  std::vector<DomainPattern> out;
  for (DomainPattern& pattern : patterns) {
    if (pattern.domain.find('$') == std::string::npos) {
      out.push_back(std::move(pattern));
      continue;
    }
    bool from_macro = false;
    for (const std::string& text : expand(pattern.text(), {}, from_macro)) {
      if (auto expanded = DomainPattern::parse(text)) out.push_back(std::move(*expanded));
    }
  }
  patterns = std::move(out);
}

void Finisher::expand_keys(std::vector<DomainKey>& keys) {
  std::vector<DomainKey> out;
  for (DomainKey& key : keys) {
    if (key.domain.find('$') == std::string::npos) {
      out.push_back(std::move(key));
      continue;
    }
    bool from_macro = false;
    for (const std::string& domain : expand(key.domain, key.origin, from_macro)) {
      out.push_back({key.selector, normalise_domain(domain), key.path, key.origin});
    }
  }
  keys = std::move(out);
}

void Finisher::expand_macros() {
  for (const auto& [name, definition] : macros_) {
    std::vector<std::string> open;
    macro(name, definition.origin, open);
  }
  expand_patterns(config_.globals.relay_domain);
  expand_keys(config_.globals.domain_key);
  for (Vmta& vmta : config_.vmtas) expand_keys(vmta.settings.domain_key);
  for (Pool& pool : config_.pools) expand_keys(pool.settings.domain_key);
  for (DomainKeyList& list : config_.domain_key_lists) expand_keys(list.keys);
  const auto expand_entries = [&](std::vector<AddressEntry>& entries) {
    std::vector<AddressEntry> out;
    for (AddressEntry& entry : entries) {
      bool from_macro = false;
      if (entry.kind != AddressEntry::Kind::Domain || entry.text.find('$') == std::string::npos) {
        out.push_back(std::move(entry));
        continue;
      }
      for (std::string& domain : expand(entry.text, entry.origin, from_macro)) {
        out.push_back({AddressEntry::Kind::Domain, normalise_domain(domain), entry.origin});
      }
    }
    entries = std::move(out);
  };
  for (AddressList& list : config_.address_lists) expand_entries(list.entries);
  if (config_.bounce_processor) expand_entries(config_.bounce_processor->addresses);
  for (ReportProcessor& processor : config_.feedback_loop_processors) expand_entries(processor.addresses);
}

void Finisher::index_domains() {
  auto& layers = config_.layers_.layers;
  first_patterns_.resize(layers.size());
  for (std::size_t l = 0; l < layers.size(); ++l) {
    first_patterns_[l].resize(layers[l].blocks.size());
    const std::uint32_t implicit = l < implicit_blocks_.size() ? implicit_blocks_[l] : 0;
    for (std::uint32_t b = 0; b < layers[l].blocks.size(); ++b) {
      const DomainBlock& block = layers[l].blocks[b];
      bool from_macro = false;
      for (const std::string& text : expand(block.expression, block.origin, from_macro)) {
        const auto pattern = DomainPattern::parse(trim(text));
        if (!pattern) {
          error(
              block.origin, '"' + text + "\" is not a domain pattern",
              trim(text).find_first_of(" \t") == std::string_view::npos
                  ? "*, example.com, *.example.com, [*.]example.com or [10/8]"
                  : "one block each, or name several by a macro: domain-macro NAME a.example, b.example and "
                    "<domain $NAME>");
          continue;
        }
        if (!first_patterns_[l][b]) first_patterns_[l][b] = pattern;
        // Settings outside of <domain> rank below the scope's own `<domain *>`, as macros rank below
        // literals.
        layers[l].add(*pattern, b, from_macro || b + 1 == implicit);
      }
    }
    layers[l].seal();
  }
}

/// A line for a category that had one replaces it.
void Finisher::join_bounce_rates() {
  std::vector<BounceRateAlert> out;
  std::unordered_map<std::string, std::size_t> places;
  for (BounceRateAlert& rate : config_.alerts.bounce_rate) {
    const auto [known, fresh] = places.try_emplace(to_lower(rate.category), out.size());
    if (fresh)
      out.push_back(std::move(rate));
    else
      out[known->second].above = rate.above;
  }
  config_.alerts.bounce_rate = std::move(out);
}

void Finisher::fill_ehlo_names() {
  const auto fill = [](std::vector<SourceHost>& hosts, const std::string& name) {
    for (SourceHost& host : hosts) {
      if (host.ehlo.empty()) host.ehlo = normalise_domain(name);
    }
  };
  GlobalSettings& globals = config_.globals;
  const std::string first_host = globals.host_name.empty() ? std::string() : globals.host_name.front();
  fill(globals.smtp_source_host, globals.ehlo_hostname.empty() ? first_host : globals.ehlo_hostname);
  for (Vmta& vmta : config_.vmtas) {
    IdentitySettings& settings = vmta.settings;
    if (settings.host_name.empty()) settings.host_name = settings.ehlo_hostname;
    settings.host_name = normalise_domain(settings.host_name);
    const std::string& own = settings.ehlo_hostname.empty() ? settings.host_name : settings.ehlo_hostname;
    fill(settings.smtp_source_host, own.empty() ? first_host : own);
  }
}

/// VMTAs without <domain> blocks of their own and with the same pool share one number.
void Finisher::number_scopes() {
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> known;
  for (const Vmta& vmta : config_.vmtas) {
    const std::uint32_t pool = vmta.domain_pool ? config_.layers_.of_pool[vmta.domain_pool->raw()] : 0;
    const std::pair layers{pool, config_.layers_.of_vmta[vmta.id.raw()]};
    config_.domain_scopes_.push_back(
        known.try_emplace(layers, static_cast<std::uint32_t>(known.size())).first->second);
  }
}

}  // namespace sluice::config
