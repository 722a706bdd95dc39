// Goal: a file is laid out evenly, keeps its comments, and says what it said; a second pass changes nothing.
// How: one text with everything a layout may break, held against its golden form; then a table of odd lines,
//      each laid out twice and loaded before and after.
#include "policy/config/reformat.h"

#include <gtest/gtest.h>

#include "policy/config/listing.h"
#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

TEST(Reformat, Golden) {
  const auto out = reformat(
      "\xef\xbb\xbf# top\r\n\n\n\n"
      "total-max-smtp-out    300    # connections\r\n"
      "<domain   *   >\n"
      "max-smtp-out\t20# touching\n"
      "  # inside\n"
      "\n"
      "        retry-after 10m,\n"
      " 20m\n"
      "</domain>\n"
      "<virtual-mta a>   # one\n"
      "smtp-source-host  192.0.2.1   a.example\n"
      "    <domain x.example>\n"
      "dkim-sign domain=\"d.example\" \\\n"
      "key-file=\"/k\" \\\n"
      "selector=\"s1\"\n"
      "</domain>\n"
      "</virtual-mta>\n"
      "<bounce-category-patterns>\n"
      "   /a   b/    other\n"
      "</bounce-category-patterns>\n"
      "<pattern-list p>\n"
      "mail-from /x/ <pattern-list>\n"
      "rcpt-to /y/ virtual-mta=a\n"
      "</pattern-list>\n"
      "* virtual-mta=a\n"
      "</pattern-list>\n"
      "<!-- an\n"
      "   XML comment -->\n\n\n");
  ASSERT_TRUE(out.has_value()) << out.error();
  EXPECT_EQ(*out,
            "# top\n"
            "\n"
            "total-max-smtp-out 300  # connections\n"
            "<domain *>\n"
            "    max-smtp-out 20# touching\n"
            "    # inside\n"
            "\n"
            "    retry-after 10m,\n"
            "        20m\n"
            "</domain>\n"
            "<virtual-mta a>  # one\n"
            "    smtp-source-host 192.0.2.1   a.example\n"
            "    <domain x.example>\n"
            "        dkim-sign domain=\"d.example\" \\\n"
            "            key-file=\"/k\" \\\n"
            "            selector=\"s1\"\n"
            "    </domain>\n"
            "</virtual-mta>\n"
            "<bounce-category-patterns>\n"
            "    /a   b/    other\n"
            "</bounce-category-patterns>\n"
            "<pattern-list p>\n"
            "    mail-from /x/ <pattern-list>\n"
            "        rcpt-to /y/ virtual-mta=a\n"
            "    </pattern-list>\n"
            "    * virtual-mta=a\n"
            "</pattern-list>\n"
            "<!-- an\n"
            "XML comment -->\n");
}

TEST(Reformat, OddLinesKeepTheirMeaning) {
  constexpr std::string_view kTexts[] = {
      "",
      "\n\n\n",
      "# only a comment",
      "user-string  \"two  blanks   inside\"\n",
      "<acct-file |/usr/bin/x  --a   b > /dev/null>\nrecords   d,b\n</acct-file>\n",
      "<acct-file \"c:\\my dir\\x.csv\">\n</acct-file>\n",
      "<spool /var/spool/>\n</spool>\n",
      "<fbl><address>a@b.example</address><handler type=\"delete\"/></fbl>\n",
      "<virtual-mta name=\"x\">\n<smtp-source-host>192.0.2.1 "
      "name=\"h.example\"</smtp-source-host>\n</virtual-mta>\n",
      "<domain-key-list a>\ndomain-key s,d.example,/k\n</domain-key-list a>\n",
      "<bounce-category-patterns>\n/(disabled|not activa\n   ted)/    "
      "inactive-mailbox\n</bounce-category-patterns>\n",
      "<smtp-user u>\npassword   ab#cd\n</smtp-user>\n",
      "<domain *>\nretry-after 1m, # first\n\n   2m,\n  # why\n 3m\nmax-smtp-out 3\n</domain>\n",
      "domain-macro m a.example,\n<domain $m>\n</domain>\n",
      "domain-macro m \n  a.example,b.example\n<domain $m>\n</domain>\n",
      "</domain>\n</domain>\nmax-smtp-out 1\n",
      "<domain x\n",
      "smtp-listener 0/0:25 {{   default-virtual-mta   x   }}\n",
      "<pattern-list p>\nrcpt-to /one/ <pattern-list> rcpt-to /two/ virtual-mta=v2 "
      "</pattern-list>\n</pattern-list>\n",
      "<domain d.example>\ncommand \"/bin/x --from=\"\"$from\"\"   --to=\"\"$to\"\"\"\n</domain>\n",
      "no-such-directive   a   b\n",
      "\tpostmaster\ta@b.example\t\n",
      "<!-- one line --> total-max-smtp-out 5\ntotal-max-smtp-in 6\n",
      "<source {auth}>\nremove-header   X-A ,  X-B\n</source>",
  };
  for (const std::string_view text : kTexts) {
    SCOPED_TRACE(text);
    const auto once = reformat(text);
    ASSERT_TRUE(once.has_value()) << once.error();
    EXPECT_EQ(reformat(*once), once);
    const LoadResult before = load_fragment(text, true), after = load_fragment(*once, true);
    EXPECT_EQ(before.ok(), after.ok());
    if (!before.ok() || !after.ok()) continue;
    EXPECT_EQ(before.config->globals, after.config->globals);
    EXPECT_EQ(settings_listing(before.config->flatten("d.example", kDefaultVmta)),
              settings_listing(after.config->flatten("d.example", kDefaultVmta)));
  }
}

TEST(Reformat, DepthHoldsOverUnknownBlocksAndLostClosingTags) {
  EXPECT_EQ(*reformat("<a>\n<b>\nc d\n</b>\n</a>\ne f\n"),
            "<a>\n    <b>\n        c d\n    </b>\n</a>\ne f\n");
  EXPECT_EQ(*reformat("</a>\nx y\n"), "</a>\nx y\n");
}

}  // namespace
}  // namespace sluice::config
