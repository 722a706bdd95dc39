#include "engine/wire/wire.h"

#include <algorithm>

#include "policy/base/assert.h"

namespace sluice::wire {

using runtime::ReceivedBytes;
using runtime::Task;

// --- How long.

void Wire::allow(const Allowance& allowance) {
  allowance_ = Until{.silence = allowance.silence, .whole = reactor_->now() + allowance.whole};
  note_progress();
}

void Wire::note_progress() {
  if (!allowance_) return;
  stream_.set_deadline(std::min(reactor_->now() + allowance_->silence, allowance_->whole));
}

// --- In.

Task<Result<ReceivedBytes>> Wire::receive() {
  for (;;) {
    if (auto input = try_receive()) co_return std::move(*input);
    auto input = heard(co_await stream_.receive());
    if (!layer_) co_return std::move(*input);
    if (auto meant = opened(std::move(*input))) co_return std::move(*meant);
  }
}

std::optional<Result<ReceivedBytes>> Wire::try_open() {
  if (!plain_.empty()) return took_plain(plain_at_upgrade_);
  for (;;) {
    if (broken_) return std::unexpected(*broken_);
    if (layer_->has_ended()) return ReceivedBytes();
    auto input = heard(stream_.try_receive());
    if (!input) return std::nullopt;
    if (auto meant = opened(std::move(*input))) return meant;
  }
}

std::optional<Result<ReceivedBytes>> Wire::opened(Result<ReceivedBytes> input) {
  if (!input) return input;
  if (input->bytes().empty()) return std::unexpected(Error{Errc::PeerClosed, 0, "wire"});
  const std::uint64_t sent = plain_of(input->sent_before());
  take(layer_->open(input->bytes(), plain_, owed_));
  if (!plain_.empty()) return took_plain(sent);
  if (broken_) return std::unexpected(*broken_);
  if (layer_->has_ended()) return ReceivedBytes();
  return std::nullopt;
}

ReceivedBytes Wire::took_plain(std::uint64_t sent_before) {
  ReceivedBytes out(plain_, sent_before);
  plain_.clear();
  return out;
}

void Wire::take(const Status& opened) {
  if (!opened && !broken_) broken_ = opened.error();
}

// --- Out.

Task<Status> Wire::send_part(Bytes bytes) {
  Status sent;
  if (layer_) {
    sent = co_await seal(bytes);
  } else {
    sent = co_await stream_.send(bytes);
  }
  if (sent) note_progress();
  co_return sent;
}

Task<Status> Wire::send_parts(std::span<iovec> parts) {
  if (!layer_) {
    const Status sent = co_await stream_.send(parts);
    if (sent) note_progress();
    co_return sent;
  }
  for (const iovec& part : parts) {
    const Status sent = co_await send_part({static_cast<const std::byte*>(part.iov_base), part.iov_len});
    if (!sent) co_return sent;
  }
  co_return Status();
}

Task<Result<runtime::Stream::ZeroCopy>> Wire::send_zero_copy(Bytes bytes) {
  if (layer_) co_return std::unexpected(Error{Errc::Unsupported, 0, "wire"});
  auto sent = co_await stream_.send_zero_copy(bytes);
  if (sent) note_progress();
  co_return sent;
}

Task<Status> Wire::seal(Bytes plain) {
  while (!plain.empty()) {
    if (broken_) co_return std::unexpected(*broken_);
    const Bytes now = plain.first(std::min(plain.size(), kSealedAtOnce));
    sealed_ = std::exchange(owed_, {});
    if (const Status sealed = layer_->seal(now, sealed_); !sealed) {
      broken_ = sealed.error();
      continue;
    }
    if (const Status sent = co_await send_sealed(); !sent) co_return sent;
    plain_sent_ += now.size();
    mark();
    plain = plain.subspan(now.size());
  }
  co_return Status();
}

Task<Status> Wire::send_sealed() {
  const Status sent = co_await stream_.send(Bytes(sealed_));
  sealed_.clear();
  co_return sent;
}

Task<Status> Wire::end() {
  if (!layer_ || broken_) co_return Status();
  sealed_ = std::exchange(owed_, {});
  layer_->end(sealed_);
  if (sealed_.empty()) co_return Status();
  co_return co_await send_sealed();
}

// --- What has left.

/// All that was sent so far is plain_sent_ bytes of the conversation.
void Wire::mark() {
  if (marks_.size() == kMarksMax) marks_.pop_front();  // what came before counts as left no earlier than this
  marks_.push_back({stream_.sent_bytes(), plain_sent_});
}

std::uint64_t Wire::plain_of(std::uint64_t socket_bytes) const {
  if (!layer_) return socket_bytes - std::min(before_, socket_bytes);
  const auto behind = std::ranges::upper_bound(marks_, socket_bytes, {}, &Mark::socket);
  return behind == marks_.begin() ? 0 : std::prev(behind)->plain;
}

std::optional<std::uint64_t> Wire::acknowledged_bytes() const {
  const std::uint64_t bytes = progress_ == nullptr ? 0 : progress_->acknowledged(stream_.fd());
  if (bytes == 0) return std::nullopt;
  return plain_of(std::min(bytes, stream_.sent_bytes()));
}

// --- Under it.

Task<Status> Wire::upgrade(std::unique_ptr<Layer> layer) {
  SLUICE_ASSERT(!layer_);
  plain_sent_ = plain_at_upgrade_ = sent_bytes();
  layer_ = std::move(layer);
  mark();
  take(layer_->begin(owed_));
  if (const Status clean = open_early(); !clean) broken_ = clean.error();
  co_await shake_hands();
  if (broken_) {
    sealed_ = std::exchange(owed_, {});
    if (!sealed_.empty()) (void)co_await send_sealed();  // an alert; the peer may have gone
    co_return std::unexpected(*broken_);
  }
  mark();
  co_return Status();
}

Status Wire::open_early() {
  const bool speaks_first = !owed_.empty();
  for (;;) {
    auto input = stream_.try_receive();
    if (!input) return {};
    if (!*input) return std::unexpected(input->error());
    if ((*input)->bytes().empty()) return fail(Errc::PeerClosed, "wire");
    if (speaks_first || (*input)->sent_before() < stream_.sent_bytes()) return fail(Errc::BadInput, "wire");
    if (const Status opened = layer_->open((*input)->bytes(), plain_, owed_); !opened) return opened;
  }
}

Task<void> Wire::shake_hands() {
  while (!broken_) {
    if (!owed_.empty()) {
      sealed_ = std::exchange(owed_, {});
      if (const Status sent = co_await send_sealed(); !sent) broken_ = sent.error();
      continue;
    }
    if (layer_->is_established()) break;
    const auto input = co_await stream_.receive();
    if (!input) {
      broken_ = input.error();
    } else if (input->bytes().empty()) {
      broken_ = Error{Errc::PeerClosed, 0, "wire"};
    } else {
      note_progress();
      take(layer_->open(input->bytes(), plain_, owed_));
    }
  }
}

}  // namespace sluice::wire
