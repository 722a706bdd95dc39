#pragma once

#include <string>

#include "policy/accounting/row_formatter.h"
#include "policy/settings/blocks.h"

namespace sluice::accounting {

/// What one `<acct-file>` makes of a record: nothing, or a row. Thread: one. Lifetime: `zone` outlives it.
class RowMaker {
 public:
  /// `layout` is layout_of(spec).
  RowMaker(const config::AcctFile& spec, RecordLayout layout, const TimeZone& zone);
  RowMaker(const RowMaker&) = delete;  // the formatter refers to the layout
  RowMaker& operator=(const RowMaker&) = delete;

  [[nodiscard]] std::string header_row() const { return layout_.header_row(); }
  /// Appends the row of `record` if the block takes it (`records`, `queue-filter`); answers whether it did.
  bool append(std::string& out, const AcctRecord& record);

 private:
  RecordLayout layout_;
  std::vector<config::QueueFilter> filter_;
  RowFormatter formatter_;
};

}  // namespace sluice::accounting
