#include "policy/accounting/row_formatter.h"

#include <charconv>
#include <chrono>
#include <utility>

#include "policy/accounting/csv.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::accounting {
namespace {

void append_number(std::string& out, std::uint64_t value) {
  char digits[20];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
}

void put_two(char* at, unsigned value) {
  at[0] = static_cast<char>('0' + value / 10);
  at[1] = static_cast<char>('0' + value % 10);
}

/// "smtp;250 2.0.0 ok" -> "250".
std::string_view reply_code_of(std::string_view diag) {
  const std::size_t semicolon = diag.find(';');
  if (semicolon == std::string_view::npos) return {};
  diag = trim(diag.substr(semicolon + 1));
  if (diag.size() < 3 || !is_digit(diag[0]) || !is_digit(diag[1]) || !is_digit(diag[2])) return {};
  return diag.substr(0, 3);
}

void append_record_id(std::string& out, const AcctRecord& record) {
  char digits[16];
  out.append(digits, std::to_chars(digits, digits + sizeof digits, record.message.raw(), 16).ptr);
  out += '-';
  append_number(out, record.recipient);
  out += '-';
  append_number(out, record.attempt);
}

}  // namespace

void append_unplain_cell(std::string& out, std::string_view value, bool quoted) {
  if (quoted) out += '"';
  const std::size_t start = out.size();
  bool broken = false;
  for (const char c : value) {
    const unsigned char kind = detail::kCellBytes[static_cast<unsigned char>(c)];
    if (kind == detail::kBreak) {
      while (out.size() > start && is_blank(out.back())) out.pop_back();
      broken = true;
      continue;
    }
    if (broken && is_blank(c)) continue;
    if (std::exchange(broken, false) && out.size() > start) out += ' ';
    if (c == '"') out += '"';
    out += kind == detail::kBad ? '?' : c;
  }
  if (quoted) out += '"';
}

std::string_view find_named(std::span<const AcctRecord::Named> list, std::string_view name) {
  for (const auto& [key, value] : list) {
    if (iequals(key, name)) return value;
  }
  return {};
}

const TimeText::Minute& TimeText::minute_of(std::int64_t seconds) {
  const std::int64_t minute = seconds / 60 - (seconds % 60 < 0 ? 1 : 0);
  Minute& slot = recent_[static_cast<std::size_t>(minute) % recent_.size()];
  if (slot.minute == minute) return slot;
  using namespace std::chrono;
  const sys_seconds start{std::chrono::seconds(minute * 60)};
  // Offsets of today count in quarters of an hour, so one offset serves the minute.
  const std::int64_t offset = zone_.offset_at(start).count();
  const local_seconds local{std::chrono::seconds(minute * 60 + offset)};
  const local_days day = floor<days>(local);
  const year_month_day date(day);
  const auto clock = static_cast<unsigned>((local - day).count() / 60);
  slot.minute = minute;
  const auto year = static_cast<unsigned>(std::max(0, static_cast<int>(date.year())));
  char* at = slot.front.data();
  put_two(at, year / 100 % 100);
  put_two(at + 2, year % 100);
  at[4] = '-';
  put_two(at + 5, static_cast<unsigned>(date.month()));
  at[7] = '-';
  put_two(at + 8, static_cast<unsigned>(date.day()));
  at[10] = ' ';
  put_two(at + 11, clock / 60);
  at[13] = ':';
  put_two(at + 14, clock % 60);
  at[16] = ':';
  const auto east = static_cast<unsigned>((offset < 0 ? -offset : offset) / 60);
  slot.back[0] = offset < 0 ? '-' : '+';
  put_two(slot.back.data() + 1, east / 60 % 100);
  put_two(slot.back.data() + 3, east % 60);
  return slot;
}

void TimeText::append(std::string& out, WallTime time) {
  if (time == WallTime{}) return;
  const std::int64_t seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  if (!iso_) {
    char digits[24];
    out.append(digits, std::to_chars(digits, digits + sizeof digits, seconds).ptr);
    return;
  }
  const Minute& minute = minute_of(seconds);
  char text[24];
  std::copy(minute.front.begin(), minute.front.end(), text);
  put_two(text + 17, static_cast<unsigned>((seconds % 60 + 60) % 60));
  std::copy(minute.back.begin(), minute.back.end(), text + 19);
  out.append(text, sizeof text);
}

RowFormatter::RowFormatter(const RecordLayout& layout, const TimeZone& zone, Options options)
    : layout_(layout),
      times_(zone, options.iso_times),
      user_string_(std::move(options.user_string)),
      privacy_(std::move(options.privacy)) {}

void RowFormatter::append_row(std::string& out, const AcctRecord& record) {
  SLUICE_ASSERT(layout_.takes(record.type));
  if (!privacy_.hides() || record.rcpt.empty()) {
    append_visible_row(out, record);
    return;
  }
  privacy_.sender(orig_, record.orig, record.rcpt);
  privacy_.address(rcpt_, record.rcpt);
  privacy_.original_recipient(orcpt_, record.orcpt);
  privacy_.text(diag_, record.dsn_diag, record.rcpt);
  AcctRecord hidden = record;
  hidden.orig = orig_;
  hidden.rcpt = rcpt_;
  hidden.orcpt = orcpt_;
  hidden.dsn_diag = diag_;
  append_visible_row(out, hidden);
}

void RowFormatter::append_visible_row(std::string& out, const AcctRecord& record) {
  bool first = true;
  for (const RecordLayout::Column& column : layout_.columns()) {
    if (!first) out += ',';
    first = false;
    if (column.types.has(record.type)) append_value(out, column, record);
  }
  out += "\r\n";
}

void RowFormatter::append_value(std::string& out, const RecordLayout::Column& column,
                                const AcctRecord& record) {
  for (const RecordLayout::Column::Mapped& mapped : column.mapped) {
    if (mapped.type != record.type) continue;
    for (const auto& [name, value] : record.headers) {
      if (iequals(name, mapped.header)) return append_cell(out, value);
    }
  }
  append_field(out, column.field, record);
}

void RowFormatter::append_field(std::string& out, const Field& field, const AcctRecord& record) {
  switch (field.kind) {
    case FieldKind::Type: out += config::short_name(record.type); return;
    case FieldKind::TimeLogged: times_.append(out, record.time_logged); return;
    case FieldKind::TimeQueued: times_.append(out, record.time_queued); return;
    case FieldKind::TimeFirstAttempt: times_.append(out, record.time_first_attempt); return;
    case FieldKind::TotalSecondsQueued: {
      const auto queued =
          std::chrono::floor<std::chrono::seconds>(record.time_logged - record.time_queued).count();
      append_number(out, static_cast<std::uint64_t>(std::max<std::int64_t>(0, queued)));
      return;
    }
    case FieldKind::DlvSize:
      if (record.dlv_size_bytes != 0) append_number(out, record.dlv_size_bytes);
      return;
    case FieldKind::RecordId: append_record_id(out, record); return;
    case FieldKind::DlvStatus: out += reply_code_of(record.dsn_diag); return;
    case FieldKind::Orig: append_cell(out, record.orig); return;
    case FieldKind::Rcpt: append_cell(out, record.rcpt); return;
    case FieldKind::Orcpt: append_cell(out, record.orcpt); return;
    case FieldKind::DsnAction: append_cell(out, record.dsn_action); return;
    case FieldKind::DsnStatus: append_cell(out, record.dsn_status); return;
    case FieldKind::DsnDiag: append_cell(out, record.dsn_diag); return;
    case FieldKind::DsnMta: append_cell(out, record.dsn_mta); return;
    case FieldKind::DsnReportingMta: append_cell(out, record.dsn_reporting_mta); return;
    case FieldKind::BounceCat: append_cell(out, record.bounce_cat); return;
    case FieldKind::SrcType: append_cell(out, record.src_type); return;
    case FieldKind::SrcMta: append_cell(out, record.src_mta); return;
    case FieldKind::DlvType: append_cell(out, record.dlv_type); return;
    case FieldKind::DlvSourceIp: append_cell(out, record.dlv_source_ip); return;
    case FieldKind::DlvDestinationIp: append_cell(out, record.dlv_destination_ip); return;
    case FieldKind::DlvEsmtpAvailable: append_cell(out, record.dlv_esmtp_available); return;
    case FieldKind::DlvTlsProtocol: append_cell(out, record.dlv_tls_protocol); return;
    case FieldKind::DlvTlsCipher: append_cell(out, record.dlv_tls_cipher); return;
    case FieldKind::Vmta: append_cell(out, record.vmta); return;
    case FieldKind::VmtaPool: append_cell(out, record.vmta_pool); return;
    case FieldKind::JobId: append_cell(out, record.job_id); return;
    case FieldKind::EnvId: append_cell(out, record.env_id); return;
    case FieldKind::Queue: append_cell(out, record.queue); return;
    case FieldKind::RcvSmtpUser: append_cell(out, record.rcv_smtp_user); return;
    case FieldKind::RcvSourceIp: append_cell(out, record.rcv_source_ip); return;
    case FieldKind::RcvDestinationIp: append_cell(out, record.rcv_destination_ip); return;
    case FieldKind::UserString: append_cell(out, user_string_); return;
    case FieldKind::RepSourceIp: append_cell(out, record.rep_source_ip); return;
    case FieldKind::FeedbackType: append_cell(out, record.feedback_type); return;
    case FieldKind::Format: append_cell(out, record.format); return;
    case FieldKind::UserAgent: append_cell(out, record.user_agent); return;
    case FieldKind::ReportingMta: append_cell(out, record.reporting_mta); return;
    case FieldKind::ReportedDomain: append_cell(out, record.reported_domain); return;
    case FieldKind::Header: append_cell(out, find_named(record.headers, field.name)); return;
    case FieldKind::Arf: append_cell(out, find_named(record.arf, field.name)); return;
  }
}

}  // namespace sluice::accounting
