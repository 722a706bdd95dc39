#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "policy/accounting/acct_field.h"
#include "policy/settings/blocks.h"

namespace sluice::accounting {

/// The columns of one accounting file and which record types fill them. The first is `type`; then come the fields of
/// all types of the file, those of the first type first, each field once.
/// Thread: immutable once made.
class RecordLayout {
 public:
  static constexpr std::size_t kColumnsMax = 256;

  struct Column {
    Field field;
    RecordTypes types;  ///< others leave it empty
    /// `map-header-to-field`: the first of these headers that a record has is the value.
    struct Mapped {
      RecordType type;
      std::string header;
    };
    std::vector<Mapped> mapped;
  };

  struct Error {
    std::string message;
  };
  /// From `records`, `record-fields` and `map-header-to-field` of one block. Errors: a field that does not exist, a
  /// mapping of tq records or onto no field, too many columns.
  [[nodiscard]] static std::expected<RecordLayout, Error> make(const config::AcctFile& spec);

  [[nodiscard]] const std::vector<Column>& columns() const { return columns_; }
  [[nodiscard]] bool takes(RecordType type) const { return types_.has(type); }
  /// With CRLF.
  [[nodiscard]] const std::string& header_row() const { return header_row_; }
  /// Things that work but surely are not meant: a field no record of its type ever has.
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }
  /// Names of message headers that records of `type` need, each once. Injection keeps these.
  [[nodiscard]] std::vector<std::string> headers_needed(RecordType type) const;

 private:
  [[nodiscard]] std::expected<void, Error> add_type(const config::AcctFile& spec, RecordType type);
  [[nodiscard]] std::expected<void, Error> add_mapping(const config::HeaderToField& mapping);
  Column& column(const Field& field);

  std::vector<Column> columns_;
  RecordTypes types_;
  std::string header_row_;
  std::vector<std::string> warnings_;
};

}  // namespace sluice::accounting
