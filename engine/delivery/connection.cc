#include "engine/delivery/connection.h"

#include <algorithm>
#include <array>

#include "policy/base/assert.h"

namespace sluice::delivery {

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
    if (finishing_) client_->withdraw();
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
