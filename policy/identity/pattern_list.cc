#include "policy/identity/pattern_list.h"

#include <algorithm>

#include "policy/base/ascii.h"

namespace sluice::identity {

std::expected<PatternLists, PatternLists::Fault> PatternLists::make(
    std::span<const config::PatternList> lists) {
  PatternLists out;
  // Names first: a list may call one that stands behind it.
  for (const config::PatternList& list : lists) out.lists_.push_back({list.name, {}, {}});
  for (std::size_t i = 0; i < lists.size(); ++i) {
    auto lines = out.compile(lists[i].patterns);
    if (!lines) return std::unexpected(std::move(lines.error()));
    out.lists_[i].lines = std::move(*lines);
  }
  for (std::size_t i = 0; i < lists.size(); ++i) {
    std::vector<std::string> headers;
    if (!out.collect(out.lists_[i].lines, headers, 0)) {
      return std::unexpected(Fault{lists[i].origin, "pattern-list \"" + lists[i].name +
                                                        "\" calls itself, or lists are nested too deep"});
    }
    out.lists_[i].headers = std::move(headers);
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

bool PatternLists::collect(std::span<const Line> lines, std::vector<std::string>& headers,
                           std::size_t depth) const {
  if (depth >= kDepthMax) return false;
  for (const Line& line : lines) {
    if (line.kind == config::MessagePatternKind::Header &&
        std::ranges::find(headers, line.header) == headers.end()) {
      headers.push_back(line.header);
    }
    if (!collect(line.nested, headers, depth + 1)) return false;
    if (line.call_to && !collect(lists_[*line.call_to].lines, headers, depth + 1)) return false;
  }
  return true;
}

std::optional<PatternLists::ListId> PatternLists::find(std::string_view name) const {
  for (std::size_t i = 0; i < lists_.size(); ++i) {
    if (iequals(lists_[i].name, name)) return static_cast<ListId>(i);
  }
  return std::nullopt;
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
