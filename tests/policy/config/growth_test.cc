// Goal: twice the configuration costs twice the time: nothing that may stand in it many times is held against all of
//       its kind.
// How:  loads each kind of block, list and line in two sizes, one four times the other, right ones and wrong ones,
//       compares the configuration with itself as a reload does, and takes the processor time of both. Quadratic work
//       makes that sixteen times as much; the least of several tries has to stay below half of it.
//       SLUICE_GROWTH_LINES sets the smaller size.
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <functional>

#include "policy/config/difference.h"
#include "policy/identity/rules.h"
#include "policy/routing/rollup.h"
#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

using Line = std::function<std::string(const std::string& i)>;

/// What is repeated, and what stands around it. `also`: repeated before it, for instance what it refers to.
struct Kind {
  std::string name;
  Line line;
  std::string open, close;
  Line also = {};
};

std::string text_of(const Kind& kind, std::size_t count) {
  std::string out;
  for (std::size_t i = 0; kind.also && i < count; ++i) out += kind.also(std::to_string(i)) + '\n';
  out += kind.open + '\n';
  for (std::size_t i = 0; i < count; ++i) out += kind.line(std::to_string(i)) + '\n';
  return out + kind.close + '\n';
}

double seconds_of(const std::function<void()>& work) {
  timespec before{}, after{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
  work();
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
  return static_cast<double>(after.tv_sec - before.tv_sec) +
         static_cast<double>(after.tv_nsec - before.tv_nsec) / 1e9;
}

void load_and_compare(const std::string& text, bool is_wrong) {
  const LoadResult before = load_fragment(text);
  EXPECT_EQ(before.ok(), !is_wrong) << format(before.diagnostics).substr(0, 2000);
  if (!before.ok()) return;
  const LoadResult after = load_fragment(text);
  EXPECT_EQ(difference_text(*before.config, *after.config), "");
  EXPECT_TRUE(needs_restart(*before.config, *after.config).empty());
  EXPECT_TRUE(identity::Rules::make(before.config).has_value());
  EXPECT_LE(routing::RollupTable(before.config->mx_rollups).targets().size(),
            before.config->mx_rollups.size());
}

std::size_t lines() {
  const char* given = std::getenv("SLUICE_GROWTH_LINES");
  return given != nullptr ? std::strtoul(given, nullptr, 10) : 2000;
}

class Growth : public testing::TestWithParam<Kind> {};

TEST_P(Growth, IsLinear) {
  static constexpr int kTries = 3;
  static constexpr double kWorst = 8, kTooShort = 0.02;
  const bool is_wrong = GetParam().name.starts_with("Wrong");
  const std::string few = text_of(GetParam(), lines()), many = text_of(GetParam(), 4 * lines());
  double ratio = 100;
  for (int i = 0; i < kTries && ratio >= kWorst; ++i) {
    const double one = seconds_of([&] { load_and_compare(few, is_wrong); });
    const double four = seconds_of([&] { load_and_compare(many, is_wrong); });
    if (std::getenv("SLUICE_GROWTH_SHOW") != nullptr)
      std::printf("%s: %.3f %.3f s\n", GetParam().name.c_str(), one, four);
    ratio = std::min(ratio, four < kTooShort ? 1 : four / one);
  }
  EXPECT_LT(ratio, kWorst) << "four times the lines take that many times as long";
}

std::vector<Kind> kinds() {
  const auto vmta = [](const std::string& i) { return "<virtual-mta v" + i + ">\n</virtual-mta>"; };
  const auto named = [](const std::string& i) { return "<source s" + i + ">\nlog-commands no\n</source>"; };
  const auto address = [](const std::string& i) {
    const unsigned long n = std::stoul(i);
    return "10." + std::to_string(n >> 16) + '.' + std::to_string(n >> 8 & 255) + '.' +
           std::to_string(n & 255);
  };
  const auto line = [](std::string before, std::string after) {
    return [=](const std::string& i) { return before + i + after; };
  };
  const auto block = [](std::string tag, std::string content) {
    return [=](const std::string& i) { return '<' + tag + ' ' + i + ">\n" + content + "\n</" + tag + '>'; };
  };
  const std::string patterns = "<virtual-mta v>\n</virtual-mta>\n<pattern-list p>",
                    patterns_end = "</pattern-list>";
  std::vector<Kind> out{
      {"PatternRcptTo", line("rcpt-to /^u", "@/ virtual-mta=v"), patterns, patterns_end},
      {"PatternRegexes", line("rcpt-to /^u", "[0-9]+@/ virtual-mta=v"), patterns, patterns_end},
      {"PatternInside", line("rcpt-to /u", "x/ virtual-mta=v"), patterns, patterns_end},
      {"PatternHeader", line("header X-", " /a/ virtual-mta=v"), patterns, patterns_end},
      {"PatternSame", [](const std::string&) { return "rcpt-to /a/ virtual-mta=v"; }, patterns, patterns_end},
      {"PatternNested", line("rcpt-to /^u", "@/ <pattern-list>\n* virtual-mta=v\n</pattern-list>"), patterns,
       patterns_end},
      {"PatternCalls", line("rcpt-to /^u", "@/ call-to:q"),
       "<pattern-list q>\n* recipient-priority=3\n</pattern-list>\n<pattern-list p>", patterns_end},
      {"ReplyLines", line("reply /text ", "/ mode=backoff"), "<smtp-pattern-list p>", "</smtp-pattern-list>"},
      {"ReplyRegexes", line("reply /text [0-9]+ ", "/ mode=backoff"), "<smtp-pattern-list p>",
       "</smtp-pattern-list>"},
      {"BounceCategories", line("/text ", "/ bad-mailbox"), "<bounce-category-patterns>",
       "</bounce-category-patterns>"},
      {"Addresses", line("address u", "@x.example"), "<address-list a>", "</address-list>"},
      {"AddressRegexes", line("address /^u", "@x/"), "<address-list a>", "</address-list>"},
      {"AddressDomains", line("domain d", ".example"), "<address-list a>", "</address-list>"},
      {"RewriteMailFrom", line("mail-from a", "@x.example b@x.example"), "<rewrite-list r>",
       "</rewrite-list>"},
      {"RewriteFromDomain", line("from-domain d", ".example x.example"), "<rewrite-list r>",
       "</rewrite-list>"},
      {"KeysOfAList", line("domain-key k,d", ".example,/k.pem"), "<domain-key-list k>", "</domain-key-list>"},
      {"KeysOfAll", line("domain-key k,d", ".example,/k.pem"), "", ""},
      {"KeysOfAnIdentity", line("domain-key k,d", ".example,/k.pem"), "<virtual-mta v>", "</virtual-mta>"},
      {"RollupOneQueue", line("mx mx", ".example q.rollup"), "<mx-rollup-list>", "</mx-rollup-list>"},
      {"RollupQueues", [](const std::string& i) { return "mx mx" + i + ".example q" + i + ".rollup"; },
       "<mx-rollup-list>", "</mx-rollup-list>"},
      {"RollupWildcards", [](const std::string& i) { return "mx *.mx" + i + ".example q" + i + ".rollup"; },
       "<mx-rollup-list>", "</mx-rollup-list>"},
      {"Domains", line("<domain d", ".example>\nmax-smtp-out 5\n</domain>"), "", ""},
      {"SameDomain", [](const std::string&) { return "<domain d.example>\nmax-smtp-out 5\n</domain>"; }, "",
       ""},
      {"DomainLiterals",
       [=](const std::string& i) { return "<domain [" + address(i) + "]>\nmax-smtp-out 5\n</domain>"; }, "",
       ""},
      {"DomainsOfAnIdentity", line("<domain d", ".example>\nmax-smtp-out 5\n</domain>"), "<virtual-mta v>",
       "</virtual-mta>"},
      {"DomainsWithTraps",
       line("<domain d",
            ".example>\nmax-cold-virtual-mta-msg 5/d\nqueue-to q\ntype pipe\ncommand \"/bin/x\"\n</domain>"),
       "", "", vmta},
      {"DomainsThatCheckSpf", line("<domain d", ".example>\ncheck-spf-outbound yes\n</domain>"), "", "",
       vmta},
      {"DomainsThatReroute", line("<domain d", ".example>\nroute-to-pool v9\n</domain>"), "", "", vmta},
      {"InlineReplies", line("smtp-pattern-list p \"421 x", "\""), "<domain a.example>", "</domain>"},
      {"Identities",
       [=](const std::string& i) {
         return "<virtual-mta v" + i + ">\nsmtp-source-host " + address(i) + " h" + i +
                ".example\n</virtual-mta>";
       },
       "", ""},
      {"IdentitiesWithDomains",
       line("<virtual-mta v", ">\n<domain *>\nmax-smtp-out 5\n</domain>\n</virtual-mta>"), "", ""},
      {"IdentitiesWithSettings", line("<virtual-mta v", ">\nmax-smtp-out 5\nretry-after 5m\n</virtual-mta>"),
       "", ""},
      {"IdentitiesThatAreCold",
       [](const std::string& i) {
         return "<virtual-mta w" + i + ">\ncold-virtual-mta v" + i + "\n</virtual-mta>";
       },
       "", "", vmta},
      {"SameIdentity", [](const std::string&) { return "<virtual-mta v>\nmax-smtp-out 5\n</virtual-mta>"; },
       "", ""},
      {"SourceHosts", [=](const std::string& i) { return "smtp-source-host " + address(i) + " h.example"; },
       "<virtual-mta v>", "</virtual-mta>"},
      {"Pools",
       [](const std::string& i) {
         return "<virtual-mta-pool p" + i + ">\nvirtual-mta v" + i + "\n</virtual-mta-pool>";
       },
       "", "", vmta},
      {"PoolsWithDomains",
       [](const std::string& i) {
         return "<virtual-mta-pool p" + i + ">\nvirtual-mta v" + i +
                "\n<domain *>\nmax-smtp-out 5\n</domain>\n</virtual-mta-pool>";
       },
       "", "", vmta},
      {"PoolsBehindProxies",
       [](const std::string& i) {
         return "<virtual-mta-pool p" + i + ">\nvirtual-mta v" + i + "\nuse-proxy x" + i +
                "\n</virtual-mta-pool>";
       },
       "", "",
       [=](const std::string& i) {
         return "<proxy x" + i + ">\nserver h.example:9\nclient " + address(i) + " h.example\n</proxy>\n" +
                vmta(i);
       }},
      {"Members", line("virtual-mta v", ""), "<virtual-mta-pool p>", "</virtual-mta-pool>", vmta},
      {"Proxies",
       [=](const std::string& i) {
         return "<proxy x" + i + ">\nserver h.example:9\nclient " + address(i) + " h.example\n</proxy>";
       },
       "", ""},
      {"ClientsOfAProxy", [=](const std::string& i) { return "client " + address(i) + " h.example"; },
       "<proxy x>\nserver h.example:9", "</proxy>"},
      {"Sources",
       [=](const std::string& i) {
         return "<source " + address(i) + ">\nalways-allow-relaying yes\n</source>";
       },
       "", ""},
      {"NamedSources", named, "", ""},
      {"SourcesWithLists",
       [](const std::string& i) {
         return "<source s" + i + ">\npattern-list p" + i + "\nrewrite-list r" + i + "\nsuppression-lists a" +
                i + "\nsource-group g" + i + "\ndefault-virtual-mta v" + i + "\n</source>";
       },
       "", "",
       [=](const std::string& i) {
         return "<pattern-list p" + i + ">\n* recipient-priority=3\n</pattern-list>\n<rewrite-list r" + i +
                ">\nmail-from a@x b@x\n</rewrite-list>\n<address-list a" + i +
                ">\naddress a@x\n</address-list>\n<source-group g" + i + ">\n</source-group>\n" + vmta(i);
       }},
      {"Users",
       [](const std::string& i) {
         return "<smtp-user u" + i + ">\npassword p\nsource s" + i + "\n</smtp-user>";
       },
       "", "", named},
      {"Listeners", [=](const std::string& i) { return "smtp-listener " + address(i) + ":25 source=s" + i; },
       "", "", named},
      {"Spools", line("<spool /s", ">\n</spool>"), "", ""},
      {"AccountingFiles", line("<acct-file /a", ".csv>\n</acct-file>"), "", ""},
      {"RecordFields", line("record-fields d header_X", ""), "<acct-file /a.csv>", "</acct-file>"},
      {"Macros", line("domain-macro m", " a.example,b.example"), "", ""},
      {"MacrosInDomains", line("<domain $m", ">\nmax-smtp-out 5\n</domain>"), "", "",
       [](const std::string& i) { return "domain-macro m" + i + " a" + i + ".example"; }},
      {"MacroItems", line("d", ".example,"), "domain-macro m a.example,",
       "z.example\n<domain $m>\nmax-smtp-out 5\n</domain>"},
      {"ListsOfDomains",
       [](const std::string& i) {
         return "<domain d" + i + ".example>\nsmtp-pattern-list p" + i + "\nbounce-actions b" + i +
                "\n</domain>";
       },
       "", "",
       [](const std::string& i) {
         return "<smtp-pattern-list p" + i +
                ">\nreply /a/ mode=backoff\n</smtp-pattern-list>\n<bounce-actions b" + i +
                ">\n</bounce-actions>";
       }},
      {"ListsOfIdentities",
       [](const std::string& i) {
         return "<virtual-mta v" + i + ">\nrewrite-list r" + i + "\n</virtual-mta>";
       },
       "", "", block("rewrite-list", "mail-from a@x b@x")},
      {"SuppressionLists", line("suppression-lists a", ""), "<source 0/0>", "</source>",
       line("<address-list a", ">\naddress a@x\n</address-list>")},
      {"Aliases", line("alias u", "@x.example a@x.example"), "<aliases>", "</aliases>"},
      {"RelayDomains", line("relay-domain d", ".example"), "", ""},
      {"RelayAddresses", line("relay-address u", "@x.example"), "", ""},
      {"HostNames", line("host-name h", ".example"), "", ""},
      {"HttpAccess", [=](const std::string& i) { return "http-access " + address(i) + " admin"; }, "", ""},
      {"MxConnectionLimits", line("mx-connection-limit mx", ".example 5"), "", ""},
      {"IpConnectionLimits", [=](const std::string& i) { return "ip-connection-limit " + address(i) + " 5"; },
       "", ""},
      {"BounceRates", line("bounce-rate d", ".example 5%"), "<alerts>", "</alerts>"},
      {"Repeated", [](const std::string&) { return "max-smtp-out 5"; }, "<domain a.example>", "</domain>"},
      {"Notes", line("# ", ""), "", ""},
      {"WrongNames", line("no-such-directive-", " 5"), "", ""},
      {"WrongBlocks", line("<no-such-block-", ">\n</x>"), "", ""},
      {"WrongValues", line("max-smtp-out x", ""), "<domain a.example>", "</domain>"},
      {"MissingPatternLists", line("<domain d", ".example>\nsmtp-pattern-list none\n</domain>"), "", ""},
      {"WrongClosings", [](const std::string&) { return "</domain>"; }, "", ""},
      {"WrongNesting", [](const std::string&) { return "<domain a.example>\n<source 0/0>\n</domain>"; }, "",
       ""},
  };
  return out;
}

INSTANTIATE_TEST_SUITE_P(EveryKind, Growth, testing::ValuesIn(kinds()),
                         [](const testing::TestParamInfo<Kind>& info) { return info.param.name; });

}  // namespace
}  // namespace sluice::config
