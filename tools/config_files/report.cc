#include "tools/config_files/report.h"

#include <algorithm>

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
  const auto rows = config::DirectiveTable::get().rows();
  if (config != nullptr) {
    for (const config::PendingUse& use : config->pending) {
      const config::Wait* wait = rows[use.row].wait_in(static_cast<config::Scope>(use.scope));
      if (wait == nullptr) continue;
      out += std::string(first ? "\n" : ",\n") + "    {\"directive\": " + json_string(rows[use.row].name) +
             ", \"waits_for\": " + json_string(config::name_of(wait->capability)) +
             ", \"file\": " + json_string(config->files[use.origin.file]) +
             ", \"line\": " + std::to_string(use.origin.line) + "}";
      first = false;
    }
  }
  return out + "\n  ]\n}\n";
}

}  // namespace

config::LoadResult load_configuration(const std::string& path, config::LoadOptions options) {
  DiskFileSource files;
  if (!options.fragment && options.defaults_path.empty()) options.defaults_path = path + "-defaults";
  return config::load_config(path, files, options);
}

CheckReport check_configuration(const std::string& path, const CheckOptions& options) {
  DiskFileSource files;
  const config::LoadResult loaded = load_configuration(path, options.load);
  std::vector<Diagnostic> findings = loaded.diagnostics;
  if (loaded.ok() && options.look_at_host) {
    DiskHostFacts facts;
    for (Diagnostic& one : config::check_host(*loaded.config, facts, files))
      findings.push_back(std::move(one));
  }
  CheckReport out;
  out.ok = !config::has_errors(findings) && loaded.ok();
  if (options.json) {
    out.text = json_of(path, out.ok, loaded.config.get(), findings);
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
