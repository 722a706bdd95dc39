#include "engine/accounting/file_specs.h"

#include <algorithm>
#include <unordered_set>

#include "policy/accounting/privacy.h"

namespace sluice::accounting {

namespace {

std::string name_of(const config::AcctFile& spec) { return spec.is_pipe() ? '|' + spec.command : spec.path; }

}  // namespace

std::expected<RecordLayout, std::string> layout_of(const config::AcctFile& spec) {
  const std::string name = name_of(spec);
  const bool is_name = !spec.path.empty() && !spec.path.ends_with('/');
  if ((!spec.is_pipe() && !is_name) || name.find('\n') != std::string::npos) {
    return std::unexpected("<acct-file " + name + ">: not the name of a file");
  }
  if (const auto privacy = Privacy::make(spec.privacy_policy); !privacy) {
    return std::unexpected("<acct-file " + name + ">: " + privacy.error());
  }
  auto layout = RecordLayout::make(spec);
  if (!layout) return std::unexpected("<acct-file " + name + ">: " + layout.error().message);
  return std::move(*layout);
}

bool is_file(const config::AcctFile& spec) { return !spec.is_pipe() && !spec.is_webhook(); }

bool is_configured(const std::vector<config::AcctFile>& specs, std::string_view path) {
  return std::any_of(specs.begin(), specs.end(),
                     [path](const config::AcctFile& spec) { return is_file(spec) && spec.path == path; });
}

const config::AcctFile* find_pipe(const std::vector<config::AcctFile>& specs, std::string_view command) {
  const auto found = std::ranges::find_if(
      specs, [command](const config::AcctFile& spec) { return spec.is_pipe() && spec.command == command; });
  return found == specs.end() ? nullptr : &*found;
}

std::vector<std::string> arguments_of(std::string_view command) {
  // Without a shell in between, a program that is not there is noticed when it is started.
  static constexpr std::string_view kForShell = "|&;<>()$`\\\"'*?[]{}#~=%!\n";
  if (command.find_first_of(kForShell) != std::string_view::npos)
    return {"/bin/sh", "-c", std::string(command)};
  std::vector<std::string> out;
  for (std::size_t at = 0; at < command.size();) {
    const std::size_t end = std::min(command.find_first_of(" \t", at), command.size());
    if (end > at) out.emplace_back(command.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

std::expected<std::vector<std::string>, std::string> check_files(const std::vector<config::AcctFile>& files) {
  std::vector<std::string> warnings;
  std::unordered_set<std::string> names;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (files[i].is_webhook()) {
      warnings.push_back("<acct-file " + files[i].http_webhook_url +
                         ">: webhooks are not supported yet; nothing is sent there");
      continue;
    }
    const auto layout = layout_of(files[i]);
    if (!layout) return std::unexpected(layout.error());
    for (const std::string& warning : layout->warnings())
      warnings.push_back(name_of(files[i]) + ": " + warning);
    if (!names.insert(name_of(files[i])).second)
      return std::unexpected("two <acct-file " + name_of(files[i]) + "> blocks");
  }
  return warnings;
}

}  // namespace sluice::accounting
