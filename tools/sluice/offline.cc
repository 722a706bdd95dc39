#include "tools/sluice/offline.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string_view>

#include "policy/accounting/privacy.h"
#include "policy/config/directive.h"
#include "policy/config/listing.h"
#include "policy/config/reformat.h"
#include "tools/config_files/disk_file_source.h"
#include "tools/config_files/report.h"

namespace sluice::tools {
namespace {

constexpr int kGood = 0, kBadConfiguration = 1, kBadCommand = 2;

int bad_command(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  return kBadCommand;
}

/// Options and words of a command. An option this command does not know is a mistake, not a file name.
struct Words {
  std::vector<std::string> words;
  std::vector<std::string> options;
  [[nodiscard]] bool has(std::string_view option) const {
    return std::find(options.begin(), options.end(), option) != options.end();
  }
  [[nodiscard]] std::string unknown(std::initializer_list<std::string_view> known) const {
    for (const std::string& option : options) {
      if (std::find(known.begin(), known.end(), option) == known.end()) return option;
    }
    return {};
  }
};

Words split(const std::vector<std::string>& arguments) {
  Words out;
  for (std::size_t i = 1; i < arguments.size(); ++i)
    (arguments[i].starts_with("--") ? out.options : out.words).push_back(arguments[i]);
  return out;
}

int check(const Words& words, const std::string& config) {
  static constexpr const char* kUsage =
      "usage: sluice check FILE [--json] [--lenient] [--fragment] [--offline]\n";
  const std::string unknown = words.unknown({"--json", "--lenient", "--fragment", "--offline"});
  if (!unknown.empty()) return bad_command("sluice check: unknown option " + unknown + '\n' + kUsage);
  if (words.words.size() > 1) return bad_command(std::string("sluice check: one file at a time\n") + kUsage);
  const std::string path = words.words.empty() ? config : words.words.front();
  if (path.empty()) return bad_command(std::string("sluice check: which file?\n") + kUsage);
  CheckOptions options;
  options.load.lenient = words.has("--lenient");
  options.load.fragment = words.has("--fragment");
  options.json = words.has("--json");
  options.look_at_host = !words.has("--offline");
  options.load.skip_urls = words.has("--offline");
  const CheckReport report = check_configuration(path, options);
  std::fputs(report.text.c_str(), report.ok || options.json ? stdout : stderr);
  return report.ok ? kGood : kBadConfiguration;
}

int with_config(const std::string& path, int (*use)(const config::Config&, const std::vector<std::string>&),
                const std::vector<std::string>& words) {
  const config::LoadResult loaded = load_configuration(path, {.lenient = true});
  if (!loaded.ok()) {
    std::fputs(load_failure_text(path, loaded).c_str(), stderr);
    return kBadConfiguration;
  }
  return use(*loaded.config, words);
}

int print(const std::expected<std::string, std::string>& text) {
  std::fputs(text ? text->c_str() : ("sluice: " + text.error()).c_str(), text ? stdout : stderr);
  return text ? kGood : kBadConfiguration;
}

int settings(const config::Config& config, const std::vector<std::string>& words) {
  const auto queue = config::find_queue(config, words[0]);
  if (!queue) return print(std::unexpected(queue.error()));
  return print(config::settings_text(config, *queue));
}

int explain(const config::Config& config, const std::vector<std::string>& words) {
  const auto queue = config::find_queue(config, words[0]);
  if (!queue) return print(std::unexpected(queue.error()));
  return print(config::explain_text(config, *queue, words.size() > 1 ? std::string_view(words[1]) : ""));
}

/// Through a new file that takes the old one's place, so that a full disk leaves the old one whole.
bool replace_file(const std::string& path, const std::string& text) {
  const std::string next = path + ".sluice-fmt";
  struct stat old{};
  if (::stat(path.c_str(), &old) != 0) return false;
  std::FILE* file = std::fopen(next.c_str(), "we");
  if (file == nullptr) return false;
  bool good = ::fchmod(::fileno(file), old.st_mode & 07777) == 0;
  // Only root may give a file away; everybody else owns what they write.
  if (::geteuid() == 0) good = ::fchown(::fileno(file), old.st_uid, old.st_gid) == 0 && good;
  good = std::fwrite(text.data(), 1, text.size(), file) == text.size() && good;
  good = std::fflush(file) == 0 && ::fsync(::fileno(file)) == 0 && good;
  good = std::fclose(file) == 0 && good;
  good = good && std::rename(next.c_str(), path.c_str()) == 0;
  if (!good) ::unlink(next.c_str());
  return good;
}

int format(const Words& words) {
  static constexpr const char* kUsage = "usage: sluice fmt FILE... [--write | --check]\n";
  const std::string unknown = words.unknown({"--write", "--check"});
  if (!unknown.empty()) return bad_command("sluice fmt: unknown option " + unknown + '\n' + kUsage);
  if (words.words.empty()) return bad_command(kUsage);
  int status = kGood;
  DiskFileSource files;
  for (const std::string& path : words.words) {
    const auto text = files.read(path);
    if (!text) {
      std::fprintf(stderr, "sluice fmt: cannot read %s: %s\n", path.c_str(), text.error().text().c_str());
      status = kBadConfiguration;
      continue;
    }
    const auto laid_out = config::reformat(*text);
    if (!laid_out) {
      std::fprintf(stderr, "sluice fmt: %s: %s\n", path.c_str(), laid_out.error().c_str());
      status = kBadConfiguration;
    } else if (words.has("--check")) {
      if (*laid_out == *text) continue;
      std::printf("%s\n", path.c_str());
      status = kBadConfiguration;
    } else if (!words.has("--write")) {
      std::fputs(laid_out->c_str(), stdout);
    } else if (*laid_out != *text && !replace_file(path, *laid_out)) {
      std::fprintf(stderr, "sluice fmt: cannot write %s\n", path.c_str());
      status = kBadConfiguration;
    }
  }
  return status;
}

/// The table of directives: for people who look one up, and for the tests that hold it against the sources.
int directives(const Words& words) {
  if (words.has("--markdown")) {
    std::fputs(config::directive_manual().c_str(), stdout);
  } else if (words.has("--members")) {
    std::fputs(config::directive_members_json().c_str(), stdout);
  } else if (!words.words.empty() || !words.options.empty()) {
    return bad_command("usage: sluice directives [--markdown | --members]\n");
  } else {
    const config::StateCounts counts = config::count_states();
    std::printf("%zu directives work, %zu are to come, %zu are out; docs/directives.md lists them\n",
                counts.works, counts.to_come, counts.out);
  }
  return kGood;
}

}  // namespace

namespace {

/// To find the rows of an address that `privacy-policy` hides.
int digest(const Words& words) {
  static constexpr const char* kUsage =
      "usage: sluice digest TEXT --hmac-sha256|--siphash --key=KEY|--hexkey=HEX\n";
  std::optional<std::string> key;
  bool is_hex = false;
  for (const std::string& option : words.options) {
    if (option == "--hmac-sha256" || option == "--siphash") continue;
    is_hex = option.starts_with("--hexkey=");
    if (key || (!is_hex && !option.starts_with("--key="))) return bad_command(kUsage);
    key = option.substr(option.find('=') + 1);
  }
  const bool siphash = words.has("--siphash");
  if (words.words.size() != 1 || !key || siphash == words.has("--hmac-sha256")) return bad_command(kUsage);
  config::PrivacyPolicy policy;
  policy.argument = *key;
  policy.kind = siphash ? (is_hex ? config::PrivacyKind::SiphashHexkey : config::PrivacyKind::Siphash)
                        : (is_hex ? config::PrivacyKind::HmacSha256Hexkey : config::PrivacyKind::HmacSha256);
  const auto privacy = accounting::Privacy::make(policy);
  if (!privacy) return bad_command("sluice digest: " + privacy.error() + '\n');
  std::string made;
  privacy->address(made, words.words.front() + "@");
  std::string hex = made.substr(0, made.size() - 1);
  for (char& c : hex) {
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  }
  std::printf("Result: %s\n", hex.c_str());
  return kGood;
}

}  // namespace

std::optional<int> run_offline(const std::vector<std::string>& arguments, const std::string& config) {
  const Words words = split(arguments);
  const std::string& name = arguments.front();
  // `check spf IP HELO` is the daemon's, which has the resolver; a file of that name is ./spf.
  if (name == "check" && !words.words.empty() && words.words.front() == "spf") return std::nullopt;
  if (name == "check") return check(words, config);
  // pmta's spelling: `pmta test config`.
  if (name == "test" && words.words.size() >= 1 && words.words.front() == "config") {
    Words rest = words;
    rest.words.erase(rest.words.begin());
    return check(rest, config.empty() ? kDefaultConfig : config);
  }
  if (name == "fmt") return format(words);
  if (name == "directives") return directives(words);
  if (name == "digest") return digest(words);
  if (config.empty()) return std::nullopt;
  std::vector<std::string> rest = words.words;
  const bool show = name == "show" && !rest.empty() && rest.front() == "settings";
  if (show) rest.erase(rest.begin());
  if (show || name == "settings" || name == "explain") {
    if (rest.empty())
      return bad_command("sluice " + name + ": which queue? For example: gmail.com/marketing\n");
    return with_config(config, name == "explain" ? &explain : &settings, rest);
  }
  return std::nullopt;
}

}  // namespace sluice::tools
