// Where each effective value comes from.
#include <algorithm>

#include "policy/base/assert.h"
#include "policy/config/config.h"
#include "policy/config/directive.h"

namespace sluice::config {
namespace {

using Values = std::vector<std::string>;

/// A line and what it gives a directive.
struct Giver {
  const Assignment* assignment = nullptr;
  const std::string* block = nullptr;
  Values values;
};

/// The line as it is shown.
std::string text_of(const Assignment& assignment) {
  const Directive& row = DirectiveTable::get().rows()[assignment.row];
  return row.has(kSecret) ? "*****" : assignment.value;
}

SettingLine line_of(const Giver& giver) {
  const Directive& row = DirectiveTable::get().rows()[giver.assignment->row];
  return {std::string(row.name) + ' ' + text_of(*giver.assignment), giver.assignment->origin, *giver.block};
}

bool is_shown(const Directive& row, Scope scope) {
  return row.format != nullptr && !row.has(kHidden) && row.allowed_in(scope);
}

/// The row itself, or the one that prints it: both fill the same members.
std::size_t shown_row(std::size_t index, Scope scope) {
  const auto rows = DirectiveTable::get().rows();
  const Directive& row = rows[index];
  if (row.format != nullptr && !row.has(kHidden)) return index;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (is_shown(rows[i], scope) && !row.members.empty() && rows[i].members == row.members) return i;
  }
  return index;
}

/// The lines that set each directive, in the order they are applied. A line may set others than its own:
/// `dkim-sign domain=...` brings a key, `retry-after 421 ...` is a rule and no interval.
template <class Record>
class OriginTable {
 public:
  explicit OriginTable(Scope scope) : scope_(scope), by_row_(DirectiveTable::get().rows().size()) {}

  void add(const Assignment& assignment, const std::string& block) {
    const auto rows = DirectiveTable::get().rows();
    Record one;
    Value value(assignment.value, rows[assignment.row].rules, assignment.origin);
    rows[assignment.row].apply(value, &one);
    if (add_rule(assignment, block, one)) return;
    const std::size_t own = shown_row(assignment.row, scope_);
    Values given;
    if (is_shown(rows[own], scope_)) rows[own].format(&one, given);
    by_row_[own].push_back({&assignment, &block, std::move(given)});
    // Only a domain's lines do more than that, and the top level may have thousands.
    if constexpr (std::is_same_v<Record, DomainSettings>) add_elsewhere(assignment, block, one, own);
  }

  /// Every visible row of the scope with its values and their lines.
  [[nodiscard]] std::vector<SettingOrigin> explain(const Record& record) const {
    std::vector<SettingOrigin> out;
    const auto rows = DirectiveTable::get().rows();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Directive& row = rows[i];
      if (row.allowed_in(scope_) && (is_shown(row, scope_) || !by_row_[i].empty()))
        explain_row(i, record, out);
      for (const SettingOrigin& rule : rules_) {
        if (rule.directive == row.name && row.allowed_in(scope_)) out.push_back(rule);
      }
    }
    return out;
  }

 private:
  void add_elsewhere(const Assignment& assignment, const std::string& block, const Record& one,
                     std::size_t own) {
    const auto rows = DirectiveTable::get().rows();
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i == own || !is_shown(rows[i], scope_)) continue;
      Values given, usual;
      rows[i].format(&one, given);
      rows[i].format_default(usual);
      if (given != usual) by_row_[i].push_back({&assignment, &block, std::move(given)});
    }
  }

  void explain_row(std::size_t index, const Record& record, std::vector<SettingOrigin>& out) const {
    const Directive& row = DirectiveTable::get().rows()[index];
    const std::vector<Giver>& givers = by_row_[index];
    Values values;
    if (row.format != nullptr)
      row.format(&record, values);
    else
      values.push_back(givers.back().assignment->value);
    if (values.empty()) values.emplace_back("\"\"");
    const bool adds = row.has(kRepeats);
    for (std::size_t v = 0; v < values.size(); ++v) {
      SettingOrigin origin;
      origin.directive = row.name;
      origin.block = "default";
      if (!givers.empty()) {
        const Giver* giver = &givers.back();
        if (adds) giver = giver_of(givers, values[v], v, values.size());
        origin.origin = giver->assignment->origin;
        origin.block = *giver->block;
        for (std::size_t e = 0; !adds && e + 1 < givers.size(); ++e)
          origin.over.push_back(line_of(givers[e]));
      }
      origin.value = row.has(kSecret) && values[v] != "\"\"" ? "*****" : std::move(values[v]);
      out.push_back(std::move(origin));
    }
  }

  /// Where each line adds, value and line belong together: the last line that gives it, or else one by one.
  static const Giver* giver_of(const std::vector<Giver>& givers, const std::string& value, std::size_t place,
                               std::size_t values) {
    const auto gives = [&value](const Giver& giver) {
      return std::ranges::find(giver.values, value) != giver.values.end();
    };
    const auto pairs = values == givers.size() && gives(givers[place]);
    if (pairs) return &givers[place];
    const auto last = std::find_if(givers.rbegin(), givers.rend(), gives);
    return last != givers.rend() ? &*last : values == givers.size() ? &givers[place] : &givers.back();
  }

  /// True when the line is a reply rule of its own. The last line for one text and with a time wins.
  bool add_rule(const Assignment& assignment, const std::string& block, const Record& one) {
    if constexpr (std::is_same_v<Record, DomainSettings>) {
      if (one.inline_reply_rules.empty()) return false;
      const ReplyRule& rule = one.inline_reply_rules.front();
      SettingOrigin item;
      item.directive = DirectiveTable::get().rows()[assignment.row].name;
      item.value = assignment.value;
      item.origin = assignment.origin;
      item.block = block;
      item.is_rule = true;
      const std::pair key(rule.pattern.text, rule.retry_after.has_value());
      const auto known = std::ranges::find(rule_keys_, key);
      if (known == rule_keys_.end()) {
        rule_keys_.push_back(key);
        rules_.push_back(std::move(item));
        return true;
      }
      SettingOrigin& before = rules_[static_cast<std::size_t>(known - rule_keys_.begin())];
      item.over = std::move(before.over);
      item.over.push_back({std::string(before.directive) + ' ' + before.value, *before.origin, before.block});
      before = std::move(item);
      return true;
    } else {
      return false;
    }
  }

  Scope scope_;
  std::vector<std::vector<Giver>> by_row_;
  std::vector<SettingOrigin> rules_;
  std::vector<std::pair<std::string, bool>> rule_keys_;
};

/// The backoff directives that take the normal value where the text gives none: the guide's rule for rates.
/// The connection count has a default of its own.
struct BackoffPair {
  std::string_view backoff, normal;
};
constexpr BackoffPair kBackoffPairs[] = {{"backoff-max-connect-rate", "max-connect-rate"},
                                         {"backoff-max-msg-rate", "max-msg-rate"},
                                         {"backoff-max-data-volume-rate", "max-data-volume-rate"}};

void name_followed(std::vector<SettingOrigin>& settings) {
  const auto find = [&](std::string_view name) {
    return std::find_if(settings.begin(), settings.end(),
                        [name](const SettingOrigin& item) { return item.directive == name; });
  };
  for (const BackoffPair& pair : kBackoffPairs) {
    const auto backoff = find(pair.backoff), normal = find(pair.normal);
    if (backoff == settings.end() || normal == settings.end()) continue;
    if (backoff->origin || !normal->origin) continue;
    backoff->follows = normal->directive;
    backoff->origin = normal->origin;
    backoff->block = normal->block;
  }
}

std::string text_of(const BounceAction& action) {
  std::string out;
  if (action.reply) {
    out = "reply " + format_regex(action.reply->text);
  } else {
    out = "match";
    for (const std::string& category : action.categories) out += ' ' + category;
  }
  switch (action.action) {
    case BounceActionKind::Suppress: out += " action=suppress"; break;
    case BounceActionKind::Retry: out += " action=retry"; break;
    case BounceActionKind::Log: out += " action=log"; break;
  }
  if (action.retry_after) out += " retry-after=" + format_duration(*action.retry_after);
  if (action.expire) out += " expire=" + format_duration(*action.expire);
  if (action.log_only) out += " log-only=yes";
  return out;
}

}  // namespace

/// A queue without `bounce-actions` of its own has those of the top level.
void Config::explain_bounce_actions(std::vector<SettingOrigin>& settings) const {
  const auto item = std::ranges::find(settings, "bounce-actions", &SettingOrigin::directive);
  if (item == settings.end()) return;
  const bool own = item->value != "\"\"" && !item->value.empty();
  const BounceActionList* list = find_bounce_actions(own ? item->value : globals.bounce_actions);
  if (list == nullptr) return;
  if (!own) {
    item->value = list->name;
    item->origin = list->origin;
    item->block = "the top level";
  }
  for (const BounceAction& action : list->actions)
    item->parts.push_back({text_of(action), action.origin, "<bounce-actions>"});
}

std::vector<SettingOrigin> Config::explain_source(const IpAddress& client,
                                                  std::string_view named_source) const {
  const auto chain = source_chain(&client, named_source);
  OriginTable<SourceSettings> origins(Scope::Source);
  std::vector<std::string> names;
  for (const SourceBlock* block : chain) names.push_back("<source " + block->name + '>');
  for (std::size_t i = 0; i < chain.size(); ++i) {
    for (const Assignment& assignment : chain[i]->assignments) origins.add(assignment, names[i]);
  }
  return origins.explain(resolve_source(client, named_source));
}

std::vector<SettingOrigin> Config::explain(std::string_view domain, VmtaId vmta) const {
  BlockChain chain;
  collect_blocks(domain, vmta, chain);
  OriginTable<DomainSettings> origins(Scope::Domain);
  for (const DomainBlock* block : chain) {
    for (const Assignment& assignment : block->assignments) origins.add(assignment, block->where);
  }
  auto out = origins.explain(flatten(chain));
  name_followed(out);
  explain_bounce_actions(out);
  return out;
}

std::vector<SettingOrigin> Config::explain_identity(VmtaId vmta) const {
  const Vmta& identity = vmtas[vmta.raw()];
  const std::string block = "<virtual-mta " + identity.name + '>';
  OriginTable<IdentitySettings> origins(Scope::Vmta);
  if (vmta.raw() < vmta_lines_.size()) {
    for (const Assignment& assignment : vmta_lines_[vmta.raw()]) origins.add(assignment, block);
  }
  return origins.explain(identity.settings);
}

std::vector<SettingOrigin> Config::explain_globals() const {
  const std::string block = "the top level";
  OriginTable<GlobalSettings> origins(Scope::Global);
  for (const Assignment& assignment : global_lines_) origins.add(assignment, block);
  return origins.explain(globals);
}

}  // namespace sluice::config
