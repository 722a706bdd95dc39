#pragma once
// The fields of accounting records: names, which record types have them, what "*" stands for.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "policy/settings/values.h"

namespace sluice::accounting {

using config::RecordType;

enum class FieldKind : std::uint8_t {
  Type,
  TimeLogged,
  TimeQueued,
  TimeFirstAttempt,
  TotalSecondsQueued,
  Orig,
  Rcpt,
  Orcpt,
  DsnAction,
  DsnStatus,
  DsnDiag,
  DsnMta,
  DsnReportingMta,
  BounceCat,
  SrcType,
  SrcMta,
  DlvType,
  DlvSourceIp,
  DlvDestinationIp,
  DlvEsmtpAvailable,
  DlvSize,
  DlvTlsProtocol,
  DlvTlsCipher,
  Vmta,
  VmtaPool,
  JobId,
  EnvId,
  Queue,
  RcvSmtpUser,
  RcvSourceIp,
  RcvDestinationIp,
  UserString,
  RepSourceIp,
  FeedbackType,
  Format,
  UserAgent,
  ReportingMta,
  ReportedDomain,
  DlvStatus,  ///< extension: reply code of the delivery, taken from the diagnostic
  RecordId,   ///< extension: "message-recipient-attempt", the same for every copy of one record
  Header,     ///< header_NAME of the original message
  Arf,        ///< arf_NAME of a feedback report
};

/// A column. `name` is what stands behind header_ or arf_, as written; else empty.
struct Field {
  FieldKind kind = FieldKind::Type;
  std::string name;
  /// Header names compare without case, as in messages.
  friend bool operator==(const Field& a, const Field& b);
};

/// A set of record types.
class RecordTypes {
 public:
  constexpr RecordTypes() = default;
  constexpr void add(RecordType type) { bits_ = static_cast<std::uint16_t>(bits_ | bit(type)); }
  [[nodiscard]] constexpr bool has(RecordType type) const { return (bits_ & bit(type)) != 0; }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }

 private:
  static constexpr std::uint16_t bit(RecordType type) {
    return static_cast<std::uint16_t>(1u << static_cast<unsigned>(type));
  }
  std::uint16_t bits_ = 0;
};

/// "dlvSourceIp", "header_Subject". Names compare without case; nullopt: no such field.
[[nodiscard]] std::optional<Field> parse_field(std::string_view word);
/// As it stands in the header row.
[[nodiscard]] std::string text_of(const Field& field);
/// Whether records of `type` can have a value there.
[[nodiscard]] bool is_available(FieldKind kind, RecordType type);
/// What "*" stands for, without `type`, in PowerMTA's order; comma separated.
[[nodiscard]] std::string_view default_fields(RecordType type);
/// Order in which the types of one file contribute to its header row.
[[nodiscard]] std::span<const RecordType> types_in_header_order();

}  // namespace sluice::accounting
