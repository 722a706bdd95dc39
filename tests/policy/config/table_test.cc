// Goal: the directive table is whole: every row is documented, its default reads back as itself, and the
//       members of the flattened structs are all reachable.
// How: walks the table; feeds each row the text it prints for a default-made record.
#include <gtest/gtest.h>

#include <functional>
#include <set>

#include "policy/config/directive.h"

namespace sluice::config {
namespace {

/// A default-made record of a scope that outlives the call.
template <class F>
void with_record(Scope scope, F&& use) {
  GlobalSettings globals;
  Spool spool;
  SourceSettings source;
  SmtpUser user;
  SourceGroup group;
  SmtpListener listener;
  DomainSettings domain;
  IdentitySettings identity;
  AcctFile acct;
  ReplyList replies;
  ReportProcessor processor;
  DnsSettings dns;
  TransmissionsApi api;
  ApiListener api_listener;
  Proxy proxy;
  Vault vault;
  RewriteList rewrite;
  DomainKeyList keys;
  BounceActionList actions;
  AlertSettings alerts;
  switch (scope) {
    case Scope::Global:
    case Scope::Aliases:
    case Scope::HttpMgmt: return use(static_cast<void*>(&globals));
    case Scope::Spool: return use(static_cast<void*>(&spool));
    case Scope::Source: return use(static_cast<void*>(&source));
    case Scope::SmtpUser: return use(static_cast<void*>(&user));
    case Scope::SourceGroup: return use(static_cast<void*>(&group));
    case Scope::SmtpListener: return use(static_cast<void*>(&listener));
    case Scope::Domain: return use(static_cast<void*>(&domain));
    case Scope::Vmta:
    case Scope::Pool: return use(static_cast<void*>(&identity));
    case Scope::AcctFile: return use(static_cast<void*>(&acct));
    case Scope::ReplyList: return use(static_cast<void*>(&replies));
    case Scope::BounceProcessor:
    case Scope::FeedbackLoopProcessor:
    case Scope::EmailPatterns: return use(static_cast<void*>(&processor));
    case Scope::Dns: return use(static_cast<void*>(&dns));
    case Scope::TransmissionsApi: return use(static_cast<void*>(&api));
    case Scope::ApiListener: return use(static_cast<void*>(&api_listener));
    case Scope::Proxy: return use(static_cast<void*>(&proxy));
    case Scope::Vault: return use(static_cast<void*>(&vault));
    case Scope::RewriteList: return use(static_cast<void*>(&rewrite));
    case Scope::DomainKeyList: return use(static_cast<void*>(&keys));
    case Scope::Alerts: return use(static_cast<void*>(&alerts));
    case Scope::BounceActions: return use(static_cast<void*>(&actions));
    default: return;
  }
}

Scope first_scope(const Directive& row) {
  for (std::size_t i = 0; i < kScopeCount; ++i) {
    if (row.allowed_in(static_cast<Scope>(i))) return static_cast<Scope>(i);
  }
  return Scope::Ignored;
}

TEST(Table, EveryRowIsDocumented) {
  for (const Directive& row : DirectiveTable::get().rows()) {
    SCOPED_TRACE(row.name);
    EXPECT_FALSE(row.doc.empty());
    EXPECT_FALSE(row.grammar.empty());
    EXPECT_NE(row.scopes, 0u);
    EXPECT_LE(row.doc.size(), 90u);
    EXPECT_FALSE(row.doc.ends_with('.'));
    EXPECT_TRUE(row.apply != nullptr || row.action != LoaderAction::None || row.has(kIgnored))
        << "does nothing";
    if (row.has(kDeprecated) && !row.has(kIgnored)) EXPECT_FALSE(row.replacement.empty());
    if (row.since == Since::Spelling) EXPECT_FALSE(row.replacement.empty());
  }
}

TEST(Table, DefaultsReadBackAsThemselves) {
  std::size_t checked = 0;
  for (const Directive& row : DirectiveTable::get().rows()) {
    if (row.format == nullptr) continue;
    SCOPED_TRACE(row.name);
    std::vector<std::string> defaults;
    row.format_default(defaults);
    with_record(first_scope(row), [&](void* record) {
      for (const std::string& text : defaults) {
        if (text.empty() || text == "\"\"") continue;
        if (row.default_text == text || !row.default_text.empty()) continue;
        Value value(text, row.rules, {});
        row.apply(value, record);
        ASSERT_FALSE(value.failed()) << text << ": " << value.failure()->message;
      }
      if (row.name == "bounce-rate") return;  // its lines are joined when all are read
      std::vector<std::string> again;
      row.format(record, again);
      EXPECT_EQ(again, defaults);
      ++checked;
    });
  }
  EXPECT_GT(checked, 300u);
}

TEST(Table, EmptyTextClearsStringsAndLists) {
  for (const Directive& row : DirectiveTable::get().rows()) {
    if (row.format == nullptr || row.has(kRepeats) || !row.allowed_in(Scope::Domain)) continue;
    std::vector<std::string> defaults;
    row.format_default(defaults);
    if (defaults.size() != 1 || defaults[0] != "\"\"") continue;
    SCOPED_TRACE(row.name);
    DomainSettings settings;
    Value value("\"\"", row.rules, {});
    row.apply(value, &settings);
    EXPECT_FALSE(value.failed());
    EXPECT_EQ(settings, DomainSettings());
  }
}

TEST(Table, NearestNames) {
  const DirectiveTable& table = DirectiveTable::get();
  EXPECT_EQ(table.nearest("max-smtp-uot", Scope::Domain), "max-smtp-out");
  EXPECT_EQ(table.nearest("retryafter", Scope::Domain), "retry-after");
  EXPECT_EQ(table.nearest("bounce-aftr", Scope::Domain), "bounce-after");
  EXPECT_EQ(table.nearest("zzzzzzzz", Scope::Domain), "");
  EXPECT_EQ(table.nearest_block("virtual-mta-pol"), "virtual-mta-pool");
}

TEST(Table, ManualNamesEveryDirectiveAndBlock) {
  const std::string manual = directive_manual();
  for (const Directive& row : DirectiveTable::get().rows()) {
    if (row.name == "/") continue;
    EXPECT_NE(manual.find("| `" + std::string(row.name) + "` |"), std::string::npos) << row.name;
  }
  for (const BlockKind& kind : DirectiveTable::get().blocks()) {
    EXPECT_NE(manual.find("## `<" + std::string(kind.tag)), std::string::npos) << kind.tag;
  }
  EXPECT_NE(manual.find("| `max-smtp-out` | `N\\|unlimited` | 20 | connections of this queue at a time; "
                        "unit: connections | works |"),
            std::string::npos);
}

TEST(Table, StatesAddUpAndNameTheirReason) {
  const StateCounts counts = count_states();
  std::size_t all = 0;
  for (const Directive& row : DirectiveTable::get().rows()) {
    SCOPED_TRACE(row.name);
    for (std::size_t i = 0; i < kScopeCount; ++i) all += row.allowed_in(static_cast<Scope>(i)) ? 1 : 0;
    EXPECT_FALSE(row.has(kIgnored) && row.reason_out.empty());
    EXPECT_TRUE(row.reason_out.empty() || row.waits.empty()) << "out and to come at the same time";
    for (const Wait& wait : row.waits) EXPECT_FALSE(name_of(wait.capability).empty());
    EXPECT_TRUE(!row.members.empty() || row.has(kIgnored) || row.action != LoaderAction::None);
  }
  EXPECT_EQ(counts.works + counts.to_come + counts.out, all);
  EXPECT_GT(counts.works, 100u);
  const Directive* tls = DirectiveTable::get().find("use-starttls", Scope::Domain);
  ASSERT_NE(tls, nullptr);
  EXPECT_EQ(tls->members, "DomainSettings::use_starttls");
  const Directive* second = DirectiveTable::get().find("second-dkim-identity", Scope::Domain);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->members, "DomainSettings::second_dkim DkimSettings::identity");
}

TEST(Table, HasEveryDocumentedDirectiveOfADomain) {
  // A spot check of names that real files use; the whole set is the manual's business.
  for (const std::string_view name : {"max-smtp-out",
                                      "max-msg-rate",
                                      "max-msg-per-connection",
                                      "retry-after",
                                      "bounce-after",
                                      "smtp-pattern-list",
                                      "queue-to",
                                      "route",
                                      "dk-sign",
                                      "dkim-sign",
                                      "second-dkim-sign",
                                      "second-dkim-identity",
                                      "smtp-hosts",
                                      "type",
                                      "command",
                                      "backoff-retry-after",
                                      "use-starttls",
                                      "smtp-421-means-mx-unavailable",
                                      "source-ip-max-msg-rate",
                                      "deliver-local-dsn"}) {
    EXPECT_NE(DirectiveTable::get().find(name, Scope::Domain), nullptr) << name;
  }
}

}  // namespace
}  // namespace sluice::config
