#include "tests/sim/acct_rows.h"

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

std::vector<std::string> fields_of(std::string_view line) {
  std::vector<std::string> out(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      out.emplace_back();
    } else {
      out.back() += c;
    }
  }
  return out;
}

}  // namespace

std::vector<Row> acct_rows(runtime::sim::Disk& disk, std::string_view name, std::string_view type) {
  std::vector<Row> out;
  const std::string begin = '/' + std::string(name) + '-';
  for (const std::string& path : disk.files_below("/var/log")) {
    if (path.find(begin) == std::string::npos || !path.ends_with(".csv")) continue;
    const std::string text = disk.content(path);
    std::vector<std::string> names;
    for (std::size_t at = 0, end = 0; (end = text.find("\r\n", at)) != std::string::npos; at = end + 2) {
      std::vector<std::string> fields = fields_of(std::string_view(text).substr(at, end - at));
      if (fields.front() == "type") {
        names = std::move(fields);
        continue;
      }
      EXPECT_EQ(fields.size(), names.size()) << path << ": " << text.substr(at, end - at);
      if (fields.size() != names.size() || (!type.empty() && fields.front() != type)) continue;
      Row& row = out.emplace_back();
      for (std::size_t i = 0; i < names.size(); ++i) row[names[i]] = std::move(fields[i]);
    }
  }
  return out;
}

}  // namespace sluice::test
