#include "policy/config/listing.h"

#include <algorithm>

#include "policy/base/ascii.h"
#include "policy/config/directive.h"

namespace sluice::config {
namespace {

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

std::string place(const Config& config, Origin origin) {
  return (origin.file < config.files.size() ? config.files[origin.file] : std::string("?")) + ':' +
         std::to_string(origin.line);
}

/// "gmail.com/marketing".
std::string name_of(const Config& config, const QueueName& queue) {
  return queue.domain + '/' + config.vmta(queue.vmta).name;
}

std::string source_of(const Config& config, const SettingOrigin& item) {
  if (!item.origin) return "default";
  return place(config, *item.origin) + "  " + item.block +
         (item.follows.empty() ? "" : ", follows " + std::string(item.follows));
}

void append_line(const Config& config, Scope scope, const SettingOrigin& item, std::string& out) {
  static constexpr std::size_t kValueColumn = 48;
  std::string line = std::string(item.directive) + ' ' + (item.value.empty() ? "\"\"" : item.value);
  line.append(line.size() < kValueColumn ? kValueColumn - line.size() : 2, ' ');
  line += source_of(config, item);
  const Directive* row = DirectiveTable::get().find(item.directive, scope);
  if (const Wait* wait = row == nullptr ? nullptr : row->wait_in(scope))
    line += "  (effect to come: " + std::string(name_of(wait->capability)) + ')';
  out += line + '\n';
  for (const SettingLine& part : item.parts)
    out += "    " + part.text + "  " + place(config, part.origin) + '\n';
}

/// What holds in a queue, in the layout of a listing, with the rules and lists that stand behind a name.
std::string queue_listing(const Config& config, const QueueName& queue) {
  std::string out;
  for (const SettingOrigin& item : config.explain(queue.domain, queue.vmta)) {
    const Directive* row = DirectiveTable::get().find(item.directive, Scope::Domain);
    if (!item.is_rule && (row == nullptr || row->format == nullptr || row->has(kHidden))) continue;
    out += std::string(item.directive) + ' ' + (item.value.empty() ? "\"\"" : item.value) + '\n';
    for (const SettingLine& part : item.parts) out += "    " + part.text + '\n';
  }
  return out;
}

void append_whole(const Config& config, Scope scope, const SettingOrigin& item, std::string& out) {
  append_line(config, scope, item, out);
  for (std::size_t i = item.over.size(); i > 0; --i) {
    const SettingLine& line = item.over[i - 1];
    out += "    over " + line.text + "  " + place(config, line.origin) + "  " + line.block + '\n';
  }
}

}  // namespace

std::string settings_listing(const DomainSettings& settings) { return listing(Scope::Domain, settings); }
std::string settings_listing(const SourceSettings& settings) { return listing(Scope::Source, settings); }
std::string settings_listing(const GlobalSettings& settings) { return listing(Scope::Global, settings); }
std::string settings_listing(const IdentitySettings& settings, bool pool) {
  return listing(pool ? Scope::Pool : Scope::Vmta, settings);
}
std::string settings_listing(const AcctFile& file) { return listing(Scope::AcctFile, file); }

std::expected<QueueName, std::string> find_queue(const Config& config, std::string_view name) {
  QueueName out;
  const std::size_t slash = name.find('/', name.starts_with('[') ? std::min(name.find(']'), name.size()) : 0);
  out.domain = normalise_domain(name.substr(0, slash));
  if (out.domain.empty())
    return std::unexpected("which queue? DOMAIN or DOMAIN/VMTA, for example gmail.com/news\n");
  if (slash == std::string_view::npos) return out;
  const std::string_view identity = name.substr(slash + 1);
  if (const auto found = config.find_vmta(identity)) {
    out.vmta = *found;
    return out;
  }
  if (const auto pool = config.find_pool(identity)) {
    std::string members;
    for (const PoolMember& member : config.pool(*pool).settings.members)
      members += (members.empty() ? "" : ", ") + out.domain + '/' + member.name;
    return std::unexpected('"' + std::string(identity) + "\" is a pool; its queues are " +
                           (members.empty() ? "none" : members) + '\n');
  }
  std::vector<std::string_view> known;
  for (const Vmta& vmta : config.vmtas) known.push_back(vmta.name);
  const std::string_view nearest = nearest_name(identity, known);
  return std::unexpected("no virtual MTA named \"" + std::string(identity) + '"' +
                         (nearest.empty() ? "" : "; did you mean \"" + std::string(nearest) + "\"?") + '\n');
}

std::string settings_text(const Config& config, const QueueName& queue) {
  const Vmta& vmta = config.vmta(queue.vmta);
  return "VirtualMTA settings for \"" + vmta.name + "\":\n\n" + settings_listing(vmta.settings, false) +
         "\nQueue settings for \"" + name_of(config, queue) + "\":\n\n" + queue_listing(config, queue);
}

std::expected<std::string, std::string> explain_text(const Config& config, const QueueName& queue,
                                                     std::string_view directive) {
  const auto domain = config.explain(queue.domain, queue.vmta);
  const auto identity = config.explain_identity(queue.vmta);
  std::string out;
  if (directive.empty()) {
    out = "VirtualMTA settings for \"" + config.vmta(queue.vmta).name + "\":\n\n";
    for (const SettingOrigin& item : identity) append_line(config, Scope::Vmta, item, out);
    out += "\nQueue settings for \"" + name_of(config, queue) + "\":\n\n";
    for (const SettingOrigin& item : domain) append_line(config, Scope::Domain, item, out);
    const std::string target = config.flatten(queue.domain, queue.vmta).queue_to;
    if (!target.empty())
      out += "\nMail for " + queue.domain + " waits in " + target + '/' + config.vmta(queue.vmta).name +
             ", with the settings of that queue.\n";
    return out;
  }
  // Another name of a directive is explained under the name that is shown.
  const DirectiveTable& table = DirectiveTable::get();
  const std::string lower = to_lower(directive);
  const auto shown_as = [&](Scope scope, std::string_view shown) {
    const Directive* asked = table.find(lower, scope);
    const Directive* row = table.find(shown, scope);
    return asked != nullptr && row != nullptr &&
           (asked == row || (!asked->members.empty() && asked->members == row->members));
  };
  for (const SettingOrigin& item : domain) {
    if (shown_as(Scope::Domain, item.directive)) append_whole(config, Scope::Domain, item, out);
  }
  for (const SettingOrigin& item : identity) {
    if (!shown_as(Scope::Vmta, item.directive)) continue;
    if (out.find("of all queues") == std::string::npos && !out.empty())
      out += "and for all queues of the virtual MTA:\n";
    append_whole(config, Scope::Vmta, item, out);
  }
  if (!out.empty()) return out;
  const std::string_view nearest = table.nearest(lower, Scope::Domain);
  return std::unexpected("\"" + std::string(directive) + "\" is no setting of a queue or virtual MTA" +
                         (nearest.empty() ? "" : "; did you mean \"" + std::string(nearest) + "\"?") + '\n');
}

namespace {

std::string pending_names(const Config& config, std::string_view waits_for, bool only_lines) {
  std::string out;
  for (const PendingUse& use : config.pending) {
    if (use.waits_for != waits_for) continue;
    out += (out.empty() ? "" : ", ") + use.text() + " (" +
           (only_lines ? "line " + std::to_string(use.origin.line) : place(config, use.origin));
    if (!use.meanwhile.empty()) out += "; " + std::string(use.meanwhile);
    out += ')';
  }
  return out;
}

}  // namespace

std::string pending_text(const Config& config) {
  std::string out;
  for (std::size_t c = 0; c < kCapabilityCount; ++c) {
    const std::string_view capability = name_of(static_cast<Capability>(c));
    const std::string names = pending_names(config, capability, config.files.size() == 1);
    if (names.empty()) continue;
    if (out.empty()) out = "Read and checked, but without effect as yet:\n";
    out += "    " + std::string(capability) + ": " + names + '\n';
  }
  return out;
}

std::vector<std::string> pending_lines(const Config& config) {
  std::vector<std::string> out;
  for (std::size_t c = 0; c < kCapabilityCount; ++c) {
    const std::string_view capability = name_of(static_cast<Capability>(c));
    const std::string names = pending_names(config, capability, false);
    if (!names.empty())
      out.push_back("Without effect as yet, for lack of " + std::string(capability) + ": " + names);
  }
  const std::string names = pending_names(config, {}, false);
  if (!names.empty()) out.push_back("Accepted, but without effect: " + names);
  return out;
}

}  // namespace sluice::config
