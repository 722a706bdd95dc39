#include "tools/config_files/report.h"

#include <algorithm>

#include "engine/accounting/file_specs.h"
#include "engine/queue/snapshot.h"
#include "policy/base/json_text.h"
#include "policy/config/directive.h"
#include "policy/config/facts.h"
#include "policy/config/listing.h"
#include "tools/config_files/disk_file_source.h"
#include "tools/config_files/disk_host_facts.h"

namespace sluice::tools {
namespace {

using config::Diagnostic;
using config::Severity;

std::string_view word_of(Severity severity) {
  switch (severity) {
    case Severity::Note: return "note";
    case Severity::Warning: return "warning";
    case Severity::Error: return "error";
  }
  return "";
}

std::size_t count(const std::vector<Diagnostic>& findings, Severity severity) {
  return static_cast<std::size_t>(std::count_if(
      findings.begin(), findings.end(), [severity](const Diagnostic& d) { return d.severity == severity; }));
}

std::string plural(std::size_t number, std::string_view word) {
  return std::to_string(number) + ' ' + std::string(word) + (number == 1 ? "" : "s");
}

std::string sum_of(const std::vector<Diagnostic>& findings) {
  return plural(count(findings, Severity::Error), "error") + ", " +
         plural(count(findings, Severity::Warning), "warning") + ", " +
         plural(count(findings, Severity::Note), "note");
}

std::string json_of(const std::string& path, bool ok, const config::Config* config,
                    const std::vector<Diagnostic>& findings) {
  std::string out = "{\n  \"file\": " + json_string(path) + ",\n  \"valid\": " + (ok ? "true" : "false") +
                    ",\n  \"errors\": " + std::to_string(count(findings, Severity::Error)) +
                    ",\n  \"warnings\": " + std::to_string(count(findings, Severity::Warning)) +
                    ",\n  \"notes\": " + std::to_string(count(findings, Severity::Note)) +
                    ",\n  \"findings\": [";
  for (std::size_t i = 0; i < findings.size(); ++i) {
    const Diagnostic& d = findings[i];
    out += (i == 0 ? "\n" : ",\n");
    out += "    {\"severity\": " + json_string(word_of(d.severity)) + ", \"file\": " + json_string(d.file) +
           ", \"line\": " + std::to_string(d.line) + ", \"column\": " + std::to_string(d.column) +
           ", \"message\": " + json_string(d.message) + ", \"expected\": " + json_string(d.expected) +
           ", \"hint\": " + json_string(d.suggestion) + ", \"text\": " + json_string(d.line_text) + "}";
  }
  out += "\n  ],\n  \"to_come\": [";
  bool first = true;
  if (config != nullptr) {
    for (const config::PendingUse& use : config->pending) {
      if (use.waits_for.empty()) continue;
      out += std::string(first ? "\n" : ",\n") + "    {\"directive\": " + json_string(use.text()) +
             ", \"waits_for\": " + json_string(use.waits_for) +
             ", \"file\": " + json_string(config->files[use.origin.file]) +
             ", \"line\": " + std::to_string(use.origin.line) + "}";
      first = false;
    }
  }
  return out + "\n  ]\n}\n";
}

config::LoadResult load_text(const std::string& path, config::LoadOptions options, DiskFileSource& files) {
  if (!options.fragment && options.defaults_path.empty()) options.defaults_path = path + "-defaults";
  return config::load_config(path, files, options);
}

/// What a node would refuse about a text that reads well.
std::vector<Diagnostic> refusals(const config::LoadResult& loaded, config::FileSource& files) {
  std::string why;
  if (loaded.ok() && !loaded.is_fragment) {
    const auto compiles = queue::check_compiles(loaded.config);
    if (!compiles) {
      why = compiles.error();
    } else {
      const auto written = accounting::check_files(loaded.config->acct_files);
      if (written) return {};
      why = written.error();
    }
  }
  // Which patterns they are, all of them, each with its line; else what was found first.
  DiskHostFacts facts;
  std::vector<Diagnostic> out = config::check_regexes(*loaded.draft, facts, files);
  if (out.empty() && !why.empty()) {
    Diagnostic& one = out.emplace_back();
    one.severity = Severity::Error;
    one.message = why.starts_with("Error ") ? why.substr(6) : why;
  }
  return out;
}

}  // namespace

config::LoadResult load_configuration(const std::string& path, config::LoadOptions options) {
  DiskFileSource files;
  config::LoadResult loaded = load_text(path, std::move(options), files);
  if (!loaded.ok()) return loaded;
  const std::vector<Diagnostic> refused = refusals(loaded, files);
  loaded.diagnostics.insert(loaded.diagnostics.end(), refused.begin(), refused.end());
  if (!refused.empty()) loaded.config = nullptr;
  return loaded;
}

CheckReport check_configuration(const std::string& path, const CheckOptions& options) {
  DiskFileSource files;
  const config::LoadResult loaded = load_text(path, options.load, files);
  std::vector<Diagnostic> findings = loaded.diagnostics;
  const auto add = [&findings](const std::vector<Diagnostic>& more) {
    findings.insert(findings.end(), more.begin(), more.end());
  };
  // One error hides no other, and no warning.
  if (loaded.draft) add(refusals(loaded, files));
  if (loaded.draft && options.look_at_host) {
    DiskHostFacts facts;
    add(config::check_host(*loaded.draft, facts, files));
  }
  CheckReport out;
  out.ok = !config::has_errors(findings) && loaded.ok();
  if (options.json) {
    out.text = json_of(path, out.ok, loaded.draft.get(), findings);
    return out;
  }
  out.text = config::format(findings);
  if (loaded.ok()) out.text += config::pending_text(*loaded.config);
  out.text += path + (out.ok ? ": the configuration is valid" : ": the configuration does not load") + " (" +
              sum_of(findings) + ")\n";
  return out;
}

std::string load_failure_text(const std::string& path, const config::LoadResult& result) {
  return config::format(result.diagnostics) + path + ": the configuration does not load (" +
         sum_of(result.diagnostics) + ")\n";
}

}  // namespace sluice::tools
