#include "engine/accounting/file_specs.h"

#include <algorithm>

#include "policy/accounting/privacy.h"

namespace sluice::accounting {

std::expected<RecordLayout, std::string> layout_of(const config::AcctFile& spec) {
  const std::string& name = spec.path;
  if (spec.path.empty() || spec.path.ends_with('/') || spec.path.find('\n') != std::string::npos) {
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

std::expected<std::vector<std::string>, std::string> check_files(const std::vector<config::AcctFile>& files) {
  std::vector<std::string> warnings;
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (!is_file(files[i])) {
      warnings.push_back("<acct-file " +
                         (files[i].is_pipe() ? "|" + files[i].command : files[i].http_webhook_url) +
                         ">: pipes and webhooks are not supported yet; nothing is sent there");
      continue;
    }
    const auto layout = layout_of(files[i]);
    if (!layout) return std::unexpected(layout.error());
    for (const std::string& warning : layout->warnings()) warnings.push_back(files[i].path + ": " + warning);
    for (std::size_t j = 0; j < i; ++j) {
      if (files[j].path == files[i].path)
        return std::unexpected("two <acct-file " + files[i].path + "> blocks");
    }
  }
  return warnings;
}

}  // namespace sluice::accounting
