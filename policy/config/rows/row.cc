#include "policy/config/rows/row.h"

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
  row.rules = {o.min, o.max, o.zero_is_unlimited};
  return row;
}

void add(std::vector<Directive>& out, const Directive& row) { out.push_back(row); }

}  // namespace sluice::config::rows
