// The sending half of the client: commands, bodies, and when each may leave.

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "net/smtp/client.h"
#include "policy/base/assert.h"

namespace sluice::net {
namespace {

constexpr std::string_view kReset = "RSET\r\n";
constexpr std::string_view kEndOfData = "\r\n.\r\n";
constexpr std::size_t kLineEndBytes = 2;
constexpr std::size_t kQueueCompactAt = 64;

Bytes as_bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

void append_number(std::string& out, std::uint64_t number) {
  char digits[20];
  const auto [end, error] = std::to_chars(std::begin(digits), std::end(digits), number);
  SLUICE_ASSERT(error == std::errc());
  out.append(digits, end);
}

/// Where the next line after `from` begins with a dot: the position of that dot, or bytes.size().
std::size_t find_dot_line(Bytes bytes, std::size_t from) {
  const void* found = ::memmem(bytes.data() + from, bytes.size() - from, "\n.", 2);
  if (found == nullptr) return bytes.size();
  return static_cast<std::size_t>(static_cast<const std::byte*>(found) - bytes.data()) + 1;
}

/// How many dots stuffing adds.
std::uint64_t count_dot_lines(Bytes bytes, bool at_line_start) {
  std::uint64_t count = at_line_start && bytes.front() == std::byte{'.'} ? 1 : 0;
  std::size_t at = find_dot_line(bytes, 0);
  while (at < bytes.size()) {
    ++count;
    at = find_dot_line(bytes, at);
  }
  return count;
}

/// Can stand between the angle brackets without breaking the command line. Addresses were checked when they
/// came in; this is the last door before the wire (CRLF injection), so it does not trust that.
bool is_safe_address(std::string_view text, bool utf8) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<std::uint8_t>(c) < 32 || c == 127) return false;
    if (static_cast<std::uint8_t>(c) > 127 && !utf8) return false;
    if (quoted && c == '\\') {
      ++i;  // whatever is escaped is looked at by the next round's checks only if it is a control byte
      if (i == text.size() || static_cast<std::uint8_t>(text[i]) < 32 || text[i] == 127) return false;
      continue;
    }
    if (c == '"') quoted = !quoted;
    if (!quoted && (c == ' ' || c == '<' || c == '>')) return false;
  }
  return !quoted && text.size() <= Client::kAddressBytesMax;
}

}  // namespace

Client::Add Client::check(const Transaction& transaction, std::uint64_t body_bytes) const {
  if (free_slots() == 0) return Add::NoSlot;
  const std::size_t recipients = transaction.recipients.size();
  if (recipients == 0) return Add::BadInput;
  if (recipients > capabilities_.rcpt_max.value_or(kRecipientsMax) || recipients > kRecipientsMax) {
    return Add::TooManyRecipients;
  }
  if (capabilities_.size_max_bytes && body_bytes > *capabilities_.size_max_bytes) return Add::MessageTooBig;
  if (transaction.eight_bit && !capabilities_.eight_bit_mime) return Add::Needs8BitMime;
  if (transaction.smtp_utf8 && !capabilities_.smtp_utf8) return Add::NeedsSmtpUtf8;
  if (!is_safe_address(transaction.sender, transaction.smtp_utf8)) return Add::BadInput;
  if (transaction.envid.size() > kEnvidBytesMax || !is_xtext(transaction.envid)) return Add::BadInput;
  for (const OutgoingRecipient& recipient : transaction.recipients) {
    if (recipient.address.empty()) return Add::BadInput;
    if (!is_safe_address(recipient.address, transaction.smtp_utf8)) return Add::BadInput;
    if (!recipient.orcpt.empty() && !is_orcpt(recipient.orcpt)) return Add::BadInput;
  }
  return Add::Accepted;
}

Client::Add Client::add(const Transaction& transaction) {
  SLUICE_ASSERT(transaction.body.size() <= kBodySpansMax);
  std::uint64_t body_bytes = 0;
  for (const Bytes span : transaction.body) body_bytes += span.size();
  const Add verdict = check(transaction, body_bytes);
  if (verdict != Add::Accepted) return verdict;

  Slot& added = slot(slot_count_);
  ++slot_count_;
  ++transactions_;
  added.body_bytes = body_bytes;
  added.tag = transaction.tag;
  added.recipients = static_cast<std::uint32_t>(transaction.recipients.size());
  added.has_dot_lines = transaction.has_dot_lines;
  added.start = added.body_start = added.message_end = added.end = 0;
  added.accepted = added.next_reply = added.queued = 0;
  added.started = added.chunked = added.body_queued = added.complete = added.mail_refused = false;
  added.is_decided = added.no_chunking = added.awaits_proof = added.in_step = added.replies_done = false;
  added.codes_fit = added.is_named = added.proof_lists = added.is_held = added.resets = added.reset_heard =
      false;
  added.mail_code = {};
  added.refusals.clear();
  added.body.assign(transaction.body.begin(), transaction.body.end());
  encode(added, transaction, body_bytes);
  advance();
  return Add::Accepted;
}

void Client::encode(Slot& slot, const Transaction& transaction, std::uint64_t body_bytes) const {
  std::string& out = slot.commands;
  out = kReset;
  slot.ends.clear();
  const auto end_line = [&] {
    out += "\r\n";
    slot.ends.push_back(static_cast<std::uint32_t>(out.size() - kReset.size()));
  };
  out += "MAIL FROM:<";
  out += transaction.sender;
  out += '>';
  if (capabilities_.size) {
    out += " SIZE=";
    append_number(out, body_bytes);
  }
  if (transaction.eight_bit) out += " BODY=8BITMIME";
  if (transaction.smtp_utf8) out += " SMTPUTF8";
  if (capabilities_.dsn) {
    if (transaction.ret != DsnReturn::Unset) {
      out += transaction.ret == DsnReturn::Full ? " RET=FULL" : " RET=HDRS";
    }
    if (!transaction.envid.empty()) {
      out += " ENVID=";
      out += transaction.envid;
    }
  }
  end_line();
  for (const OutgoingRecipient& recipient : transaction.recipients) {
    out += "RCPT TO:<";
    out += recipient.address;
    out += '>';
    if (capabilities_.dsn && !recipient.notify.empty()) {
      out += " NOTIFY=";
      recipient.notify.append_to(out);
    }
    if (capabilities_.dsn && !recipient.orcpt.empty()) {
      out += " ORCPT=";
      out += recipient.orcpt;
    }
    end_line();
  }
}

/// Its last command depends on what the connection has shown by now.
void Client::begin(Slot& slot) {
  slot.started = true;
  slot.chunked = mode_ == Mode::Chunking && slot.recipients == 1 && !next_by_data_;
  slot.resets = slot.chunked && clean_ >= kTrustAfter && reset_tells_;
  slot.reset_start = queued_bytes_;
  slot.start = slot.end = queued_bytes_ + (slot.resets ? kReset.size() : 0);
  if (slot.chunked) {
    slot.commands += "BDAT ";
    append_number(slot.commands, slot.body_bytes);
    slot.commands += " LAST\r\n";
  } else {
    slot.commands += "DATA\r\n";
  }
  slot.ends.push_back(static_cast<std::uint32_t>(slot.commands.size() - kReset.size()));
  if (mode_ == Mode::Lockstep) return;
  queue_commands(slot, static_cast<std::uint32_t>(slot.ends.size()));
  if (slot.chunked) queue_body(slot);
}

std::uint32_t Client::window() const {
  switch (mode_) {
    case Mode::Lockstep: return 1;
    case Mode::Pipelining: return kWindowUsual;
    case Mode::Chunking: return may_go_ahead() ? kWindowMax : kWindowUsual;
  }
  return 1;
}

std::uint32_t Client::free_slots() const {
  if (stage_ != Stage::Ready || quit_asked_ || slot_count_ >= window()) return 0;
  std::uint64_t free = window() - slot_count_;
  if (capabilities_.mail_max) free = std::min<std::uint64_t>(free, *capabilities_.mail_max - transactions_);
  return static_cast<std::uint32_t>(free);
}

bool Client::used_up() const { return capabilities_.mail_max && transactions_ >= *capabilities_.mail_max; }

Bytes Client::Segment::front() const {
  if (kind != Kind::Stuffed) return bytes;
  if (at_line_start && bytes.front() == std::byte{'.'}) return as_bytes(kEndOfData.substr(kLineEndBytes, 1));
  return bytes.first(find_dot_line(bytes, 0));
}

void Client::Segment::drop_front(std::size_t count) {
  if (kind == Kind::Stuffed) {
    if (at_line_start && bytes.front() == std::byte{'.'}) {
      at_line_start = false;  // the added dot is out, the line's own one is next
      return;
    }
    at_line_start = bytes[count - 1] == std::byte{'\n'};
  }
  bytes = bytes.subspan(count);
}

void Client::queue(Bytes bytes, Segment::Kind kind, bool at_line_start) {
  if (bytes.empty()) return;
  queue_.push_back({bytes, kind, at_line_start});
  queued_bytes_ += bytes.size();
  if (kind == Segment::Kind::Stuffed) queued_bytes_ += count_dot_lines(bytes, at_line_start);
}

void Client::queue_control(std::string_view line) {
  std::string& control = control_[control_next_];
  control_next_ ^= 1U;
  control.assign(line);
  control += "\r\n";
  queue_text(control);
  control_end_ = queued_bytes_;
}

void Client::queue_commands(Slot& slot, std::uint32_t upto) {
  const std::size_t begin = slot.resets ? 0 : kReset.size();
  const std::size_t from = slot.queued == 0 ? begin : kReset.size() + slot.ends[slot.queued - 1];
  queue_text(std::string_view(slot.commands).substr(from, kReset.size() + slot.ends[upto - 1] - from));
  slot.queued = upto;
  slot.end = queued_bytes_;
}

void Client::queue_body(Slot& slot) {
  slot.body_queued = true;
  slot.body_start = queued_bytes_;
  const bool stuffed = slot.has_dot_lines && !slot.chunked;
  bool at_line_start = true;
  for (const Bytes span : slot.body) {
    if (span.empty()) continue;
    queue(span, stuffed ? Segment::Kind::Stuffed : Segment::Kind::Plain, at_line_start);
    at_line_start = span.back() == std::byte{'\n'};
  }
  slot.complete = slot.chunked;
  slot.end = slot.message_end = queued_bytes_;
}

void Client::queue_dot(Slot& slot) {
  std::byte last{'\n'};
  if (slot.body_queued) {
    for (const Bytes span : slot.body) {
      if (!span.empty()) last = span.back();
    }
  }
  if (!slot.body_queued) slot.body_start = queued_bytes_;
  const std::size_t skipped = last == std::byte{'\n'} ? kLineEndBytes : 0;
  queue(as_bytes(kEndOfData.substr(skipped)), is_pix_ ? Segment::Kind::LoneDot : Segment::Kind::Plain);
  slot.complete = true;
  slot.end = slot.message_end = queued_bytes_;
}

void Client::queue_proof(Slot& slot) {
  // "250" to RSET may be the answer that a stray refusal has pushed back. Nothing but EHLO is answered by a list.
  const bool gives_up = (slot.is_decided && slot.decided.permanent()) ||
                        std::ranges::any_of(slot.refusals, [](const Refusal& one) { return one.reply.permanent(); });
  slot.proof_lists = slot.chunked || (gives_up && !capabilities_.listed.empty());
  if (slot.proof_lists) {
    parser_.keep_lines(true);
    queue_control("EHLO " + settings_.helo_name);
  } else {
    queue_text(kReset);
  }
  slot.end = queued_bytes_;
}

void Client::advance() {
  if (stage_ != Stage::Ready) return;
  for (std::uint32_t index = 0; index < slot_count_; ++index) {
    if (!advance_slot(index)) break;
  }
  retire();
  if (quit_asked_ && slot_count_ == 0) {
    queue_control("QUIT");
    stage_ = Stage::Quit;
  }
}

/// True when the transaction behind this one may begin.
bool Client::advance_slot(std::uint32_t index) {
  Slot& now = slot(index);
  if (!now.started) begin(now);
  if (mode_ == Mode::Lockstep && !now.awaits_proof && !now.replies_done && now.queued == now.next_reply &&
      now.queued < now.ends.size()) {
    queue_commands(now, now.queued + 1);
  }
  // A chunk that was taken is only short of its proof, which goes out in front of the next envelope.
  const bool is_taken = now.awaits_proof && now.is_decided && now.decided.positive() && !doubt_;
  return now.replies_done || is_taken || (index + 1 < slot_count_ && goes_ahead_of(index));
}

bool Client::may_go_ahead() const {
  return mode_ == Mode::Chunking && clean_ >= kTrustAfter && resets_alike_ >= kResetsAlike && reset_tells_ &&
         !doubt_ && !next_by_data_;
}

/// May the transaction behind this one begin before the replies to this one are here?
bool Client::goes_ahead_of(std::uint32_t index) const {
  const Slot& now = slot(index);
  const Slot& next = slot(index + 1);
  if (next.started) return true;
  return may_go_ahead() && now.chunked && now.refusals.empty() && !now.awaits_proof && next.recipients == 1 &&
         next.body_bytes <= kAheadBytesMax;
}

void Client::withdraw() {
  while (slot_count_ > 0) {
    Slot& last = slot(slot_count_ - 1);
    if (last.started && last.reset_start < shown_bytes_) return;
    while (last.started && queued_bytes_ > last.reset_start) {
      SLUICE_ASSERT(queue_.back().kind == Segment::Kind::Plain);  // DATA's body waits for the 354
      queued_bytes_ -= queue_.back().bytes.size();
      queue_.pop_back();
    }
    --slot_count_;
    --transactions_;
    events_->on_finished(last.tag, Ending::NeverStarted, ClientPhase::Mail, {});
    // Replies that were to be proved by those of the withdrawn one.
    if (slot_count_ > 0 && std::exchange(slot(slot_count_ - 1).is_held, false))
      ask_for_proof(slot_count_ - 1);
  }
}

void Client::tell_refusals(Slot& slot) {
  for (const Refusal& refusal : slot.refusals) {
    events_->on_recipient(slot.tag, refusal.recipient, refusal.reply);
  }
  slot.refusals.clear();
}

void Client::tell_end(Slot& slot) {
  tell_refusals(slot);
  if (slot.no_chunking) {
    events_->on_finished(slot.tag, Ending::NoChunking, slot.decided_phase, slot.decided);
  } else if (slot.is_decided) {
    events_->on_finished(slot.tag, Ending::Replied, slot.decided_phase, slot.decided);
  } else {
    events_->on_finished(slot.tag, Ending::AllRefused, ClientPhase::Rcpt, {});
  }
}

void Client::retire() {
  while (slot_count_ > 0) {
    Slot& oldest = slot(0);
    if (!oldest.replies_done || consumed_bytes_ < oldest.end) return;
    // The slot is free before the owner hears of it, so that it sees the room; nothing is added during the
    // call.
    first_slot_ = (first_slot_ + 1) % kWindowMax;
    --slot_count_;
    tell_end(oldest);
  }
}

std::size_t Client::output(std::span<Bytes> room) {
  std::size_t count = 0;
  std::uint64_t shown = consumed_bytes_;
  for (std::size_t i = head_; i < queue_.size() && count < room.size(); ++i) {
    Segment segment = queue_[i];
    // A PIX forgets a dot that shares a segment with the body: it leaves alone.
    if (segment.kind == Segment::Kind::LoneDot && i != head_) break;
    while (!segment.bytes.empty() && count < room.size()) {
      const Bytes piece = segment.front();
      room[count++] = piece;
      shown += piece.size();
      segment.drop_front(piece.size());
    }
  }
  shown_bytes_ = std::max(shown_bytes_, shown);
  return count;
}

void Client::consumed(std::size_t bytes) {
  SLUICE_ASSERT(bytes <= shown_bytes_ - consumed_bytes_);
  if (stage_ == Stage::Over) return;
  consumed_bytes_ += bytes;
  while (bytes > 0) {
    Segment& segment = queue_[head_];
    const std::size_t taken = std::min(bytes, segment.front().size());
    segment.drop_front(taken);
    bytes -= taken;
    if (segment.bytes.empty()) ++head_;
  }
  if (head_ == queue_.size()) {
    queue_.clear();
    head_ = 0;
  } else if (head_ >= kQueueCompactAt && head_ * 2 >= queue_.size()) {
    queue_.erase(queue_.begin(), queue_.begin() + static_cast<std::ptrdiff_t>(head_));
    head_ = 0;
  }
  advance();
}

}  // namespace sluice::net
