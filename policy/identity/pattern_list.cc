#include "policy/identity/pattern_list.h"

#include <algorithm>
#include <unordered_set>

#include "policy/base/ascii.h"

namespace sluice::identity {

std::expected<PatternLists, PatternLists::Fault> PatternLists::make(
    std::span<const config::PatternList> lists) {
  PatternLists out;
  // Names first: a list may call one that stands behind it.
  for (const config::PatternList& list : lists) {
    // The last definition wins: a user's list replaces the vendor's, which is read before it.
    out.by_name_[to_lower(list.name)] = static_cast<ListId>(out.lists_.size());
    out.lists_.emplace_back();
  }
  for (std::size_t i = 0; i < lists.size(); ++i) {
    auto lines = out.compile(lists[i].patterns);
    if (!lines) return std::unexpected(std::move(lines.error()));
    out.lists_[i].lines = std::move(*lines);
  }
  for (std::size_t i = 0; i < lists.size(); ++i) {
    if (!out.look_through(static_cast<ListId>(i))) {
      return std::unexpected(Fault{lists[i].origin, "pattern-list \"" + lists[i].name +
                                                        "\" calls itself, or lists are nested too deep"});
    }
  }
  return out;
}

std::expected<std::vector<PatternLists::Line>, PatternLists::Fault> PatternLists::compile(
    std::span<const config::MessagePattern> patterns) const {
  std::vector<Line> out;
  for (const config::MessagePattern& one : patterns) {
    Line line;
    line.kind = one.kind;
    line.header = to_lower(one.header);
    line.virtual_mta = one.virtual_mta;
    if (one.recipient_priority) line.priority = static_cast<std::uint8_t>(*one.recipient_priority);
    if (one.kind != config::MessagePatternKind::Any) {
      auto pattern = Pattern::compile(one.pattern.text);
      if (!pattern) return std::unexpected(Fault{one.origin, "pattern: " + pattern.error()});
      line.pattern = std::move(*pattern);
    }
    if (!one.call_to.empty()) {
      line.call_to = find(one.call_to);
      if (!line.call_to)
        return std::unexpected(Fault{one.origin, "no pattern-list named \"" + one.call_to + '"'});
    }
    auto nested = compile(one.nested);
    if (!nested) return nested;
    line.nested = std::move(*nested);
    out.push_back(std::move(line));
  }
  return out;
}

/// What the lines of one list reach, each called list once.
struct PatternLists::Reached {
  std::vector<std::string>& headers;
  std::unordered_set<std::string> seen;
  std::unordered_set<ListId> called;
  void add(const std::string& header) {
    if (seen.insert(header).second) headers.push_back(header);
  }
};

bool PatternLists::look_through(ListId id) {
  List& list = lists_[id];
  if (list.state != List::State::New) return list.state == List::State::Seen;
  list.state = List::State::Open;
  std::vector<std::string> headers;
  Reached reached{headers, {}, {}};
  const auto depth = look_through(list.lines, reached);
  if (!depth || *depth >= kDepthMax) return false;
  list.headers = std::move(headers);
  list.depth = *depth;
  list.state = List::State::Seen;
  return true;
}

std::optional<std::size_t> PatternLists::look_through(std::span<const Line> lines, Reached& reached) {
  std::size_t deepest = 0;
  for (const Line& line : lines) {
    if (line.kind == config::MessagePatternKind::Header) reached.add(line.header);
    const auto nested = look_through(line.nested, reached);
    if (!nested) return std::nullopt;
    deepest = std::max(deepest, *nested);
    if (!line.call_to || !reached.called.insert(*line.call_to).second) continue;
    if (!look_through(*line.call_to)) return std::nullopt;
    const List& other = lists_[*line.call_to];
    deepest = std::max(deepest, other.depth);
    for (const std::string& header : other.headers) reached.add(header);
  }
  return lines.empty() ? 0 : deepest + 1;
}

std::optional<PatternLists::ListId> PatternLists::find(std::string_view name) const {
  const auto found = by_name_.find(to_lower(name));
  return found == by_name_.end() ? std::nullopt : std::optional(found->second);
}

bool PatternLists::holds(const Line& line, const MessageFacts& facts) {
  switch (line.kind) {
    case config::MessagePatternKind::Any: return true;
    case config::MessagePatternKind::MailFrom: return line.pattern->matches(facts.mail_from);
    case config::MessagePatternKind::RcptTo:
      return std::ranges::any_of(facts.recipients,
                                 [&line](std::string_view one) { return line.pattern->matches(one); });
    case config::MessagePatternKind::Header:
      return std::ranges::any_of(facts.headers, [&line](const HeaderText& one) {
        return iequals(one.name, line.header) && line.pattern->matches(one.body);
      });
  }
  return false;
}

std::optional<PatternResult> PatternLists::decide(ListId list, const MessageFacts& facts) const {
  return decide(lists_[list].lines, facts, 0);
}

std::optional<PatternResult> PatternLists::decide(std::span<const Line> lines, const MessageFacts& facts,
                                                  std::size_t depth) const {
  if (depth >= kDepthMax) return std::nullopt;  // make() has refused such lists
  for (const Line& line : lines) {
    if (!holds(line, facts)) continue;
    std::optional<PatternResult> inner;
    if (line.call_to) inner = decide(lists_[*line.call_to].lines, facts, depth + 1);
    if (!inner && !line.nested.empty()) inner = decide(line.nested, facts, depth + 1);
    const bool has_own = !line.virtual_mta.empty() || line.priority.has_value();
    if (!inner && !has_own) continue;
    PatternResult out{line.virtual_mta, line.priority};
    if (inner && !inner->virtual_mta.empty()) out.virtual_mta = inner->virtual_mta;
    if (inner && inner->priority) out.priority = inner->priority;
    return out;
  }
  return std::nullopt;
}

}  // namespace sluice::identity
