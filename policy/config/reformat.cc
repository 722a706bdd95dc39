#include "policy/config/reformat.h"

#include "policy/base/ascii.h"
#include "policy/config/directive.h"
#include "policy/config/lexer.h"
#include "policy/config/loader.h"

namespace sluice::config {
namespace {

constexpr std::size_t kIndent = 4;

bool opens_blocks(std::string_view tag) { return DirectiveTable::get().find_block(to_lower(tag)) != nullptr; }

/// Directives of this name, in whatever block, take lists that continue behind a comma.
bool takes_list(std::string_view name) {
  for (const Directive& row : DirectiveTable::get().rows()) {
    if (row.name == name && row.has(kList)) return true;
  }
  return false;
}

std::size_t occurrences(std::string_view text, std::string_view word) {
  std::size_t out = 0;
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) ++out;
  return out;
}

class Layout {
 public:
  std::string run(std::string_view text) {
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      one_line(text.substr(0, end));
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
    return std::move(out_);
  }

 private:
  void one_line(std::string_view raw) {
    std::string_view line = trim(raw);
    while (line.ends_with('\r')) line = trim(line.substr(0, line.size() - 1));
    if (in_comment_ || line.starts_with("<!--")) {
      in_comment_ = raw.find("-->") == std::string_view::npos;
      return put(depth_, line, {});
    }
    if (line.empty()) {
      empty_ = !out_.empty();
      return;
    }
    const std::string_view code = trim(without_comment(line));
    const std::string_view comment = code.size() == line.size() ? "" : line.substr(line.find('#'));
    if (code.empty()) return put(depth_ + (continues_ ? 1 : 0), comment, {});
    // "a#b" stays as it is: whoever meant the # to be a part of the value must be able to see it.
    const bool apart = comment.empty() || is_blank(*(comment.data() - 1));
    const std::string_view tail = apart ? comment : std::string_view();
    const std::string_view body = apart ? code : line;
    if (continues_ && !code.starts_with('<')) {
      put(depth_ + 1, body, tail);
      continues_ = goes_on(code, true);
      return;
    }
    continues_ = false;
    if (code.starts_with('<')) return tags(code, body, tail);
    directive(code, body, tail);
  }

  [[nodiscard]] static bool goes_on(std::string_view code, bool list) {
    return code.ends_with(" \\") || code.ends_with("\t\\") || (list && code.ends_with(','));
  }

  void tags(std::string_view code, std::string_view body, std::string_view comment) {
    std::vector<Statement> statements;
    const StatementError bad = split_statements(code, &opens_blocks, statements);
    std::size_t opened = 0, closed = 0;
    for (const Statement& one : statements) {
      if (one.kind == Statement::Kind::Open) ++opened;
      if (one.kind == Statement::Kind::Close) opened > 0 ? --opened : ++closed;
    }
    depth_ -= std::min(depth_, closed);
    std::string text(body);
    if (bad.message == nullptr && statements.size() == 1 && body.size() == code.size()) {
      const Statement& one = statements.front();
      const bool close = one.kind == Statement::Kind::Close;
      // An argument that ends in a slash would make the tag close itself.
      if ((one.kind == Statement::Kind::Open && !one.argument.ends_with('/')) || close) {
        text = (close ? "</" : "<") + std::string(one.name) + (one.argument.empty() ? "" : " ") +
               std::string(one.argument) + '>';
      }
    }
    put(depth_, text, comment);
    depth_ += opened;
  }

  void directive(std::string_view code, std::string_view body, std::string_view comment) {
    const std::size_t blank = std::min(body.find_first_of(" \t"), body.size());
    const std::string name = to_lower(body.substr(0, blank));
    const bool known = DirectiveTable::get().find_anywhere(name) != nullptr;
    std::string text(body);
    if (known && blank < body.size())
      text = std::string(body.substr(0, blank)) + ' ' + std::string(trim(body.substr(blank)));
    const std::size_t opened = occurrences(code, "<pattern-list"),
                      closed = occurrences(code, "</pattern-list");
    put(depth_, text, comment);
    if (opened >= closed)
      depth_ += opened - closed;
    else
      depth_ -= std::min(depth_, closed - opened);
    continues_ = goes_on(code, known && takes_list(name));
  }

  void put(std::size_t depth, std::string_view text, std::string_view comment) {
    if (empty_) out_ += '\n';
    empty_ = false;
    out_.append(text.empty() ? 0 : depth * kIndent, ' ').append(text);
    if (!comment.empty()) (out_ += "  ") += comment;
    out_ += '\n';
  }

  std::string out_;
  std::size_t depth_ = 0;
  bool in_comment_ = false;
  bool continues_ = false;  ///< the next line belongs to the directive before
  bool empty_ = false;      ///< an empty line stands before the next one
};

}  // namespace

std::expected<std::string, std::string> reformat(std::string_view text) {
  std::string out = Layout().run(text);
  const std::vector<std::string> before = statements_of(text), after = statements_of(out);
  for (std::size_t i = 0; i < std::max(before.size(), after.size()); ++i) {
    if (i < before.size() && i < after.size() && before[i] == after[i]) continue;
    return std::unexpected("not laid out: it would change \"" +
                           (i < before.size() ? before[i] : std::string()) + "\" into \"" +
                           (i < after.size() ? after[i] : std::string()) + '"');
  }
  return out;
}

}  // namespace sluice::config
