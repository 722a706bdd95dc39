#include "policy/config/rows/row.h"

#include <algorithm>

#include "policy/base/ascii.h"

namespace sluice::config::rows {

Directive ignored(std::string_view name, ScopeMask scopes, std::string_view doc, const RowOptions& o) {
  Directive row;
  row.name = name;
  row.scopes = scopes;
  row.doc = doc;
  row.grammar = o.grammar.empty() ? "ANY" : o.grammar;
  row.replacement = o.replacement;
  row.since = o.since;
  row.flags = static_cast<DirectiveFlags>(o.flags | kIgnored);
  return row;
}

Directive loader(std::string_view name, ScopeMask scopes, LoaderAction action, std::string_view doc,
                 const RowOptions& o) {
  Directive row;
  row.name = name;
  row.scopes = scopes;
  row.doc = doc;
  row.grammar = o.grammar;
  row.replacement = o.replacement;
  row.default_text = o.default_text;
  row.since = o.since;
  row.flags = o.flags;
  row.action = action;
  row.members = o.members;
  row.rules = {o.min, o.max, o.zero_is_unlimited};
  return row;
}

void apply_key(Value& value, std::vector<std::string>& keys) {
  static constexpr std::size_t kKeyBytesMin = 32, kKeyBytesMax = 128;
  auto key = unquote(value.text(), value);
  if (!key) return;
  const bool fits = key->size() >= kKeyBytesMin && key->size() <= kKeyBytesMax;
  const bool clean =
      std::all_of(key->begin(), key->end(), [](char c) { return is_alpha(c) || is_digit(c) || c == '_'; });
  if (!fits || !clean) return value.fail(value.text(), "not an API key", "32 to 128 letters, digits and _");
  keys.push_back(std::move(*key));
}

void add(std::vector<Directive>& out, const Directive& row) { out.push_back(row); }

}  // namespace sluice::config::rows
