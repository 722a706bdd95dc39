#include "policy/config/difference.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "policy/base/ascii.h"
#include "policy/config/directive.h"

namespace sluice::config {
namespace {

/// A name no block is about, for what holds for all domains.
constexpr std::string_view kAnyDomain = "any.invalid";

std::string shown(const Directive& row, const std::vector<std::string>& values) {
  if (row.has(kSecret)) return values.empty() ? "\"\"" : "*****";
  std::string out;
  for (const std::string& value : values) {
    if (!out.empty()) out += " + ";
    out += value.empty() ? "\"\"" : value;
  }
  return out.empty() ? "\"\"" : out;
}

std::string at(const Config& config, const Origin& origin) {
  return config.files[origin.file] + ':' + std::to_string(origin.line);
}
std::string in_parentheses(std::string text) { return " (" + std::move(text) + ')'; }

/// "max-smtp-out 20 -> 30" for each directive that differs, for records that keep no lines.
template <class Record>
std::vector<std::string> changes(Scope scope, const Record& before, const Record& after) {
  std::vector<std::string> out;
  std::vector<std::string> old_values, new_values;
  for (const Directive& row : DirectiveTable::get().rows()) {
    if (!row.allowed_in(scope) || row.format == nullptr || row.has(kHidden)) continue;
    old_values.clear();
    new_values.clear();
    row.format(&before, old_values);
    row.format(&after, new_values);
    if (old_values == new_values) continue;
    out.push_back(std::string(row.name) + ' ' + shown(row, old_values) + " -> " + shown(row, new_values));
  }
  return out;
}

/// One directive with all its values.
struct Given {
  std::string_view directive;
  std::vector<const SettingOrigin*> lines;
  [[nodiscard]] std::string text() const {
    std::string out;
    for (const SettingOrigin* one : lines) out += (out.empty() ? "" : " + ") + one->value;
    return out;
  }
};

std::vector<Given> by_directive(const std::vector<SettingOrigin>& settings) {
  std::vector<Given> out;
  for (const SettingOrigin& one : settings) {
    if (out.empty() || out.back().directive != one.directive) out.push_back({one.directive, {}});
    out.back().lines.push_back(&one);
  }
  return out;
}

/// The line that made the difference: the first that the other side has not.
const SettingOrigin& telling(const Given& of, const Given& other) {
  std::unordered_set<std::string_view> known;
  for (const SettingOrigin* one : other.lines) known.insert(one->value);
  for (const SettingOrigin* one : of.lines) {
    if (!known.contains(one->value)) return *one;
  }
  return *of.lines.back();
}

struct Side {
  const Config& config;
  std::vector<SettingOrigin> settings;
};

/// The same for effective settings, with the line that says the new value, or that said the old one.
std::vector<std::string> changes(Scope scope, const Side& before, const Side& after,
                                 DirectiveFlags only = 0) {
  std::vector<std::string> out;
  const std::vector<Given> was = by_directive(before.settings);
  const std::vector<Given> is = by_directive(after.settings);
  const auto find = [](const std::vector<Given>& in, std::string_view name) {
    return std::find_if(in.begin(), in.end(), [name](const Given& one) { return one.directive == name; });
  };
  for (const Directive& row : DirectiveTable::get().rows()) {
    if (!row.allowed_in(scope) || (only != 0 && !row.has(only))) continue;
    const auto old = find(was, row.name), now = find(is, row.name);
    if (old == was.end() && now == is.end()) continue;
    // What merely follows another directive is said there.
    if ((old != was.end() && !old->lines.front()->follows.empty()) ||
        (now != is.end() && !now->lines.front()->follows.empty()))
      continue;
    const std::string old_text = old == was.end() ? "\"\"" : old->text();
    const std::string new_text = now == is.end() ? "\"\"" : now->text();
    if (old_text == new_text) continue;
    std::string line = std::string(row.name) + ' ' + old_text + " -> " + new_text;
    static const Given kNothing;
    const SettingOrigin* said =
        now == is.end() ? nullptr : &telling(*now, old == was.end() ? kNothing : *old);
    if (said != nullptr && said->origin) {
      line += in_parentheses(at(after.config, *said->origin));
    } else if (old != was.end()) {
      const SettingOrigin& gone = telling(*old, now == is.end() ? kNothing : *now);
      if (gone.origin) line += in_parentheses("was " + at(before.config, *gone.origin));
    }
    out.push_back(std::move(line));
  }
  return out;
}

void append(std::string& out, const std::string& title, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  std::string indent;
  if (!title.empty()) {
    out += title + '\n';
    indent = "    ";
  }
  for (const std::string& line : lines) out += indent + line + '\n';
}

/// Blocks by name: `compare(before, after)` says what is different about two of one name.
template <class Block, class Name, class Compare>
void compare_blocks(std::string& out, const Config& before, const Config& after,
                    const std::vector<Block> Config::* blocks, Name&& name, std::string_view tag,
                    Compare&& compare) {
  // Of several with one name the first.
  const auto places = [&name](const std::vector<Block>& in) {
    std::unordered_map<std::string, const Block*> out;
    for (const Block& one : in) out.try_emplace(to_lower(name(one)), &one);
    return out;
  };
  const auto old_places = places(before.*blocks), new_places = places(after.*blocks);
  const auto title = [&](const Config& config, const Block& of) {
    std::string text = '<' + std::string(tag);
    if (const std::string named = name(of); !named.empty()) text += ' ' + named;
    text += '>';
    return of.origin.line == 0 ? text : text + in_parentheses(at(config, of.origin));
  };
  for (const Block& one : before.*blocks) {
    if (!new_places.contains(to_lower(name(one)))) out += title(before, one) + " is gone\n";
  }
  for (const Block& one : after.*blocks) {
    const auto old = old_places.find(to_lower(name(one)));
    if (old == old_places.end()) {
      out += title(after, one) + " is new\n";
    } else {
      append(out, title(after, one), compare(*old->second, one));
    }
  }
}

std::vector<std::string> entries(bool same, std::size_t before, std::size_t after) {
  if (same) return {};
  return {"entries " + std::to_string(before) + " -> " + std::to_string(after) +
          (before == after ? ", others" : std::string())};
}

bool same(const MessagePattern& a, const MessagePattern& b) {
  return a.kind == b.kind && a.header == b.header && a.pattern == b.pattern &&
         a.virtual_mta == b.virtual_mta && a.recipient_priority == b.recipient_priority &&
         a.call_to == b.call_to &&
         std::equal(a.nested.begin(), a.nested.end(), b.nested.begin(), b.nested.end(),
                    [](const MessagePattern& x, const MessagePattern& y) { return same(x, y); });
}

bool same(const ReplyRule& a, const ReplyRule& b) { return a == b; }
bool same(const AddressEntry& a, const AddressEntry& b) { return a == b; }
bool same(const DomainKey& a, const DomainKey& b) { return a == b; }
bool same(const BounceAction& a, const BounceAction& b) { return a == b; }

bool same(const RewriteRule& a, const RewriteRule& b) {
  return a.kind == b.kind && a.source == b.source && a.destination == b.destination;
}

bool same(const BounceCategoryRule& a, const BounceCategoryRule& b) {
  return a.pattern == b.pattern && a.category == b.category;
}

template <class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const T& x, const T& y) { return same(x, y); });
}

template <class T>
std::vector<std::string> entries(const std::vector<T>& a, const std::vector<T>& b) {
  return entries(same(a, b), a.size(), b.size());
}

std::string endpoint(const SmtpListener& one) { return one.address.text() + ':' + std::to_string(one.port); }

std::vector<std::string> listener_changes(const SmtpListener& a, const SmtpListener& b) {
  std::vector<std::string> out;
  const auto word = [](const std::string& text) { return text.empty() ? std::string("\"\"") : text; };
  if (a.source != b.source) out.push_back("source " + word(a.source) + " -> " + word(b.source));
  if (a.default_virtual_mta != b.default_virtual_mta) {
    out.push_back("default-virtual-mta " + word(a.default_virtual_mta) + " -> " +
                  word(b.default_virtual_mta));
  }
  const auto truth = [](bool value) { return value ? "yes" : "no"; };
  if (a.await_slot != b.await_slot) {
    out.push_back(std::string("await-slot ") + truth(a.await_slot) + " -> " + truth(b.await_slot));
  }
  return out;
}

std::vector<std::string> source_changes(const Config& before, const Config& after, const SourceBlock& block) {
  const auto settings = [&block](const Config& config) {
    return block.cidr ? config.resolve_source(block.cidr->address())
                      : config.resolve_named_source(block.name);
  };
  if (settings(before) == settings(after)) return {};
  const auto rules = [&block](const Config& config) {
    return block.cidr ? config.explain_source(block.cidr->address())
                      : config.explain_source(IpAddress(), block.name);
  };
  return changes(Scope::Source, Side{before, rules(before)}, Side{after, rules(after)});
}

/// A domain that the block's expression is about; empty: none can be told.
std::string example_of(const Config& config, std::string expression) {
  if (expression == "*") return std::string(kAnyDomain);
  for (std::size_t dollar = expression.find('$'); dollar != std::string::npos;
       dollar = expression.find('$')) {
    std::size_t end = dollar + 1;
    while (end < expression.size() && (is_alpha(expression[end]) || is_digit(expression[end]) ||
                                       expression[end] == '_' || expression[end] == '-')) {
      ++end;
    }
    const auto macro = config.domain_macros.find(to_lower(expression.substr(dollar + 1, end - dollar - 1)));
    if (macro == config.domain_macros.end() || macro->second.empty()) return {};
    expression.replace(dollar, end - dollar, macro->second.front());
  }
  if (expression.starts_with("[*.]")) return to_lower(expression.substr(4));
  if (expression.starts_with("*.")) return "any" + to_lower(expression.substr(1));
  return to_lower(expression);
}

/// Domain blocks that hold for `name`: its own ones, or with {default} those of the top level.
void append_domains(std::string& out, const Config& before, const Config& after, const std::string& name) {
  const auto old_id = before.find_vmta(name);
  const auto new_id = after.find_vmta(name);
  if (!old_id || !new_id) return;
  std::set<std::string> expressions{"*"};
  for (const auto& [config, id] : {std::pair(&before, *old_id), std::pair(&after, *new_id)}) {
    for (const DomainBlock* one : config->domain_blocks(id)) expressions.insert(one->expression);
  }
  const std::string where = name == kDefaultVmtaName ? std::string() : " in <virtual-mta " + name + '>';
  std::set<std::string> for_all;  // what holds for every domain is said once
  for (const std::string& expression : expressions) {
    std::string example = example_of(after, expression);
    if (example.empty()) example = example_of(before, expression);
    if (example.empty()) continue;
    if (before.flatten(example, *old_id) == after.flatten(example, *new_id)) continue;
    std::vector<std::string> lines = changes(Scope::Domain, Side{before, before.explain(example, *old_id)},
                                             Side{after, after.explain(example, *new_id)});
    if (expression == "*") {
      for_all.insert(lines.begin(), lines.end());
    } else {
      std::erase_if(lines, [&for_all](const std::string& line) { return for_all.contains(line); });
    }
    append(out, "<domain " + expression + '>' + where, lines);
  }
}

}  // namespace

std::string difference_text(const Config& before, const Config& after) {
  std::string out;
  const auto compare = [&]<class Block>(const std::vector<Block> Config::* blocks, std::string_view tag,
                                        auto&& differ) {
    compare_blocks(out, before, after, blocks, [](const Block& one) { return one.name; }, tag, differ);
  };
  append(
      out, {},
      changes(Scope::Global, Side{before, before.explain_globals()}, Side{after, after.explain_globals()}));
  compare_blocks(
      out, before, after, &Config::spools, [](const Spool& one) { return one.dir; }, "spool",
      [](const Spool& a, const Spool& b) { return changes(Scope::Spool, a, b); });
  compare_blocks(out, before, after, &Config::listeners, endpoint, "smtp-listener", listener_changes);
  compare(&Config::sources, "source",
          [&](const SourceBlock&, const SourceBlock& one) { return source_changes(before, after, one); });
  compare(&Config::smtp_users, "smtp-user",
          [](const SmtpUser& a, const SmtpUser& b) { return changes(Scope::SmtpUser, a, b); });
  compare(&Config::source_groups, "source-group",
          [](const SourceGroup& a, const SourceGroup& b) { return changes(Scope::SourceGroup, a, b); });
  compare(&Config::vmtas, "virtual-mta", [&](const Vmta& a, const Vmta& b) {
    if (a.settings == b.settings) return std::vector<std::string>();
    return changes(Scope::Vmta, Side{before, before.explain_identity(a.id)},
                   Side{after, after.explain_identity(b.id)});
  });
  compare(&Config::pools, "virtual-mta-pool",
          [](const Pool& a, const Pool& b) { return changes(Scope::Pool, a.settings, b.settings); });
  append_domains(out, before, after, std::string(kDefaultVmtaName));
  for (const Vmta& one : after.vmtas) {
    if (one.id == kDefaultVmta) continue;
    const auto old = before.find_vmta(one.name);
    if (old && !(before.domain_blocks(*old).empty() && after.domain_blocks(one.id).empty()))
      append_domains(out, before, after, one.name);
  }
  const auto path = [](const AcctFile& file) {
    return !file.http_webhook_url.empty() ? file.http_webhook_url
           : file.is_pipe()               ? '|' + file.command
                                          : file.path;
  };
  compare_blocks(out, before, after, &Config::acct_files, path, "acct-file",
                 [](const AcctFile& a, const AcctFile& b) { return changes(Scope::AcctFile, a, b); });
  if (before.mx_rollups != after.mx_rollups) {
    append(out, "<mx-rollup-list>", entries(false, before.mx_rollups.size(), after.mx_rollups.size()));
  }
  append(out, "<bounce-category-patterns>", entries(before.bounce_categories, after.bounce_categories));
  const auto lists = [&](auto blocks, std::string_view tag, auto member) {
    compare(blocks, tag, [member](const auto& a, const auto& b) { return entries(a.*member, b.*member); });
  };
  lists(&Config::reply_lists, "smtp-pattern-list", &ReplyList::rules);
  lists(&Config::pattern_lists, "pattern-list", &PatternList::patterns);
  lists(&Config::address_lists, "address-list", &AddressList::entries);
  lists(&Config::rewrite_lists, "rewrite-list", &RewriteList::rules);
  lists(&Config::domain_key_lists, "domain-key-list", &DomainKeyList::keys);
  lists(&Config::bounce_actions, "bounce-actions", &BounceActionList::actions);
  return out;
}

std::vector<std::string> needs_restart(const Config& before, const Config& after) {
  std::vector<std::string> out = changes(Scope::Global, Side{before, before.explain_globals()},
                                         Side{after, after.explain_globals()}, kRestart);
  std::unordered_map<std::string_view, const Spool*> was, is;
  for (const Spool& one : before.spools) was.try_emplace(one.dir, &one);
  for (const Spool& one : after.spools) is.try_emplace(one.dir, &one);
  const auto title = [](const Config& config, const Spool& one) {
    return "<spool " + one.dir + '>' + in_parentheses(at(config, one.origin));
  };
  for (const Spool& one : before.spools) {
    if (!is.contains(one.dir)) out.push_back(title(before, one) + " is gone");
  }
  for (const Spool& one : after.spools) {
    const auto old = was.find(one.dir);
    if (old == was.end()) {
      out.push_back(title(after, one) + " is new");
    } else {
      for (const std::string& line : changes(Scope::Spool, *old->second, one))
        out.push_back(title(after, one) + ' ' + line);
    }
  }
  return out;
}

}  // namespace sluice::config
