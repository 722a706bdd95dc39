// Goal: every directive PowerMTA's guide and its users' files know is read in the block it belongs to, and
//       the table knows nothing else but what is Sluice's own.
// How: data/everything.conf has all of them and has to load without an error; then the table is held against
// it.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "policy/base/ascii.h"
#include "policy/config/directive.h"
#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

std::string everything() {
  std::ifstream file(SLUICE_TEST_DATA "/everything.conf");
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << "no " SLUICE_TEST_DATA "/everything.conf";
  return text.str();
}

LoadResult load_everything() {
  MapFiles files;
  files.files[std::string(kMain)] = everything();
  files.files["/etc/stop"] = "gone@x.example\n";
  return load_config(kMain, files, {});
}

TEST(Reference, EveryDirectiveIsReadInItsBlock) {
  const LoadResult result = load_everything();
  EXPECT_TRUE(result.ok());
  for (const Diagnostic& d : result.diagnostics) EXPECT_NE(d.severity, Severity::Error) << format(d);
}

/// Directives of the table that everything.conf does not use: those of Sluice itself, and nothing else.
TEST(Reference, TheTableHasNothingElseButExtensions) {
  std::vector<std::string> blocks{""};
  std::istringstream lines(everything());
  std::set<std::pair<std::string, std::string>> used;
  for (std::string line; std::getline(lines, line);) {
    const std::string_view text = trim(std::string_view(line));
    if (text.starts_with("</")) {
      blocks.pop_back();
    } else if (text.starts_with('<')) {
      blocks.emplace_back(text.substr(1, text.find_first_of(" >") - 1));
    } else if (!text.empty()) {
      used.emplace(blocks.back(), text.front() == '/' ? "/" : text.substr(0, text.find(' ')));
    }
  }
  for (const Directive& row : DirectiveTable::get().rows()) {
    if (row.since == Since::Extension || row.since == Since::Spelling || row.has(kHidden)) continue;
    if (row.name == "include") continue;
    SCOPED_TRACE(row.name);
    bool found = false;
    for (const BlockKind& kind : DirectiveTable::get().blocks()) {
      if (row.allowed_in(kind.scope))
        found = found || used.contains({std::string(kind.tag), std::string(row.name)});
    }
    if (row.allowed_in(Scope::Global)) found = found || used.contains({"", std::string(row.name)});
    EXPECT_TRUE(found) << "put it into everything.conf, or say that it is an extension";
  }
}

TEST(Reference, IncludesStandInEveryBlockThatTakesThem) {
  MapFiles files;
  files.files["/c"] =
      "<source 0/0>\ninclude /source\n</source>\n<smtp-pattern-list l>\ninclude "
      "/replies\n</smtp-pattern-list>\n"
      "<domain a.example>\ninclude \"/domain\"\n</domain>\n<virtual-mta v>\ninclude /v*\n</virtual-mta>\n";
  files.files["/source"] = "process-x-job yes\n";
  files.files["/replies"] = "reply /x/ skip-mx\n";
  files.files["/domain"] = "max-smtp-out 3\nsmtp-pattern-list l\n";
  files.files["/v1"] = "host-name h.example\n";
  files.files["/v2"] = "max-smtp-out 4\n";
  const LoadResult result =
      load_config("/c", files, {.lenient = false, .fragment = true, .defaults_path = {}});
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  const Config& c = *result.config;
  EXPECT_TRUE(c.resolve_source(*IpAddress::parse("10.0.0.1")).process_x_job);
  EXPECT_TRUE(c.find_reply_list("l")->rules.at(0).skip_mx);
  EXPECT_EQ(c.flatten("a.example", kDefaultVmta).max_smtp_out, 3u);
  EXPECT_EQ(c.vmta(*c.find_vmta("v")).settings.host_name, "h.example");
  EXPECT_EQ(c.vmta(*c.find_vmta("v")).settings.max_smtp_out, 4u);
}

TEST(Reference, UrlsAreFetchedAndSaidSo) {
  MapFiles files;
  files.files["/c"] = "include https://c.example/pmta/isp.conf\n";
  files.files["https://c.example/pmta/isp.conf"] = "<domain a.example>\ninclude slow.inc\n</domain>\n";
  files.files["https://c.example/pmta/slow.inc"] = "max-smtp-out 3\n";
  LoadOptions part{.lenient = false, .fragment = true, .defaults_path = {}};
  const LoadResult result = load_config("/c", files, part);
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  EXPECT_EQ(result.config->flatten("a.example", kDefaultVmta).max_smtp_out, 3u);
  EXPECT_EQ(count(result, Severity::Note), 2u) << format(result.diagnostics);
  EXPECT_NE(format(result.diagnostics).find("fetched 46 bytes from https://c.example/pmta/isp.conf"),
            std::string::npos)
      << format(result.diagnostics);
  const auto kept = result.config->explain("a.example", kDefaultVmta);
  EXPECT_TRUE(std::any_of(kept.begin(), kept.end(), [&](const SettingOrigin& one) {
    return one.origin && result.config->files[one.origin->file] == "https://c.example/pmta/slow.inc";
  }));

  files.files["https://c.example/pmta/slow.inc"] = "include isp.conf\n";
  EXPECT_NE(format(load_config("/c", files, part).diagnostics).find("includes itself"), std::string::npos);
  files.files.erase("https://c.example/pmta/slow.inc");
  const LoadResult gone = load_config("/c", files, part);
  EXPECT_FALSE(gone.ok());
  EXPECT_NE(format(gone.diagnostics)
                .find("Error in line 2 of https://c.example/pmta/isp.conf: cannot fetch "
                      "https://c.example/pmta/slow.inc: the server answers 404 Not Found"),
            std::string::npos)
      << format(gone.diagnostics);
  for (const std::string wrong :
       {"https://u:p@c.example/x", "http://c.example/x?y=1", "http://c.example/*.conf"}) {
    files.files["/c"] = "include " + wrong + "\n";
    EXPECT_FALSE(load_config("/c", files, part).ok()) << wrong;
  }

  // Without the network it is a part of a configuration: what it may define is not missed.
  files.files["/c"] = "include https://c.example/gone\n<source 0/0>\ndefault-virtual-mta v\n</source>\n";
  const LoadResult unasked =
      load_config("/c", files, {.lenient = false, .fragment = false, .skip_urls = true, .defaults_path = {}});
  EXPECT_TRUE(unasked.ok()) << format(unasked.diagnostics);
  EXPECT_EQ(count(unasked, Severity::Warning), 2u) << format(unasked.diagnostics);
}

TEST(Reference, VendorPatternsComeBehindTheUsers) {
  MapFiles files;
  files.files["/c-defaults"] =
      "<bounce-category-patterns>\n/spam/ spam-related\n// other\n</bounce-category-patterns>\n";
  files.files["/c"] = "<bounce-category-patterns>\n/spam trap/ mine\n</bounce-category-patterns>\n";
  const LoadResult result =
      load_config("/c", files, {.lenient = false, .fragment = true, .defaults_path = "/c-defaults"});
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  ASSERT_EQ(result.config->bounce_categories.size(), 3u);
  EXPECT_EQ(result.config->bounce_categories[0].category, "mine");
  EXPECT_EQ(result.config->bounce_categories[2].category, "other");
}

TEST(Reference, SourcesMayHaveAnyNameInBraces) {
  const LoadResult result = load_fragment(
      "<source {pmta-auth}>\nalways-allow-relaying yes\n</source>\n<smtp-user u@x.example>\npassword "
      "p\nsource "
      "{pmta-auth}\n</smtp-user>\n<source {mass}>\n</source>\nsmtp-listener 0/0:2525 source={mass}\n");
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  EXPECT_TRUE(result.config->resolve_named_source("{pmta-auth}").always_allow_relaying);
  EXPECT_EQ(result.config->listeners.at(0).source, "{mass}");
}

TEST(Reference, AlertsHaveTheirDefaultsAndTakeOthers) {
  const LoadResult none = load_fragment("");
  ASSERT_EQ(none.config->alerts.bounce_rate.size(), 2u);
  EXPECT_EQ(none.config->alerts.bounce_rate[0].above, Share{5000});
  EXPECT_EQ(none.config->alerts.complaint_rate, Share{1000});
  const LoadResult some = load_fragment(
      "<alerts>\nbounce-rate bad-mailbox 1.25%\nbounce-rate spam-related off\nbounce-rate quota-issues 3\n"
      "complaint-rate 0.05%\nblocklist zen.spamhaus.org,bl.example\nblocklist-interval 6h\nnotify "
      "a@b.example\n"
      "webhook-url https://x.example/y\nhold-stream yes\nmin-recipients 500\nwindow 12h\n</alerts>\n");
  ASSERT_TRUE(some.ok()) << format(some.diagnostics);
  const AlertSettings& alerts = some.config->alerts;
  ASSERT_EQ(alerts.bounce_rate.size(), 3u);
  EXPECT_EQ(alerts.bounce_rate[0].above, Share{12500});
  EXPECT_EQ(alerts.bounce_rate[1].above, std::nullopt);
  EXPECT_EQ(alerts.bounce_rate[2].above, Share{30000});
  EXPECT_EQ(alerts.complaint_rate, Share{500});
  EXPECT_EQ(alerts.blocklist.size(), 2u);
  EXPECT_TRUE(alerts.hold_stream);
  for (const std::string_view wrong : {"0", "101%", "-1", "1.23456%", "x", "1.%"}) {
    EXPECT_FALSE(load_fragment("<alerts>\ncomplaint-rate " + std::string(wrong) + "\n</alerts>\n").ok())
        << wrong;
  }
}

}  // namespace
}  // namespace sluice::config
