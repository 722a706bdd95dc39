// Message bytes: DATA with its dots, BDAT with its chunks.

#include <algorithm>

#include "net/smtp/server.h"
#include "policy/base/assert.h"

namespace sluice::net {
namespace {

std::span<const std::byte> as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

constexpr std::string_view kCrLf = "\r\n";

}  // namespace

void Server::begin_message() {
  in_message_ = true;
  drops_ = false;
  dot_ = Dot::None;
  scan_.reset();
}

/// Scans bytes and hands them on; how many were used. `stop` says why it were not all.
std::size_t Server::scan_and_pass(std::span<const std::byte> input, bool stop_at_dot_lines,
                                  BodyScan::Stop& stop) {
  const bool repair = settings_.bare_lf == ServerSettings::BareLf::Normalise;
  const BodyScan::Result result =
      scan_.scan(input.data(), input.size(), {.dot_line = stop_at_dot_lines, .bare_lf = repair});
  stop = result.stop;
  pass(input.first(result.scanned));
  if (result.stop != BodyScan::Stop::BareLf) return result.scanned;
  scan_.note_repaired_lf();
  pass(as_bytes(kCrLf));
  return result.scanned + 1;
}

/// Hands bytes the scan has seen to the owner, unless the message is lost.
void Server::pass(std::span<const std::byte> bytes) {
  if (drops_ || bytes.empty()) return;
  const BodyFacts& facts = scan_.facts();
  if (settings_.message_bytes_max && facts.bytes > *settings_.message_bytes_max) {
    return drop(Dropped::TooBig, Answer::reply(552, "5.3.4 message size exceeds fixed maximum"));
  }
  const bool bare_lf = facts.bare_lf && settings_.bare_lf == ServerSettings::BareLf::Refuse;
  if (facts.bare_cr || bare_lf) {
    return drop(Dropped::BareLineEnd,
                Answer::reply(550, "5.6.0 message has a bare CR or LF, see RFC 5321 2.3.8"));
  }
  const Answer answer = owner_->on_message_bytes(bytes);
  SLUICE_ASSERT(!answer.pending);
  if (answer.code >= 400) drop(Dropped::Refused, answer);
}

/// The message is lost; its remaining bytes are read (there is no other way to stay in step) and then
/// answered.
void Server::drop(Dropped why, const Answer& answer) {
  SLUICE_ASSERT(in_message_);
  abandon_transaction(why);
  drops_ = true;
  drop_answer_ = answer;
}

std::size_t Server::work_data(std::span<const std::byte> input) {
  std::size_t at = 0;
  while (at < input.size() && state_ == State::Data) {
    const char next = static_cast<char>(input[at]);
    switch (dot_) {
      case Dot::None: {
        BodyScan::Stop stop = BodyScan::Stop::End;
        at += scan_and_pass(input.subspan(at), true, stop);
        if (stop == BodyScan::Stop::DotLine) {
          ++at;  // held back: stuffing, or the end
          dot_ = Dot::Seen;
        }
        break;
      }
      case Dot::Seen:
        if (next == '\r') {
          ++at;
          dot_ = Dot::SeenCr;
          break;
        }
        // Also ".LF": a line that goes on with a bare LF, never the end.
        scan_.skip_line_start();
        if (next == '.') scan_.note_dot_line();
        dot_ = Dot::None;
        break;
      case Dot::SeenCr:
        dot_ = Dot::None;
        if (next == '\n') {
          ++at;
          end_message();
          break;
        }
        // ".CR" and something else: the dot is stuffing, the CR a bare one.
        scan_.skip_line_start();
        BodyScan::Stop stop = BodyScan::Stop::End;
        scan_and_pass(as_bytes(kCrLf.substr(0, 1)), true, stop);
        break;
    }
  }
  return at;
}

void Server::begin_chunk() {
  chunk_left_bytes_ = chunk_.bytes;
  state_ = State::Chunk;
  // Compared so that no chunk size can overflow the sum.
  const auto most = settings_.message_bytes_max;
  if (most && (scan_.facts().bytes > *most || chunk_.bytes > *most - scan_.facts().bytes)) {
    drop(Dropped::TooBig, Answer::reply(552, "5.3.4 message size exceeds fixed maximum"));
  }
  if (chunk_left_bytes_ == 0) end_chunk();
}

/// Swallows the chunk under way and answers it with a refusal. The transaction ends: a later chunk must not
/// become a message that lacks this one (RFC 3030 4.2).
void Server::refuse_chunk(const Answer& answer) {
  abandon_transaction(Dropped::Refused);
  drops_ = true;
  drop_answer_ = answer;
  chunk_left_bytes_ = chunk_.bytes;
  state_ = State::Chunk;
  if (chunk_left_bytes_ == 0) end_chunk();
}

std::size_t Server::work_chunk(std::span<const std::byte> input) {
  const auto here = static_cast<std::size_t>(std::min<std::uint64_t>(input.size(), chunk_left_bytes_));
  std::size_t at = 0;
  if (drops_) at = here;
  while (at < here) {
    BodyScan::Stop stop = BodyScan::Stop::End;
    at += scan_and_pass(input.subspan(at, here - at), false, stop);
  }
  chunk_left_bytes_ -= here;
  if (chunk_left_bytes_ == 0) end_chunk();
  return here;
}

void Server::end_chunk() {
  state_ = State::Command;
  if (!drops_ && chunk_.last) {
    if (scan_.facts().bytes > 0 && !scan_.ends_with_line()) {
      BodyScan::Stop stop = BodyScan::Stop::End;
      scan_and_pass(as_bytes(kCrLf), false, stop);
    }
    return end_message();
  }
  if (!drops_) return say_lines("250 2.6.0 chunk received\r\n");
  drops_ = false;
  say_answer(drop_answer_, 554, "5.5.0 refused");
}

void Server::end_message() {
  state_ = State::Command;
  if (drops_) {
    drops_ = false;
    return say_answer(drop_answer_, 554, "5.5.0 refused");
  }
  scan_.finish();
  ++messages_;
  idle_commands_ = 0;
  forget_transaction();
  SLUICE_ASSERT(unanswered_count_ < kUnansweredMax);
  Unanswered& entry = unanswered_[(unanswered_first_ + unanswered_count_) % kUnansweredMax];
  ++unanswered_count_;
  entry.seq = MessageSeq(++last_seq_);
  entry.answered = entry.close = false;
  entry.reply.clear();
  entry.behind.clear();
  const Answer answer = owner_->on_message_end(entry.seq, scan_.facts());
  if (answer.pending) return;
  entry.close = append_answer(entry.reply, answer, 250, "2.6.0 message received");
  entry.answered = true;
  release_replies();
}

}  // namespace sluice::net
