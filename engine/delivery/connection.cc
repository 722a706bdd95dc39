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

Connection::Connection(Dispatcher& dispatcher, queue::Queue& queue, Slots& slots, ConnectGrants paid)
    : dispatcher_(dispatcher),
      reactor_(dispatcher.reactor()),
      queue_(&queue),
      slots_(slots),
      habits_(dispatcher.habits()),
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
      watch_([](runtime::Timer& timer) { static_cast<LingerTimer&>(timer).owner.on_watch(); }, *this),
      paid_(std::move(paid)),
      pay_timer_([](runtime::Timer& timer) { static_cast<LingerTimer&>(timer).owner.wakeup_.set(); }, *this) {
  passage_.line = &dispatcher.host_line();
  if (log_.connections()) log_.say("starting " + queue.name());
}

Connection::~Connection() {
  reactor_.disarm(linger_);
  reactor_.disarm(watch_);
  reactor_.disarm(pay_timer_);
  if (has_paid_) dispatcher_.refund_connect(paid_);
  if (log_.connections()) log_.say("done " + queue_->name());
  if (trace_) trace_->over = true;
  for (const Active& slot : active_) SLUICE_ASSERT(slot.state == Active::State::Free);
}

void Connection::leave_connecting() {
  if (std::exchange(holds_connecting_, false)) dispatcher_.leave_connecting(slots_);
}

/// A transaction got its final reply.
void Connection::host_answered() {
  if (++finished_ == 1) dispatcher_.answered(*queue_, slots_, target());
}

void Connection::finish() {
  finishing_ = true;
  dispatcher_.withdraw(*this);  // nobody hands it work any more
  // A host that has not greeted yet has nothing of ours; one that has refused us is told goodbye.
  const bool takes_leave = client_ && client_->phase() == net::ClientPhase::Quit;
  if (!ready_ && !takes_leave) {
    way_.stop();
    if (wire_) wire_.abort();
  }
  stop_checks();
  wakeup_.set();
}

void Connection::cut() {
  finishing_ = true;
  cut_ = true;
  way_.stop();
  if (wire_) wire_.abort();
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
  const auto broke = co_await runtime::contained(work());
  if (!broke) co_return;
  note_exception(*broke);
  passage_.release();
  leave_connecting();
  offer_carried_again();
  failure_ = {{4, 3, 0}, "internal error: " + *broke};
  dispatcher_.failed(*queue_, QueueFailureKind::Delivery, hop_.get(), failure_);
}

runtime::Task<void> Connection::work() {
  const resolver::RouteAnswer route = co_await find_route();
  if (finishing_) {
    leave_connecting();
    co_return;
  }
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
  std::optional<Endpoint> go_on_with;
  for (const resolver::RouteHop* hop : hosts_in_turn(route)) {
    if (dispatcher_.stopping() || finishing_) {
      after = After::Done;
      break;
    }
    if (attempts >= settings_->mx_connection_attempts) {
      go_on_with = hop->endpoint;
      break;
    }
    after = co_await try_hop(route, *hop);
    passage_.release();
    if (after == After::Limited || after == After::NoProxy || after == After::Dead) continue;
    ++attempts;
    if (after != After::NextHop) break;
  }
  leave_connecting();
  if (!lent_ || go_on_with) habits_.go_on_with(queue_->name(), go_on_with);
  if (!carried_.empty()) co_await give_up_carried();
  if (after == After::Done || (after == After::Dead && attempts == 0)) co_return;
  if (limited_until_ != MonoTime{}) {
    // Some host may be fine and is merely at its limit: the queue has not failed.
    if (attempts > 0) dispatcher_.hold_connects(*queue_, reactor_.now() + Dispatcher::kConnectPause);
    dispatcher_.hold_for_hosts(*queue_, limited_until_);
    co_return;
  }
  dispatcher_.failed(*queue_, QueueFailureKind::Delivery, hop_.get(), failure_, wait_asked_of(*queue_));
}

/// The order in which this run tries the hosts. Where the last run had to stop (mx-connection-attempts) this one
/// goes on, and begins anew behind the last host.
std::vector<const resolver::RouteHop*> Connection::hosts_in_turn(const resolver::RouteAnswer& route) const {
  std::vector<const resolver::RouteHop*> out;
  out.reserve(route.hops.size());
  for (const resolver::RouteHop& hop : route.hops) out.push_back(&hop);
  const std::optional<Endpoint> next = habits_.next_of(queue_->name());
  if (!next) return out;
  const auto found =
      std::ranges::find_if(out, [&next](const resolver::RouteHop* hop) { return hop->endpoint == *next; });
  if (found != out.end()) std::rotate(out.begin(), found, out.end());
  return out;
}

runtime::Task<void> Connection::converse() {
  wire_.notify(&wakeup_);
  while (!client_->is_over()) {
    read_input();
    if (client_->is_over()) break;
    if (lost_patience_) {
      connection_ended("ETIMEDOUT (" + std::string(name_of(client_->phase())) + ')');
      break;
    }
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
  wire_.notify(nullptr);
}

void Connection::read_input() {
  while (!client_->is_over()) {
    std::optional<Result<runtime::ReceivedBytes>> input = wire_.try_receive();
    if (!input) return;
    take_in(*input);
  }
}

void Connection::take_in(const Result<runtime::ReceivedBytes>& input) {
  if (!input) {
    const bool is_ours = input.error().code == Errc::Cancelled;
    connection_ended(lost_patience_ ? "ETIMEDOUT (sending)" : is_ours ? "server shutdown" : "EDISCON");
    return;
  }
  if (input->bytes().empty()) {
    connection_ended("EDISCON");
    return;
  }
  heard_host_ = true;
  log_.received(input->bytes(), false);
  client_->on_bytes(input->bytes(), on_the_way());
  patience_.hears(client_->replies(), client_->in_reply(), reactor_.now());
}

/// Takes what has come while a send was under way; the machine hears of it behind the send, and of how much had
/// left when it came.
void Connection::keep_input() {
  while (kept_.size() < kKeptInputMax) {
    std::optional<Result<runtime::ReceivedBytes>> input = wire_.try_receive();
    if (!input) return;
    const bool is_end = !*input || (*input)->bytes().empty();
    const std::uint64_t sent = *input ? wire_.sent_before(**input) : wire_.sent_bytes();
    kept_.push_back({std::move(*input), is_end ? wire_.sent_bytes() : sent});
    if (is_end) return;
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
  const std::uint64_t before = wire_.sent_bytes();
  sending_ = true;
  patience_.sends(total, taken_by_host(), settings_->data_send_timeout, reactor_.now());
  watch_until(patience_.next_look(reactor_.now()));
  Status sent;
  // Of one recipient only: the commands for several go out without the body, and have replies on the way.
  const auto current = client_->current();
  const bool holds_body = client_->phase() == net::ClientPhase::BodyTransfer ||
                          (current && active_[current->raw()].items.size() == 1);
  if (total <= kLongSendBytes || !holds_body) {
    sent = co_await send_parts();
  } else {
    bool done = false;
    sends_.spawn(send_beside(sent, done));
    while (!done) {
      co_await wakeup_.wait();
      // A send that ended before what came now has its turn first.
      co_await runtime::yield(reactor_);
      if (!done) keep_input();
    }
    co_await sends_.join();
  }
  sending_ = false;
  if (!lost_patience_) keep_input();
  // Whatever came while bytes were still leaving answers none of them.
  std::uint64_t told = before;
  for (const Kept& one : kept_) {
    if (client_->is_over()) break;
    const std::uint64_t sent_then = std::max(one.sent, told);
    client_->consumed(sent_then - told);
    told = sent_then;
    take_in(one.input);
  }
  kept_.clear();
  if (client_->is_over()) co_return;
  if (!sent) {
    // What the server said last (a 421, a refusal) may still lie here unread; it explains more than our
    // EPIPE.
    if (!lost_patience_) read_input();
    if (!client_->is_over()) {
      lost_why_ = lost_patience_ ? "ETIMEDOUT (sending)" : "EDISCON";
      client_->on_closed(net::Client::Unconsumed::MayBeSent);
    }
    co_return;
  }
  log_sent(std::span(room).first(count));
  client_->consumed(before + total - told);
}

runtime::Task<void> Connection::send_beside(Status& status, bool& done) {
  status = co_await send_parts();
  done = true;
  wakeup_.set();
}

/// A large piece of a body is a send of its own: then the commands in front of it have left for sure when their
/// replies come, and it may go without a copy.
runtime::Task<Status> Connection::send_parts() {
  std::span<iovec> left(parts_);
  while (!left.empty()) {
    const auto large =
        std::ranges::find_if(left, [](const iovec& part) { return part.iov_len >= kLongSendBytes; });
    const bool is_first = large == left.begin();
    const bool spare = is_first && dispatcher_.zero_copy_pays() && large->iov_len >= kZeroCopyBytesMin;
    const auto now = left.first(is_first ? 1 : static_cast<std::size_t>(large - left.begin()));
    if (spare) {
      const auto sent =
          co_await wire_.send_zero_copy({static_cast<const std::byte*>(large->iov_base), large->iov_len});
      if (!sent && sent.error().code != Errc::Unsupported) co_return std::unexpected(sent.error());
      dispatcher_.note_zero_copy(sent.has_value() && *sent == runtime::Stream::ZeroCopy::Spared);
      if (!sent) continue;
    } else {
      const Status sent = co_await wire_.send(now);
      if (!sent) co_return sent;
    }
    left = left.subspan(now.size());
  }
  co_return Status();
}

/// Of the message whose turn it is: mail under way is as old as mail that waits. Once all of it was sent its
/// reply is worth waiting for.
MonoTime Connection::patience_ends() {
  const net::ClientPhase phase = client_->phase();
  const MonoTime due = patience_.reply_due(phase, client_->replies(), *settings_, reactor_.now());
  const auto current = client_->current();
  if (!current || phase == net::ClientPhase::FinalReply || phase == net::ClientPhase::Reset) return due;
  return std::min(due, active_[current->raw()].expires);
}

void Connection::watch_until(MonoTime time) {
  watch_at_ = time;
  if (!watch_.armed() || watch_.due() > time) reactor_.arm(watch_, time);
}

std::uint64_t Connection::taken_by_host() const { return wire_.acknowledged_bytes().value_or(0); }

/// Bytes handed to the kernel that the host's side has not acknowledged. Large buffers take a message as a whole
/// long before it has arrived.
std::uint64_t Connection::on_the_way() const {
  if (!client_->asks_what_arrived()) return 0;
  const auto taken = wire_.acknowledged_bytes();
  return taken ? wire_.sent_bytes() - *taken : 0;
}

Duration Connection::stalled_for() {
  if (!wire_ || !client_ || client_->is_over() || lost_patience_ || !heard_host_) return Duration{0};
  if ((ready_ && client_->in_flight() == 0) || bounces_broken_transfer(client_->phase())) return Duration{0};
  const auto taken = wire_.acknowledged_bytes();
  if (client_->may_have_delivered(taken.value_or(wire_.sent_bytes()))) return Duration{0};
  return patience_.silent_for(taken.value_or(0), reactor_.now());
}

void Connection::stop_waiting() {
  lost_patience_ = true;
  if (sending_) return wire_.abort();
  wakeup_.set();
}

void Connection::on_watch() {
  const MonoTime now = reactor_.now();
  if (watch_at_ == MonoTime{} || !wire_ || !client_ || client_->is_over()) return;
  if (now < watch_at_) {
    reactor_.arm(watch_, watch_at_);
    return;
  }
  if (sending_) {
    const auto current = client_->current();
    const bool too_old = current && active_[current->raw()].expires <= now;
    if (!too_old && patience_.still_sends(taken_by_host(), now)) return watch_until(patience_.next_look(now));
    return stop_waiting();
  }
  if (client_->phase() == net::ClientPhase::FinalReply && patience_.was_still_reading(taken_by_host(), now)) {
    return watch_until(patience_ends());
  }
  stop_waiting();
}

runtime::Task<void> Connection::wait_for_events() {
  const bool under_way = !ready_ || client_->in_flight() > 0 || quit_said_;
  const bool takes_more = has_room();
  const MonoTime now = reactor_.now();
  const bool rate_is_near = rate_wait_ > now && rate_wait_ - now <= Dispatcher::kRateWaitMax;
  watch_at_ = {};
  if (under_way) {
    watch_until(patience_ends());
  } else if (reads_pending_ > 0 || pay_at_ != MonoTime{}) {
    // Nothing is asked of the host.
  } else if (!takes_more || (linger_over_ && !rate_is_near)) {
    quit_said_ = true;
    client_->quit();
    co_return;
  } else {
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
  ready_at_ = reactor_.now();
  hop_->esmtp = capabilities.listed;
  offer_carried_again();
  leave_connecting();
  if (Dispatcher::may_lend(*settings_))
    seat_ = dispatcher_.spares().enter(*settings_, queue_->vmta, endpoint_);
  if (!std::exchange(ever_established_, true)) dispatcher_.established(*queue_);
}

void Connection::on_tls_wanted() { SLUICE_ASSERT(false); }  // ClientSettings::Tls::Never

}  // namespace sluice::delivery
