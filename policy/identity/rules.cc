#include "policy/identity/rules.h"

#include <algorithm>

#include "policy/base/ascii.h"

namespace sluice::identity {
namespace {

/// The header lines of a file: with CRLF, up to its first empty line. A line that is no field is left out
/// with what belongs to it, so that a file cannot end the header section.
std::string header_lines(std::string_view text) {
  std::string out;
  bool in_field = false;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (trim(line).empty()) break;
    if (!is_blank(line.front())) {
      const std::size_t colon = line.find(':');
      in_field = colon != std::string_view::npos && colon > 0 &&
                 std::all_of(line.begin(), line.begin() + static_cast<std::ptrdiff_t>(colon),
                             [](char c) { return c > 32 && c < 127; });
    }
    if (!in_field) continue;
    out += line;
    out += "\r\n";
  }
  return out;
}

std::string headers_of(const config::Config& config, const std::vector<std::string>& paths) {
  std::string out;
  for (const std::string& path : paths) {
    if (const auto found = config.texts.find(path); found != config.texts.end())
      out += header_lines(found->second);
  }
  return out;
}

}  // namespace

std::expected<std::shared_ptr<const Rules>, Rules::Fault> Rules::make(
    std::shared_ptr<const config::Config> config) {
  auto out = std::make_shared<Rules>();
  out->config_ = std::move(config);
  const config::Config& from = *out->config_;
  out->directory_ = Directory(from.vmtas, from.pools);
  auto patterns = PatternLists::make(from.pattern_lists);
  if (!patterns) return std::unexpected(Fault{patterns.error().where, std::move(patterns.error().why)});
  out->patterns_ = std::move(*patterns);
  out->aliases_ = AliasTable(from.globals);
  const auto text_of_file = [&from](const std::string& path) {
    const auto found = from.texts.find(path);
    return found == from.texts.end() ? nullptr : &found->second;
  };
  for (const config::AddressList& list : from.address_lists) {
    auto set = AddressSet::make(list, text_of_file);
    if (!set) return std::unexpected(Fault{set.error().where, std::move(set.error().why)});
    // Of two with one name the last counts, as in Config::find_address_list().
    out->address_set_names_[to_lower(list.name)] = out->address_sets_.size();
    out->address_sets_.push_back(std::move(*set));
  }
  for (const config::RewriteList& list : from.rewrite_lists) {
    out->rewrite_names_[to_lower(list.name)] = out->rewrite_lists_.size();
    out->rewrite_lists_.emplace_back(list);
  }
  const auto of_identity = [&](const config::IdentitySettings& settings) {
    out->warms_up_ = out->warms_up_ || !settings.cold_virtual_mta.empty();
    return OfIdentity{out->find_rewrite_list(settings.rewrite_list),
                      headers_of(from, settings.include_headers_from)};
  };
  for (const config::Vmta& one : from.vmtas) out->vmtas_.push_back(of_identity(one.settings));
  for (const config::Pool& one : from.pools) out->pools_.push_back(of_identity(one.settings));
  out->global_headers_ = headers_of(from, from.globals.include_headers_from);
  for (const config::NameOrRegex& one : from.globals.relay_address) {
    if (!one.is_regex) continue;
    auto pattern = Pattern::compile(one.text);
    if (!pattern) return std::unexpected(Fault{{}, "relay-address /" + one.text + "/: " + pattern.error()});
    out->relay_patterns_.push_back(std::move(*pattern));
  }
  return out;
}

const AddressSet* Rules::find_address_set(std::string_view name) const {
  const auto found = address_set_names_.find(to_lower(name));
  return found == address_set_names_.end() ? nullptr : &address_sets_[found->second];
}

const RewriteList* Rules::find_rewrite_list(std::string_view name) const {
  const auto found = rewrite_names_.find(to_lower(name));
  return found == rewrite_names_.end() ? nullptr : &rewrite_lists_[found->second];
}

const RewriteList* Rules::rewrite_list(config::VmtaId vmta, std::optional<config::PoolId> pool) const {
  if (const RewriteList* own = vmtas_[vmta.raw()].rewrite; own != nullptr) return own;
  return pool ? pools_[pool->raw()].rewrite : nullptr;
}

void Rules::append_headers(std::string& out, config::VmtaId vmta, std::optional<config::PoolId> pool) const {
  out += global_headers_;
  if (pool) out += pools_[pool->raw()].headers;
  out += vmtas_[vmta.raw()].headers;
}

bool Rules::is_relayed(std::string_view address, std::string_view domain) const {
  const config::GlobalSettings& global = config_->globals;
  if (global.always_allow_relaying) return true;
  const auto same_domain = [domain](const std::string& host) { return iequals(host, domain); };
  if (std::ranges::any_of(global.host_name, same_domain)) return true;
  const auto holds_domain = [domain](const config::DomainPattern& one) { return one.matches(domain); };
  if (std::ranges::any_of(global.relay_domain, holds_domain)) return true;
  const auto same_address = [address](const config::NameOrRegex& one) {
    return !one.is_regex && iequals(one.text, address);
  };
  return std::ranges::any_of(global.relay_address, same_address) ||
         std::ranges::any_of(relay_patterns_, [address](const Pattern& one) { return one.matches(address); });
}

}  // namespace sluice::identity
