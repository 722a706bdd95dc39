#pragma once
// `<pattern-list>`: virtual MTA and recipient priority by what a message looks like.

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/classify/pattern.h"
#include "policy/settings/blocks.h"

namespace sluice::identity {

/// A header that some list asks for, as it stands in the message.
struct HeaderText {
  std::string_view name;
  std::string_view body;  ///< raw: behind the colon, with the blank after it, folding and line end
};

/// What patterns are held against. Views live during the call.
struct MessageFacts {
  std::string_view mail_from;  ///< without brackets; empty: null sender
  std::span<const std::string_view> recipients;
  std::span<const HeaderText> headers;
};

/// What the first match says; both may be absent.
struct PatternResult {
  std::string_view virtual_mta;  ///< VMTA or pool; empty: not chosen here. Views the list.
  std::optional<std::uint8_t> priority;
};

/// All pattern lists of a configuration, compiled.
/// Meaning (PowerMTA, `<pattern-list>`): lines in file order, the first that matches decides, also when it
/// names only a priority. `rcpt-to` holds when any recipient matches, and then decides for the whole message.
/// A nested list and `call-to:` decide when something in them matches; else the lines behind are tried,
/// unless the calling line has results of its own, which what it calls may override. Thread: immutable once
/// made. Limits: kDepthMax lists inside of each other.
class PatternLists {
 public:
  static constexpr std::size_t kDepthMax = 16;
  using ListId = std::uint32_t;

  struct Fault {
    config::Origin where;
    std::string why;
  };
  PatternLists() = default;
  /// Errors: a pattern that does not compile, `call-to` an unknown list or in a circle.
  [[nodiscard]] static std::expected<PatternLists, Fault> make(std::span<const config::PatternList> lists);

  /// Names compare without case.
  [[nodiscard]] std::optional<ListId> find(std::string_view name) const;
  /// Names of the headers that `list`, or a list it calls, looks at; lower case, each once.
  [[nodiscard]] std::span<const std::string> headers_of(ListId list) const { return lists_[list].headers; }
  /// Nothing when no line matches.
  [[nodiscard]] std::optional<PatternResult> decide(ListId list, const MessageFacts& facts) const;

 private:
  struct Line {
    config::MessagePatternKind kind = config::MessagePatternKind::Any;
    std::string header;
    std::optional<Pattern> pattern;
    std::string virtual_mta;
    std::optional<std::uint8_t> priority;
    std::optional<ListId> call_to;
    std::vector<Line> nested;
  };
  struct List {
    std::vector<Line> lines;
    std::vector<std::string> headers;
    std::size_t depth = 0;  ///< lists inside of each other, this one counted
    enum class State : std::uint8_t { New, Open, Seen } state = State::New;
  };
  struct Reached;
  [[nodiscard]] std::expected<std::vector<Line>, Fault> compile(
      std::span<const config::MessagePattern> patterns) const;
  [[nodiscard]] std::optional<PatternResult> decide(std::span<const Line> lines, const MessageFacts& facts,
                                                    std::size_t depth) const;
  [[nodiscard]] static bool holds(const Line& line, const MessageFacts& facts);
  /// Fills headers and depth of a list. False: it calls itself or goes too deep.
  [[nodiscard]] bool look_through(ListId id);
  [[nodiscard]] std::optional<std::size_t> look_through(std::span<const Line> lines, Reached& reached);

  std::vector<List> lists_;
  std::unordered_map<std::string, ListId> by_name_;  // in lower case
};

}  // namespace sluice::identity
