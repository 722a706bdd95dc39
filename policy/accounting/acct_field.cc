#include "policy/accounting/acct_field.h"

#include <string>

#include "policy/base/ascii.h"

namespace sluice::accounting {
namespace {

constexpr std::string_view kHeaderPrefix = "header_";
constexpr std::string_view kArfPrefix = "arf_";

/// `types`: one letter a type: d b t q(tq) r f m(rb) s(rs).
struct Row {
  FieldKind kind;
  std::string_view name;
  std::string_view types;
};

using enum FieldKind;
// In the order of FieldKind, which the lookup below relies on.
constexpr Row kRows[] = {
    {Type, "type", "dbtqrfms"},
    {TimeLogged, "timeLogged", "dbtqrfms"},
    {TimeQueued, "timeQueued", "dbt"},
    {TimeFirstAttempt, "timeFirstAttempt", "dbt"},
    {TotalSecondsQueued, "totalSecondsQueued", "dbt"},
    {Orig, "orig", "dbtrfms"},
    {Rcpt, "rcpt", "dbtrfms"},
    {Orcpt, "orcpt", "dbtrms"},
    {DsnAction, "dsnAction", "dbts"},
    {DsnStatus, "dsnStatus", "dbtqms"},
    {DsnDiag, "dsnDiag", "dbtqms"},
    {DsnMta, "dsnMta", "dbtqms"},
    {DsnReportingMta, "dsnReportingMta", "m"},
    {BounceCat, "bounceCat", "dbtms"},
    {SrcType, "srcType", "dbtrms"},
    {SrcMta, "srcMta", "dbtrms"},
    {DlvType, "dlvType", "dbtq"},
    {DlvSourceIp, "dlvSourceIp", "dbtqf"},
    {DlvDestinationIp, "dlvDestinationIp", "dbtq"},
    {DlvEsmtpAvailable, "dlvEsmtpAvailable", "dbt"},
    {DlvSize, "dlvSize", "dbt"},
    {DlvTlsProtocol, "dlvTlsProtocol", "dbt"},
    {DlvTlsCipher, "dlvTlsCipher", "dbt"},
    {Vmta, "vmta", "dbtqr"},
    {VmtaPool, "vmtaPool", "dbtr"},
    {JobId, "jobId", "dbtr"},
    {EnvId, "envId", "dbtrfms"},
    {Queue, "queue", "dbtq"},
    {RcvSmtpUser, "rcvSmtpUser", "dbtr"},
    {RcvSourceIp, "rcvSourceIp", "r"},
    {RcvDestinationIp, "rcvDestinationIp", "r"},
    {UserString, "userString", "dbtqr"},
    {RepSourceIp, "repSourceIp", "f"},
    {FeedbackType, "feedbackType", "f"},
    {Format, "format", "fms"},
    {UserAgent, "userAgent", "f"},
    {ReportingMta, "reportingMta", "f"},
    {ReportedDomain, "reportedDomain", "f"},
    {DlvStatus, "dlvStatus", "dbt"},
    {RecordId, "recordId", "dbtr"},
    {Header, "", "dbtrfms"},
    {Arf, "", "f"},
};
constexpr bool rows_stand_in_order() {
  for (std::size_t i = 0; i < std::size(kRows); ++i) {
    if (static_cast<std::size_t>(kRows[i].kind) != i) return false;
  }
  return true;
}
static_assert(rows_stand_in_order());

constexpr char letter_of(RecordType type) {
  switch (type) {
    case RecordType::Delivery: return 'd';
    case RecordType::Bounce: return 'b';
    case RecordType::Transient: return 't';
    case RecordType::TransientQueue: return 'q';
    case RecordType::Reception: return 'r';
    case RecordType::Feedback: return 'f';
    case RecordType::RemoteBounce: return 'm';
    case RecordType::RemoteStatus: return 's';
  }
  return '?';
}

// Files of PowerMTA 5 with records d,b,f,rb,r put the columns of r before those of rb, whatever their order in the
// directive.
constexpr RecordType kHeaderOrder[] = {
    RecordType::Delivery, RecordType::Bounce,    RecordType::Transient,    RecordType::TransientQueue,
    RecordType::Feedback, RecordType::Reception, RecordType::RemoteBounce, RecordType::RemoteStatus};

}  // namespace

bool operator==(const Field& a, const Field& b) { return a.kind == b.kind && iequals(a.name, b.name); }

std::optional<Field> parse_field(std::string_view word) {
  if (istarts_with(word, kHeaderPrefix) && word.size() > kHeaderPrefix.size()) {
    return Field{Header, std::string(word.substr(kHeaderPrefix.size()))};
  }
  if (istarts_with(word, kArfPrefix) && word.size() > kArfPrefix.size()) {
    return Field{Arf, std::string(word.substr(kArfPrefix.size()))};
  }
  if (word.empty()) return std::nullopt;
  for (const Row& row : kRows) {
    if (iequals(row.name, word)) return Field{row.kind, {}};
  }
  return std::nullopt;
}

std::string text_of(const Field& field) {
  switch (field.kind) {
    case Header: return std::string(kHeaderPrefix) + field.name;
    case Arf: return std::string(kArfPrefix) + field.name;
    default: return std::string(kRows[static_cast<std::size_t>(field.kind)].name);
  }
}

bool is_available(FieldKind kind, RecordType type) {
  return kRows[static_cast<std::size_t>(kind)].types.find(letter_of(type)) != std::string_view::npos;
}

std::string_view default_fields(RecordType type) {
  switch (type) {
    case RecordType::Delivery:
    case RecordType::Bounce:
    case RecordType::Transient:
      return "timeLogged,timeQueued,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,"
             "srcMta,"
             "dlvType,dlvSourceIp,dlvDestinationIp,dlvEsmtpAvailable,dlvSize,vmta,jobId,envId,queue,vmtaPool";
    case RecordType::TransientQueue:
      return "timeLogged,dsnStatus,dsnDiag,dsnMta,dlvType,dlvSourceIp,dlvDestinationIp,vmta,queue";
    case RecordType::Reception:
      return "timeLogged,orig,rcpt,orcpt,srcType,srcMta,rcvSourceIp,rcvDestinationIp,vmta,jobId,envId";
    case RecordType::Feedback:
      return "timeLogged,orig,rcpt,envId,dlvSourceIp,repSourceIp,feedbackType,format,userAgent,reportingMta,"
             "reportedDomain,header_From,header_Return-Path,header_X-job,header_Subject";
    case RecordType::RemoteBounce:
      return "timeLogged,orig,rcpt,orcpt,dsnStatus,dsnDiag,dsnMta,dsnReportingMta,bounceCat,srcType,srcMta,"
             "envId";
    case RecordType::RemoteStatus:
      return "timeLogged,orig,rcpt,orcpt,dsnAction,dsnStatus,dsnDiag,dsnMta,bounceCat,srcType,srcMta,envId";
  }
  return "";
}

std::span<const RecordType> types_in_header_order() { return kHeaderOrder; }

}  // namespace sluice::accounting
