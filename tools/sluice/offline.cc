#include "tools/sluice/offline.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string_view>

#include "engine/control/command_table.h"
#include "policy/accounting/privacy.h"
#include "policy/base/version.h"
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

/// `file` is empty when there is none.
int check(const control::Command& command, const std::string& file) {
  if (file.empty()) return bad_command("check: which file?\nusage: check FILE\n");
  CheckOptions options;
  options.load.lenient = command.has("lenient");
  options.load.fragment = command.has("fragment");
  options.json = command.has("json");
  options.look_at_host = !command.has("offline");
  options.load.skip_urls = command.has("offline");
  const CheckReport report = check_configuration(file, options);
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
  const auto queue = config::find_queue(config, words[2]);
  if (!queue) return print(std::unexpected(queue.error()));
  return print(config::settings_text(config, *queue));
}

int explain(const config::Config& config, const std::vector<std::string>& words) {
  const auto queue = config::find_queue(config, words[1]);
  if (!queue) return print(std::unexpected(queue.error()));
  return print(config::explain_text(config, *queue, words.size() > 2 ? std::string_view(words[2]) : ""));
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

int format(const control::Command& command) {
  int status = kGood;
  DiskFileSource files;
  for (std::size_t i = 1; i < command.words.size(); ++i) {
    const std::string& path = command.words[i];
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
    } else if (command.has("check")) {
      if (*laid_out == *text) continue;
      std::printf("%s\n", path.c_str());
      status = kBadConfiguration;
    } else if (!command.has("write")) {
      std::fputs(laid_out->c_str(), stdout);
    } else if (*laid_out != *text && !replace_file(path, *laid_out)) {
      std::fprintf(stderr, "sluice fmt: cannot write %s\n", path.c_str());
      status = kBadConfiguration;
    }
  }
  return status;
}

/// The table of directives: for people who look one up, and for the tests that hold it against the sources.
int directives(const control::Command& command) {
  if (command.has("markdown")) {
    std::fputs(config::directive_manual().c_str(), stdout);
  } else if (command.has("members")) {
    std::fputs(config::directive_members_json().c_str(), stdout);
  } else {
    const config::StateCounts counts = config::count_states();
    std::printf("%zu directives work, %zu are to come, %zu are out; docs/directives.md lists them\n",
                counts.works, counts.to_come, counts.out);
  }
  return kGood;
}

/// To find the rows of an address that `privacy-policy` hides.
int digest(const control::Command& command) {
  const bool siphash = command.has("siphash");
  const bool is_hex = command.has("hexkey");
  if (siphash == command.has("hmac-sha256") || is_hex == command.has("key")) {
    return bad_command(
        "digest: one of --hmac-sha256 and --siphash, and one of --key=KEY and --hexkey=HEX\n"
        "usage: digest TEXT --hmac-sha256|--siphash --key=KEY|--hexkey=HEX\n");
  }
  const auto key = command.option(is_hex ? "hexkey" : "key");
  config::PrivacyPolicy policy;
  policy.argument = *key;
  policy.kind = siphash ? (is_hex ? config::PrivacyKind::SiphashHexkey : config::PrivacyKind::Siphash)
                        : (is_hex ? config::PrivacyKind::HmacSha256Hexkey : config::PrivacyKind::HmacSha256);
  const auto privacy = accounting::Privacy::make(policy);
  if (!privacy) return bad_command("digest: " + privacy.error() + '\n');
  std::string made;
  privacy->address(made, command.words[1] + "@");
  std::string hex = made.substr(0, made.size() - 1);
  for (char& c : hex) {
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  }
  std::printf("Result: %s\n", hex.c_str());
  return kGood;
}

}  // namespace

std::optional<int> run_offline(const control::Command& command, const std::string& config) {
  const control::CommandId id = command.row->id;
  if (id == control::CommandId::Check)
    return check(command, command.words.size() > 1 ? command.words[1] : config);
  if (id == control::CommandId::Fmt) return format(command);
  if (id == control::CommandId::Directives) return directives(command);
  if (id == control::CommandId::Digest) return digest(command);
  if (id == control::CommandId::TestConfig) {
    const std::string file = command.words.size() > 2 ? command.words[2] : config;
    if (!file.empty()) return check(command, file);
  }
  if (config.empty()) return std::nullopt;
  if (id == control::CommandId::ShowSettings) return with_config(config, &settings, command.words);
  if (id == control::CommandId::Explain) return with_config(config, &explain, command.words);
  return std::nullopt;
}

std::optional<int> run_without_daemon(const control::Command& command) {
  if (command.row->id == control::CommandId::ShowVersion) {
    std::printf("%s\n", std::string(own_product()).c_str());
    return kGood;
  }
  if (command.row->id == control::CommandId::TestConfig) return check(command, kDefaultConfig);
  return std::nullopt;
}

}  // namespace sluice::tools
