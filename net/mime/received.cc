#include "net/mime/received.h"

#include <algorithm>
#include <array>
#include <chrono>

namespace sluice::net {
namespace {

constexpr std::size_t kLineWidth = 78;  // RFC 5322 2.1.1: should not be exceeded
constexpr std::size_t kWordBytesMax =
    512;  // of one text; four of them stay below the hard limit of 998 a line

constexpr std::array<std::string_view, 7> kDays{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
constexpr std::array<std::string_view, 12> kMonths{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                   "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

void append_two(std::string& out, unsigned value) {
  out += static_cast<char>('0' + value / 10 % 10);
  out += static_cast<char>('0' + value % 10);
}

/// Words separated by blanks, folded with CRLF TAB before a word that would make the line too long.
class Folder {
 public:
  explicit Folder(std::string& out) : out_(&out), line_start_(out.size()) {}

  /// Adds `word` (made of up to three parts that stay together) behind a blank.
  void add(std::string_view front, std::string_view text = {}, std::string_view back = {}) {
    text = text.substr(0, kWordBytesMax);
    const std::size_t size = front.size() + text.size() + back.size();
    if (column() > 1 && column() + 1 + size > kLineWidth) {
      *out_ += "\r\n\t";
      line_start_ = out_->size() - 1;
    } else {
      *out_ += ' ';
    }
    *out_ += front;
    for (const char c : text) {
      const auto byte = static_cast<unsigned char>(c);
      // Blanks and parentheses would begin new words or comments.
      *out_ += byte <= 32 || byte == 127 || c == '(' || c == ')' ? '?' : c;
    }
    *out_ += back;
  }

 private:
  [[nodiscard]] std::size_t column() const { return out_->size() - line_start_; }

  std::string* out_;
  std::size_t line_start_;
};

}  // namespace

void append_rfc5322_date(std::string& out, WallTime time, std::chrono::minutes offset) {
  using namespace std::chrono;
  const auto local = floor<seconds>(time) + offset;
  const auto day = floor<days>(local);
  const year_month_day date{day};
  const hh_mm_ss clock{local - day};
  out += kDays[weekday{day}.c_encoding()];
  out += ", ";
  append_two(out, static_cast<unsigned>(date.day()));
  out += ' ';
  out += kMonths[static_cast<unsigned>(date.month()) - 1];
  out += ' ';
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
  append_two(out, year / 100);
  append_two(out, year % 100);
  out += ' ';
  append_two(out, static_cast<unsigned>(clock.hours().count()));
  out += ':';
  append_two(out, static_cast<unsigned>(clock.minutes().count()));
  out += ':';
  append_two(out, static_cast<unsigned>(clock.seconds().count()));
  out += offset.count() < 0 ? " -" : " +";
  const auto away = static_cast<unsigned>(std::abs(offset.count()));
  append_two(out, away / 60);
  append_two(out, away % 60);
}

std::string rfc5322_date(WallTime time, std::chrono::minutes offset) {
  std::string out;
  append_rfc5322_date(out, time, offset);
  return out;
}

void append_received(std::string& out, const ReceivedFields& fields) {
  Folder line(out);
  out += "Received:";
  if (fields.client) {
    line.add("from ", fields.helo.empty() ? "unknown" : fields.helo);
    line.add("(", fields.client->text(), ")");
  }
  line.add("by ", fields.host);
  // The product is our own ("Sluice 0.1.0"): its blank stays.
  line.add("(" + std::string(fields.product) + ")");
  line.add("id ", fields.id, fields.recipient.empty() ? ";" : "");
  if (!fields.recipient.empty()) line.add("for <", fields.recipient, ">;");
  line.add(fields.date);
  if (fields.show_envelope_from) line.add("(envelope-from <", fields.envelope_from, ">)");
  out += "\r\n";
}

}  // namespace sluice::net
