#include "engine/delivery/local/http.h"

#include <algorithm>
#include <string_view>

#include "engine/runtime/file.h"
#include "net/http/delivery_body.h"

namespace sluice::delivery {

HttpWorker::HttpWorker(Dispatcher& dispatcher, queue::Queue& queue, Slots& slots, ConnectGrants paid)
    : LocalWorker(dispatcher, queue),
      url_(net::http::parse_url(settings_->http_delivery_url)),
      slots_(slots),
      paid_(std::move(paid)) {
  passage_.line = &dispatcher.host_line();
}

HttpWorker::~HttpWorker() {
  if (has_paid_) dispatcher_.refund_connect(paid_);
}

Duration HttpWorker::linger() const {
  const auto wanted = [](const Slots::Held& one) { return one.budget->is_awaited(); };
  if (std::any_of(slots_.held.begin(), slots_.held.end(), wanted)) return Duration{0};
  return std::max(settings_->connection_idle_timeout, Dispatcher::kLinger);
}

bool HttpWorker::may_go_on() {
  if (settings_->max_errors_per_connection && errors_ >= *settings_->max_errors_per_connection) return false;
  if (settings_->max_msg_per_connection && messages_ >= *settings_->max_msg_per_connection) return false;
  if (dispatcher_.must_hand_on(slots_, queue_, messages_, connected_at_)) return false;
  // Whatever a server says without being asked ends the connection, most often its end. Not before the first
  // message: a host that does nothing but hang up would be called again and again.
  if (messages_ > 0 && (!client_.reusable() || wire_.try_receive())) return false;
  return LocalWorker::may_go_on();
}

void HttpWorker::finish() {
  LocalWorker::finish();
  if (!established_) way_.stop();
}

void HttpWorker::interrupt() {
  way_.stop();
  if (wire_) wire_.abort();
}

/// False: trouble_ says why nothing can be delivered.
runtime::Task<bool> HttpWorker::prepare() {
  if (!url_) {
    trouble_.failure = {{4, 3, 5}, "http-delivery-url: " + url_.error()};
    co_return false;
  }
  if (url_->tls) {
    trouble_.failure = {{4, 7, 4}, "http-delivery-url: https is not available in this version, mail waits"};
    co_return false;
  }
  if (settings_->http_delivery_extra_headers.empty()) co_return true;
  std::string path = settings_->http_delivery_extra_headers;
  const Result<std::string> text =
      co_await runtime::read_small_file(reactor_, std::move(path), kHeaderFileBytesMax);
  net::http::FieldsOrError parsed;
  if (text) {
    parsed = net::http::parse_fields(*text);
  } else {
    parsed.error = text.error().text();
  }
  if (!parsed.error.empty()) {
    const std::string& file = settings_->http_delivery_extra_headers;
    trouble_.failure = {{4, 3, 5}, "http-delivery-extra-headers " + file + ": " + parsed.error};
    co_return false;
  }
  fields_ = std::move(parsed.fields);
  co_return true;
}

runtime::Task<LocalWorker::Step> HttpWorker::open() {
  const struct Connecting {
    Dispatcher& dispatcher;
    Slots& slots;
    ~Connecting() { dispatcher.leave_connecting(slots); }
  } connecting{dispatcher_, slots_};
  const bool prepared = co_await prepare();
  if (!prepared) co_return Step::QueueFailed;
  co_return co_await connect();
}

runtime::Task<LocalWorker::Step> HttpWorker::connect() {
  tries_ = {};
  const queue::Identity& identity = snapshot_->identity(queue_.vmta);
  routing::StaticHost target;
  if (const auto address = IpAddress::parse(url_->host)) {
    target.kind = routing::StaticHost::Kind::Address;
    target.address = *address;
  } else {
    target.kind = routing::StaticHost::Kind::Host;
    target.name = url_->host;
  }
  target.port = url_->port;
  routing::HostList hosts;
  hosts.hosts.push_back(std::move(target));
  const resolver::RouteOptions options{
      .families = {.v4 = identity.has_v4, .v6 = identity.has_v6}, .port = url_->port, .stop = &way_.lookup};
  const resolver::RouteAnswer route = co_await dispatcher_.resolver().resolve_static_hosts(hosts, options);
  if (is_finishing()) co_return Step::Interrupted;
  if (!route.ok()) {
    trouble_.failure = {{4, 4, 3}, "x-http;" + route.error_text()};
    trouble_.kind = QueueFailureKind::Dns;
    co_return Step::QueueFailed;
  }
  std::uint32_t attempts = 0;
  for (const resolver::RouteHop& hop : route.hops) {
    if (is_finishing()) co_return Step::Interrupted;
    if (attempts >= settings_->mx_connection_attempts) break;
    const MonoTime limited_before = limited_until_;
    tries_.next_host();
    Step step = co_await try_hop(hop);
    while (step == Step::QueueFailed && std::exchange(at_proxy_, false) && !is_finishing())
      step = co_await try_hop(hop);
    if (step != Step::QueueFailed) co_return step;
    if (limited_until_ == limited_before) ++attempts;
  }
  if (limited_until_ == MonoTime{}) co_return Step::QueueFailed;
  // Some address may be fine and is merely at its limit: the queue has not failed.
  dispatcher_.hold_for_hosts(queue_, limited_until_);
  co_return Step::Interrupted;
}

/// QueueFailed: the next address may do.
runtime::Task<LocalWorker::Step> HttpWorker::try_hop(const resolver::RouteHop& hop) {
  const Endpoint& to = hop.endpoint;
  const Dispatcher::Pass pass =
      dispatcher_.pass(queue_, *snapshot_, url_->host, to, tries_, passage_, limited_until_);
  // With a proxy lost, trouble_ says what became of it.
  if (pass == Dispatcher::Pass::NoSource && tries_.lost_some()) co_return Step::QueueFailed;
  trouble_ = {.failure = {{4, 4, 1},
                          "no source address for " + url_->host + " (" + to.address.text() + ')',
                          false,
                          kBadConfiguration},
              .kind = QueueFailureKind::Delivery,
              .hop = nullptr};
  if (pass != Dispatcher::Pass::Granted) co_return Step::QueueFailed;
  if (!std::exchange(has_paid_, false)) {
    const bool may_go_on = co_await dispatcher_.pay_connect(queue_);
    if (!may_go_on) co_return Step::Interrupted;
  }
  const queue::SourceAddress& source = *passage_.source;
  source_ = source.address;
  WayOut way = co_await open_way_out(dispatcher_, source, to, url_->host, settings_->connect_timeout, way_);
  hop_ = {.mta = url_->host + " (" + to.address.text() + ')',
          .source_ip = source.address ? source.address->text() : "0.0.0.0",
          .destination_ip = to.address.text(),
          .esmtp = {}};
  if (is_finishing()) {  // nothing was said yet: that is no attempt
    way.wire.close();
    passage_.release();
    co_return Step::Interrupted;
  }
  if (way.no_room) {
    limited_until_ = std::max(limited_until_, reactor_.now() + Dispatcher::kNoRoomPause);
    passage_.release();
    co_return Step::QueueFailed;
  }
  if (!way.wire) {
    trouble_.failure.diag = std::move(way.trouble);
    trouble_.hop = &hop_;
    if (source.proxy) tries_.lost(source.proxy);
    at_proxy_ = source.proxy != nullptr;
    passage_.release();
    co_return Step::QueueFailed;
  }
  wire_ = std::move(way.wire);
  if (!source.proxy) {
    if (const auto local = reactor_.local_endpoint(wire_.fd())) hop_.source_ip = local->address.text();
  }
  established_ = true;
  connected_at_ = reactor_.now();
  dispatcher_.established(queue_);
  co_return Step::Done;
}

runtime::Task<void> HttpWorker::exchange(const std::string& body) {
  using State = net::http::Client::State;
  const std::string authority = url_->authority();
  client_.begin({.authority = authority,
                 .target = url_->target,
                 .content_type = "application/json",
                 .fields = fields_,
                 .body = body});
  std::vector<iovec> parts;
  wire_.set_deadline(reactor_.now() + settings_->data_send_timeout);
  while (!client_.output().empty()) {
    parts.clear();
    for (const auto& part : client_.output()) {
      parts.push_back({const_cast<std::byte*>(part.data()), part.size()});  // sending only reads
    }
    if (const Status sent = co_await wire_.send(std::span(parts)); !sent) {
      // A server that has heard enough answers and closes: its answer may be there already.
      lost_why_ = sent.error().code == Errc::Timeout ? "ETIMEDOUT while sending" : "EDISCON while sending";
      break;
    }
    client_.consumed();
  }
  wire_.set_deadline(reactor_.now() + settings_->smtp_data_termination_timeout);
  while (client_.state() == State::Busy) {
    const Result<runtime::ReceivedBytes> got = co_await wire_.receive();
    if (got && !got->bytes().empty()) {
      client_.on_bytes(got->bytes());
      continue;
    }
    if (lost_why_.empty() && !got) {
      lost_why_ = got.error().code == Errc::Timeout     ? "ETIMEDOUT waiting for the answer"
                  : got.error().code == Errc::Cancelled ? "server shutdown"
                                                        : "EDISCON";
    }
    client_.on_closed();
  }
  wire_.clear_deadline();
}

runtime::Task<LocalWorker::Step> HttpWorker::deliver(queue::Batch& items, const spool::MessageView& message) {
  queue::Item*& item = items.front();
  const Sent sent = sent_to(*item, message);
  const std::string body = net::http::delivery_body(
      {.from = sent.sender,
       .to = message.recipient(item->recipient).address,
       .message = {reinterpret_cast<const char*>(sent.text.data()), sent.text.size()}});
  lost_why_.clear();
  ++messages_;
  co_await exchange(body);
  const net::http::Response& answer = client_.response();
  if (client_.state() == net::http::Client::State::Done) {
    if (std::exchange(unanswered_, false)) dispatcher_.answered(queue_, slots_, nullptr);
    std::string diag =
        "x-http;" + std::to_string(answer.status) + ' ' + one_line(answer.reason, kAnswerShown);
    if (answer.status / 100 == 2) {
      dispatcher_.settler().count_message();
      delivered(item, message, std::move(diag), &hop_);
    } else {
      const std::string said = one_line(std::string_view(answer.body).substr(0, kAnswerShown), kAnswerShown);
      if (!said.empty()) diag += ": " + said;
      deferred(item, message, {{4, 0, 0}, std::move(diag), true}, &hop_);
      ++errors_;
    }
  } else {
    const std::string& why = lost_why_.empty() ? client_.fault() : lost_why_;
    deferred(item, message, {{4, 4, 2}, "x-http;" + why + ", delivery unknown"}, &hop_);
    ++errors_;
  }
  co_return Step::Done;
}

}  // namespace sluice::delivery
