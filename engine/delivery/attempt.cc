// One attempt of a connection to reach a mail host: from which source address, through which proxy, and what
// its end says about the host.
#include "engine/delivery/connection.h"
#include "engine/runtime/boundary.h"

namespace sluice::delivery {

runtime::Task<Connection::After> Connection::try_hop(const resolver::RouteAnswer& route,
                                                     const resolver::RouteHop& hop) {
  endpoint_ = hop.endpoint;
  const std::string name(route.host_of(hop));
  tries_.next_host();
  for (;;) {
    const After after = co_await try_once(name);
    if (after != After::NextProxy) co_return after;
    if (dispatcher_.stopping() || finishing_) co_return After::Done;
  }
}

/// One attempt to reach the host endpoint_ and speak with it.
runtime::Task<Connection::After> Connection::try_once(std::string name) {
  const Endpoint& to = endpoint_;
  hop_ = std::make_shared<HopFacts>(HopFacts{.mta = name + " (" + to.address.text() + ')',
                                             .source_ip = "0.0.0.0",
                                             .destination_ip = to.address.text(),
                                             .esmtp = {}});
  snapshot_ = dispatcher_.snapshot();
  if (!dispatcher_.may_knock(*queue_, slots_, to.address)) co_return After::Dead;
  const Dispatcher::Pass pass =
      dispatcher_.pass(*queue_, *snapshot_, name, to, tries_, passage_, limited_until_);
  if (pass == Dispatcher::Pass::NoSource) {
    // failure_ says what became of the last proxy.
    if (tries_.host_was_tried()) co_return After::NextHop;
    if (tries_.lost_some()) co_return After::NoProxy;
    failure_ = {{4, 4, 1}, "no source address for " + hop_->mta, false, kBadConfiguration};
    co_return After::NextHop;
  }
  if (pass == Dispatcher::Pass::Limited) co_return After::Limited;
  if (!std::exchange(has_paid_, false) && !std::exchange(paid_in_vain_, false)) {
    const bool may_go_on = co_await dispatcher_.pay_connect(*queue_);
    if (!may_go_on) co_return After::Done;
  }
  const queue::SourceAddress* source = passage_.source;
  source_ = source->address;
  source_host_ = source->ehlo;
  proxy_ = source->proxy;
  has_source_ = true;
  if (source->address) hop_->source_ip = source->address->text();
  if (log_.connections()) {
    log_.say("connecting from " + source->ehlo + " (" + hop_->source_ip + ") to " + hop_->mta +
             (proxy_ ? " through proxy " + proxy_->name : ""));
  }
  WayOut way = co_await open_way_out(dispatcher_, *source, to, name,
                                     dispatcher_.connect_timeout(slots_, *settings_), way_);
  if (way.source_is_gone && dispatcher_.modes().source_is_gone(*queue_, *source->address))
    co_return After::Done;
  if (finishing_) co_return After::Done;  // nothing was said yet: that is no attempt
  if (way.no_room) {
    if (log_.connections()) log_.say(way.trouble);
    limited_until_ = std::max(limited_until_, reactor_.now() + Dispatcher::kNoRoomPause);
    paid_in_vain_ = true;
    co_return After::Limited;
  }
  if (!way.stream) {
    failure_ = {{4, 4, 1},
                std::move(way.trouble),
                false,
                way.source_is_gone ? kBadConfiguration : std::string_view()};
    if (log_.connections()) log_.say(failure_.diag);
    if (!proxy_) {
      dispatcher_.history().host_failed(to.address, reactor_.now());
      co_return After::NextHop;
    }
    tries_.lost(proxy_);
    paid_in_vain_ = true;
    co_return After::NextProxy;
  }
  stream_ = std::move(way.stream);
  if (!source->address || log_.connections()) {
    if (const auto local = reactor_.local_endpoint(stream_.fd())) {
      if (!source->address) hop_->source_ip = local->address.text();
      log_.connected(*local);
    }
  }
  net::ClientSettings speech = client_settings(*settings_, source->ehlo);
  const HostHabits::Habits habits = habits_.of(to, reactor_.now());
  speech.ignore.chunking = speech.ignore.chunking || habits.no_chunking;
  speech.ignore.pipelining = speech.ignore.pipelining || habits.no_pipelining;
  client_.emplace(std::move(speech), *this);
  ready_ = false;
  heard_host_ = false;
  quit_said_ = false;
  fault_ = net::ClientFault::None;
  lost_why_.clear();
  finished_ = 0;
  skip_host_ = false;
  used_up_ = false;
  patience_ = {};
  sent_before_ = stream_.sent_bytes();
  lost_patience_ = false;
  stream_.clear_deadline();  // a proxy's
  goes_otherwise_ = false;
  broken_ = false;
  try {
    co_await converse();
  } catch (...) {
    break_off(runtime::current_exception_text());
  }
  for (const Guest& guest : guests_) dispatcher_.left(*guest.queue, reactor_.now());
  guests_.clear();
  // Before the others are waited for: they may be waiting for the very buffers these hold.
  for (Active& slot : active_) {
    if (slot.state == Active::State::Read) give_up(slot);
  }
  pay_at_ = {};
  stop_checks();
  co_await reads_.join();
  dispatcher_.spares().leave(seat_);
  const bool was_ready = ready_;
  stream_.close();
  client_.reset();
  log_.closed(hop_->mta);
  if (cut_) co_return After::Done;
  if (broken_) {
    failure_ = {{4, 3, 0}, lost_why_ + " in connection to " + hop_->mta};
    co_return After::QueueFailed;
  }
  if (skip_host_) co_return lent_ || finishing_ ? After::Done : After::NextHop;
  if (fault_ == net::ClientFault::None) co_return After::Done;
  if (fault_reply_.code == 0) {
    failure_ = {
        {4, 4, 2},
        lost_why_ + " in connection to " + hop_->mta + (proxy_ ? " through proxy " + proxy_->name : ""),
        false,
        fault_ == net::ClientFault::ProtocolError ? kProtocolErrors : std::string_view()};
  }
  if (proxy_ && !heard_host_ && !finishing_) {
    // The proxy had no way to the host, or would not serve us: it has no words for either.
    tries_.silent(proxy_);
    co_return After::NextProxy;
  }
  // Mail went through before, or nobody had any: this host is fine, and whatever is left takes a new
  // connection. That one will speak otherwise where this one did not get on.
  if (was_ready && (finished_ > 0 || used_up_ || goes_otherwise_)) co_return After::Done;
  if (finishing_) co_return After::Done;  // a rule has decided about the whole queue, or a stop was asked for
  if (lent_) co_return After::QueueFailed;  // the route was another queue's
  co_return After::NextHop;
}

void Connection::note_exception(const std::string& words) {
  runtime::note_contained_words(reactor_, dispatcher_.log(), "a connection failed of", queue_->name(), words);
}

/// An exception ended the conversation: what the server took of the mail under way is not known. The client's
/// machine may be in any state and is not asked.
void Connection::break_off(const std::string& words) {
  broken_ = true;
  note_exception(words);
  stream_.notify(nullptr);
  reactor_.disarm(linger_);
  dispatcher_.withdraw(*this);
  rests_ = false;
  for (Active& slot : active_) {
    if (slot.state != Active::State::Offered) continue;
    try {
      lost_why_ = "internal error (" + words + ')';
      end_all_items(slot, {{4, 3, 0}, lost_why_ + ", delivery unknown"}, false);
    } catch (...) {  // an attempt without a record
      runtime::note_contained(reactor_, dispatcher_.log(), "recording an attempt of", queue_->name());
      put_back(slot);
      release(slot);
    }
  }
}

}  // namespace sluice::delivery
