// Goal: what a configuration says about its host is held against the host, and each finding names its line.
// How: a host made of maps.
#include <gtest/gtest.h>

#include "policy/config/facts.h"
#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

class MadeUpHost : public HostFacts {
 public:
  std::map<std::string, FileFact> files;
  std::map<std::string, KeyFact> keys;
  std::vector<IpAddress> addresses;
  std::map<std::string, Resolves> names;
  std::vector<Endpoint> servers;  ///< that were asked
  std::set<std::string> users;
  bool root = true;
  bool is_root() override { return root; }
  bool has_user(const std::string& name) override { return users.contains(name); }
  FileFact file(const std::string& path) override {
    const auto it = files.find(path);
    return it == files.end() ? FileFact{FileFact::Kind::Missing, false} : it->second;
  }
  KeyFact key(const std::string& path) override { return keys.at(path); }
  std::vector<IpAddress> local_addresses() override { return addresses; }
  std::vector<Resolves> resolve(std::span<const std::string> asked, std::span<const Endpoint> at) override {
    servers.assign(at.begin(), at.end());
    std::vector<Resolves> out;
    for (const std::string& name : asked) {
      const auto it = names.find(name);
      out.push_back(it == names.end() ? Resolves::Yes : it->second);
    }
    return out;
  }
  std::optional<std::string> regex_error(std::string_view pattern) override {
    return pattern.find('(') == std::string_view::npos ? std::nullopt
                                                       : std::optional<std::string>("missing )");
  }
};

std::vector<Diagnostic> findings(std::string_view text, MadeUpHost& host) {
  MapFiles files;
  files.files[std::string(kMain)] = text;
  const LoadResult loaded =
      load_config(kMain, files, {.lenient = false, .fragment = true, .defaults_path = {}});
  EXPECT_TRUE(loaded.ok()) << format(loaded.diagnostics);
  if (!loaded.ok()) return {};
  std::vector<Diagnostic> out = check_regexes(*loaded.config, host, files);
  for (Diagnostic& one : check_host(*loaded.config, host, files)) out.push_back(std::move(one));
  return out;
}

/// The only finding about `line`, which says `message`; nothing where none is expected, or the test has failed.
std::optional<Diagnostic> finding_of(std::string_view line, std::string_view message, MadeUpHost& host) {
  const auto found = findings("\n" + std::string(line) + "\n", host);
  EXPECT_EQ(found.size(), message.empty() ? 0u : 1u) << line << '\n' << format(found);
  if (found.size() != 1) return std::nullopt;
  EXPECT_EQ(found[0].message, message) << line;
  return found[0];
}

TEST(HostChecks, EveryFinding) {
  MadeUpHost host;
  using File = FileFact::Kind;
  using Key = KeyFact::Kind;
  host.addresses = {*IpAddress::parse("192.0.2.1"), *IpAddress::parse("2001:db8::1")};
  for (const char* path : {"/k512", "/k1024", "/k2048", "/ked", "/kx", "/kenc", "/kno"})
    host.files[path] = {File::File, false};
  host.files["/kdir"] = {File::Folder, false};
  host.files["/kroot"] = {File::Unreadable, false};
  host.files["/spool-ro"] = {File::Folder, false};
  host.files["/spool"] = {File::Folder, true};
  host.keys = {{"/k512", {Key::Rsa, 512}},  {"/k1024", {Key::Rsa, 1024}}, {"/k2048", {Key::Rsa, 2048}},
               {"/ked", {Key::Ed25519, 0}}, {"/kx", {Key::Other, 0}},     {"/kenc", {Key::Encrypted, 0}},
               {"/kno", {Key::NotAKey, 0}}};
  host.names = {{"gone.example", HostFacts::Resolves::No}, {"slow.example", HostFacts::Resolves::Unknown}};
  struct Row {
    std::string_view line, message;  ///< empty: nothing to say
  };
  constexpr Row kRows[] = {
      {"domain-key s,a.example,/k512", "DKIM key \"/k512\" has 512 bits; receivers ignore keys under 1024"},
      {"domain-key s,a.example,/k1024", "DKIM key \"/k1024\" has 1024 bits; 2048 are advised"},
      {"domain-key s,a.example,/k2048", ""},
      {"domain-key s,a.example,/ked", ""},
      {"domain-key s,a.example,/kx", "DKIM key \"/kx\" is neither RSA nor Ed25519"},
      {"domain-key s,a.example,/kenc", "DKIM key \"/kenc\" is protected by a password"},
      {"domain-key s,a.example,/kno", "DKIM key \"/kno\" holds no private key"},
      {"domain-key s,a.example,/kdir", "DKIM key \"/kdir\" is a folder"},
      {"domain-key s,a.example,/kroot", "DKIM key \"/kroot\" cannot be read"},
      {"domain-key s,a.example,/nowhere", "DKIM key \"/nowhere\" does not exist"},
      {"domain-key s,a.example,{vault}:/v1/p/data/n:k", ""},
      {"dkim-sign domain=\"a.example\" key-file=\"/missing\" selector=\"s\"",
       "DKIM key \"/missing\" does not exist"},
      {"smtp-source-host 192.0.2.1 a.example", ""},
      {"smtp-source-host 192.0.2.9 a.example", "source IP 192.0.2.9 is not an address of this host"},
      {"smtp-source-host 127.0.0.9 a.example", ""},
      {"smtp-source-host 192.0.2.0/29 a.example", ""},
      {"smtp-source-host 198.51.100.0/24 a.example", "no address of this host is in 198.51.100.0/24"},
      {"smtp-source-host 2001:db8::1 gone.example", "EHLO name \"gone.example\" does not resolve"},
      {"smtp-source-host 192.0.2.1 slow.example", ""},
      {"include-headers-from /nowhere", "include-headers-from \"/nowhere\" does not exist"},
      {"spool /spool", ""},
      {"spool /spool-ro", "spool \"/spool-ro\" cannot be written by the user that runs this check"},
      {"spool /k512", "spool \"/k512\" is not a folder"},
      {"spool /made-at-start", ""},
      {"pickup /spool /spool-ro", "pickup \"/spool-ro\" cannot be written by the user that runs this check"},
      {"pickup /nowhere /spool", "pickup \"/nowhere\" does not exist"},
      {"pickup /spool /k512", "pickup \"/k512\" is not a folder"},
  };
  for (const Row& row : kRows) {
    const auto found = finding_of(row.line, row.message, host);
    if (!found) continue;
    EXPECT_NE(found->severity, Severity::Error) << row.line;
    if (found->line == 0) continue;
    EXPECT_EQ(found->line, 2u) << row.line;
    EXPECT_EQ(found->line_text, row.line);
  }
}

TEST(HostChecks, WhatAStartWouldRefuse) {
  MadeUpHost host;
  host.addresses = {*IpAddress::parse("192.0.2.1")};
  host.files["/there"] = {FileFact::Kind::Folder, true};
  struct Row {
    std::string_view line, message;  ///< empty: nothing to say
    Severity severity = Severity::Error;
  };
  constexpr std::string_view kNoUser =
      "run-as-root no: this host has no user \"pmta\" or \"sluice\", and a start as root would be refused";
  constexpr Row kRows[] = {
      {"run-as-root no", kNoUser},
      {"run-as-root yes", ""},
      {"log-file /there/log", ""},
      {"log-file /nowhere/log",
       "the folder of log-file \"/nowhere/log\" does not exist: a start would be refused"},
      {"smtp-listener 192.0.2.1:25", ""},
      {"smtp-listener 127.0.0.9:25", ""},
      {"smtp-listener 0/0:25", ""},
      {"smtp-listener 192.0.2.0/24:25", ""},
      {"smtp-listener 192.0.2.7:25",
       "listener address 192.0.2.7 is not one of this host: a start would be refused", Severity::Warning},
  };
  for (const Row& row : kRows) {
    const auto found = finding_of(row.line, row.message, host);
    if (!found) continue;
    EXPECT_EQ(found->severity, row.severity) << row.line;
    EXPECT_EQ(found->line, 2u) << row.line;
  }
  host.root = false;
  ASSERT_EQ(findings("run-as-root no\n", host).size(), 1u);
  EXPECT_EQ(findings("run-as-root no\n", host)[0].severity, Severity::Warning) << "another user may start it";
  host.users = {"sluice"};
  host.root = true;
  EXPECT_TRUE(findings("run-as-root no\nlog-file /nowhere/log\n", host).empty()) << "the folder is made";
  EXPECT_TRUE(findings("run-as-root no\n", host).empty());
}

TEST(HostChecks, TheConfiguredNameServersAreAsked) {
  MadeUpHost host;
  findings("host-name a.example\nname-server 192.0.2.53\nname-server 127.0.0.1:5353\n", host);
  ASSERT_EQ(host.servers.size(), 2u);
  EXPECT_EQ(host.servers[0].text(), "192.0.2.53:53");
  EXPECT_EQ(host.servers[1].text(), "127.0.0.1:5353");
}

TEST(HostChecks, PatternsThatDoNotCompileAreErrors) {
  MadeUpHost host;
  const auto found = findings(
      "<smtp-pattern-list l>\nreply /(x/ "
      "mode=backoff\n</smtp-pattern-list>\n<bounce-category-patterns>\n/(y/ "
      "z\n</bounce-category-patterns>\n<pattern-list p>\nmail-from /(a/ "
      "recipient-priority=3\n</pattern-list>\n",
      host);
  ASSERT_EQ(found.size(), 3u) << format(found);
  EXPECT_EQ(found[0].severity, Severity::Error);
  EXPECT_EQ(found[0].message, "regular expression: missing )");
  EXPECT_EQ(found[0].line, 2u);
  EXPECT_EQ(found[1].line, 5u);
  EXPECT_EQ(found[2].line, 8u);
}

TEST(HostChecks, NothingIsSaidAboutAddressesNobodyKnows) {
  MadeUpHost host;  // no addresses: they could not be found out
  EXPECT_TRUE(findings("smtp-source-host 192.0.2.9 a.example\n", host).empty());
}

}  // namespace
}  // namespace sluice::config
