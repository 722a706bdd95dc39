// The manual page of all directives, written from the table.
#include <algorithm>

#include "policy/config/directive.h"

namespace sluice::config {
namespace {

/// A cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

std::string code(std::string_view text) { return text.empty() ? "" : "`" + cell(text) + "`"; }

std::string default_of(const Directive& row) {
  if (row.has(kIgnored)) return "";
  if (!row.default_text.empty()) return cell(row.default_text);
  if (row.format_default == nullptr) return "";
  std::vector<std::string> values;
  row.format_default(values);
  std::string out;
  for (const std::string& value : values) {
    if (value.empty() || value == "\"\"") continue;
    out += (out.empty() ? "" : ", ") + cell(value);
  }
  return out;
}

std::string meaning_of(const Directive& row) {
  std::string out = cell(row.doc);
  if (!row.replacement.empty()) {
    out += (row.has(kDeprecated) ? "; old name, use `" : "; same as `") + cell(row.replacement) + '`';
  }
  if (row.has(kRepeats)) out += "; each line adds";
  if (!row.unit.empty()) out += "; unit: " + cell(row.unit);
  if (!row.difference.empty()) out += "; **differs**: " + cell(row.difference);
  if (row.has(kRestart)) out += "; takes effect at the next start";
  return out;
}

std::string state_of(const Directive& row, Scope scope) {
  switch (row.state_in(scope)) {
    case State::Works: return "works";
    case State::ToCome: return "to come: " + cell(name_of(row.wait_in(scope)->capability));
    case State::Out: return "out: " + cell(row.reason_out);
  }
  return "";
}

void append_table(Scope scope, std::string& out) {
  std::vector<const Directive*> rows;
  for (const Directive& row : DirectiveTable::get().rows()) {
    if (row.allowed_in(scope)) rows.push_back(&row);
  }
  if (rows.empty()) return;
  std::sort(rows.begin(), rows.end(),
            [](const Directive* a, const Directive* b) { return a->name < b->name; });
  out += "| directive | argument | default | meaning | state | since |\n|---|---|---|---|---|---|\n";
  for (const Directive* row : rows) {
    out += "| " + code(row->name == "/" ? "" : row->name) + " | " +
           code(row->name == "/" ? "/REGEX/ CATEGORY" : row->grammar) + " | " + default_of(*row) + " | " +
           meaning_of(*row) + " | " + state_of(*row, scope) + " | " + std::string(name_of(row->since)) +
           " |\n";
  }
  out += '\n';
}

}  // namespace

std::string directive_manual() {
  std::string out =
      "# Directives\n\n"
      "Written from the directive table in `policy/config`; do not edit by hand. One directive per line: "
      "name, blanks, "
      "value. `#` starts a comment. A block is `<name argument>` to `</name>`. A comma at the end of a list "
      "continues it "
      "on the next line. Values with blanks stand in double quotes; `\"\"` clears an inherited value.\n\n"
      "| type | form |\n|---|---|\n"
      "| BOOLEAN | `yes`, `no`, `true`, `false` |\n"
      "| TIME | digits and a unit of `w d h m s`, joined: `4d12h`, `90m` |\n"
      "| RATE | `N/[M]UNIT` with a unit of `d h m s` (also `day hr min sec`), `unlimited` or `0`: `500/h`, "
      "`100/15m` |\n"
      "| VOLUME-RATE | `SIZE/[M]UNIT`: `10M/h` |\n"
      "| SIZE | digits and one of `b k m g t`: `50M` |\n"
      "| CIDR | an address or a network, short forms allowed: `10/8`, `192.0.2.1`, `::1`, `0/0` |\n"
      "| DOMAIN-PATTERN | `*`, `dom`, `*.dom`, `[*.]dom`, `[ip/mask]`; `$MACRO` in blocks |\n"
      "| HOST-LIST | `h1, h2; [10.0.0.1]:2525; lookup-mx:dom`: comma = same preference, semicolon = next "
      "|\n\n"
      "## States\n\n"
      "Every directive is read, checked, merged and shown. *Works*: it does what it says. *To come*: its "
      "effect waits "
      "for the capability named. *Out*: it is accepted and never has an effect, for the reason given.\n\n"
      "## The top level\n\n";
  append_table(Scope::Global, out);
  std::vector<Scope> done{Scope::Global};
  for (const BlockKind& kind : DirectiveTable::get().blocks()) {
    out += "## `<" + std::string(kind.tag) +
           (kind.argument_grammar.empty() ? "" : " " + std::string(kind.argument_grammar)) + ">`\n\n" +
           std::string(kind.doc) + ". Stands in " + describe(kind.parents) +
           ". Since: " + std::string(name_of(kind.since)) + ".\n\n" +
           (kind.reason_out.empty() ? "" : "Out: " + std::string(kind.reason_out) + ".\n\n");
    if (std::find(done.begin(), done.end(), kind.scope) != done.end()) {
      out += "Takes the same directives as " + describe(kind.scope) + ".\n\n";
      continue;
    }
    done.push_back(kind.scope);
    append_table(kind.scope, out);
  }
  return out;
}

std::string directive_members_json() {
  std::string out = "[";
  for (const Directive& row : DirectiveTable::get().rows()) {
    for (std::size_t i = 0; i < kScopeCount; ++i) {
      const auto scope = static_cast<Scope>(i);
      if (!row.allowed_in(scope)) continue;
      const Wait* wait = row.wait_in(scope);
      // Names of directives, scopes and members hold nothing that JSON would want escaped.
      out += std::string(out.size() == 1 ? "\n" : ",\n") + "{\"name\": \"" + std::string(row.name) +
             "\", \"scope\": \"" + describe(scope) + "\", \"members\": [";
      bool first = true;
      for (const std::string_view member : split_words(row.members)) {
        out += std::string(first ? "" : ", ") + '"' + std::string(member) + '"';
        first = false;
      }
      out += "], \"state\": \"" + std::string(name_of(row.state_in(scope))) + "\", \"waits_for\": \"" +
             std::string(wait == nullptr ? "" : name_of(wait->capability)) +
             "\", \"refused\": " + (wait != nullptr && wait->read_to_refuse ? "true" : "false") +
             ", \"by_loader\": " + (row.action != LoaderAction::None ? "true" : "false") +
             ", \"folded\": " + (row.has(kFolded) ? "true" : "false") + "}";
    }
  }
  return out + "\n]\n";
}

}  // namespace sluice::config
