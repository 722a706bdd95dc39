// Files, lines and directives. Blocks are in blocks.cc, lines with a grammar of their own in
// special_lines.cc.
#include "policy/config/loader.h"

#include <algorithm>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::config {
namespace {

bool opens_blocks(std::string_view tag) { return DirectiveTable::get().find_block(tag) != nullptr; }

std::string folder_of(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string() : std::string(path.substr(0, slash + 1));
}

}  // namespace

Loader::Loader(FileSource& files, const LoadOptions& options)
    : files_(files),
      options_(options),
      table_(DirectiveTable::get()),
      reporter_(options_),
      config_(std::make_shared<Config>()) {
  config_->vmtas.push_back({std::string(kDefaultVmtaName), kDefaultVmta, {}, {}, {}});
  config_->layers_.layers.emplace_back();
  config_->layers_.of_vmta.push_back(0);
  Frame top;
  top.record = &config_->globals;
  top.assignments = &config_->global_lines_;
  config_->vmta_lines_.emplace_back();
  frames_.push_back(std::move(top));
}

LoadResult Loader::run(std::string_view main_path) {
  LoadResult result;
  if (!options_.defaults_path.empty()) read_file(options_.defaults_path, {}, true);
  default_categories_ = config_->bounce_categories.size();
  if (read_file(main_path, {}, false)) {
    for (const std::size_t index : legacy_spools_) {
      if (legacy_spool_min_free_)
        config_->spools[index].min_free_space = ByteCount{*legacy_spool_min_free_ * kMiB};
    }
    // The first match decides: the user's patterns come before the vendor's.
    auto& categories = config_->bounce_categories;
    std::rotate(categories.begin(), categories.begin() + static_cast<std::ptrdiff_t>(default_categories_),
                categories.end());
    config_->files = reporter_.paths();
    read_named_files();
    Finisher(*config_, reporter_, macros_, implicit_blocks_).run();
    result.draft = config_;
  }
  if (reporter_.error_count() == 0) result.config = config_;
  result.diagnostics = reporter_.take();
  result.is_fragment = options_.fragment;
  return result;
}

bool Loader::read_file(std::string_view path, Origin asked_from, bool optional) {
  const auto finding = [&](std::string message) {
    reporter_.add(asked_from, 0, {Severity::Error, std::move(message), {}, {}});
    return false;
  };
  if (!may_read(path, asked_from)) return false;
  auto contents = files_.read(path);
  if (!contents) {
    if (optional && contents.error().code == Errc::NotFound) return false;
    return finding("cannot read \"" + std::string(path) +
                   "\": " + std::string(name_of(contents.error().code)));
  }
  if (contents->size() > kConfigFileBytesMax) return finding("\"" + std::string(path) + "\" is too large");
  read_text(path, std::move(*contents));
  return true;
}

/// Not too deep, too many, or in a circle.
bool Loader::may_read(std::string_view path, Origin asked_from) {
  std::string message;
  if (reading_.size() >= kIncludeDepthMax) {
    message = "too many files inside of each other";
  } else if (reporter_.file_count() >= kFilesMax) {
    message = "too many files";
  } else if (std::find(reading_.begin(), reading_.end(), path) != reading_.end()) {
    message = "\"" + std::string(path) + "\" includes itself";
  } else {
    return true;
  }
  reporter_.add(asked_from, 0, {Severity::Error, std::move(message), {}, {}});
  return false;
}

void Loader::read_text(std::string_view path, std::string contents) {
  const std::uint32_t file = reporter_.add_file(std::string(path), std::move(contents));
  const Position outer = position_;
  reading_.emplace_back(path);
  const std::size_t depth = frames_.size();
  read_lines(file);
  while (frames_.size() > depth) {
    unclosed(frames_.back());
    pop_frame();
  }
  reading_.pop_back();
  position_ = outer;
}

void Loader::unclosed(const Frame& frame) {
  reporter_.add(frame.origin, 0,
                {Severity::Error, '<' + frame.tag + "> is never closed", "</" + frame.tag + '>', {}});
}

void Loader::read_lines(std::uint32_t file) {
  LineReader reader(reporter_.contents(file));
  LogicalLine line;
  while (reader.next(line)) {
    position_ = {&line, file};
    complete_line(reader, line);
    on_line(line, file);
  }
}

void Loader::on_line(const LogicalLine& line, std::uint32_t file) {
  position_ = {&line, file};
  std::vector<Statement> statements;
  const StatementError bad = split_statements(line.text, &opens_blocks, statements);
  for (const Statement& statement : statements) {
    if (trace_ != nullptr) {
      static constexpr std::string_view kMarks[] = {"", "<", "</", "<>"};
      trace_->push_back(std::string(kMarks[static_cast<std::size_t>(statement.kind)]) +
                        std::string(statement.name) + ' ' + std::string(statement.argument));
    }
    switch (statement.kind) {
      case Statement::Kind::Open: open_block(statement); break;
      case Statement::Kind::Close: close_block(statement); break;
      case Statement::Kind::Element:
      case Statement::Kind::Directive: on_directive(statement); break;
    }
  }
  if (bad.message != nullptr)
    error(std::string_view(line.text).substr(bad.offset), bad.message, bad.expected);
}

Origin Loader::here(std::string_view at) const {
  const LogicalLine& line = *position_.line;
  std::size_t offset = 0;
  if (at.data() >= line.text.data() && at.data() <= line.text.data() + line.text.size()) {
    offset = static_cast<std::size_t>(at.data() - line.text.data());
  }
  return {position_.file, line.piece_at(offset).line};
}

void Loader::report(Severity severity, std::string_view at, std::string message, std::string expected,
                    std::string suggestion) {
  const LogicalLine& line = *position_.line;
  std::uint32_t column = 0;
  if (at.data() >= line.text.data() && at.data() <= line.text.data() + line.text.size()) {
    const auto offset = static_cast<std::size_t>(at.data() - line.text.data());
    const LogicalLine::Piece& piece = line.piece_at(offset);
    column = static_cast<std::uint32_t>(piece.column + (offset - piece.offset) + 1);
  }
  reporter_.add(here(at), column, {severity, std::move(message), std::move(expected), std::move(suggestion)});
}

void Loader::unknown(std::string_view at, std::string message, std::string expected, std::string suggestion) {
  report(options_.lenient ? Severity::Warning : Severity::Error, at, std::move(message), std::move(expected),
         std::move(suggestion));
}

/// Reports what `value` found; false when it failed. `at` is the value's text inside the line.
bool Loader::report_value(const Value& value, std::string_view at) {
  const auto place = [&](std::size_t offset) { return at.substr(std::min(offset, at.size())); };
  for (const ValueFailure& warning : value.warnings()) {
    report(Severity::Warning, place(warning.offset), warning.message, {}, warning.suggestion);
  }
  if (!value.failed()) return true;
  const ValueFailure& failure = *value.failure();
  const bool regex_cut = failure.message.find("closing slash") != std::string::npos && cut_inside_a_word();
  error(
      place(failure.offset), failure.message, failure.expected,
      regex_cut ? "# starts a comment everywhere; in a regular expression write \\x23" : failure.suggestion);
  return false;
}

bool Loader::cut_inside_a_word() {
  const std::string text = reporter_.line_text({position_.file, position_.line->pieces.back().line});
  const std::size_t hash = text.find('#');
  return hash != std::string::npos && hash > 0 && !is_blank(text[hash - 1]);
}

namespace {

/// `max-smtp-out "20"`: quotes around a value that needs none.
std::string_view without_needless_quotes(std::string_view argument) {
  if (argument.size() < 3 || argument.front() != '"' || argument.back() != '"') return argument;
  const std::string_view inside = argument.substr(1, argument.size() - 2);
  return inside.find_first_of("\"\\ \t") == std::string_view::npos ? inside : argument;
}

}  // namespace

void Loader::on_directive(const Statement& statement) {
  Frame& frame = frames_.back();
  if (frame.scope == Scope::Ignored || frame.scope == Scope::GmImprinter) return;
  const std::string lower = to_lower(statement.name);
  const std::string_view argument = without_needless_quotes(statement.argument);
  if (const Directive* row = table_.find(lower, frame.scope)) {
    notes_on(*row, statement.name);
    if (row->action != LoaderAction::None) return run_action(*row, argument, frame);
    return apply(*row, argument, frame);
  }
  if (frame.scope == Scope::Vmta || frame.scope == Scope::Pool) {
    if (const Directive* row = table_.find(lower, Scope::Domain)) {
      notes_on(*row, statement.name);
      return apply_implicit(*row, argument, frame);
    }
  }
  unknown_directive(statement);
}

void Loader::unknown_directive(const Statement& statement) {
  const std::string name(statement.name);
  if (reporter_.full()) return unknown(statement.name, {}, {}, {});
  const Scope scope = frames_.back().scope;
  const Directive* elsewhere = table_.find_anywhere(to_lower(name));
  if (elsewhere != nullptr) {
    ScopeMask scopes = 0;
    for (const Directive& row : table_.rows()) {
      if (row.name == elsewhere->name) scopes |= row.scopes;
    }
    return unknown(statement.name, '"' + name + "\" does not belong in " + describe(scope), {},
                   "it belongs in " + describe(scopes));
  }
  if (opens_blocks(to_lower(name))) {
    return unknown(statement.name, "unknown directive \"" + name + '"', '<' + to_lower(name) + " ...>", {});
  }
  const std::string_view nearest = table_.nearest(name, scope);
  unknown(statement.name, "unknown directive \"" + name + '"', {},
          nearest.empty() ? std::string() : "did you mean \"" + std::string(nearest) + "\"?");
}

/// Once per directive: some of them stand in dozens of blocks of a real file.
void Loader::notes_on(const Directive& row, std::string_view at) {
  const std::size_t index = table_.index_of(row);
  if (!row.waits.empty() || !row.reason_out.empty()) note_pending(row, at);
  if (!row.has(kIgnored | kDeprecated)) return;
  if (std::find(noted_.begin(), noted_.end(), index) != noted_.end()) return;
  noted_.push_back(index);
  if (frames_.back().scope == Scope::Signals || frames_.back().scope == Scope::SignalsFilter) return;
  if (row.has(kIgnored)) {
    report(Severity::Note, at, '"' + std::string(row.name) + "\" has no effect", {},
           row.replacement.empty() ? std::string(row.doc) : "use " + std::string(row.replacement));
  } else {
    report(Severity::Note, at, '"' + std::string(row.name) + "\" is an old name", {},
           "use " + std::string(row.replacement));
  }
}

/// A directive counts as used in the block it is a directive of: `retry-after` in a virtual MTA is one of
/// <domain>.
void Loader::note_pending(const Directive& row, std::string_view at) {
  const Scope here_scope = frames_.back().scope;
  const Scope scope = row.allowed_in(here_scope) ? here_scope : Scope::Domain;
  const State state = row.state_in(scope);
  if (state == State::Works) return;
  const std::uint64_t key = std::uint64_t{table_.index_of(row)} << 8 | static_cast<std::uint64_t>(scope);
  if (!pending_seen_.insert(key).second) return;
  PendingUse use{.name = row.name, .waits_for = {}, .meanwhile = {}, .origin = here(at)};
  if (state == State::ToCome) {
    const Wait* wait = row.wait_in(scope);
    use.waits_for = name_of(wait->capability);
    use.meanwhile = wait->meanwhile;
  }
  config_->pending.push_back(use);
}

/// A block whose directives all wait, or that is out, has no effect even when nothing stands in it.
void Loader::note_pending(const BlockKind& kind, Origin origin) {
  const Wait* wait = wait_of(kind);
  if (wait == nullptr && kind.reason_out.empty()) return;
  const auto known = std::ranges::find_if(
      config_->pending, [&kind](const PendingUse& use) { return use.is_block && use.name == kind.tag; });
  if (known != config_->pending.end()) return;
  config_->pending.push_back({.name = kind.tag,
                              .waits_for = wait == nullptr ? "" : name_of(wait->capability),
                              .meanwhile = {},
                              .origin = origin,
                              .is_block = true});
}

void Loader::apply(const Directive& row, std::string_view text, Frame& frame) {
  if (row.apply == nullptr) return;
  if (text.empty()) {
    const bool comment = reporter_.line_text(here(text)).find('#') != std::string::npos;
    return error(text, "argument missing", std::string(row.grammar),
                 comment ? "what stands behind # is a comment" : "");
  }
  Value value(text, row.rules, here(text));
  SLUICE_ASSERT(frame.record != nullptr);
  // Of others the last line counts as well; of this one mail would be left lying.
  if (row.name == "pickup" && config_->globals.pickup) {
    report(Severity::Warning, text, "a second pickup line: the last one counts", {},
           "nothing is taken from " + config_->globals.pickup->dir);
  }
  row.apply(value, frame.record);
  if (!report_value(value, text)) return;
  if (row.has(kSecret | kHoldsPassword) && cut_inside_a_word()) {
    report(Severity::Warning, text, "the value ends at the #, which starts a comment everywhere", {},
           "choose a password without #");
  }
  if (frame.assignments != nullptr) {
    frame.assignments->push_back(
        {static_cast<std::uint32_t>(table_.index_of(row)), std::string(text), here(text)});
  }
}

/// A <domain> directive that stands in a virtual MTA or pool itself holds for all domains of it, below its
/// own `<domain *>`.
void Loader::apply_implicit(const Directive& row, std::string_view text, Frame& frame) {
  const std::uint32_t layer = layer_of(frame);
  auto& blocks = config_->layers_.layers[layer].blocks;
  if (implicit_blocks_.size() <= layer) implicit_blocks_.resize(layer + 1);
  if (implicit_blocks_[layer] == 0) {
    blocks.push_back({"*",
                      frame.tag.empty() ? "the top level" : '<' + frame.tag + ' ' + frame.name + '>',
                      {},
                      here(text)});
    implicit_blocks_[layer] = static_cast<std::uint32_t>(blocks.size());
  }
  Frame inner;
  inner.scope = Scope::Domain;
  inner.record = &domain_scratch_;
  inner.assignments = &blocks[implicit_blocks_[layer] - 1].assignments;
  domain_scratch_ = DomainSettings();
  apply(row, text, inner);
}

void Loader::include(std::string_view text) {
  static const ValueRules kAnything;
  Value value(text, kAnything, here(text));
  auto path = unquote(text, value);
  if (!report_value(value, text) || !path || path->empty()) {
    if (!value.failed())
      error(text, "argument missing", "FILE, a pattern like /etc/sluice/vmtas/*.conf, or a URL");
    return;
  }
  const Origin origin = here(text);
  if (path->front() != '/' && path->find(':') == std::string::npos)
    *path = folder_of(reading_.back()) + *path;
  if (path->starts_with("http://") || path->starts_with("https://")) return include_url(*path, text);
  if (path->find_first_of("*?[") == std::string::npos) {
    read_file(*path, origin, false);
    return;
  }
  auto found = files_.glob(*path);
  if (!found)
    return error(text, "cannot search \"" + *path + "\": " + std::string(name_of(found.error().code)));
  if (found->empty()) report(Severity::Warning, text, "no file matches \"" + *path + '"');
  std::sort(found->begin(), found->end());
  for (const std::string& file : *found) read_file(file, origin, false);
}

void Loader::include_url(const std::string& url, std::string_view at) {
  if (url.find_first_of("?@*") != std::string::npos) {
    return error(at, "a URL to include has no user, query, fragment or pattern");
  }
  if (options_.skip_urls) {
    // What it says may be what this configuration needs: it is looked at as a part of one.
    options_.fragment = true;
    return report(Severity::Warning, at, "not fetched: what it defines is not known here");
  }
  if (!may_read(url, here(at))) return;
  auto contents = files_.fetch(url);
  if (!contents) return error(at, "cannot fetch " + url + ": " + contents.error());
  if (contents->size() > kConfigFileBytesMax) return error(at, url + " is too large");
  report(Severity::Note, at, "fetched " + std::to_string(contents->size()) + " bytes from " + url);
  read_text(url, std::move(*contents));
}

namespace {

/// A file source with one file.
class OneText : public FileSource {
 public:
  static constexpr std::string_view kName = "{text}";
  explicit OneText(std::string_view text) : text_(text) {}
  Result<std::string> read(std::string_view path) override {
    return path == kName ? std::string(text_) : std::string();
  }
  Result<std::vector<std::string>> glob(std::string_view) override { return std::vector<std::string>(); }
  std::expected<std::string, std::string> fetch(std::string_view) override { return std::string(); }

 private:
  std::string_view text_;
};

}  // namespace

std::vector<std::string> statements_of(std::string_view text) {
  OneText file(text);
  std::vector<std::string> out;
  const LoadOptions options{.lenient = true, .fragment = true, .defaults_path = {}};
  Loader loader(file, options);
  loader.trace(&out);
  static_cast<void>(loader.run(OneText::kName));
  return out;
}

LoadResult load_config(std::string_view main_path, FileSource& files, const LoadOptions& options) {
  return Loader(files, options).run(main_path);
}

}  // namespace sluice::config
