#include "tests/net/smtp/liar_connection.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tests/net/smtp/client_script.h"

namespace sluice::net::test {
namespace {

ClientSettings draw_settings(Random& chance) {
  ClientSettings out;
  out.helo_name = "me.example";
  out.close_on_421 = chance.chance(0.3);
  out.ignore.pipelining = chance.chance(0.1);
  out.ignore.chunking = chance.chance(0.2);
  return out;
}

std::size_t piece(Random& chance, std::size_t most) {
  switch (chance.below(4)) {
    case 0: return 1;
    case 1: return std::min<std::size_t>(most, 1 + chance.below(16));
    default: return most;
  }
}

}  // namespace

LiarConnection::LiarConnection(LiarRun& run)
    : run_(run),
      chance_(run.chance_.next()),
      peer_(Random(chance_.next()), LiarCharacter::draw(chance_), run.ledger_),
      pipe_room_(chance_.chance(0.3) ? 1 + chance_.below(300) : 1 << 20),
      messages_left_(1 + chance_.below(12) + (chance_.chance(0.3) ? 16 : 0)),
      client_(draw_settings(chance_), *this) {}

void LiarConnection::play() {
  ++run_.counts_.connections;
  while (!client_.is_over() && run_.faults_.empty()) {
    if (!act()) time_out();
  }
  for (const auto& [tag, transfer] : transfers_) {
    if (!transfer->ended && run_.faults_.empty()) blame(*transfer, "never ended");
    check_body(*transfer);
  }
}

/// One step of somebody, chosen at random; false when nobody can do anything.
bool LiarConnection::act() {
  using Step = bool (LiarConnection::*)();
  std::array<Step, 4> steps = {&LiarConnection::add, &LiarConnection::show, &LiarConnection::move_out,
                               &LiarConnection::move_in};
  for (std::size_t left = steps.size(); left > 0; --left) {
    const std::size_t at = chance_.below(left);
    if ((this->*steps[at])()) return true;
    std::swap(steps[at], steps[left - 1]);
  }
  return false;
}

bool LiarConnection::add() {
  if (client_.free_slots() == 0 || quit_) return false;
  if (messages_left_ == 0 || run_.waiting_.empty() || client_.used_up()) {
    if (client_.in_flight() > 0) return false;
    quit_ = true;
    client_.quit();
    return true;
  }
  auto made = std::make_unique<Transfer>();
  made->mail = std::move(run_.waiting_.front());
  run_.waiting_.pop_front();
  made->id = {made->mail.id, ++made->mail.tries};
  for (const std::uint32_t recipient : made->mail.open) {
    if (made->recipients.size() == client_.capabilities().rcpt_max.value_or(100)) break;
    made->recipients.push_back(recipient);
  }
  made->body = made->mail.text + made->id.last_line();
  std::vector<std::string> addresses;
  for (const std::uint32_t recipient : made->recipients) addresses.push_back(made->id.recipient(recipient));
  std::vector<OutgoingRecipient> recipients;
  for (const std::string& address : addresses) recipients.push_back({.address = address});
  const std::string sender = made->id.sender();
  const std::size_t half = made->body.size() / 2;
  const std::array<Bytes, 2> body = {bytes_of(std::string_view(made->body).substr(0, half)),
                                     bytes_of(std::string_view(made->body).substr(half))};
  const Client::Add added = client_.add({.tag = TransactionTag(next_tag_),
                                         .sender = sender,
                                         .recipients = recipients,
                                         .body = body,
                                         .has_dot_lines = true});
  if (added != Client::Add::Accepted) {
    run_.fault("message not taken: " + std::to_string(static_cast<int>(added)));
    return true;
  }
  --messages_left_;
  ++run_.counts_.transactions;
  if (client_.in_flight() > Client::kWindowUsual) ++run_.counts_.ahead;
  run_.ledger_.tries[made->id].body = made->body;
  log("+", made->id.text() + " for " + std::to_string(made->recipients.size()));
  transfers_.emplace(next_tag_++, std::move(made));
  return true;
}

/// A send begins: what it names may leave from here on.
bool LiarConnection::show() {
  if (stream_.size() > consumed_) return false;
  std::array<Bytes, 8> room;
  const std::size_t count = client_.output(room);
  for (std::size_t i = 0; i < count; ++i) {
    stream_.append(reinterpret_cast<const char*>(room[i].data()), room[i].size());
  }
  return count > 0;
}

/// Some of it leaves, or comes to the receiver. The client hears at once what has left: nothing that arrives later
/// was sent before.
bool LiarConnection::move_out() {
  const bool may_leave = consumed_ < stream_.size() && pipe_.size() < pipe_room_;
  const bool may_come = !pipe_.empty() && peer_.reads();
  if (!may_leave && !may_come) return false;
  if (may_leave && (!may_come || chance_.chance(0.5))) {
    const std::size_t size =
        piece(chance_, std::min<std::size_t>(stream_.size() - consumed_, pipe_room_ - pipe_.size()));
    pipe_.append(stream_, consumed_, size);
    consumed_ += size;
    client_.consumed(size);
    return true;
  }
  const std::size_t size = piece(chance_, pipe_.size());
  const std::string bytes = pipe_.substr(0, size);
  pipe_.erase(0, size);
  log("C", bytes);
  peer_.feed(bytes);
  return true;
}

/// Something of the receiver arrives, or its end.
bool LiarConnection::move_in() {
  if (peer_.packets().empty()) {
    if (!peer_.is_gone()) return false;
    log("S", "<gone>");
    miscounted_ |= stray_heard_;
    client_.on_closed(consumed_ < stream_.size() ? Client::Unconsumed::MayBeSent
                                                 : Client::Unconsumed::NotSent);
    return true;
  }
  const LiarPeer::Packet& first = peer_.packets().front();
  deliver(first.whole ? first.bytes.size() : piece(chance_, first.bytes.size()));
  return true;
}

void LiarConnection::deliver(std::size_t bytes) {
  LiarPeer::Packet& packet = peer_.packets().front();
  // A stray is noticed by a client that has nothing to wait for, and by one whose next reply shows it. Behind a message
  // it looks like the answer to it; a second one can make good for the first; and where nothing comes behind it nothing
  // can show it.
  if (packet.is_stray && (waits_for_reply() || consumed_ < stream_.size())) {
    const ClientPhase phase = client_.phase();
    const bool answers_message = phase == ClientPhase::BodyTransfer || phase == ClientPhase::FinalReply;
    miscounted_ |= answers_message || stray_heard_ || consumed_ < stream_.size();
    stray_heard_ = true;
  }
  miscounted_ |= packet.miscounts;
  if (packet.early) {
    for (const auto& [tag, transfer] : transfers_) {
      if (transfer->id == *packet.early) transfer->early_excused = all_within(*transfer, stream_.size());
    }
  }
  const std::string text = packet.bytes.substr(0, bytes);
  packet.bytes.erase(0, bytes);
  if (packet.bytes.empty()) peer_.packets().pop_front();
  log("S", text);
  if (!text.empty()) client_.on_bytes(bytes_of(text));
}

void LiarConnection::time_out() {
  const ClientPhase phase = client_.phase();
  if (client_.in_flight() > 0 && phase == ClientPhase::Idle) run_.fault("mail under way while idle");
  log("-", "time-out at " + std::string(name_of(phase)));
  miscounted_ |= stray_heard_;
  client_.on_closed(consumed_ < stream_.size() ? Client::Unconsumed::MayBeSent : Client::Unconsumed::NotSent);
}

bool LiarConnection::waits_for_reply() const {
  if (!is_ready_) return true;
  const std::string_view sent = std::string_view(stream_).substr(0, consumed_);
  return std::ranges::any_of(transfers_, [sent](const auto& one) {
    return !one.second->ended && sent.find(one.second->id.sender()) != std::string_view::npos;
  });
}

bool LiarConnection::all_within(const Transfer& transfer, std::uint64_t bytes) const {
  const std::size_t at = stream_.find(transfer.id.last_line());
  return at != std::string::npos && at + transfer.id.last_line().size() <= bytes;
}

void LiarConnection::log(std::string_view who, std::string_view what) {
  if (!run_.keeps_transcript_) return;
  std::string line(what.substr(0, 300));
  for (std::size_t at = line.find("\r\n"); at != std::string::npos; at = line.find("\r\n", at)) {
    line.replace(at, 2, "|");
  }
  run_.transcript_ += std::string(who) + ": " + line + "\n";
}

}  // namespace sluice::net::test
