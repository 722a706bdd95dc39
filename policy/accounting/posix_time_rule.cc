#include "policy/accounting/posix_time_rule.h"

#include "policy/base/ascii.h"

namespace sluice::accounting {

using std::chrono::seconds;

/// Reads from the front; after a failure every answer is worthless and ok() is false.
class PosixTimeRule::Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return text_.empty(); }
  [[nodiscard]] bool next_is(char c) const { return !text_.empty() && text_.front() == c; }
  bool skip(char c) {
    if (!next_is(c)) return false;
    text_.remove_prefix(1);
    return true;
  }
  void require(char c) { ok_ = skip(c) && ok_; }

  int number(int most) {
    int value = 0;
    std::size_t digits = 0;
    for (; digits < text_.size() && digits < 4 && is_digit(text_[digits]); ++digits) {
      value = value * 10 + (text_[digits] - '0');
    }
    if (digits == 0 || value > most) ok_ = false;
    text_.remove_prefix(digits);
    return value;
  }
  void name() {
    std::size_t size = 0;
    if (skip('<')) {
      while (size < text_.size() && text_[size] != '>') ++size;
      text_.remove_prefix(size);
      require('>');
    } else {
      while (size < text_.size() && is_alpha(text_[size])) ++size;
      text_.remove_prefix(size);
    }
    if (size == 0) ok_ = false;
  }
  /// [+-]h[h[h]][:mm[:ss]]
  seconds time() {
    const bool negative = skip('-');
    if (!negative) skip('+');
    seconds out = std::chrono::hours(number(167));
    if (skip(':')) out += std::chrono::minutes(number(59));
    if (skip(':')) out += seconds(number(59));
    return negative ? -out : out;
  }
  Change change() {
    Change out;
    if (skip('M')) {
      out.month = number(12);
      require('.');
      out.week = number(5);
      require('.');
      out.weekday = number(6);
      if (out.month < 1 || out.week < 1) ok_ = false;
    } else if (skip('J')) {
      out.kind = Change::Kind::Julian;
      out.day = number(365);
      if (out.day < 1) ok_ = false;
    } else {
      out.kind = Change::Kind::DayOfYear;
      out.day = number(365);
    }
    if (skip('/')) out.time = time();
    return out;
  }

 private:
  std::string_view text_;
  bool ok_ = true;
};

std::optional<PosixTimeRule> PosixTimeRule::parse(std::string_view text) {
  PosixTimeRule out;
  Reader reader(text);
  reader.name();
  out.standard_ = -reader.time();  // POSIX counts west of Greenwich as positive
  if (!reader.at_end()) {
    reader.name();
    out.daylight_ = out.standard_ + std::chrono::hours(1);
    if (!reader.next_is(',')) out.daylight_ = -reader.time();
    reader.require(',');
    out.begin_ = reader.change();
    reader.require(',');
    out.end_ = reader.change();
  }
  if (!reader.ok() || !reader.at_end()) return std::nullopt;
  return out;
}

std::chrono::local_seconds PosixTimeRule::when(const Change& change, std::chrono::year year) {
  using namespace std::chrono;
  const local_days new_year{year / January / 1};
  local_days day = new_year;
  switch (change.kind) {
    case Change::Kind::MonthWeekDay: {
      const weekday on(static_cast<unsigned>(change.weekday));
      const auto of = year / month(static_cast<unsigned>(change.month));
      day = change.week == 5 ? local_days{of / on[last]}
                             : local_days{of / on[static_cast<unsigned>(change.week)]};
      break;
    }
    case Change::Kind::Julian:
      day = new_year + days(change.day - 1 + (year.is_leap() && change.day > 59 ? 1 : 0));
      break;
    case Change::Kind::DayOfYear: day = new_year + days(change.day); break;
  }
  return day + change.time;
}

seconds PosixTimeRule::offset_at(std::chrono::sys_seconds time) const {
  using namespace std::chrono;
  if (!daylight_) return standard_;
  const auto local = local_seconds{(time + standard_).time_since_epoch()};
  const year in = year_month_day(floor<days>(local)).year();
  // Compared as moments: daylight time begins by the standard clock and ends by the daylight clock.
  const auto begin = when(begin_, in) - standard_;
  const auto end = when(end_, in) - *daylight_;
  const auto now = local_seconds{time.time_since_epoch()};
  const bool in_daylight = begin < end ? now >= begin && now < end : now >= begin || now < end;
  return in_daylight ? *daylight_ : standard_;
}

}  // namespace sluice::accounting
