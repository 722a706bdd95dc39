#pragma once
// Builds a Config from text. Internal to policy/config: others call load_config().

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "policy/config/config.h"
#include "policy/config/directive.h"
#include "policy/config/lexer.h"
#include "policy/config/pattern_checks.h"

namespace sluice::config {

/// `domain-macro` as written.
struct MacroDefinition {
  std::vector<std::string> items;
  Origin origin;
};

/// Collects findings and shows the line each one is about.
class Reporter {
 public:
  explicit Reporter(const LoadOptions& options) : options_(options) {}
  /// Registers a file; its text is kept to quote lines from it.
  std::uint32_t add_file(std::string path, std::string contents);
  [[nodiscard]] std::string_view contents(std::uint32_t file) const { return *texts_[file].contents; }
  [[nodiscard]] const std::string& path(std::uint32_t file) const { return texts_[file].path; }
  [[nodiscard]] std::size_t file_count() const { return texts_.size(); }
  [[nodiscard]] std::vector<std::string> paths() const;

  struct Finding {
    Severity severity = Severity::Error;
    std::string message;
    std::string expected = {};
    std::string suggestion = {};
  };
  /// `column` from 1; 0: the whole line.
  void add(Origin where, std::uint32_t column, Finding finding);
  void add(Finding finding) { add(Origin{}, 0, std::move(finding)); }
  [[nodiscard]] std::size_t error_count() const { return errors_; }
  /// What is added now is not shown: no need to look for words of advice.
  [[nodiscard]] bool full() const { return entries_.size() >= kDiagnosticsMax; }
  [[nodiscard]] const LoadOptions& options() const { return options_; }
  /// In file order.
  [[nodiscard]] std::vector<Diagnostic> take();
  /// The line as written, without its end.
  [[nodiscard]] std::string line_text(Origin where);

 private:
  struct Text {
    std::string path;
    std::unique_ptr<const std::string> contents;
    std::vector<std::size_t> lines;  ///< start of each line; filled when first needed
  };
  struct Entry {
    Origin where;
    std::size_t sequence = 0;
    Diagnostic diagnostic;
  };
  const LoadOptions& options_;
  std::vector<Text> texts_;
  std::vector<Entry> entries_;
  std::size_t errors_ = 0;
};

/// Reads files line by line and fills a Config. One use per object.
class Loader {
 public:
  Loader(FileSource& files, const LoadOptions& options);
  [[nodiscard]] LoadResult run(std::string_view main_path);
  /// Statements are noted here as they are read, with their names and arguments to the letter; null: not.
  void trace(std::vector<std::string>* statements) { trace_ = statements; }

 private:
  struct Frame {
    const BlockKind* kind = nullptr;  ///< null: the top level
    Scope scope = Scope::Global;
    std::string tag;
    Origin origin;
    void* record = nullptr;
    std::vector<Assignment>* assignments = nullptr;  ///< <source> and <domain> keep their lines
    std::uint32_t layer = 0;  ///< of nested <domain> blocks; for VMTAs and pools 0 = none yet
    std::string name;         ///< block argument
  };
  struct Position {  ///< of the statement at hand
    const LogicalLine* line = nullptr;
    std::uint32_t file = 0;
  };

  // Files and lines.
  bool read_file(std::string_view path, Origin asked_from, bool optional);
  bool may_read(std::string_view path, Origin asked_from);
  void read_text(std::string_view path, std::string contents);
  void read_lines(std::uint32_t file);
  void complete_line(LineReader& reader, LogicalLine& line);
  void complete_regex(LineReader& reader, LogicalLine& line);
  void on_line(const LogicalLine& line, std::uint32_t file);
  void include(std::string_view value);
  void include_url(const std::string& url, std::string_view at);
  void read_named_files();

  // Blocks.
  void open_block(const Statement& statement);
  void close_block(const Statement& statement);
  void pop_frame();
  void unclosed(const Frame& frame);
  [[nodiscard]] bool start_record(const BlockKind& kind, std::string_view argument, std::string_view at,
                                  Frame& frame);
  bool start_source(std::string_view argument, Frame& frame);
  bool start_identity(const BlockKind& kind, std::string_view argument, std::string_view at, Frame& frame);
  bool start_domain(std::string_view argument, Frame& frame);
  void start_bounce_actions(std::string_view argument, Frame& frame);
  bool start_listener(std::string_view argument, std::string_view at, Frame& frame);
  [[nodiscard]] std::uint32_t layer_of(Frame& frame);

  // Directives.
  void on_directive(const Statement& statement);
  void unknown_directive(const Statement& statement);
  void apply(const Directive& row, std::string_view value, Frame& frame);
  void apply_implicit(const Directive& row, std::string_view value, Frame& frame);
  void notes_on(const Directive& row, std::string_view at);
  void note_pending(const Directive& row, std::string_view at);
  void note_pending(const BlockKind& kind, Origin origin);
  void run_action(const Directive& row, std::string_view value, Frame& frame);
  void domain_macro(std::string_view value);
  void listener_line(std::string_view value);
  void spool_line(std::string_view value);
  void address_entry(const Directive& row, std::string_view value, Frame& frame);
  void pattern_line(const Directive& row, std::string_view value, Frame& frame);
  void message_pattern(const Directive& row, std::string_view value, Frame& frame);
  [[nodiscard]] bool pattern_results(std::string_view text, MessagePattern& pattern, Value& value);

  // Findings.
  [[nodiscard]] Origin here(std::string_view at) const;
  void report(Severity severity, std::string_view at, std::string message, std::string expected = {},
              std::string suggestion = {});
  void error(std::string_view at, std::string message, std::string expected = {},
             std::string suggestion = {}) {
    report(Severity::Error, at, std::move(message), std::move(expected), std::move(suggestion));
  }
  /// Error, or a warning when lenient.
  void unknown(std::string_view at, std::string message, std::string expected, std::string suggestion);
  bool report_value(const Value& value, std::string_view at);
  /// Whether the line is cut by a # that touches what stands before it: "password a#b", "/x#y/".
  [[nodiscard]] bool cut_inside_a_word();

  FileSource& files_;
  LoadOptions options_;
  const DirectiveTable& table_;
  Reporter reporter_;
  std::shared_ptr<Config> config_;
  std::vector<Frame> frames_;
  std::vector<std::string> reading_;  ///< files being read, outermost first
  std::unordered_map<std::string, MacroDefinition> macros_;
  std::vector<std::uint32_t>
      implicit_blocks_;  ///< by layer: block index + 1 of settings given outside of <domain>
  std::optional<std::uint64_t> legacy_spool_min_free_;
  std::vector<std::size_t> legacy_spools_;
  std::size_t default_categories_ = 0;  ///< bounce category rules of the vendor's defaults, read first
  std::unordered_map<std::string, std::size_t> closed_early_;  ///< tags whose closing tags are still to come
  std::vector<std::size_t> noted_;                             ///< rows a note was given for
  std::unordered_set<std::uint64_t> pending_seen_;             ///< row and scope
  Position position_;
  DomainSettings domain_scratch_;  ///< values are checked by reading them into these
  SourceSettings source_scratch_;
  std::uint32_t anonymous_ = 0;
  std::vector<std::string>* trace_ = nullptr;
};

/// What the lines of one file say, without its layout and comments; files it includes are not read.
[[nodiscard]] std::vector<std::string> statements_of(std::string_view text);

/// What holds for all identities.
struct Everybody {
  bool some_are_cold = false;
  bool some_have_sources = false;
  std::vector<bool> proxied_by_pool;  ///< by VmtaId; for {default}: any pool is
};

/// Resolves names, expands macros, checks what needs the whole. Continues where the Loader ends.
class Finisher {
 public:
  Finisher(Config& config, Reporter& reporter, const std::unordered_map<std::string, MacroDefinition>& macros,
           const std::vector<std::uint32_t>& implicit_blocks);
  void run();

 private:
  void name_identities();
  void resolve_pools();
  void expand_macros();
  void index_domains();
  void expand_patterns(std::vector<DomainPattern>& patterns);
  void expand_keys(std::vector<DomainKey>& keys);
  void fill_ehlo_names();
  void check_required();
  void check_references();
  void check_domain_references(const DomainLayer& layer);
  void check_source_references();
  void check_traps();
  void check_held_back();
  void check_unused_sources();
  void check_message_sizes();
  void check_message_patterns(const std::vector<MessagePattern>& patterns);
  void check_proxies();
  void check_proxy_names(const std::vector<std::string>& names, Origin origin);
  void check_proxied_sources(const std::vector<ProxySourceHost>& lines, bool has_proxies, bool has_sources,
                             Origin origin);
  void check_shadowed_access();
  void check_pattern(const Regex& pattern, PatternSubject subject);
  void check_bounce_patterns();
  void check_reply_list(const ReplyList& list);
  void check_domain_traps();
  void check_trap(std::string_view name, const Assignment& assignment, const DomainSettings& effective,
                  VmtaId vmta);
  [[nodiscard]] std::vector<std::optional<VmtaId>> identities_of_layers() const;
  [[nodiscard]] const Everybody& everybody();  ///< found out once
  [[nodiscard]] bool may_be_cold(VmtaId vmta);
  [[nodiscard]] bool has_fixed_source(VmtaId vmta);
  void number_scopes();
  void join_bounce_rates();
  void note_values_to_come();
  /// Domains an expression stands for; `from_macro` tells whether it named a macro.
  [[nodiscard]] std::vector<std::string> expand(std::string_view expression, Origin origin, bool& from_macro);
  [[nodiscard]] std::vector<std::string> substitute(std::string_view text, Origin origin,
                                                    std::vector<std::string>& open);
  const std::vector<std::string>* macro(std::string_view name, Origin origin, std::vector<std::string>& open);
  void error(Origin where, std::string message, std::string suggestion = {});
  void warn(Origin where, std::string message, std::string suggestion = {});
  /// `known`: names it may have been meant to be; asked only when the finding is shown.
  using Names = std::function<std::vector<std::string_view>()>;
  /// `harmless`: what comes of it where it is no error, because PowerMTA loads such files.
  void missing(Origin where, std::string_view what, std::string_view name, const Names& known,
               std::string_view harmless = {});
  [[nodiscard]] bool is_identity(std::string_view name) const;
  [[nodiscard]] Names identity_names() const;

  Config& config_;
  Reporter& reporter_;
  const std::unordered_map<std::string, MacroDefinition>& macros_;
  const std::vector<std::uint32_t>& implicit_blocks_;
  const DirectiveTable& table_;
  std::size_t expanded_ = 0;
  bool expansion_cut_ = false;
  std::optional<Everybody> everybody_;
  std::vector<std::vector<std::optional<DomainPattern>>> first_patterns_;  ///< by layer and block
};

}  // namespace sluice::config
