#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::bench {

/// Reads RFC 4180 records from text that comes in any pieces.
/// Thread: one. Limits: a record of more than kRecordBytesMax is skipped and counted by overlong().
class CsvReader {
 public:
  static constexpr std::size_t kRecordBytesMax = 1024 * 1024;

  /// Takes `text`; calls `take(fields)` for every record it completes. The fields are valid during the call.
  template <class Take>
  void feed(std::string_view text, Take&& take) {
    for (const char c : text) {
      if (step(c)) emit(take);
    }
  }
  /// The end of the file: a last record without line break counts too.
  template <class Take>
  void finish(Take&& take) {
    if (!fields_.empty() || !field_.empty() || was_quoted_) {
      end_field();
      emit(take);
    }
  }
  [[nodiscard]] std::size_t overlong() const { return overlong_; }

 private:
  template <class Take>
  void emit(Take&& take) {
    // A record of one empty field is an empty line.
    const bool empty_line = fields_.size() == 1 && fields_.front().empty();
    if (size_ > kRecordBytesMax) {
      ++overlong_;
    } else if (!empty_line) {
      take(static_cast<const std::vector<std::string>&>(fields_));
    }
    fields_.clear();
    size_ = 0;
  }
  bool step(char c);
  void end_field();

  std::vector<std::string> fields_;
  std::string field_;
  std::size_t size_ = 0;
  std::size_t overlong_ = 0;
  bool in_quotes_ = false;
  bool quote_seen_ = false;  // inside quotes: the next byte decides whether the field ends
  bool was_quoted_ = false;
};

}  // namespace sluice::bench
