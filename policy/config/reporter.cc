#include <algorithm>
#include <tuple>

#include "policy/config/loader.h"

namespace sluice::config {

std::uint32_t Reporter::add_file(std::string path, std::string contents) {
  texts_.push_back({std::move(path), std::make_unique<const std::string>(std::move(contents)), {}});
  return static_cast<std::uint32_t>(texts_.size() - 1);
}

std::vector<std::string> Reporter::paths() const {
  std::vector<std::string> out;
  for (const Text& text : texts_) out.push_back(text.path);
  return out;
}

std::string Reporter::line_text(Origin where) {
  if (where.line == 0 || where.file >= texts_.size()) return {};
  Text& text = texts_[where.file];
  if (text.lines.empty()) {
    text.lines.push_back(0);
    for (std::size_t i = 0; (i = text.contents->find('\n', i)) != std::string::npos; ++i)
      text.lines.push_back(i + 1);
  }
  if (where.line > text.lines.size()) return {};
  const std::size_t begin = text.lines[where.line - 1];
  std::string line = text.contents->substr(begin, text.contents->find('\n', begin) - begin);
  if (!line.empty() && line.back() == '\r') line.pop_back();
  return line;
}

void Reporter::add(Origin where, std::uint32_t column, Finding finding) {
  if (finding.severity == Severity::Error) ++errors_;
  if (entries_.size() > kDiagnosticsMax) return;
  Diagnostic d;
  if (entries_.size() == kDiagnosticsMax) {
    d.severity = Severity::Error;
    d.message = "too many findings; the rest is not shown";
    entries_.push_back({Origin{UINT32_MAX, UINT32_MAX}, entries_.size(), std::move(d)});
    return;
  }
  d.severity = finding.severity;
  d.line = where.line;
  d.column = column;
  if (where.line > 0)
    d.file = texts_[where.file].path;
  else if (!texts_.empty())
    d.file = texts_.front().path;
  d.line_text = line_text(where);
  d.message = std::move(finding.message);
  d.expected = std::move(finding.expected);
  d.suggestion = std::move(finding.suggestion);
  if (where.line == 0) where = Origin{UINT32_MAX, 0};
  entries_.push_back({where, entries_.size(), std::move(d)});
}

std::vector<Diagnostic> Reporter::take() {
  std::sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    return std::tuple(a.where.file, a.where.line, a.sequence) <
           std::tuple(b.where.file, b.where.line, b.sequence);
  });
  std::vector<Diagnostic> out;
  for (Entry& entry : entries_) out.push_back(std::move(entry.diagnostic));
  entries_.clear();
  return out;
}

}  // namespace sluice::config
