#pragma once
// The one table of the configuration language. The parser, the checks, `settings` listings and the manual all read it;
// a directive exists exactly when it has a row.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
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
  Global, Spool, Source, SmtpUser, SourceGroup, SmtpListener, Domain, Vmta, Pool, AcctFile, MxRollupList, ReplyList,
  PatternList, BounceCategories, BounceProcessor, FeedbackLoopProcessor, EmailPatterns, AddressList, Aliases,
  RewriteList, DomainKeyList, Dns, TransmissionsApi, ApiListener, Proxy, Vault, Signals, SignalsFilter, GmImprinter,
  HttpMgmt, BounceActions, Ignored,
};
inline constexpr std::size_t kScopeCount = static_cast<std::size_t>(Scope::Ignored) + 1;

using ScopeMask = std::uint64_t;
[[nodiscard]] constexpr ScopeMask in(Scope scope) { return ScopeMask{1} << static_cast<unsigned>(scope); }
template <class... Scopes>
[[nodiscard]] constexpr ScopeMask in(Scope first, Scopes... rest) { return (in(first) | ... | in(rest)); }

/// What vouches for a directive.
enum class Since : std::uint8_t {
  Guide,      ///< documented for PowerMTA 5.0
  GuideR5,    ///< documented for PowerMTA 5.0r5
  Field,      ///< undocumented, but used by PowerMTA installations
  Spelling,   ///< a second way to write something that has a native form
  Extension,  ///< only in Sluice
};

using DirectiveFlags = std::uint16_t;
inline constexpr DirectiveFlags kRepeats = 1;     ///< each line adds; elsewhere the last line counts
inline constexpr DirectiveFlags kList = 2;        ///< comma list; a comma at the end of the line continues it
inline constexpr DirectiveFlags kDeprecated = 4;  ///< works; `replacement` names what to write today
inline constexpr DirectiveFlags kIgnored = 8;     ///< accepted without effect
inline constexpr DirectiveFlags kHidden = 16;     ///< another row prints this member in listings
inline constexpr DirectiveFlags kRegex = 32;      ///< holds /regexes/, which may have been wrapped over several lines
inline constexpr DirectiveFlags kRestart = 64;    ///< a change takes effect at the next start
inline constexpr DirectiveFlags kSecret = 128;    ///< listings show ***** instead

/// Rows the loader handles itself because they reach beyond one record.
enum class LoaderAction : std::uint8_t {
  None, Include, DomainMacro, ListenerLine, SpoolLine, SpoolMinFree, ImplicitDomain, PatternLine, AddressEntries,
};

struct Directive {
  std::string_view name;
  ScopeMask scopes = 0;
  std::string_view grammar;      ///< what stands behind the name
  std::string_view doc;          ///< one line
  std::string_view replacement;  ///< for deprecated rows and second spellings: the native form
  std::string_view default_text; ///< overrides the default printed from the record; "" = print from the record
  Since since = Since::Guide;
  DirectiveFlags flags = 0;
  LoaderAction action = LoaderAction::None;
  ValueRules rules;
  /// Reads `value` into the record of the scope; null for ignored rows and loader actions.
  void (*apply)(Value& value, void* record) = nullptr;
  /// Appends the member's value, one entry per line that would set it.
  void (*format)(const void* record, std::vector<std::string>& out) = nullptr;
  /// The same for a default-made record.
  void (*format_default)(std::vector<std::string>& out) = nullptr;

  [[nodiscard]] bool has(DirectiveFlags flag) const { return (flags & flag) != 0; }
  [[nodiscard]] bool allowed_in(Scope scope) const { return (scopes & in(scope)) != 0; }
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
};

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
  [[nodiscard]] std::size_t index_of(const Directive& row) const { return static_cast<std::size_t>(&row - rows_.data()); }
  /// Nearest known name of a directive in `scope`, or elsewhere when none is near; empty when nothing is close.
  [[nodiscard]] std::string_view nearest(std::string_view name, Scope scope) const;
  [[nodiscard]] std::string_view nearest_block(std::string_view tag) const;

 private:
  DirectiveTable();
  std::vector<Directive> rows_;
  std::span<const BlockKind> blocks_;
  std::vector<std::pair<std::string_view, std::uint32_t>> by_name_;  ///< sorted by name
};

/// "<domain>", "the top level".
[[nodiscard]] std::string describe(Scope scope);
/// The block a directive belongs to, for "belongs in <domain>".
[[nodiscard]] std::string describe(ScopeMask scopes);
[[nodiscard]] std::string_view name_of(Since since);

/// Nearest of `names` by edit distance, at most a third of the letters wrong; empty when none is close.
[[nodiscard]] std::string_view nearest_name(std::string_view name, std::span<const std::string_view> names);

/// docs/directives.md, rendered from the table.
[[nodiscard]] std::string directive_manual();

// --- how rows are written -------------------------------------------------------------------------------------------

struct RowOptions {
  Since since = Since::Guide;
  DirectiveFlags flags = 0;
  std::uint64_t min = 0;
  std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
  bool zero_is_unlimited = false;
  std::string_view grammar = {};
  std::string_view default_text = {};
  std::string_view replacement = {};
  ScopeMask scopes = 0;  ///< 0: all scopes of the record
};

namespace rows {

template <class Record>
inline constexpr ScopeMask kScopesOf = 0;
template <> inline constexpr ScopeMask kScopesOf<GlobalSettings> = in(Scope::Global);
template <> inline constexpr ScopeMask kScopesOf<Spool> = in(Scope::Spool);
template <> inline constexpr ScopeMask kScopesOf<SourceSettings> = in(Scope::Source);
template <> inline constexpr ScopeMask kScopesOf<SmtpUser> = in(Scope::SmtpUser);
template <> inline constexpr ScopeMask kScopesOf<SourceGroup> = in(Scope::SourceGroup);
template <> inline constexpr ScopeMask kScopesOf<SmtpListener> = in(Scope::SmtpListener);
template <> inline constexpr ScopeMask kScopesOf<DomainSettings> = in(Scope::Domain);
template <> inline constexpr ScopeMask kScopesOf<IdentitySettings> = in(Scope::Vmta, Scope::Pool);
template <> inline constexpr ScopeMask kScopesOf<AcctFile> = in(Scope::AcctFile);
template <> inline constexpr ScopeMask kScopesOf<ReplyList> = in(Scope::ReplyList);
template <> inline constexpr ScopeMask kScopesOf<ReportProcessor> =
    in(Scope::BounceProcessor, Scope::FeedbackLoopProcessor);
template <> inline constexpr ScopeMask kScopesOf<DnsSettings> = in(Scope::Dns);
template <> inline constexpr ScopeMask kScopesOf<TransmissionsApi> = in(Scope::TransmissionsApi);
template <> inline constexpr ScopeMask kScopesOf<ApiListener> = in(Scope::ApiListener);
template <> inline constexpr ScopeMask kScopesOf<Proxy> = in(Scope::Proxy);
template <> inline constexpr ScopeMask kScopesOf<Vault> = in(Scope::Vault);
template <> inline constexpr ScopeMask kScopesOf<RewriteList> = in(Scope::RewriteList);
template <> inline constexpr ScopeMask kScopesOf<DomainKeyList> = in(Scope::DomainKeyList);
template <> inline constexpr ScopeMask kScopesOf<BounceActionList> = in(Scope::BounceActions);

template <class M>
struct MemberOf;
template <class O, class T>
struct MemberOf<T O::*> {
  using Owner = O;
  using Type = T;
};

template <auto First, auto... Rest>
struct Path {
  using Owner = typename MemberOf<decltype(First)>::Owner;
  static auto& get(Owner& owner) {
    if constexpr (sizeof...(Rest) == 0) return owner.*First;
    else return Path<Rest...>::get(owner.*First);
  }
  static const auto& get(const Owner& owner) {
    if constexpr (sizeof...(Rest) == 0) return owner.*First;
    else return Path<Rest...>::get(owner.*First);
  }
  using Type = std::remove_cvref_t<decltype(get(std::declval<Owner&>()))>;
};

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {
  using Item = T;
};

/// Longest list a value may hold; TIME lists have PowerMTA's own bound of 30.
inline constexpr std::size_t kListItemsMax = 4096;
inline constexpr std::size_t kTimeListItemsMax = 30;

template <class P>
void format_member(const typename P::Owner& record, std::vector<std::string>& out, bool one_per_line) {
  const auto& member = P::get(record);
  using Type = typename P::Type;
  if constexpr (IsVector<Type>::value) {
    using Item = typename IsVector<Type>::Item;
    std::string joined;
    for (const Item& item : member) {
      if (one_per_line) out.push_back(Codec<Item>::format(item));
      else joined += (joined.empty() ? "" : ",") + Codec<Item>::format(item);
    }
    if (!one_per_line) out.push_back(joined.empty() ? "\"\"" : joined);
  } else {
    out.push_back(Codec<Type>::format(member));
  }
}

/// A member that holds one value; the last line counts. A vector is a comma list.
template <class P>
void apply_one(Value& value, void* record) {
  using Type = typename P::Type;
  auto& owner = *static_cast<typename P::Owner*>(record);
  if constexpr (IsVector<Type>::value) {
    using Item = typename IsVector<Type>::Item;
    Type items;
    constexpr std::size_t max = std::is_same_v<Item, Duration> ? kTimeListItemsMax : kListItemsMax;
    if (value.text() != "\"\"") {
      for (const std::string_view token : split_list(value.text())) {
        auto item = Codec<Item>::parse(token, value);
        if (!item) return;
        if (items.size() == max) return value.fail(token, "too many entries", "at most " + std::to_string(max));
        items.push_back(std::move(*item));
      }
      if (items.empty()) return value.fail(value.text(), "argument missing", std::string(Codec<Item>::kGrammar));
    }
    P::get(owner) = std::move(items);
  } else {
    auto item = Codec<Type>::parse(value.text(), value);
    if (item && !value.failed()) P::get(owner) = std::move(*item);
  }
}

/// A member every line of the directive adds one item to.
template <class P>
void apply_more(Value& value, void* record) {
  using Item = typename IsVector<typename P::Type>::Item;
  auto item = Codec<Item>::parse(value.text(), value);
  if (item && !value.failed()) P::get(*static_cast<typename P::Owner*>(record)).push_back(std::move(*item));
}

/// The same, each line a comma list.
template <class P>
void apply_more_list(Value& value, void* record) {
  using Item = typename IsVector<typename P::Type>::Item;
  auto& items = P::get(*static_cast<typename P::Owner*>(record));
  if (value.text() == "\"\"") return items.clear();
  for (const std::string_view token : split_list(value.text())) {
    auto item = Codec<Item>::parse(token, value);
    if (!item) return;
    items.push_back(std::move(*item));
  }
}

template <class T>
constexpr std::string_view grammar_of() {
  if constexpr (std::is_same_v<T, std::vector<Duration>>) return "TIME[,TIME...]";
  else if constexpr (IsVector<T>::value) return Codec<typename IsVector<T>::Item>::kGrammar;
  else return Codec<T>::kGrammar;
}

template <class P>
Directive member_row(std::string_view name, std::string_view doc, const RowOptions& o, bool more) {
  Directive row;
  row.name = name;
  row.scopes = o.scopes != 0 ? o.scopes : kScopesOf<typename P::Owner>;
  row.doc = doc;
  row.grammar = !o.grammar.empty() ? o.grammar : grammar_of<typename P::Type>();
  row.replacement = o.replacement;
  row.default_text = o.default_text;
  row.since = o.since;
  row.flags = o.flags;
  row.rules = {o.min, o.max, o.zero_is_unlimited};
  if (more) {
    row.flags |= kRepeats;
    row.format = [](const void* record, std::vector<std::string>& out) {
      format_member<P>(*static_cast<const typename P::Owner*>(record), out, true);
    };
    row.format_default = [](std::vector<std::string>& out) { format_member<P>(typename P::Owner{}, out, true); };
  } else {
    if constexpr (IsVector<typename P::Type>::value) row.flags |= kList;
    row.format = [](const void* record, std::vector<std::string>& out) {
      format_member<P>(*static_cast<const typename P::Owner*>(record), out, false);
    };
    row.format_default = [](std::vector<std::string>& out) { format_member<P>(typename P::Owner{}, out, false); };
  }
  return row;
}

/// One value, last line wins: `one<&DomainSettings::max_smtp_out>("max-smtp-out", "connections per queue")`.
template <auto... Members>
Directive one(std::string_view name, std::string_view doc, const RowOptions& o = {}) {
  Directive row = member_row<Path<Members...>>(name, doc, o, false);
  row.apply = &apply_one<Path<Members...>>;
  return row;
}

/// Each line adds one item.
template <auto... Members>
Directive more(std::string_view name, std::string_view doc, const RowOptions& o = {}) {
  Directive row = member_row<Path<Members...>>(name, doc, o, true);
  row.apply = &apply_more<Path<Members...>>;
  return row;
}

/// Each line adds a comma list.
template <auto... Members>
Directive more_list(std::string_view name, std::string_view doc, const RowOptions& o = {}) {
  Directive row = member_row<Path<Members...>>(name, doc, o, true);
  row.flags |= kList;
  row.apply = &apply_more_list<Path<Members...>>;
  return row;
}

template <class F>
struct CustomOwner;
template <class Record>
struct CustomOwner<void (*)(Value&, Record&)> {
  using type = Record;
};

/// A row whose text is read by a function of its own: `custom<&apply_shards>("shards", ...)`.
template <auto Apply>
Directive custom(std::string_view name, std::string_view doc, const RowOptions& o = {}) {
  using Record = typename CustomOwner<decltype(Apply)>::type;
  Directive row;
  row.name = name;
  row.scopes = o.scopes != 0 ? o.scopes : kScopesOf<Record>;
  row.doc = doc;
  row.grammar = o.grammar;
  row.replacement = o.replacement;
  row.default_text = o.default_text;
  row.since = o.since;
  row.flags = o.flags;
  row.rules = {o.min, o.max, o.zero_is_unlimited};
  row.apply = [](Value& value, void* record) { Apply(value, *static_cast<Record*>(record)); };
  return row;
}

/// The row of a member, but with its text read by a function of its own.
template <auto Apply>
Directive read_by(Directive row) {
  using Record = typename CustomOwner<decltype(Apply)>::type;
  row.apply = [](Value& value, void* record) { Apply(value, *static_cast<Record*>(record)); };
  return row;
}

/// The row of a member that is printed by a function of its own: `printed_by<&format_shards>(...)`.
template <auto Format, class Record>
Directive printed_by(Directive row) {
  row.format = [](const void* record, std::vector<std::string>& out) {
    out.push_back(Format(*static_cast<const Record*>(record)));
  };
  row.format_default = [](std::vector<std::string>& out) { out.push_back(Format(Record{})); };
  return row;
}

/// Accepted, without effect.
Directive ignored(std::string_view name, ScopeMask scopes, std::string_view doc, const RowOptions& o = {});
/// Read by the loader.
Directive loader(std::string_view name, ScopeMask scopes, LoaderAction action, std::string_view doc, const RowOptions& o);

void append_global(std::vector<Directive>& out);
void append_http(std::vector<Directive>& out);
void append_source(std::vector<Directive>& out);
void append_domain(std::vector<Directive>& out);
void append_identity(std::vector<Directive>& out);
void append_accounting(std::vector<Directive>& out);
void append_lists(std::vector<Directive>& out);
void append_bounce_actions(std::vector<Directive>& out);
[[nodiscard]] std::span<const BlockKind> block_kinds();

}  // namespace rows

#define SLUICE_ENUM_WORDS(E, grammar, ...)                                         \
  template <>                                                                      \
  struct EnumWords<E> {                                                            \
    static constexpr std::string_view kGrammar = grammar;                          \
    static constexpr std::pair<std::string_view, E> kWords[] = {__VA_ARGS__};      \
  }

SLUICE_ENUM_WORDS(QueueType, "smtp|pipe|file|discard|http-delivery", {"smtp", QueueType::Smtp},
                  {"pipe", QueueType::Pipe}, {"file", QueueType::File}, {"discard", QueueType::Discard},
                  {"http-delivery", QueueType::HttpDelivery});
SLUICE_ENUM_WORDS(FileFormat, "newfile-plain|newfile-pickup|append-mbox", {"newfile-plain", FileFormat::NewfilePlain},
                  {"newfile-pickup", FileFormat::NewfilePickup}, {"append-mbox", FileFormat::AppendMbox});
SLUICE_ENUM_WORDS(DkimSign, "BOOLEAN|if-x-dkim-options-present", {"no", DkimSign::No}, {"yes", DkimSign::Yes},
                  {"false", DkimSign::No}, {"true", DkimSign::Yes},
                  {"if-x-dkim-options-present", DkimSign::IfOptionsPresent});
SLUICE_ENUM_WORDS(DkimAlgorithm, "rsa-sha256|rsa-sha1", {"rsa-sha256", DkimAlgorithm::RsaSha256},
                  {"rsa-sha1", DkimAlgorithm::RsaSha1}, {"ed25519-sha256", DkimAlgorithm::Ed25519Sha256});
SLUICE_ENUM_WORDS(Canonicalization, "relaxed|simple", {"relaxed", Canonicalization::Relaxed},
                  {"simple", Canonicalization::Simple});
SLUICE_ENUM_WORDS(DsnFormat, "standard|plain-text", {"standard", DsnFormat::Standard},
                  {"plain-text", DsnFormat::PlainText});
SLUICE_ENUM_WORDS(DsnReturn, "headers|full|system", {"headers", DsnReturn::Headers}, {"full", DsnReturn::Full},
                  {"system", DsnReturn::System});
SLUICE_ENUM_WORDS(AddDateHeader, "no|yes|override", {"no", AddDateHeader::No}, {"yes", AddDateHeader::Yes},
                  {"false", AddDateHeader::No}, {"true", AddDateHeader::Yes}, {"override", AddDateHeader::Override});
SLUICE_ENUM_WORDS(DateHeaderTime, "reception|delivery", {"reception", DateHeaderTime::Reception},
                  {"delivery", DateHeaderTime::Delivery});
SLUICE_ENUM_WORDS(AuthenticationMethod, "password|system|certificate", {"password", AuthenticationMethod::Password},
                  {"system", AuthenticationMethod::System}, {"certificate", AuthenticationMethod::Certificate});
SLUICE_ENUM_WORDS(SortOrder, "rcpt|name|size", {"rcpt", SortOrder::Recipients}, {"name", SortOrder::Name},
                  {"size", SortOrder::Size});

}  // namespace sluice::config
