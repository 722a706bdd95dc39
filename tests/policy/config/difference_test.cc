// Goal: what a reload would change is said directive by directive, with the lines, and nothing else is.
// How:  pairs of configurations from memory.
#include "policy/config/difference.h"

#include <gtest/gtest.h>

#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

constexpr const char* kBase =
    "host-name mail.test\n"                     // 1
    "postmaster ops@mail.test\n"                // 2
    "total-max-smtp-in 100\n"                   // 3
    "smtp-listener 127.0.0.1:25\n"              // 4
    "<spool /var/spool>\n</spool>\n"            // 5
    "<virtual-mta a>\n"                         // 7
    " smtp-source-host 192.0.2.1 a.test\n"      // 8
    " max-smtp-out 20\n"                        // 9
    "</virtual-mta>\n"                          // 10
    "<domain *>\n max-smtp-out 4\n</domain>\n"  // 11
    "<domain b.test>\n max-msg-rate 7/m\n</domain>\n"
    "log-file /var/log/l\n";  // 14

std::shared_ptr<const Config> load(const std::string& text) {
  MapFiles files;
  files.files["/c"] = text;
  const LoadResult loaded = load_config("/c", files);
  EXPECT_TRUE(loaded.ok()) << format(loaded.diagnostics);
  return loaded.config;
}

std::string with(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

TEST(Difference, SaysWhatChangesAndWhereItStands) {
  const auto before = load(kBase);
  EXPECT_EQ(difference_text(*before, *before), "");
  EXPECT_EQ(difference_text(*before, *load(std::string("# a line above changes nothing\n") + kBase)), "");
  const struct {
    const char *what, *by, *said;
  } kCases[] = {
      {"total-max-smtp-in 100", "total-max-smtp-in 90", "total-max-smtp-in 100 -> 90 (/c:3)\n"},
      {" max-smtp-out 20\n", " max-smtp-out 30\n",
       "<virtual-mta a> (/c:7)\n    max-smtp-out 20 -> 30 (/c:9)\n"},
      // Said once for all domains, not again for b.test.
      {"<domain *>\n max-smtp-out 4", "<domain *>\n max-smtp-out 5",
       "<domain *>\n    max-smtp-out 4 -> 5 (/c:12)\n"},
      {" max-msg-rate 7/m\n", "", "<domain b.test>\n    max-msg-rate 7/m -> unlimited (was /c:15)\n"},
      {"smtp-listener 127.0.0.1:25\n", "smtp-listener 127.0.0.1:26\n",
       "<smtp-listener 127.0.0.1/32:25> (/c:4) is gone\n<smtp-listener 127.0.0.1/32:26> (/c:4) is new\n"},
      {"<virtual-mta a>", "<virtual-mta z>",
       "<virtual-mta a> (/c:7) is gone\n<virtual-mta z> (/c:7) is new\n"},
  };
  for (const auto& one : kCases) {
    SCOPED_TRACE(one.by);
    EXPECT_EQ(difference_text(*before, *load(with(kBase, one.what, one.by))), one.said);
  }
}

TEST(Difference, NamesListsAndWhatNeedsARestart) {
  const auto before = load(kBase);
  const auto after = load(with(kBase, "total-max-smtp-in 100", "run-dir /other") +
                          "<smtp-pattern-list p>\n reply /busy/ mode=backoff\n</smtp-pattern-list>\n");
  const std::string said = difference_text(*before, *after);
  EXPECT_NE(said.find("<smtp-pattern-list p> (/c:18) is new\n"), std::string::npos) << said;
  const std::vector<std::string> restart = needs_restart(*before, *after);
  ASSERT_EQ(restart.size(), 2u);  // and the control socket below it
  EXPECT_EQ(restart[0].substr(0, 8), "run-dir ");
  EXPECT_NE(restart[0].find("-> /other (/c:3)"), std::string::npos) << restart[0];
  const auto elsewhere = load(with(kBase, "<spool /var/spool>", "<spool /srv/spool>"));
  EXPECT_EQ(
      needs_restart(*before, *elsewhere),
      (std::vector<std::string>{"<spool /var/spool> (/c:5) is gone", "<spool /srv/spool> (/c:5) is new"}));
  const auto drained = load(with(kBase, "<spool /var/spool>\n",
                                 "<spool /srv/spool>\n</spool>\n<spool /var/spool/>\n deliver-only yes\n"));
  EXPECT_EQ(needs_restart(*before, *drained),
            (std::vector<std::string>{"<spool /srv/spool> (/c:5) is new",
                                      "<spool /var/spool> (/c:7) deliver-only no -> yes"}));
}

}  // namespace
}  // namespace sluice::config
