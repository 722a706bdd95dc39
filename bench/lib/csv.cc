#include "bench/lib/csv.h"

#include <utility>

namespace sluice::bench {

void CsvReader::end_field() {
  fields_.push_back(std::exchange(field_, {}));
  in_quotes_ = false;
  quote_seen_ = false;
  was_quoted_ = false;
}

// True when `c` ended a record.
bool CsvReader::step(char c) {
  ++size_;
  const bool keep = size_ <= kRecordBytesMax;
  if (in_quotes_) {
    if (quote_seen_) {
      quote_seen_ = false;
      if (c == '"') {
        if (keep) field_ += '"';
        return false;
      }
      in_quotes_ = false;
    } else if (c == '"') {
      quote_seen_ = true;
      return false;
    } else {
      if (keep) field_ += c;
      return false;
    }
  }
  if (c == ',') {
    end_field();
    return false;
  }
  if (c == '\n') {
    if (!field_.empty() && field_.back() == '\r') field_.pop_back();
    end_field();
    return true;
  }
  if (c == '"' && field_.empty() && !was_quoted_) {
    in_quotes_ = true;
    was_quoted_ = true;
    return false;
  }
  if (keep) field_ += c;
  return false;
}

}  // namespace sluice::bench
