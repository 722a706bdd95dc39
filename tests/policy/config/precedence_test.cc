// Goal: which value holds where: patterns, scopes, macros, sources; and where each one came from.
// How: one text per rule of the language; the flattened settings are asked directly and through the cache.
#include <gtest/gtest.h>

#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

constexpr std::string_view kText = R"(
domain-macro isp yahoo, aol
domain-macro tld com, de
domain-macro twice listed.example, other.example
<domain *>
  max-smtp-out 10
  max-msg-per-connection 100
  retry-after 30m
</domain>
<domain gmail.com>
  max-smtp-out 11
</domain>
<domain [*.]corp.example>
  max-smtp-out 12
  bounce-after 1d
</domain>
<domain mail.corp.example>
  max-smtp-out 13
</domain>
<domain *.only-sub.example>
  max-smtp-out 14
</domain>
<domain $isp.$tld>
  max-smtp-out 15
</domain>
<domain listed.example>
  max-smtp-out 16
</domain>
<domain $twice>
  max-smtp-out 17
  max-msg-per-connection 17
</domain>
<domain [10/8]>
  max-smtp-out 18
</domain>
<domain [10.1/16]>
  max-smtp-out 19
</domain>
<domain repeated.example>
  max-smtp-out 1
</domain>
<domain Repeated.Example>
  max-smtp-out 20
  max-smtp-out 21
</domain>
<domain corp.example>
  max-msg-per-connection 5
</domain>

<virtual-mta plain>
</virtual-mta>
<virtual-mta own>
  <domain *>
    max-smtp-out 40
  </domain>
</virtual-mta>
<virtual-mta member>
  <domain yahoo.com>
    max-msg-per-connection 3
  </domain>
</virtual-mta>
<virtual-mta-pool pool>
  virtual-mta member
  <domain *>
    max-smtp-out 50
  </domain>
  <domain yahoo.com>
    max-smtp-out 51
    max-msg-per-connection 4
  </domain>
</virtual-mta-pool>
<virtual-mta direct>
  max-smtp-out 99
  max-msg-rate 500/d
  retry-after 15m
  <domain gmail.com>
    retry-after 5m
  </domain>
  <domain *>
    max-msg-rate 100/d
  </domain>
</virtual-mta>
)";

class Precedence : public testing::Test {
 protected:
  void SetUp() override {
    result = load_fragment(kText);
    ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  }
  DomainSettings at(std::string_view domain, std::string_view vmta = kDefaultVmtaName) {
    const auto id = result.config->find_vmta(vmta);
    EXPECT_TRUE(id.has_value());
    DomainSettingsCache cache(result.config);
    const DomainSettings& cached = cache.settings_for(domain, *id);
    EXPECT_EQ(&cached, &cache.settings_for(domain, *id));
    EXPECT_EQ(cached, result.config->flatten(domain, *id));
    return cached;
  }
  LoadResult result;
};

TEST_F(Precedence, Patterns) {
  struct Row {
    std::string_view domain;
    std::uint32_t max_smtp_out;
  };
  constexpr Row kRows[] = {
      {"elsewhere.example", 10}, {"gmail.com", 11},
      {"sub.gmail.com", 10},     {"corp.example", 12},
      {"a.corp.example", 12},    {"x.a.corp.example", 12},
      {"mail.corp.example", 13}, {"xcorp.example", 10},
      {"only-sub.example", 10},  {"a.only-sub.example", 14},
      {"yahoo.com", 15},         {"yahoo.de", 15},
      {"aol.com", 15},           {"aol.fr", 10},
      {"listed.example", 16},    {"other.example", 17},
      {"[10.2.3.4]", 18},        {"[10.1.3.4]", 19},
      {"[11.1.3.4]", 10},        {"repeated.example", 21},
  };
  for (const Row& row : kRows) {
    SCOPED_TRACE(row.domain);
    EXPECT_EQ(at(row.domain).max_smtp_out, row.max_smtp_out);
  }
}

TEST_F(Precedence, SettingsMergeFromGeneralToSpecific) {
  const DomainSettings d = at("mail.corp.example");
  EXPECT_EQ(d.max_smtp_out, 13u);
  EXPECT_EQ(d.bounce_after, 24h);
  EXPECT_EQ(d.max_msg_per_connection, 100u);
  EXPECT_EQ(d.connect_timeout, 2min);
  EXPECT_EQ(at("corp.example").max_msg_per_connection, 5u);
  // The macro's block still gives what the literal one leaves open.
  EXPECT_EQ(at("listed.example").max_msg_per_connection, 17u);
}

TEST_F(Precedence, VmtaOverPoolOverGlobal) {
  EXPECT_EQ(at("gmail.com", "plain").max_smtp_out, 11u);
  EXPECT_EQ(at("gmail.com", "own").max_smtp_out, 40u) << "the VMTA wins even with *";
  EXPECT_EQ(at("gmail.com", "member").max_smtp_out, 50u) << "the pool wins even with *";
  EXPECT_EQ(at("yahoo.com", "member").max_smtp_out, 51u);
  EXPECT_EQ(at("yahoo.com", "member").max_msg_per_connection, 3u);
  EXPECT_EQ(at("yahoo.com", "own").max_msg_per_connection, 100u);
}

TEST_F(Precedence, DomainDirectivesStraightInAVmta) {
  const DomainSettings gmail = at("gmail.com", "direct");
  EXPECT_EQ(gmail.retry_after, std::vector<Duration>{5min});
  EXPECT_EQ(gmail.max_smtp_out, 11u) << "max-smtp-out of a VMTA is its own limit, not the queue's";
  EXPECT_EQ(gmail.max_msg_rate, (Rate{100, 24h}))
      << "a <domain *> of the VMTA beats what stands outside of it";
  EXPECT_EQ(at("other.com", "direct").retry_after, std::vector<Duration>{15min});
  EXPECT_EQ(result.config->vmta(*result.config->find_vmta("direct")).settings.max_smtp_out, 99u);
}

TEST_F(Precedence, BackoffRatesFallBackToTheNormalOnes) {
  EXPECT_EQ(at("x.com", "direct").backoff_max_msg_rate, (Rate{100, 24h}));
  const LoadResult set = load_fragment(
      "<domain *>\nbackoff-max-msg-rate unlimited\nmax-msg-rate 5/s\nmax-connect-rate 9/m\n</domain>\n");
  const DomainSettings d = set.config->flatten("x.com", kDefaultVmta);
  EXPECT_EQ(d.backoff_max_msg_rate, std::nullopt);
  EXPECT_EQ(d.backoff_max_connect_rate, (Rate{9, 1min}));
}

TEST_F(Precedence, CacheHoldsOneObjectPerChain) {
  DomainSettingsCache cache(result.config);
  const DomainSettings& a = cache.settings_for("a.com", kDefaultVmta);
  EXPECT_EQ(&a, &cache.settings_for("b.com", kDefaultVmta));
  EXPECT_EQ(&a, &cache.settings_for("c.com", *result.config->find_vmta("plain")));
  EXPECT_NE(&a, &cache.settings_for("c.com", *result.config->find_vmta("own")));
  EXPECT_EQ(cache.distinct(), 2u);
}

TEST_F(Precedence, ExplainNamesFileAndLine) {
  const auto all = result.config->explain("yahoo.com", *result.config->find_vmta("member"));
  const auto find = [&](std::string_view name) {
    for (const SettingOrigin& item : all) {
      if (item.directive == name) return item;
    }
    return SettingOrigin{};
  };
  EXPECT_EQ(find("max-smtp-out").value, "51");
  EXPECT_EQ(find("max-smtp-out").block, "<domain yahoo.com> in <virtual-mta-pool pool>");
  EXPECT_EQ(find("max-msg-per-connection").block, "<domain yahoo.com> in <virtual-mta member>");
  EXPECT_EQ(find("retry-after").origin->line, 8u);
  EXPECT_EQ(result.config->files[find("retry-after").origin->file], kMain);
  EXPECT_EQ(find("bounce-after").block, "default");
  EXPECT_FALSE(find("bounce-after").origin.has_value());
}

TEST(Sources, MoreSpecificNetworksWinThenTheNamedSource) {
  const LoadResult result = load_fragment(R"(
<source 10.0.0.5>
  max-message-size 1M
</source>
<source 0/0>
  always-allow-relaying no
  max-message-size 10M
  process-x-job yes
</source>
<source 10/8>
  always-allow-relaying yes
  max-message-size 5M
</source>
<source ::1>
  smtp-service no
</source>
<source {auth}>
  default-virtual-mta v1
  process-x-job no
</source>
<source app1>
  default-virtual-mta v2
</source>
<virtual-mta v1>
</virtual-mta>
<virtual-mta v2>
</virtual-mta>
)");
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  const auto at = [&](std::string_view ip, std::string_view name = {}) {
    return result.config->resolve_source(*IpAddress::parse(ip), name);
  };
  EXPECT_EQ(at("10.0.0.5").max_message_size, ByteCount{kMiB});
  EXPECT_TRUE(at("10.0.0.5").always_allow_relaying);
  EXPECT_TRUE(at("10.0.0.5").process_x_job);
  EXPECT_EQ(at("10.9.9.9").max_message_size, ByteCount{5 * kMiB});
  EXPECT_FALSE(at("192.0.2.1").always_allow_relaying);
  EXPECT_TRUE(at("2001:db8::1").process_x_job) << "0/0 holds IPv6 too";
  EXPECT_FALSE(at("::1").smtp_service);
  EXPECT_FALSE(at("10.0.0.5", "{AUTH}").process_x_job);
  EXPECT_EQ(at("10.0.0.5", "app1").default_virtual_mta, "v2");
  EXPECT_EQ(at("10.0.0.5").default_virtual_mta, "{default}");
  EXPECT_EQ(result.config->resolve_named_source("app1").max_message_size, std::nullopt);
  EXPECT_TRUE(result.config->has_source("App1"));
  EXPECT_FALSE(result.config->has_source("10/8"));
  for (const SettingOrigin& item : result.config->explain_source(*IpAddress::parse("10.0.0.5"))) {
    if (item.directive == "max-message-size") EXPECT_EQ(item.origin->line, 3u);
  }
}

TEST(Macros, LoopsAndUnknownNamesAreErrors) {
  const auto first = [](std::string_view text) {
    const LoadResult result = load_fragment(text);
    EXPECT_FALSE(result.ok());
    return result.diagnostics.empty() ? std::string() : result.diagnostics[0].message;
  };
  EXPECT_EQ(first("domain-macro a $b\ndomain-macro b $a\n"), "domain macro \"b\" uses itself");
  EXPECT_EQ(first("domain-macro a $a\n"), "domain macro \"a\" uses itself");
  const LoadResult part = load_fragment("<domain $nope>\n</domain>\n");
  EXPECT_TRUE(part.ok()) << "another part of the configuration may define it";
  ASSERT_EQ(part.diagnostics.size(), 1u);
  EXPECT_EQ(part.diagnostics[0].message, "domain macro \"nope\" is not defined here");
  EXPECT_FALSE(load_whole("log-file /l\n<spool /s>\n</spool>\n<domain $nope>\n</domain>\n").ok());
  EXPECT_EQ(first("domain-macro a-b x\n"), "not a name for a macro");
}

TEST(Macros, BombsAreDefused) {
  std::string longer = "domain-macro m0 abcdefgh\n", more = "domain-macro n0 a,b\n",
              deep = "domain-macro d0 a\n";
  for (int i = 1; i <= 60; ++i) {
    const std::string n = std::to_string(i), before = std::to_string(i - 1);
    longer += "domain-macro m" + n + " $m" + before + "$m" + before + "\n";
    more += "domain-macro n" + n + " $n" + before + ".$n" + before + "\n";
  }
  for (int i = 1; i <= 3000; ++i)
    deep += "domain-macro d" + std::to_string(i) + " $d" + std::to_string(i - 1) + "\n";
  for (const std::string& text :
       {longer + "<domain $m60>\n</domain>\n", more, deep + "<domain $d3000>\n</domain>\n"}) {
    EXPECT_FALSE(load_fragment(text).ok());
  }
}

TEST(Macros, UseEachOtherAndWorkEverywhere) {
  const LoadResult result = load_fragment(R"(
domain-macro small a.example, $more
domain-macro more b.example, c.example
relay-domain $small
relay-domain [*.]d.example
domain-key s1,$more,/k
<domain $small>
  max-smtp-out 2
</domain>
)");
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  EXPECT_EQ(result.config->flatten("c.example", kDefaultVmta).max_smtp_out, 2u);
  EXPECT_EQ(result.config->globals.relay_domain.size(), 4u);
  ASSERT_EQ(result.config->globals.domain_key.size(), 2u);
  EXPECT_EQ(result.config->globals.domain_key[1].domain, "c.example");
}

TEST(Pools, Mistakes) {
  const auto first = [](std::string_view text) {
    const LoadResult result = load_whole(
        std::string("log-file /l\npostmaster p@e.example\n<spool /s>\n</spool>\n") + std::string(text));
    EXPECT_FALSE(result.ok());
    for (const Diagnostic& d : result.diagnostics) {
      if (d.severity == Severity::Error) return d.message;
    }
    return std::string();
  };
  EXPECT_EQ(
      first("<virtual-mta a>\n</virtual-mta>\n<virtual-mta-pool A>\nvirtual-mta a\n</virtual-mta-pool>\n"),
      "\"A\" names both a virtual MTA and a pool");
  EXPECT_EQ(first("<virtual-mta a>\n</virtual-mta>\n"
                  "<virtual-mta-pool p>\nvirtual-mta a\n<domain *>\n</domain>\n</virtual-mta-pool>\n"
                  "<virtual-mta-pool q>\nvirtual-mta a\n<domain *>\n</domain>\n</virtual-mta-pool>\n"),
            "virtual MTA \"a\" is in two pools with <domain> blocks, \"p\" and \"q\"");
}

TEST(Pools, OneVmtaInTwoPoolsIsFineWithoutDomains) {
  const LoadResult result = load_fragment(
      "<virtual-mta a>\n</virtual-mta>\n<virtual-mta-pool p>\nvirtual-mta a weight=2\n</virtual-mta-pool>\n"
      "<virtual-mta-pool q>\nvirtual-mta a\n</virtual-mta-pool>\n");
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  const Pool& pool = result.config->pool(*result.config->find_pool("P"));
  ASSERT_EQ(pool.settings.members.size(), 1u);
  EXPECT_EQ(pool.settings.members[0].id, *result.config->find_vmta("a"));
  EXPECT_EQ(pool.settings.members[0].weight, 2u);
}

TEST(Identities, DefaultIsAlwaysThere) {
  const LoadResult result = load_fragment(
      "<virtual-mta {default}>\nmax-smtp-out 7\n<domain *>\nmax-smtp-out 3\n</domain>\n</virtual-mta>\n");
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  EXPECT_EQ(result.config->find_vmta("{Default}"), kDefaultVmta);
  EXPECT_EQ(result.config->vmtas.size(), 1u);
  EXPECT_EQ(result.config->vmtas[0].settings.max_smtp_out, 7u);
  EXPECT_EQ(result.config->flatten("x.com", kDefaultVmta).max_smtp_out, 3u);
}

}  // namespace
}  // namespace sluice::config
