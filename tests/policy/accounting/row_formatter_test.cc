// Goal: rows byte for byte: quoting, times, empty columns of other types, hostile values.
// How: golden rows, plus a small RFC 4180 reader that has to get every value back out of what was written.
#include "policy/accounting/row_formatter.h"

#include <gtest/gtest.h>

#include <algorithm>

#include <random>

#include "policy/accounting/csv.h"

namespace sluice::accounting {
namespace {

using enum config::RecordType;

const TimeZone kUtc;

AcctRecord delivery() {
  AcctRecord out;
  out.type = Delivery;
  out.time_logged = WallTime{1549662845123ms};
  out.time_queued = WallTime{1549662840999ms};
  out.dlv_size_bytes = 41159;
  out.orig = "v-bob=a.example@news.example";
  out.rcpt = "bob@a.example";
  out.dsn_action = "relayed";
  out.dsn_status = "2.0.0 (success)";
  out.dsn_diag = "smtp;250 accepted";
  out.dsn_mta = "mx.a.example (192.0.2.10)";
  out.src_type = "smtp";
  out.src_mta = "feeder (192.0.2.2)";
  out.dlv_type = "smtp";
  out.dlv_source_ip = "198.51.100.7";
  out.dlv_destination_ip = "192.0.2.10";
  out.dlv_esmtp_available = "ENHANCEDSTATUSCODES,8BITMIME";
  out.vmta = "vmta48";
  out.vmta_pool = "pool1";
  out.job_id = "job1";
  out.queue = "a.example/vmta48";
  out.message = MessageId{0xabcdef};
  out.recipient = 3;
  out.attempt = 2;
  return out;
}

std::string row(const config::AcctFile& spec, const AcctRecord& record, const TimeZone& zone = kUtc) {
  const auto layout = RecordLayout::make(spec);
  EXPECT_TRUE(layout);
  RowFormatter formatter(*layout, zone, {spec.iso_times, spec.user_string});
  std::string out;
  formatter.append_row(out, record);
  return out;
}

config::AcctFile with_fields(std::vector<std::string> words, config::RecordType type = Delivery) {
  config::AcctFile out;
  out.records = {type};
  out.record_fields = {{type, std::move(words), {}}};
  return out;
}

TEST(RowFormatter, GoldenDelivery) {
  EXPECT_EQ(row({}, delivery()),
            "d,2019-02-08 21:54:05+0000,2019-02-08 "
            "21:54:00+0000,v-bob=a.example@news.example,bob@a.example,,relayed,"
            "2.0.0 (success),smtp;250 accepted,mx.a.example (192.0.2.10),,smtp,feeder "
            "(192.0.2.2),smtp,198.51.100.7,"
            "192.0.2.10,\"ENHANCEDSTATUSCODES,8BITMIME\",41159,vmta48,job1,,a.example/vmta48,pool1\r\n");
}

TEST(RowFormatter, ColumnsOfOtherTypesStayEmpty) {
  config::AcctFile spec;
  spec.records = {Delivery, Reception};
  spec.record_fields = {{Delivery, {"rcpt", "dsnDiag"}, {}}, {Reception, {"rcvSourceIp", "rcpt"}, {}}};
  AcctRecord received = delivery();
  received.type = Reception;
  received.rcv_source_ip = "192.0.2.2";
  EXPECT_EQ(row(spec, received), "r,bob@a.example,,192.0.2.2\r\n");
  EXPECT_EQ(row(spec, delivery()), "d,bob@a.example,smtp;250 accepted,\r\n");
}

TEST(RowFormatter, FieldsThatAreComputed) {
  auto spec = with_fields(
      {"totalSecondsQueued", "dlvStatus", "recordId", "userString", "timeFirstAttempt", "dlvSize"});
  spec.user_string = "a,b";
  AcctRecord record = delivery();
  EXPECT_EQ(row(spec, record), "d,4,250,abcdef-3-2,\"a,b\",,41159\r\n");
  record.time_queued = record.time_logged + 5s;  // the clock was set back meanwhile
  record.dsn_diag = "x-pmta;bounce-queue";
  record.dlv_size_bytes = 0;
  record.time_first_attempt = record.time_logged;
  EXPECT_EQ(row(spec, record), "d,0,,abcdef-3-2,\"a,b\",2019-02-08 21:54:05+0000,\r\n");
}

TEST(RowFormatter, UnixTimes) {
  auto spec = with_fields({"timeLogged", "timeQueued"});
  spec.iso_times = false;
  EXPECT_EQ(row(spec, delivery()), "d,1549662845,1549662840\r\n");
}

TEST(RowFormatter, TimesAcrossManyMinutesAgreeWithTheCalendar) {
  // The cache of minutes must never answer for another minute.
  TimeText text(kUtc, true);
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    const auto seconds =
        std::chrono::seconds(static_cast<std::int64_t>(random() % 8'000'000'000ull) - 1'000'000'000);
    const WallTime time{std::chrono::milliseconds(seconds) + std::chrono::milliseconds(random() % 1000)};
    if (time == WallTime{}) continue;
    std::string got;
    text.append(got, time);
    const auto day = std::chrono::floor<std::chrono::days>(seconds);
    const std::chrono::year_month_day date{std::chrono::sys_days(day)};
    const auto clock = (seconds - day).count();
    char want[64];
    std::snprintf(want, sizeof want, "%04d-%02u-%02u %02d:%02d:%02d+0000", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(clock / 3600), static_cast<int>(clock / 60 % 60),
                  static_cast<int>(clock % 60));
    ASSERT_EQ(got, want);
  }
}

TEST(RowFormatter, HeadersAndMappings) {
  auto spec = with_fields({"header_Subject", "header_X-None", "jobId"});
  spec.map_header_to_field = {{Delivery, "X-First", "jobId"}, {Delivery, "X-Second", "jobId"}};
  AcctRecord record = delivery();
  const AcctRecord::Named named[] = {{"subject", "Hi, \"you\""}, {"x-second", "second"}};
  record.headers = named;
  EXPECT_EQ(row(spec, record), "d,\"Hi, \"\"you\"\"\",,second\r\n");
  record.headers = std::span(named).first(1);
  EXPECT_EQ(row(spec, record), "d,\"Hi, \"\"you\"\"\",,job1\r\n")
      << "without any of them the field keeps its value";
}

TEST(Csv, Cells) {
  const struct {
    std::string_view value;
    const char* want;
  } rows[] = {
      {"", ""},
      {"plain", "plain"},
      {" blanks stay ", " blanks stay "},
      {"a,b", "\"a,b\""},
      {"2\"", "\"2\"\"\""},
      {"a\r\nb", "a b"},
      {"one\r\n two \r\n\tthree", "one two three"},
      {"\r\n \nlast\r\n", "last"},
      {"a\n,b", "\"a ,b\""},
      {"tab\tstays", "tab\tstays"},
      {std::string_view("nul\0esc\x1b", 8), "nul?esc?"},
      {std::string_view("\x01,", 2), "\"?,\""},
      {"=HYPERLINK(1)", "=HYPERLINK(1)"},
      {"\xc3\xa9\xff", "\xc3\xa9\xff"},
  };
  for (const auto& one : rows) {
    std::string got;
    append_cell(got, one.value);
    EXPECT_EQ(got, one.want);
  }
}

/// Splits the first row of `text` off, by RFC 4180. nullopt: malformed.
std::optional<std::vector<std::string>> take_row(std::string_view& text) {
  std::vector<std::string> cells(1);
  std::size_t at = 0;
  while (at < text.size()) {
    if (text[at] == '"' && cells.back().empty()) {
      for (++at;; ++at) {
        if (at == text.size()) return std::nullopt;
        if (text[at] == '"') {
          if (at + 1 < text.size() && text[at + 1] == '"') {
            ++at;
          } else {
            break;
          }
        }
        cells.back() += text[at];
      }
      ++at;
      if (at < text.size() && text[at] != ',' && text[at] != '\r') return std::nullopt;
    } else if (text[at] == ',') {
      cells.emplace_back();
      ++at;
    } else if (text[at] == '\r') {
      if (at + 1 >= text.size() || text[at + 1] != '\n') return std::nullopt;
      text.remove_prefix(at + 2);
      return cells;
    } else {
      if (text[at] == '"' || text[at] == '\n') return std::nullopt;
      cells.back() += text[at++];
    }
  }
  return std::nullopt;
}

TEST(Csv, AnyBytesComeBackOutOnOneLine) {
  // Whatever a stranger puts into a value, it cannot break out of its cell or of its line.
  std::mt19937 random(5);
  const auto spec = with_fields({"rcpt", "dsnDiag", "jobId"});
  for (int i = 0; i < 5'000; ++i) {
    std::string values[3];
    for (std::string& value : values) {
      for (auto n = random() % 12; n > 0; --n) value += ",\"\r\n\0ab=\x7f"[random() % 10];
    }
    AcctRecord record = delivery();
    record.rcpt = values[0];
    record.dsn_diag = values[1];
    record.job_id = values[2];
    const std::string text = row(spec, record) + "d,next,,\r\n";
    ASSERT_EQ(std::ranges::count(text, '\n'), 2) << text;
    std::string_view rest = text;
    const auto cells = take_row(rest);
    ASSERT_TRUE(cells) << text;
    ASSERT_EQ(cells->size(), 4u) << text;
    for (int c = 0; c < 3; ++c) {
      std::string want;
      for (const char byte : values[c]) {
        const bool is_break = byte == '\r' || byte == '\n';
        if (is_break && (want.empty() || want.back() == ' ')) continue;
        want += is_break ? ' ' : byte == '\0' || byte == '\x7f' ? '?' : byte;
      }
      if (want.ends_with(' ')) want.pop_back();
      EXPECT_EQ((*cells)[static_cast<std::size_t>(c) + 1], want);
    }
    EXPECT_EQ(rest, "d,next,,\r\n");
  }
}

}  // namespace
}  // namespace sluice::accounting
