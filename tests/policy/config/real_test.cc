// Goal: configurations as operators write them load without an error, warn about what deserves it and about
//       nothing else, mean what they mean in PowerMTA, and mean the same after `sluice fmt`.
// How: each folder of data/real is one installation: `config` and its other files stand in /etc/pmta;
//      `expect` says what has to come out, in sections:
//        [text]           crlf, bom, latin-1, no-final-newline: how the files are changed before they are
//        read [warnings]       LINE TEXT or FILE:LINE TEXT of every warning; also [notes] [count] how many of
//        a thing there are [globals] [queue DOMAIN/VMTA] [source IP-OR-NAME] [vmta NAME] [pool NAME] [acct
//        NUMBER]
//                         lines that stand in that listing of `sluice settings`
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "policy/base/ascii.h"
#include "policy/classify/limited_pcre.h"
#include "policy/config/listing.h"
#include "policy/config/reformat.h"
#include "tests/policy/config/map_files.h"

namespace sluice::config {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRoot = "/etc/pmta/";
constexpr const char* kFolder = SLUICE_TEST_DATA "/real";

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

struct Section {
  std::string name;  ///< "queue gmail.com/a"
  std::vector<std::string> lines;
};

std::vector<Section> read_expectations(const fs::path& path) {
  std::vector<Section> out;
  std::istringstream lines(contents(path));
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.front() == '#') continue;
    if (line.front() == '[' && line.back() == ']') {
      out.push_back({line.substr(1, line.size() - 2), {}});
    } else {
      EXPECT_FALSE(out.empty()) << path << ": a line before the first section";
      if (!out.empty()) out.back().lines.push_back(line);
    }
  }
  return out;
}

const Section* find_section(const std::vector<Section>& sections, std::string_view name) {
  for (const Section& section : sections) {
    if (section.name == name) return &section;
  }
  return nullptr;
}

std::string replace_all(std::string text, std::string_view from, std::string_view to) {
  for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

/// UTF-8 with code points below 256 only.
std::string to_latin_1(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0xC0) {
      EXPECT_LT(byte, 0xC4) << "not in Latin-1";
      const auto next = static_cast<unsigned char>(text[++i]);
      out += static_cast<char>((byte & 3U) << 6U | (next & 0x3FU));
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string change(std::string text, std::string_view how) {
  if (how == "crlf") return replace_all(std::move(text), "\n", "\r\n");
  if (how == "bom") return "\xef\xbb\xbf" + text;
  if (how == "latin-1") return to_latin_1(text);
  if (how == "no-final-newline") return text.substr(0, text.find_last_not_of("\r\n") + 1);
  ADD_FAILURE() << "no such change: " << how;
  return text;
}

MapFiles read_installation(const fs::path& folder, const std::vector<Section>& expected) {
  MapFiles files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.path().filename() == "expect") continue;
    std::string text = contents(entry.path());
    if (const Section* changes = find_section(expected, "text")) {
      for (const std::string& how : changes->lines) text = change(std::move(text), how);
    }
    files.files[std::string(kRoot) + fs::relative(entry.path(), folder).string()] = std::move(text);
  }
  return files;
}

/// The findings of one severity, each against a line of its own in the section, and no more than that.
void expect_findings(const LoadResult& result, Severity severity, const Section* section) {
  std::vector<std::string> left = section == nullptr ? std::vector<std::string>() : section->lines;
  for (const Diagnostic& d : result.diagnostics) {
    if (d.severity != severity) continue;
    std::string file = d.file.starts_with(kRoot) ? d.file.substr(kRoot.size()) : d.file;
    const std::string place = (file == "config" ? "" : file + ":") + std::to_string(d.line) + ' ';
    const auto fits = std::find_if(left.begin(), left.end(), [&](const std::string& line) {
      return line.starts_with(place) && format(d).find(line.substr(place.size())) != std::string::npos;
    });
    if (fits == left.end())
      ADD_FAILURE() << "not expected: " << place << '\n' << format(d);
    else
      left.erase(fits);
  }
  for (const std::string& line : left) ADD_FAILURE() << "expected, and did not come: " << line;
}

std::size_t count_of(const Config& c, std::string_view what) {
  const std::pair<std::string_view, std::size_t> known[] = {
      {"vmtas", c.vmtas.size() - 1},  // without {default}
      {"pools", c.pools.size()},
      {"listeners", c.listeners.size()},
      {"sources", c.sources.size()},
      {"smtp-users", c.smtp_users.size()},
      {"spools", c.spools.size()},
      {"acct-files", c.acct_files.size()},
      {"mx-rollups", c.mx_rollups.size()},
      {"bounce-categories", c.bounce_categories.size()},
      {"macros", c.domain_macros.size()},
      {"files", c.files.size()},
      {"fbl-processors", c.feedback_loop_processors.size()},
      {"fbl-addresses",
       c.feedback_loop_processors.empty() ? 0 : c.feedback_loop_processors[0].addresses.size()},
      {"bounce-addresses", c.bounce_processor ? c.bounce_processor->addresses.size() : 0},
      {"proxies", c.proxies.size()},
      {"api-listeners", c.api_listeners.size()},
      {"rewrite-rules", c.rewrite_lists.empty() ? 0 : c.rewrite_lists[0].rules.size()},
      {"bounce-actions", c.bounce_actions.size()},
  };
  for (const auto& [name, count] : known) {
    if (what == name) return count;
  }
  static constexpr std::string_view kRules = "rules ", kEntries = "addresses ", kPatterns = "patterns ";
  if (what.starts_with(kRules)) {
    const ReplyList* list = c.find_reply_list(what.substr(kRules.size()));
    return list == nullptr ? 0 : list->rules.size();
  }
  if (what.starts_with(kEntries)) {
    const AddressList* list = c.find_address_list(what.substr(kEntries.size()));
    return list == nullptr ? 0 : list->entries.size();
  }
  if (what.starts_with(kPatterns)) {
    const PatternList* list = c.find_pattern_list(what.substr(kPatterns.size()));
    return list == nullptr ? 0 : list->patterns.size();
  }
  ADD_FAILURE() << "nobody counts " << what;
  return 0;
}

/// The listing a section is about; empty for the sections that are none.
std::string listing_of(const Config& c, std::string_view section) {
  const std::size_t blank = section.find(' ');
  const std::string_view kind = section.substr(0, blank);
  const std::string_view name = blank == std::string_view::npos ? "" : section.substr(blank + 1);
  if (kind == "globals") return settings_listing(c.globals);
  if (kind == "queue") {
    const auto queue = find_queue(c, name);
    EXPECT_TRUE(queue.has_value()) << queue.error();
    return queue ? settings_text(c, *queue) : "";
  }
  if (kind == "source") {
    if (const auto client = IpAddress::parse(name)) return settings_listing(c.resolve_source(*client));
    EXPECT_TRUE(c.has_source(name)) << name;
    return settings_listing(c.resolve_named_source(name));
  }
  if (kind == "vmta") {
    const auto id = c.find_vmta(name);
    EXPECT_TRUE(id.has_value()) << name;
    return id ? settings_listing(c.vmta(*id).settings, false) : "";
  }
  if (kind == "pool") {
    const auto id = c.find_pool(name);
    EXPECT_TRUE(id.has_value()) << name;
    return id ? settings_listing(c.pool(*id).settings, true) : "";
  }
  if (kind == "acct") {
    const std::size_t number = static_cast<std::size_t>(name.front() - '0');
    EXPECT_LT(number, c.acct_files.size());
    return number < c.acct_files.size() ? settings_listing(c.acct_files[number]) : "";
  }
  ADD_FAILURE() << "no such section: " << section;
  return "";
}

void expect_meaning(const Config& config, const std::vector<Section>& expected) {
  for (const Section& section : expected) {
    if (section.name == "text" || section.name == "warnings" || section.name == "notes") continue;
    SCOPED_TRACE("[" + section.name + "]");
    if (section.name == "count") {
      for (const std::string& line : section.lines) {
        const std::size_t blank = line.rfind(' ');
        EXPECT_EQ(std::to_string(count_of(config, line.substr(0, blank))), line.substr(blank + 1)) << line;
      }
      continue;
    }
    const std::string listing = '\n' + listing_of(config, section.name);
    for (const std::string& line : section.lines) {
      const std::string name = '\n' + line.substr(0, line.find(' ')) + ' ';
      std::string there;
      for (std::size_t at = 0; (at = listing.find(name, at)) != std::string::npos; ++at)
        there += listing.substr(at + 1, listing.find('\n', at + 1) - at);
      EXPECT_NE(listing.find('\n' + line + '\n'), std::string::npos) << line << "\nbut there is\n" << there;
    }
  }
}

/// Every regular expression of the text has to be one.
void expect_patterns_compile(const Config& c) {
  const auto check = [](const Regex& regex) {
    const auto made = LimitedPcre::compile(regex.text);
    EXPECT_TRUE(made.has_value()) << "line " << regex.origin.line << ": " << regex.text << ": "
                                  << made.error();
  };
  for (const ReplyList& list : c.reply_lists) {
    for (const ReplyRule& rule : list.rules) check(rule.pattern);
  }
  for (const BounceCategoryRule& rule : c.bounce_categories) check(rule.pattern);
  const std::function<void(const std::vector<MessagePattern>&)> walk =
      [&](const std::vector<MessagePattern>& all) {
        for (const MessagePattern& pattern : all) {
          if (pattern.kind != MessagePatternKind::Any) check(pattern.pattern);
          walk(pattern.nested);
        }
      };
  for (const PatternList& list : c.pattern_lists) walk(list.patterns);
}

class Real : public ::testing::TestWithParam<std::string> {};

TEST_P(Real, LoadsAndMeansWhatItSays) {
  const fs::path folder = fs::path(kFolder) / GetParam();
  const std::vector<Section> expected = read_expectations(folder / "expect");
  MapFiles files = read_installation(folder, expected);
  const std::string main = std::string(kRoot) + "config";
  const LoadResult result = load_config(main, files, {});
  ASSERT_TRUE(result.ok()) << format(result.diagnostics);
  expect_findings(result, Severity::Warning, find_section(expected, "warnings"));
  expect_findings(result, Severity::Note, find_section(expected, "notes"));
  expect_meaning(*result.config, expected);
  expect_patterns_compile(*result.config);

  for (auto& [path, text] : files.files) {
    if (path.ends_with(".txt")) continue;
    const auto laid_out = reformat(text);
    ASSERT_TRUE(laid_out.has_value()) << path << ": " << laid_out.error();
    const auto again = reformat(*laid_out);
    ASSERT_TRUE(again.has_value()) << path << ": " << again.error();
    EXPECT_EQ(*again, *laid_out) << path;
    text = *laid_out;
  }
  const LoadResult same = load_config(main, files, {});
  ASSERT_TRUE(same.ok()) << format(same.diagnostics);
  SCOPED_TRACE("laid out evenly");
  expect_meaning(*same.config, expected);
}

std::vector<std::string> installations() {
  std::vector<std::string> out;
  for (const auto& entry : fs::directory_iterator(kFolder)) out.push_back(entry.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

INSTANTIATE_TEST_SUITE_P(Each, Real, ::testing::ValuesIn(installations()),
                         [](const auto& one) { return one.param; });

}  // namespace
}  // namespace sluice::config
