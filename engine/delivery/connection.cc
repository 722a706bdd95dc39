#include "engine/delivery/connection.h"

#include <algorithm>
#include <array>

#include "policy/base/assert.h"
#include "policy/classify/status_text.h"

namespace sluice::delivery {
namespace {

net::DsnReturn to_net(spool::DsnReturn ret) {
  switch (ret) {
    case spool::DsnReturn::Unset: return net::DsnReturn::Unset;
    case spool::DsnReturn::Full: return net::DsnReturn::Full;
    case spool::DsnReturn::Headers: return net::DsnReturn::Headers;
  }
  return net::DsnReturn::Unset;
}

}  // namespace

net::ClientSettings client_settings(const config::DomainSettings& settings, std::string ehlo) {
  return {.helo_name = std::move(ehlo),
          .ignore = {.pipelining = settings.ignore_pipelining,
                     .chunking = settings.ignore_chunking,
                     .eight_bit_mime = settings.ignore_8bitmime,
                     .dsn = settings.ignore_dsn},
          .tls = net::ClientSettings::Tls::Never,
          .close_on_421 = settings.smtp_421_means_mx_unavailable,
          .pix_workaround = settings.pix_bug_workaround};
}

Connection::Connection(Dispatcher& dispatcher, queue::Queue& queue, queue::SharedBudget& connecting,
                       Slots& slots, ConnectGrants paid)
    : dispatcher_(dispatcher),
      reactor_(dispatcher.reactor()),
      queue_(&queue),
      connecting_(connecting),
      slots_(slots),
      snapshot_(dispatcher.snapshot()),
      settings_(queue.settings),
      trace_(dispatcher.take_trace(queue)),
      log_(trace_ ? trace_->line : dispatcher.log(), dispatcher.next_connection_number(), log_wishes()),
      wakeup_(reactor_),
      linger_(
          [](runtime::Timer& timer) {
            Connection& self = static_cast<LingerTimer&>(timer).owner;
            self.linger_over_ = true;
            self.wakeup_.set();
          },
          *this),
      paid_(std::move(paid)),
      pay_timer_([](runtime::Timer& timer) { static_cast<LingerTimer&>(timer).owner.wakeup_.set(); }, *this) {
  if (log_.connections()) log_.say("starting " + queue.name());
}

Connection::~Connection() {
  reactor_.disarm(linger_);
  reactor_.disarm(pay_timer_);
  if (has_paid_) dispatcher_.refund_connect(paid_);
  if (log_.connections()) log_.say("done " + queue_->name());
  if (trace_) trace_->over = true;
  for (const Active& slot : active_) SLUICE_ASSERT(slot.state == Active::State::Free);
}

void Connection::leave_connecting() {
  if (std::exchange(holds_connecting_, false)) connecting_.give_back();
}

void Connection::finish() {
  finishing_ = true;
  dispatcher_.withdraw(*this);  // nobody hands it work any more
  stop_checks();
  wakeup_.set();
}

void Connection::cut() {
  finishing_ = true;
  cut_ = true;
  if (stream_) stream_.abort();
  stop_checks();
  wakeup_.set();
}

void Connection::work_available() {
  dispatcher_.withdraw(*this);
  wakeup_.set();
}

bool Connection::has_room() const {
  return ready_ && pay_at_ == MonoTime{} && may_take_more() &&
         client_->free_slots() > reads_pending_ + guests_.size();
}

void Connection::invite(queue::Queue& queue, std::string_view host) {
  std::shared_ptr<HopFacts> hop = hop_;
  std::string mta = std::string(host) + " (" + hop_->destination_ip + ')';
  if (mta != hop_->mta) {
    hop = std::make_shared<HopFacts>(*hop_);
    hop->mta = std::move(mta);
  }
  guests_.push_back({&queue, std::move(hop)});
  lent_ = true;
  wakeup_.set();
}

void Connection::next_guest(bool stays) {
  if (stays) {
    guests_.push_back({queue_, hop_});
  } else {
    // With mail left it waits for a rate, or for something that no connection can change.
    dispatcher_.left(*queue_, rate_wait_ > reactor_.now() ? rate_wait_ : reactor_.now() + 1s);
  }
  queue_ = guests_.front().queue;
  hop_ = std::move(guests_.front().hop);
  guests_.erase(guests_.begin());
  rate_wait_ = {};
}

runtime::Task<void> Connection::run() {
  const resolver::RouteAnswer route = co_await find_route();
  if (settings_->log_resolution || (trace_ && trace_->resolution)) log_route(route);
  if (co_await bounce_without_mx(route)) {
    leave_connecting();
    co_return;
  }
  if (!route.ok()) {
    leave_connecting();
    co_await fail_route(route);
    co_return;
  }
  if (!finishing_ && dispatcher_.borrow(*queue_, *settings_, route)) {
    leave_connecting();
    co_return;
  }
  After after = After::QueueFailed;
  std::uint32_t attempts = 0;
  for (const resolver::RouteHop& hop : route.hops) {
    if (dispatcher_.stopping() || finishing_) {
      after = After::Done;
      break;
    }
    if (attempts >= settings_->mx_connection_attempts) break;
    after = co_await try_hop(route, hop);
    passage_.release();
    if (after == After::Limited || after == After::NoProxy) continue;
    ++attempts;
    if (after != After::NextHop) break;
  }
  leave_connecting();
  if (!carried_.empty()) co_await give_up_carried();
  if (after == After::Done) co_return;
  if (limited_until_ != MonoTime{}) {
    // Some host may be fine and is merely at its limit: the queue has not failed.
    const MonoTime pause = attempts > 0 ? reactor_.now() + Dispatcher::kConnectPause : MonoTime{};
    dispatcher_.hold_connects(*queue_, std::max(limited_until_, pause));
    co_return;
  }
  dispatcher_.failed(*queue_, QueueFailureKind::Delivery, hop_.get(), failure_, wait_asked_of(*queue_));
}

runtime::Task<void> Connection::converse() {
  stream_.notify(&wakeup_);
  while (!client_->is_over()) {
    read_input();
    if (client_->is_over()) break;
    if (ready_ && outdated_) follow_settings();
    if (ready_) add_transactions();
    if (client_->is_over()) break;
    if (client_->wants_output()) {
      co_await send_output();
      continue;
    }
    co_await wait_for_events();
  }
  stream_.notify(nullptr);
}

void Connection::read_input() {
  while (!client_->is_over()) {
    std::optional<Result<runtime::ReceivedBytes>> input = stream_.try_receive();
    if (!input) return;
    if (!*input) {
      const Error& error = input->error();
      if (error.code == Errc::Timeout) {
        connection_ended("ETIMEDOUT (" + std::string(name_of(client_->phase())) + ')');
      } else if (error.code == Errc::Cancelled) {
        connection_ended("server shutdown");
      } else {
        connection_ended("EDISCON");
      }
      return;
    }
    if ((*input)->bytes().empty()) {
      connection_ended("EDISCON");
      return;
    }
    heard_host_ = true;
    log_.received((*input)->bytes(), false);
    client_->on_bytes((*input)->bytes());
  }
}

void Connection::connection_ended(std::string why) {
  lost_why_ = std::move(why);
  client_->on_closed(net::Client::Unconsumed::NotSent);
}

std::size_t Connection::recipients_at_most() const {
  std::size_t most = errors_left();
  if (client_->capabilities().rcpt_max) most = std::min<std::size_t>(most, *client_->capabilities().rcpt_max);
  return most;
}

bool Connection::may_take_more() const {
  if (finishing_ || skip_host_ || quit_said_ || client_->used_up()) return false;
  if (settings_->max_msg_per_connection && messages_ >= *settings_->max_msg_per_connection) return false;
  return errors_left() > 0;
}

/// `max-errors-per-connection` holds for what is under way too: every recipient of it may be refused.
std::size_t Connection::errors_left() const {
  if (!settings_->max_errors_per_connection) return net::Client::kRecipientsMax;
  std::size_t used = errors_;
  for (const Active& slot : active_) {
    if (slot.state != Active::State::Free)
      used += static_cast<std::size_t>(
          std::ranges::count_if(slot.items, [](const queue::Item* one) { return one != nullptr; }));
  }
  const std::size_t most = *settings_->max_errors_per_connection;
  return used >= most ? 0 : std::min<std::size_t>(most - used, net::Client::kRecipientsMax);
}

void Connection::add_transactions() {
  rate_wait_ = {};
  pay_at_ = {};
  reactor_.disarm(pay_timer_);
  for (Active& slot : active_) {
    if (slot.state != Active::State::Read) continue;
    if (client_->free_slots() == 0 || finishing_) {
      give_up(slot);
    } else if (!offer_paid(slot)) {
      if (rate_wait_ - reactor_.now() > kReadWaitMax) {
        give_up(slot);  // others may need its buffer
      } else if (pay_at_ == MonoTime{} || rate_wait_ < pay_at_) {
        pay_at_ = rate_wait_;
      }
    }
  }
  if (pay_at_ != MonoTime{}) {
    reactor_.arm(pay_timer_, pay_at_);
    return;
  }
  while (may_take_more() && client_->free_slots() > reads_pending_) {
    // Reading ahead while other mail is under way is worth it only as long as nobody lacks a buffer for his
    // first.
    if (client_->in_flight() + reads_pending_ > 0 && !dispatcher_.reader().has_plenty()) return;
    const auto slot = std::find_if(active_.begin(), active_.end(),
                                   [](const Active& one) { return one.state == Active::State::Free; });
    SLUICE_ASSERT(slot != active_.end());
    const bool took = take_one(*slot);
    if (!guests_.empty()) {
      next_guest(took);
    } else if (!took) {
      return;
    }
  }
}

bool Connection::take_one(Active& slot) {
  // A guest whose command has disabled this source address leaves.
  if (QueueModes::is_shut(*queue_, source_)) return false;
  slot.items.clear();
  const Dispatcher::Taken taken =
      dispatcher_.take(*queue_, passage_.gate.get(), slot.items, recipients_at_most(), slot.volumes);
  if (const auto* wait = std::get_if<Dispatcher::WaitUntil>(&taken)) {
    rate_wait_ = wait->time;
    return false;
  }
  if (std::holds_alternative<Dispatcher::NothingToDo>(taken)) return false;
  const spool::StoredMessage& message = *slot.items.front()->message;
  slot.queue = queue_;
  slot.hop = hop_;
  ++messages_;
  if (auto lease = dispatcher_.reader().try_open(message)) {
    slot.lease = std::move(*lease);
    if (!settings_->check_spf_outbound || is_cleared(slot)) {
      slot.state = Active::State::Read;
      if (offer_paid(slot)) return true;
      give_up(slot);
      return false;
    }
    slot.lease.reset();
  }
  slot.stop.renew();
  slot.state = Active::State::Reading;
  ++reads_pending_;
  reads_.spawn(read(slot));
  return true;
}

/// False: a rate was used up meanwhile, until rate_wait_; the slot keeps what was read.
bool Connection::offer_paid(Active& slot) {
  if (const auto wait = dispatcher_.pay(*slot.queue, passage_.gate.get(), slot.items)) {
    rate_wait_ = *wait;
    return false;
  }
  slot.state = Active::State::Offered;
  if (!offer(slot)) --messages_;
  return true;
}

// Beside the conversation, not in it: what is under way has to end while this waits for a buffer, because it
// may be what holds the buffers.
runtime::Task<void> Connection::read(Active& slot) {
  Result<spool::MessageLease> lease = co_await dispatcher_.reader().open(*slot.items.front()->message);
  SpfGate::Verdict verdict;
  if (lease && settings_->check_spf_outbound) verdict = co_await clear_sender(slot, lease);
  --reads_pending_;
  if (lease) {
    slot.lease = std::move(*lease);
    slot.state = Active::State::Read;
    if (client_->is_over() || verdict.stopped) {
      give_up(slot);
    } else if (verdict.result != spf::Result::Pass) {
      refuse_sender(slot, verdict);
    }
  } else {
    for (queue::Item* item : slot.items) dispatcher_.settler().lost(*slot.queue, *item, lease.error());
    release(slot);
    --messages_;
  }
  wakeup_.set();
}

void Connection::give_up(Active& slot) {
  put_back(slot);
  release(slot);
  --messages_;
}

bool Connection::offer(Active& slot) {
  const spool::MessageView& message = slot.lease.view();
  recipients_.clear();
  for (const queue::Item* item : slot.items) {
    const spool::Recipient one = message.recipient(item->recipient);
    recipients_.push_back(
        {.address = one.address, .notify = net::DsnNotify{one.notify.bits}, .orcpt = one.orcpt});
  }
  make_outgoing(slot.text, message.body, message.flags, slot.queue->vmta_name(), reactor_.wall_now(),
                settings_->remove_header);
  const std::array<net::Bytes, 2> parts{std::as_bytes(std::span(slot.text.front)), slot.text.rest};
  net::Transaction transaction{
      .tag = net::TransactionTag{static_cast<std::uint64_t>(&slot - active_.data())},
      .sender = sender_of(slot, message, slot.sender),
      .ret = to_net(message.ret),
      .envid = message.env_id.size() <= net::kEnvidBytesMax ? message.env_id : std::string_view(),
      .recipients = recipients_,
      .body = slot.text.front.empty() ? std::span(parts).last(1) : std::span(parts),
      .eight_bit = message.flags.has(spool::MessageFlags::kEightBit),
      .smtp_utf8 = message.flags.has(spool::MessageFlags::kSmtpUtf8),
      .has_dot_lines = message.flags.has(spool::MessageFlags::kDotLines)};
  net::Client::Add added = client_->add(transaction);
  if (added == net::Client::Add::Needs8BitMime) {
    // Every server of today passes eight bits on; re-encoding would break DKIM signatures, refusing would
    // lose mail.
    transaction.eight_bit = false;
    added = client_->add(transaction);
  }
  switch (added) {
    case net::Client::Add::Accepted: return true;
    case net::Client::Add::MessageTooBig:
      end_all_items(slot, {{5, 3, 4}, "smtp;message exceeds the size the remote host announced"}, true);
      return false;
    case net::Client::Add::NeedsSmtpUtf8:
      end_all_items(slot, {{5, 6, 7}, "smtp;remote host does not offer SMTPUTF8"}, true);
      return false;
    case net::Client::Add::BadInput:
      end_all_items(slot, {{5, 1, 3}, "smtp;address cannot be sent"}, true);
      return false;
    case net::Client::Add::NoSlot:
    case net::Client::Add::TooManyRecipients:
    case net::Client::Add::Needs8BitMime: break;
  }
  SLUICE_ASSERT(false);  // free_slots() and recipients_at_most() were obeyed
  return false;
}

runtime::Task<void> Connection::send_output() {
  std::array<net::Bytes, kOutputPartsMax> room;
  const std::size_t count = client_->output(room);
  std::size_t total = 0;
  parts_.clear();
  for (std::size_t i = 0; i < count; ++i) {
    parts_.push_back(
        {const_cast<std::byte*>(room[i].data()), room[i].size()});  // iovec has no const; send only reads
    total += room[i].size();
  }
  stream_.set_deadline(reactor_.now() + settings_->data_send_timeout);
  const Status sent = co_await send_parts();
  if (!sent) {
    // What the server said last (a 421, a refusal) may still lie here unread; it explains more than our
    // EPIPE.
    read_input();
    if (!client_->is_over()) {
      lost_why_ = sent.error().code == Errc::Timeout ? "ETIMEDOUT (sending)" : "EDISCON";
      client_->on_closed(net::Client::Unconsumed::MayBeSent);
    }
    co_return;
  }
  log_sent(std::span(room).first(count));
  client_->consumed(total);
}

runtime::Task<Status> Connection::send_parts() {
  const auto is_large = [](const iovec& part) { return part.iov_len >= kZeroCopyBytesMin; };
  std::span<iovec> left(parts_);
  while (!left.empty()) {
    const auto large =
        dispatcher_.zero_copy_pays() ? std::find_if(left.begin(), left.end(), is_large) : left.end();
    const auto before = static_cast<std::size_t>(large - left.begin());
    if (before > 0) {
      if (const Status sent = co_await stream_.send(left.first(before)); !sent) co_return sent;
      left = left.subspan(before);
      continue;
    }
    const iovec& part = left.front();
    const auto sent =
        co_await stream_.send_zero_copy({static_cast<const std::byte*>(part.iov_base), part.iov_len});
    if (!sent && sent.error().code != Errc::Unsupported) co_return std::unexpected(sent.error());
    dispatcher_.note_zero_copy(sent.has_value() && *sent == runtime::Stream::ZeroCopy::Spared);
    if (sent) left = left.subspan(1);
  }
  co_return Status();
}

Duration Connection::phase_timeout() const {
  switch (client_->phase()) {
    case net::ClientPhase::Greeting: return settings_->smtp_greeting_timeout;
    case net::ClientPhase::BodyTransfer: return settings_->data_send_timeout;
    case net::ClientPhase::FinalReply: return settings_->smtp_data_termination_timeout;
    case net::ClientPhase::Quit: return 5s;  // nothing depends on its answer
    case net::ClientPhase::Ehlo:
    case net::ClientPhase::StartTls:
    case net::ClientPhase::Auth:
    case net::ClientPhase::Reset:
    case net::ClientPhase::Mail:
    case net::ClientPhase::Rcpt:
    case net::ClientPhase::Data:
    case net::ClientPhase::Idle:
    case net::ClientPhase::Closed: break;
  }
  return settings_->smtp_multiple_line_response_timeout;
}

runtime::Task<void> Connection::wait_for_events() {
  const bool under_way = !ready_ || client_->in_flight() > 0 || quit_said_;
  const bool takes_more = has_room();
  const MonoTime now = reactor_.now();
  const bool rate_is_near = rate_wait_ > now && rate_wait_ - now <= Dispatcher::kRateWaitMax;
  if (under_way) {
    stream_.set_deadline(now + phase_timeout());
  } else if (reads_pending_ > 0 || pay_at_ != MonoTime{}) {
    stream_.clear_deadline();
  } else if (!takes_more || (linger_over_ && !rate_is_near)) {
    quit_said_ = true;
    client_->quit();
    co_return;
  } else {
    stream_.clear_deadline();
    const Duration linger = std::max(settings_->connection_idle_timeout, Dispatcher::kLinger);
    reactor_.arm(linger_, std::max(now + linger, rate_is_near ? rate_wait_ + Dispatcher::kLinger : now));
    linger_over_ = false;
  }
  if (takes_more) {
    dispatcher_.stand_by(*this, rate_wait_ > now);
    // One that waits for a rate keeps its slot where closing and opening again would cost its queue mail.
    rests_ = !under_way && reads_pending_ == 0 &&
             (!rate_is_near || dispatcher_.may_come_back(*queue_, passage_.gate.get(), rate_wait_));
    if (rests_ && dispatcher_.is_in_the_way(*this)) {
      finishing_ = true;
    } else {
      co_await wakeup_.wait();
    }
    rests_ = false;
    dispatcher_.withdraw(*this);
  } else {
    co_await wakeup_.wait();
  }
  reactor_.disarm(linger_);
}

// --- net::ClientEvents
// ----------------------------------------------------------------------------------------------

void Connection::on_ready(const net::Capabilities& capabilities) {
  ready_ = true;
  hop_->esmtp = capabilities.listed;
  offer_carried_again();
  leave_connecting();
  if (Dispatcher::may_lend(*settings_))
    seat_ = dispatcher_.spares().enter(*settings_, queue_->vmta, endpoint_);
  if (!std::exchange(ever_established_, true)) dispatcher_.established(*queue_);
}

void Connection::on_tls_wanted() { SLUICE_ASSERT(false); }  // ClientSettings::Tls::Never

}  // namespace sluice::delivery
