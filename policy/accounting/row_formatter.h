#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "policy/accounting/acct_record.h"
#include "policy/accounting/privacy.h"
#include "policy/accounting/record_layout.h"
#include "policy/accounting/time_zone.h"

namespace sluice::accounting {

/// Writes times as accounting files have them, remembering the last minutes it met: most records of a burst
/// share one.
class TimeText {
 public:
  TimeText(const TimeZone& zone, bool iso) : zone_(zone), iso_(iso) {}
  /// "2019-02-08 21:54:05+0000", or unix seconds. The epoch stands for "none": nothing is appended.
  void append(std::string& out, WallTime time);

 private:
  struct Minute {
    std::int64_t minute = -1;
    std::array<char, 17> front{};  // "2019-02-08 21:54:"
    std::array<char, 5> back{};    // "+0000"
  };
  [[nodiscard]] const Minute& minute_of(std::int64_t seconds);

  const TimeZone& zone_;
  bool iso_;
  std::array<Minute, 16> recent_{};
};

/// Turns records into rows of one file. The same record always gives the same bytes: what a crash left behind
/// is recognised by that. Thread: one. Lifetime: `zone` and `layout` outlive it.
class RowFormatter {
 public:
  struct Options {
    bool iso_times = true;
    std::string user_string;
    Privacy privacy{};
  };
  RowFormatter(const RecordLayout& layout, const TimeZone& zone, Options options);

  /// Appends one row with CRLF. Requires layout.takes(record.type).
  void append_row(std::string& out, const AcctRecord& record);

 private:
  void append_visible_row(std::string& out, const AcctRecord& record);
  void append_value(std::string& out, const RecordLayout::Column& column, const AcctRecord& record);
  void append_field(std::string& out, const Field& field, const AcctRecord& record);

  const RecordLayout& layout_;
  TimeText times_;
  std::string user_string_;
  Privacy privacy_;
  std::string orig_, rcpt_, orcpt_, diag_;  // of a row whose recipient is hidden
};

/// The value of the header `name` (compared without case), empty when absent.
[[nodiscard]] std::string_view find_named(std::span<const AcctRecord::Named> list, std::string_view name);

}  // namespace sluice::accounting
