#include "bench/sink/message_intake.h"

#include <algorithm>

#include "bench/lib/body_scan.h"
#include "policy/base/ascii.h"

namespace sluice::bench {
namespace {

constexpr std::string_view kOurId = "x-sluice-load-id:";
constexpr std::string_view kMessageId = "message-id:";

std::string_view id_in(std::string_view value) {
  value = trim(value);
  if (value.starts_with('<')) value.remove_prefix(1);
  return value.substr(0, value.find('>'));
}

}  // namespace

MessageIntake::MessageIntake() { begin(Framing::Dot); }

void MessageIntake::begin(Framing framing) {
  XXH3_64bits_reset(hash_.get());
  header_.clear();
  id_.clear();
  bytes_ = 0;
  body_bytes_ = 0;
  framing_ = framing;
  line_ = Line::Start;
  before_ = '\n';
  in_header_ = true;
  id_is_ours_ = false;
  id_follows_ = false;
  bare_ = false;
  ended_ = false;
}

std::size_t MessageIntake::take(std::string_view bytes) {
  if (bytes.empty()) return 0;
  if (framing_ == Framing::Dot) return take_dotted(bytes);
  std::string_view rest = bytes;
  char before = before_ == '\n' && bytes_ == 0 ? '\0' : before_;
  while (!rest.empty()) {
    const BodyScan scan = scan_body(rest, before);
    bare_ = bare_ || scan.bare;
    const std::size_t part = scan.line_dot == std::string_view::npos ? rest.size() : scan.line_dot + 1;
    content(rest.substr(0, part));
    before = rest[part - 1];
    rest.remove_prefix(part);
  }
  before_ = before;
  return bytes.size();
}

// Transparency of RFC 5321 4.5.2. A dot counts at the start of a line only, and a line starts after CR LF only: this
// receiver is strict, so that a sender which lets "LF dot" through is found out.
std::size_t MessageIntake::take_dotted(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size() && !ended_) {
    switch (line_) {
      case Line::Start:
        if (bytes[at] == '.') {
          line_ = Line::Dot;
          ++at;
        } else {
          line_ = Line::Middle;
        }
        break;
      case Line::Dot:
        if (bytes[at] == '\r') {
          line_ = Line::DotCr;
          ++at;
        } else {
          before_ = '.';
          line_ = Line::Middle;
        }
        break;
      case Line::DotCr:
        if (bytes[at] == '\n') {
          ended_ = true;
          ++at;
          break;
        }
        bare_ = true;
        content("\r");
        before_ = '\0';
        line_ = Line::Middle;
        break;
      case Line::Middle: {
        const std::string_view rest = bytes.substr(at);
        const BodyScan scan = scan_body(rest, before_);
        bare_ = bare_ || scan.bare;
        const std::size_t part = scan.line_dot == std::string_view::npos ? rest.size() : scan.line_dot + 1;
        content(rest.substr(0, part));
        const char last_but_one = part >= 2 ? rest[part - 2] : before_;
        before_ = rest[part - 1];
        if (before_ == '\n' && last_but_one == '\r') line_ = Line::Start;
        at += part;
        break;
      }
    }
  }
  return at;
}

void MessageIntake::content(std::string_view bytes) {
  bytes_ += bytes.size();
  while (in_header_ && !bytes.empty()) {
    const std::size_t lf = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, lf == std::string_view::npos ? bytes.size() : lf + 1);
    bytes.remove_prefix(piece.size());
    if (lf != std::string_view::npos && header_.empty()) {
      header_line(piece);
      continue;
    }
    header_ += piece.substr(0, kHeaderLineMax - std::min(kHeaderLineMax, header_.size()));
    if (lf == std::string_view::npos) return;
    header_line(header_);
    header_.clear();
  }
  if (in_header_ || bytes.empty()) return;
  body_bytes_ += bytes.size();
  XXH3_64bits_update(hash_.get(), bytes.data(), bytes.size());
}

void MessageIntake::header_line(std::string_view line) {
  if (line.ends_with('\n')) line.remove_suffix(1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) {
    in_header_ = false;
    return;
  }
  if (id_follows_ && is_blank(line.front())) id_ = id_in(line);
  id_follows_ = false;
  // Most lines are told apart by their first letter.
  const char first = to_lower(line.front());
  if (first == 'm' && !id_is_ours_ && istarts_with(line, kMessageId)) {
    id_ = id_in(line.substr(kMessageId.size()));
    id_follows_ = id_.empty();
  } else if (first == 'x' && istarts_with(line, kOurId)) {
    id_ = id_in(line.substr(kOurId.size()));
    id_is_ours_ = true;
  }
}

}  // namespace sluice::bench
