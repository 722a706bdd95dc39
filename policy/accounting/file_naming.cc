#include "policy/accounting/file_naming.h"

#include <charconv>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::accounting {
namespace {

void append_padded(std::string& out, unsigned value, std::size_t width) {
  const std::string digits = std::to_string(value);
  if (digits.size() < width) out.append(width - digits.size(), '0');
  out += digits;
}

std::optional<unsigned> number_in(std::string_view digits) {
  unsigned value = 0;
  if (digits.empty() || !is_digit(digits.front())) return std::nullopt;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

}  // namespace

FileNaming::FileNaming(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  directory_ = slash == std::string_view::npos ? "." : path.substr(0, slash);
  const std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  SLUICE_ASSERT(!name.empty());
  const std::size_t dot = name.rfind('.');
  const bool has_extension = dot != std::string_view::npos && dot > 0;
  stem_ = name.substr(0, has_extension ? dot : name.size());
  extension_ = has_extension ? name.substr(dot) : std::string_view();
}

std::string FileNaming::name_of(const FileId& id) const {
  const std::chrono::year_month_day date(id.day);
  std::string out = stem_;
  out += '-';
  append_padded(out, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  out += '-';
  append_padded(out, static_cast<unsigned>(date.month()), 2);
  out += '-';
  append_padded(out, static_cast<unsigned>(date.day()), 2);
  out += '-';
  append_padded(out, id.number, 4);
  out += extension_;
  return out;
}

std::optional<FileId> FileNaming::parse(std::string_view name) const {
  // stem-YYYY-MM-DD-NNNN.ext
  if (!name.starts_with(stem_) || !name.ends_with(extension_)) return std::nullopt;
  if (name.size() < stem_.size() + extension_.size()) return std::nullopt;
  name = name.substr(stem_.size(), name.size() - stem_.size() - extension_.size());
  if (name.size() < 16 || name[0] != '-' || name[5] != '-' || name[8] != '-' || name[11] != '-')
    return std::nullopt;
  const auto year = number_in(name.substr(1, 4));
  const auto month = number_in(name.substr(6, 2));
  const auto day = number_in(name.substr(9, 2));
  const auto number = number_in(name.substr(12));
  if (!year || !month || !day || !number) return std::nullopt;
  const std::chrono::year_month_day date(std::chrono::year(static_cast<int>(*year)),
                                         std::chrono::month(*month), std::chrono::day(*day));
  if (!date.ok()) return std::nullopt;
  const FileId id{std::chrono::local_days{date}, *number};
  return id;
}

}  // namespace sluice::accounting
