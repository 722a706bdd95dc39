// Goal: a provider file becomes the Internet it describes; a mistake is told with its line.
// How: texts in, values out.
#include "bench/provider/provider_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::bench {
namespace {

using ::testing::HasSubstr;

constexpr std::string_view kSample = R"(
seed 42           # chance
port 2525
ttl 60
provider gmail
  domain gmail.example googlemail.example d[0-99999].bulk.example
  mx 10 MX1.gmail.example. 127.0.1.1 127.0.1.2
  mx 20 mx2.gmail.example 127.0.1.[10-12]:2526 [::1]:25
  connections 100
  connections-per-source 20 "421 4.7.28 slow down"
  message-rate-per-source 100/s
  greylist 60s
  unknown-users 2.5% "550 5.1.1 who?"
  no-extension CHUNKING
  extension "LIMITS RCPTMAX=1"
  at greeting delay 10ms..50ms
  at rcpt 1% of-addresses reply "451 4.3.2 try later"
  at dot every 1000 accept-and-drop
  at body after 4k during 10s..70s pause-until 70s
  at data raw "354-" repeat 10 "x" "\r\n354 go\r\n"
  expect connections-per-source 20
  dns 50% servfail
end
provider plain
  domain *.plain.example
  address 127.0.2.1
end
record TXT _dmarc.gmail.example "v=DMARC1; p=none" ttl 5
record MX odd.example 10 192.0.2.1
dns-fault slow.example delay 2s
)";

TEST(ProviderFile, Sample) {
  const auto internet = parse_provider_file(kSample);
  ASSERT_TRUE(internet) << internet.error();
  EXPECT_EQ(internet->seed, 42U);
  EXPECT_EQ(internet->port, 2525);
  EXPECT_EQ(internet->ttl_seconds, 60U);
  ASSERT_EQ(internet->providers.size(), 2U);
  const Provider& gmail = internet->providers[0];
  EXPECT_EQ(gmail.domains.size(), 3U);
  ASSERT_EQ(gmail.mx.size(), 2U);
  EXPECT_EQ(gmail.mx[0].name, "mx1.gmail.example");
  EXPECT_EQ(gmail.mx[1].addresses.size(), 4U);
  EXPECT_EQ(gmail.mx[1].addresses[2].text(), "127.0.1.12:2526");
  EXPECT_EQ(gmail.connections->value, 100U);
  EXPECT_EQ(gmail.connections_per_source->reply, "421 4.7.28 slow down");
  EXPECT_EQ(gmail.message_rate_per_source->value, (Rate{100, 1s}));
  EXPECT_EQ(gmail.unknown_users->value.millionths, 25'000U);
  EXPECT_FALSE(gmail.extensions.chunking);
  EXPECT_EQ(gmail.extensions.others, std::vector<std::string>{"LIMITS RCPTMAX=1"});
  EXPECT_EQ(gmail.expect_connections_per_source, 20U);
  ASSERT_EQ(internet->faults.size(), 4U);  // one for each of gmail's domains, and the single one
}

TEST(ProviderFile, Rules) {
  const auto internet = parse_provider_file(kSample);
  const auto rules = [&](Phase phase) {
    return internet->providers[0].rules[static_cast<std::size_t>(phase)];
  };
  ASSERT_EQ(rules(Phase::Greeting).size(), 1U);
  EXPECT_EQ(rules(Phase::Greeting)[0].action.time, (DurationRange{10ms, 50ms}));
  EXPECT_TRUE(rules(Phase::Rcpt)[0].by_address);
  EXPECT_EQ(rules(Phase::Rcpt)[0].share.millionths, 10'000U);
  EXPECT_EQ(rules(Phase::Dot)[0].every, 1000U);
  EXPECT_EQ(rules(Phase::Dot)[0].action.kind, Action::Kind::AcceptAndDrop);
  EXPECT_EQ(rules(Phase::Body)[0].after_bytes, 4096U);
  EXPECT_EQ(rules(Phase::Body)[0].during, (DurationRange{10s, 70s}));
  ASSERT_EQ(rules(Phase::Data)[0].action.parts.size(), 3U);
  EXPECT_EQ(rules(Phase::Data)[0].action.parts[1].times, 10U);
}

TEST(ProviderFile, MistakesTellTheirLine) {
  struct Row {
    const char* text;
    const char* says;
  };
  const Row rows[] = {
      {"sed 1", "line 1: unknown word 'sed'"},
      {"\n\nseed x", "line 3"},
      {"domain a.example", "between 'provider NAME' and 'end'"},
      {"provider a\nend", "neither domain nor any-domain"},
      {"provider a\nany-domain", "has no 'end'"},
      {"provider a\nany-domain\nend\nprovider a", "of this name already"},
      {"provider a\nmx ten b 127.0.0.1", "line 2"},
      {"provider a\nmx 10 b 127.0.0", "'127.0.0' is not an address"},
      {"provider a\nat nowhere drop", "unknown phase 'nowhere'"},
      {"provider a\nat dot explode", "unknown action 'explode'"},
      {"provider a\nat dot 5%", "action is missing"},
      {"provider a\nat dot reply \"oops\"", "does not begin with a code"},
      {"provider a\nat rcpt pause 1s", "belong to 'at body'"},
      {"provider a\nat mail accept-and-drop", "belongs to 'at dot'"},
      {"provider a\nat dot drop now", "'now' is too much"},
      {"provider a\nno-extension FROBNICATE", "FROBNICATE"},
      {"provider a\ndns explode", "unknown DNS fault 'explode'"},
      {"provider a\ndns many-mx", "wants an argument"},
      {"record A x.example ::1", "no such address"},
      {"record LOC x.example y", "unknown record type"},
      {"provider a\nbanner \"open", "quote is not closed"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.text);
    const auto internet = parse_provider_file(row.text);
    ASSERT_FALSE(internet);
    EXPECT_THAT(internet.error(), HasSubstr(row.says));
  }
}

}  // namespace
}  // namespace sluice::bench
