#pragma once
// The one table of the configuration language. The parser, the checks, `settings` listings and the manual all
// read it; a directive exists exactly when it has a row.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/config/value.h"
#include "policy/settings/blocks.h"
#include "policy/settings/domain_settings.h"
#include "policy/settings/global_settings.h"
#include "policy/settings/source_settings.h"

namespace sluice::config {

/// Where a directive may stand: the top level or inside one kind of block.
enum class Scope : std::uint8_t {
  Global,
  Spool,
  Source,
  SmtpUser,
  SourceGroup,
  SmtpListener,
  Domain,
  Vmta,
  Pool,
  AcctFile,
  MxRollupList,
  ReplyList,
  PatternList,
  BounceCategories,
  BounceProcessor,
  FeedbackLoopProcessor,
  EmailPatterns,
  AddressList,
  Aliases,
  RewriteList,
  DomainKeyList,
  Dns,
  TransmissionsApi,
  ApiListener,
  Proxy,
  Vault,
  Signals,
  SignalsFilter,
  GmImprinter,
  HttpMgmt,
  BounceActions,
  Alerts,
  Ignored,
};
inline constexpr std::size_t kScopeCount = static_cast<std::size_t>(Scope::Ignored) + 1;

using ScopeMask = std::uint64_t;
[[nodiscard]] constexpr ScopeMask in(Scope scope) { return ScopeMask{1} << static_cast<unsigned>(scope); }
template <class... Scopes>
[[nodiscard]] constexpr ScopeMask in(Scope first, Scopes... rest) {
  return (in(first) | ... | in(rest));
}

/// What vouches for a directive.
enum class Since : std::uint8_t {
  Guide,      ///< documented for PowerMTA 5.0
  GuideR5,    ///< documented for PowerMTA 5.0r5
  Field,      ///< undocumented, but used by PowerMTA installations
  Spelling,   ///< a second way to write something that has a native form
  Extension,  ///< only in Sluice
};

/// Whether a directive has its effect. Every one is read, checked, merged and shown, whatever its state.
enum class State : std::uint8_t {
  Works,
  ToCome,  ///< waits for a capability
  Out,     ///< accepted, never to have an effect; Directive::reason_out says why
};

/// What directives in State::ToCome wait for, in the words of the manual.
enum class Capability : std::uint8_t {
  Tls,
  Dkim,
  Auth,
  MailMerge,
  HttpSubmission,
  BounceProcessor,
  FeedbackProcessor,
  Suppression,
  Monitor,
  Webhooks,
  Alerts,
};
inline constexpr std::size_t kCapabilityCount = static_cast<std::size_t>(Capability::Alerts) + 1;
/// "TLS", "DKIM".
[[nodiscard]] std::string_view name_of(Capability capability);
/// "works", "to come", "out".
[[nodiscard]] std::string_view name_of(State state);

/// One line of the list of directives whose effect is still to come (`rows/states.cc`).
struct Wait {
  Capability capability = Capability::Tls;
  ScopeMask scopes = 0;
  /// The engine reads the member without obeying it: to tell the operator so, or to hand on a whole set of
  /// limits.
  bool read_to_refuse = false;
  std::string_view meanwhile = {};  ///< what Sluice does instead of obeying: "its mail is held"
};

using DirectiveFlags = std::uint16_t;
inline constexpr DirectiveFlags kRepeats = 1;     ///< each line adds; elsewhere the last line counts
inline constexpr DirectiveFlags kList = 2;        ///< comma list; a comma at the end of the line continues it
inline constexpr DirectiveFlags kDeprecated = 4;  ///< works; `replacement` names what to write today
inline constexpr DirectiveFlags kIgnored = 8;     ///< accepted without effect
inline constexpr DirectiveFlags kHidden = 16;     ///< another row prints this member in listings
inline constexpr DirectiveFlags kRegex =
    32;  ///< holds /regexes/, which may have been wrapped over several lines
inline constexpr DirectiveFlags kRestart = 64;         ///< a change takes effect at the next start
inline constexpr DirectiveFlags kSecret = 128;         ///< listings show ***** instead
inline constexpr DirectiveFlags kHoldsPassword = 512;  ///< FILE [PASSWORD]
inline constexpr DirectiveFlags kFolded = 256;         ///< the language itself turns it into another member

/// Rows the loader handles itself because they reach beyond one record.
enum class LoaderAction : std::uint8_t {
  None,
  Include,
  DomainMacro,
  ListenerLine,
  SpoolLine,
  SpoolMinFree,
  ImplicitDomain,
  PatternLine,
  AddressEntries,
};

struct Directive {
  std::string_view name;
  ScopeMask scopes = 0;
  std::string_view grammar;      ///< what stands behind the name
  std::string_view doc;          ///< one line
  std::string_view replacement;  ///< for deprecated rows and second spellings: the native form
  std::string_view
      default_text;  ///< overrides the default printed from the record; "" = print from the record
  Since since = Since::Guide;
  DirectiveFlags flags = 0;
  LoaderAction action = LoaderAction::None;
  ValueRules rules;
  /// Members of policy/settings the value ends up in, "DomainSettings::dkim DkimSettings::sign"; empty for
  /// ignored rows and for those the loader uses up by itself.
  std::string members;
  std::vector<Wait> waits;      ///< by scope; empty: works
  std::string_view reason_out;  ///< not empty: State::Out
  std::string_view unit;        ///< of a plain number: "connections"; empty where the type says it
  std::string_view difference;  ///< what PowerMTA does where we differ; may be empty
  /// Reads `value` into the record of the scope; null for ignored rows and loader actions.
  void (*apply)(Value& value, void* record) = nullptr;
  /// Appends the member's value, one entry per line that would set it.
  void (*format)(const void* record, std::vector<std::string>& out) = nullptr;
  /// The same for a default-made record.
  void (*format_default)(std::vector<std::string>& out) = nullptr;

  [[nodiscard]] bool has(DirectiveFlags flag) const { return (flags & flag) != 0; }
  [[nodiscard]] bool allowed_in(Scope scope) const { return (scopes & in(scope)) != 0; }
  [[nodiscard]] const Wait* wait_in(Scope scope) const;
  [[nodiscard]] State state_in(Scope scope) const;
};

/// A kind of block.
struct BlockKind {
  enum class Argument : std::uint8_t { None, Required, Optional };
  std::string_view tag;
  Scope scope = Scope::Ignored;
  ScopeMask parents = in(Scope::Global);
  Argument argument = Argument::None;
  std::string_view argument_grammar;
  std::string_view doc;
  Since since = Since::Guide;
  std::string_view reason_out = {};  ///< not empty: the whole block is without effect, and why
};

/// What a block waits for: all of its directives do. Null: some work, or there are none.
[[nodiscard]] const Wait* wait_of(const BlockKind& kind);

/// Thread: immutable, shared by all. Lifetime: the process.
class DirectiveTable {
 public:
  [[nodiscard]] static const DirectiveTable& get();
  [[nodiscard]] std::span<const Directive> rows() const { return rows_; }
  [[nodiscard]] std::span<const BlockKind> blocks() const { return blocks_; }
  /// Exact name in one scope; null when there is none.
  [[nodiscard]] const Directive* find(std::string_view name, Scope scope) const;
  /// Any scope: the first row of that name.
  [[nodiscard]] const Directive* find_anywhere(std::string_view name) const;
  [[nodiscard]] const BlockKind* find_block(std::string_view tag) const;
  [[nodiscard]] std::size_t index_of(const Directive& row) const {
    return static_cast<std::size_t>(&row - rows_.data());
  }
  /// Nearest known name of a directive in `scope`, or elsewhere when none is near; empty when nothing is
  /// close.
  [[nodiscard]] std::string_view nearest(std::string_view name, Scope scope) const;
  [[nodiscard]] std::string_view nearest_block(std::string_view tag) const;

 private:
  DirectiveTable();
  std::vector<Directive> rows_;
  std::span<const BlockKind> blocks_;
  std::vector<std::pair<std::string_view, std::uint32_t>> by_name_;  ///< sorted by name
};

/// How many directives, counted once per scope they may stand in, are in each state. Second spellings and old
/// names count too.
struct StateCounts {
  std::size_t works = 0, to_come = 0, out = 0;
};
[[nodiscard]] StateCounts count_states();

/// "<domain>", "the top level".
[[nodiscard]] std::string describe(Scope scope);
/// The block a directive belongs to, for "belongs in <domain>".
[[nodiscard]] std::string describe(ScopeMask scopes);
[[nodiscard]] std::string_view name_of(Since since);

/// Nearest of `names` by edit distance, at most a third of the letters wrong; empty when none is close.
[[nodiscard]] std::string_view nearest_name(std::string_view name, std::span<const std::string_view> names);

/// The manual page of all directives, as Markdown.
[[nodiscard]] std::string directive_manual();
/// One JSON object per directive and scope with its state and the members it fills: what the test that every
/// directive is read goes by.
[[nodiscard]] std::string directive_members_json();

}  // namespace sluice::config
