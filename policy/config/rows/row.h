#pragma once
// How rows of the directive table are written. Only the files of this folder need it.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "policy/base/ascii.h"
#include "policy/config/directive.h"
#include "policy/config/rows/enum_words.h"

namespace sluice::config {

struct RowOptions {
  Since since = Since::Guide;
  DirectiveFlags flags = 0;
  std::uint64_t min = 0;
  std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
  bool zero_is_unlimited = false;
  std::string_view grammar = {};
  std::string_view default_text = {};
  std::string_view replacement = {};
  ScopeMask scopes = 0;           ///< 0: all scopes of the record
  std::string_view members = {};  ///< of rows the loader reads: "Config::mx_rollups"
};

namespace rows {

template <class Record>
inline constexpr ScopeMask kScopesOf = 0;
template <>
inline constexpr ScopeMask kScopesOf<GlobalSettings> = in(Scope::Global);
template <>
inline constexpr ScopeMask kScopesOf<Spool> = in(Scope::Spool);
template <>
inline constexpr ScopeMask kScopesOf<SourceSettings> = in(Scope::Source);
template <>
inline constexpr ScopeMask kScopesOf<SmtpUser> = in(Scope::SmtpUser);
template <>
inline constexpr ScopeMask kScopesOf<SourceGroup> = in(Scope::SourceGroup);
template <>
inline constexpr ScopeMask kScopesOf<SmtpListener> = in(Scope::SmtpListener);
template <>
inline constexpr ScopeMask kScopesOf<DomainSettings> = in(Scope::Domain);
template <>
inline constexpr ScopeMask kScopesOf<IdentitySettings> = in(Scope::Vmta, Scope::Pool);
template <>
inline constexpr ScopeMask kScopesOf<AcctFile> = in(Scope::AcctFile);
template <>
inline constexpr ScopeMask kScopesOf<ReplyList> = in(Scope::ReplyList);
template <>
inline constexpr ScopeMask kScopesOf<ReportProcessor> =
    in(Scope::BounceProcessor, Scope::FeedbackLoopProcessor);
template <>
inline constexpr ScopeMask kScopesOf<DnsSettings> = in(Scope::Dns);
template <>
inline constexpr ScopeMask kScopesOf<TransmissionsApi> = in(Scope::TransmissionsApi);
template <>
inline constexpr ScopeMask kScopesOf<ApiListener> = in(Scope::ApiListener);
template <>
inline constexpr ScopeMask kScopesOf<Proxy> = in(Scope::Proxy);
template <>
inline constexpr ScopeMask kScopesOf<Vault> = in(Scope::Vault);
template <>
inline constexpr ScopeMask kScopesOf<RewriteList> = in(Scope::RewriteList);
template <>
inline constexpr ScopeMask kScopesOf<DomainKeyList> = in(Scope::DomainKeyList);
template <>
inline constexpr ScopeMask kScopesOf<AlertSettings> = in(Scope::Alerts);
template <>
inline constexpr ScopeMask kScopesOf<BounceActionList> = in(Scope::BounceActions);

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
    if constexpr (sizeof...(Rest) == 0)
      return owner.*First;
    else
      return Path<Rest...>::get(owner.*First);
  }
  static const auto& get(const Owner& owner) {
    if constexpr (sizeof...(Rest) == 0)
      return owner.*First;
    else
      return Path<Rest...>::get(owner.*First);
  }
  using Type = std::remove_cvref_t<decltype(get(std::declval<Owner&>()))>;
};

template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {
  using Item = T;
};

/// "DomainSettings::max_smtp_out" of a pointer to that member, as the compiler spells it.
template <auto Member>
std::string member_name() {
  // clang: "... [Member = &ns::Owner::name]"; g++: "... [with auto Member = &ns::Owner::name; ...]".
  std::string_view text = __PRETTY_FUNCTION__;
  text.remove_prefix(text.find("Member = ") + 9);
  text = text.substr(0, text.find_first_of(";]"));
  const std::size_t name = text.rfind("::");
  const std::size_t owner = text.rfind("::", name - 1);
  text.remove_prefix(owner == std::string_view::npos ? text.find_first_not_of("&(") : owner + 2);
  return std::string(text.substr(0, text.find_first_of(") ")));
}

template <auto... Members>
std::string member_names() {
  std::string out;
  ((out += (out.empty() ? "" : " ") + member_name<Members>()), ...);
  return out;
}

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
      if (one_per_line)
        out.push_back(Codec<Item>::format(item));
      else
        joined += (joined.empty() ? "" : ",") + Codec<Item>::format(item);
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
        if (items.size() == max)
          return value.fail(token, "too many entries", "at most " + std::to_string(max));
        items.push_back(std::move(*item));
      }
      if (items.empty())
        return value.fail(value.text(), "argument missing", std::string(Codec<Item>::kGrammar));
    }
    P::get(owner) = std::move(items);
  } else {
    auto item = Codec<Type>::parse(value.text(), value);
    if (item && !value.failed()) P::get(owner) = std::move(*item);
  }
}

/// The row of a limit that some texts write with a word in front: `max-smtp-out tuning 8`.
template <class P>
void apply_tuned(Value& value, typename P::Owner& owner) {
  static constexpr std::string_view kWord = "tuning";
  std::string_view text = value.text();
  if (text.starts_with(kWord)) text = trim(text.substr(kWord.size()));
  auto item = Codec<typename P::Type>::parse(text, value);
  if (item && !value.failed()) P::get(owner) = std::move(*item);
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
  if constexpr (std::is_same_v<T, std::vector<Duration>>)
    return "TIME[,TIME...]";
  else if constexpr (IsVector<T>::value)
    return Codec<typename IsVector<T>::Item>::kGrammar;
  else
    return Codec<T>::kGrammar;
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
  if constexpr (std::is_same_v<typename P::Type, CertificateFile>) row.flags |= kHoldsPassword;
  if (more) {
    row.flags |= kRepeats;
    row.format = [](const void* record, std::vector<std::string>& out) {
      format_member<P>(*static_cast<const typename P::Owner*>(record), out, true);
    };
    row.format_default = [](std::vector<std::string>& out) {
      format_member<P>(typename P::Owner{}, out, true);
    };
  } else {
    if constexpr (IsVector<typename P::Type>::value) row.flags |= kList;
    row.format = [](const void* record, std::vector<std::string>& out) {
      format_member<P>(*static_cast<const typename P::Owner*>(record), out, false);
    };
    row.format_default = [](std::vector<std::string>& out) {
      format_member<P>(typename P::Owner{}, out, false);
    };
  }
  return row;
}

/// One value, last line wins: `one<&DomainSettings::max_smtp_out>("max-smtp-out", "connections per queue")`.
template <auto... Members>
Directive one(std::string_view name, std::string_view doc, const RowOptions& o = {}) {
  Directive row = member_row<Path<Members...>>(name, doc, o, false);
  row.members = member_names<Members...>();
  row.apply = &apply_one<Path<Members...>>;
  return row;
}

/// Each line adds one item.
template <auto... Members>
Directive more(std::string_view name, std::string_view doc, const RowOptions& o = {}) {
  Directive row = member_row<Path<Members...>>(name, doc, o, true);
  row.members = member_names<Members...>();
  row.apply = &apply_more<Path<Members...>>;
  return row;
}

/// Each line adds a comma list.
template <auto... Members>
Directive more_list(std::string_view name, std::string_view doc, const RowOptions& o = {}) {
  Directive row = member_row<Path<Members...>>(name, doc, o, true);
  row.members = member_names<Members...>();
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

/// A row whose text is read by a function of its own, and the members that one fills:
/// `custom<&apply_shards, &GlobalSettings::shards>("shards", ...)`.
template <auto Apply, auto... Members>
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
  row.members = member_names<Members...>();
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
Directive loader(std::string_view name, ScopeMask scopes, LoaderAction action, std::string_view doc,
                 const RowOptions& o);

/// An API key: 32 to 128 letters, digits and underscores.
void apply_key(Value& value, std::vector<std::string>& keys);
/// Appends; out of line, because there are hundreds of calls.
void add(std::vector<Directive>& out, const Directive& row);

}  // namespace rows

}  // namespace sluice::config
