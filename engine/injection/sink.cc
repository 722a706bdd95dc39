#include "engine/injection/sink.h"

#include <algorithm>

#include "engine/injection/client_clock.h"
#include "engine/runtime/boundary.h"
#include "engine/wire/wire.h"
#include "net/smtp/server.h"
#include "policy/base/assert.h"

namespace sluice::injection {
namespace {

constexpr Duration kSlotWait = 20ms;      // dummy-smtp-await-slot: how soon a freed slot is noticed
constexpr Duration kWaitSlice = 100ms;    // of dummy-smtp-latency
constexpr Duration kAcceptAgain = 100ms;  // after an error, such as no descriptor: not a loop that spins
constexpr std::string_view kFailed = "sink: a session failed";

net::ServerSettings server_settings(const SinkSettings& settings) {
  net::ServerSettings out;
  out.host = settings.host;
  out.offer_chunking = settings.smtp.has_chunking;
  out.offer_pipelining = settings.smtp.has_pipelining;
  out.offer_verp = settings.smtp.has_verp;
  out.accept_loose_dots = true;
  return out;
}

}  // namespace

/// One client of the sink. Thread: one shard. Lifetime: run() has ended before destruction.
class SinkSession final : public net::ServerOwner {
 public:
  SinkSession(runtime::Reactor& reactor, runtime::Stream stream, std::shared_ptr<const SinkSettings> settings,
              SinkCounters& counters, const delivery::LogLine& log)
      : reactor_(reactor),
        wire_(reactor, std::move(stream)),
        settings_(std::move(settings)),
        counters_(counters),
        log_(log),
        server_(server_settings(*settings_), *this) {}

  runtime::Task<void> run(bool has_room) {
    if (has_room) {
      server_.start();
    } else {
      server_.refuse_client(net::Answer::hang_up(421, "4.3.2 too many connections, try again later"));
    }
    const Duration latency = std::chrono::milliseconds(settings_->smtp.latency_ms);
    for (;;) {
      // One round trip: what is answered together arrives together.
      if (!server_.output().empty()) co_await wait(latency);
      while (!server_.output().empty()) {
        const std::span<const std::byte> output = server_.output();
        wire_.set_deadline(reactor_.now() + Sink::kTimeout);
        const Status sent = co_await wire_.send(output);
        if (!sent) co_return;
        server_.consumed(output.size());
      }
      if (server_.wants_close()) co_return;
      wire_.set_deadline(clock_.deadline(server_, reactor_.now()).value_or(reactor_.now() + Sink::kTimeout));
      const Result<runtime::ReceivedBytes> input = co_await wire_.receive();
      if (!input) {
        if (input.error().code != Errc::Timeout) co_return;
        server_.on_timeout();
        continue;
      }
      if (input->bytes().empty()) co_return;
      server_.feed(input->bytes());
    }
  }
  void cut() {
    cut_ = true;
    wire_.abort();
  }
  void ended() { server_.on_closed(); }

 private:
  /// In slices, so that nobody who stops the sink waits for all of it.
  runtime::Task<void> wait(Duration time) {
    const MonoTime end = reactor_.now() + time;
    while (!cut_ && reactor_.now() < end)
      co_await runtime::sleep_for(reactor_, std::min<Duration>(kWaitSlice, end - reactor_.now()));
  }
  net::Answer on_hello(std::string_view, bool) override { return net::Answer::accept(); }
  net::Answer on_mail(const net::MailCommand&) override {
    recipients_ = 0;
    return net::Answer::accept();
  }
  net::Answer on_rcpt(const net::RcptCommand& rcpt) override {
    const auto& replies = settings_->replies;
    if (replies.empty() || reactor_.random() % 100 >= settings_->smtp.blacklist_bounce_percent) {
      ++recipients_;
      return net::Answer::accept();
    }
    const config::SinkReply& reply = replies[reactor_.random() % replies.size()];
    if (settings_->smtp.log_blacklist) {
      log_("Sink refused <" + std::string(rcpt.recipient.text()) + ">: " + std::to_string(reply.code) + ' ' +
           reply.text);
    }
    // 421 announces the end of the connection (RFC 5321 3.8).
    if (reply.code == 421) return net::Answer::hang_up(reply.code, reply.text);
    return net::Answer::reply(reply.code, reply.text);
  }
  net::Answer on_data(std::uint32_t) override {
    bytes_ = 0;
    return net::Answer::accept();
  }
  net::Answer on_message_bytes(std::span<const std::byte> bytes) override {
    bytes_ += bytes.size();
    return net::Answer::accept();
  }
  net::Answer on_message_end(net::MessageSeq, const net::BodyFacts&) override {
    if (settings_->smtp.update_stats) {
      ++counters_.messages;
      counters_.recipients += recipients_;
      counters_.bytes += bytes_;
    }
    return net::Answer::accept();
  }
  void on_message_dropped(net::Dropped) override {}
  void on_reset() override {}

  runtime::Reactor& reactor_;
  wire::Wire wire_;
  std::shared_ptr<const SinkSettings> settings_;
  SinkCounters& counters_;
  const delivery::LogLine& log_;
  net::Server server_;
  ClientClock clock_{{.command = Sink::kTimeout, .data = Sink::kTimeout}};
  std::uint64_t recipients_ = 0;
  std::uint64_t bytes_ = 0;
  bool cut_ = false;
};

Sink::Sink(runtime::Reactor& reactor, std::shared_ptr<const SinkSettings> settings, SinkCounters& counters,
           delivery::LogLine log)
    : reactor_(reactor), settings_(std::move(settings)), counters_(counters), log_(std::move(log)) {}

Sink::~Sink() { SLUICE_ASSERT(tasks_.running() == 0); }

Status Sink::open() {
  // Nobody else of ours may listen there: clients of the one would be met by the other.
  Result<runtime::Listener> opened = runtime::Listener::open(reactor_, settings_->at, {.reuse_port = false});
  if (!opened) return std::unexpected(opened.error());
  listener_ = std::move(*opened);
  return {};
}

void Sink::close() {
  stopping_ = true;
  if (listener_) listener_.stop();
}

runtime::Task<void> Sink::accept_all() {
  while (!stopping_) {
    if (settings_->smtp.await_slot && running_.size() >= kSessionsMax) {
      co_await runtime::sleep_for(reactor_, kSlotWait);
      continue;
    }
    Result<runtime::Stream> accepted = co_await listener_.accept();
    if (accepted) {
      if (stopping_) continue;
      try {
        tasks_.spawn(serve(std::move(*accepted)));
      } catch (...) {  // no memory for one more
        runtime::note_contained(reactor_, log_, kFailed);
      }
    } else if (accepted.error().code == Errc::Cancelled) {
      break;
    } else {
      co_await runtime::sleep_for(reactor_, kAcceptAgain);
    }
  }
  listener_ = {};  // the address is free again
}

runtime::Task<void> Sink::serve(runtime::Stream stream) {
  const bool has_room = running_.size() < kSessionsMax &&
                        reactor_.descriptors_left(stream.fd()) >= reactor_.descriptor_reserve();
  SinkSession session(reactor_, std::move(stream), settings_, counters_, log_);
  running_.push_back(&session);
  try {
    co_await session.run(has_room);
  } catch (...) {
    runtime::note_contained(reactor_, log_, kFailed);
  }
  session.ended();
  std::erase(running_, &session);
}

runtime::Task<void> Sink::stop() {
  close();
  for (SinkSession* session : std::vector(running_)) session->cut();
  co_await tasks_.join();
}

std::shared_ptr<const SinkSettings> SinkPlace::settings_of(const queue::Snapshot& snapshot) {
  const config::GlobalSettings& global = snapshot.config->globals;
  const config::DummySmtp& smtp = global.dummy_smtp;
  if (smtp.port == 0) return nullptr;
  auto out = std::make_shared<SinkSettings>();
  out->at = {smtp.ip.value_or(IpAddress::from_v4({127, 0, 0, 1})), smtp.port};
  out->smtp = smtp;
  // There is no other method; whoever asked for one has been told when the configuration was read.
  out->smtp.blacklist_bounce_method = "random";
  out->host = global.host_name.empty() ? "localhost" : global.host_name.front();
  if (const auto text = snapshot.config->texts.find(smtp.blacklist); text != snapshot.config->texts.end())
    out->replies = config::parse_sink_replies(text->second).replies;
  return out;
}

std::expected<void, std::string> SinkPlace::prepare(const queue::Snapshot& next) {
  auto settings = settings_of(next);
  if (!settings || (sink_ && sink_->settings().at == settings->at)) return {};
  const std::string at = settings->at.text();
  auto made = std::make_unique<Sink>(reactor_, std::move(settings), counters_, log_);
  if (const Status opened = made->open(); !opened)
    return std::unexpected("dummy-smtp-port: cannot listen on " + at + ": " + opened.error().text());
  prepared_ = std::move(made);
  return {};
}

void SinkPlace::drop_prepared() { prepared_.reset(); }

void SinkPlace::apply(const queue::Snapshot& now) {
  std::erase_if(closed_, [](const auto& one) { return one->is_idle(); });
  auto settings = settings_of(now);
  if (sink_ && settings && sink_->settings().at == settings->at) {
    sink_->set_settings(std::move(settings));
    return;
  }
  if (sink_) {
    sink_->close();
    closed_.push_back(std::move(sink_));
  }
  sink_ = std::move(prepared_);
  if (sink_) sink_->start();
}

runtime::Task<void> SinkPlace::stop() {
  drop_prepared();
  if (sink_) closed_.push_back(std::move(sink_));
  for (const auto& one : closed_) co_await one->stop();
  closed_.clear();
}

}  // namespace sluice::injection
