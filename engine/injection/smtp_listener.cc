#include "engine/injection/smtp_listener.h"

#include "engine/injection/greeting_name.h"
#include "engine/injection/smtp_session.h"
#include "engine/runtime/boundary.h"
#include "policy/base/assert.h"

namespace sluice::injection {
namespace {

constexpr Duration kSlotWait = 20ms;      // smtp-await-slot: how soon a freed slot is noticed
constexpr Duration kAcceptAgain = 100ms;  // after an error, such as no descriptor: not a loop that spins
constexpr std::string_view kFailed = "an SMTP session failed";

}  // namespace

SmtpListener::SmtpListener(runtime::Reactor& reactor, Intake& intake, queue::SharedState& shared,
                           config::SmtpListener settings, delivery::LogLine log)
    : reactor_(reactor),
      intake_(intake),
      shared_(shared),
      settings_(std::move(settings)),
      log_(std::move(log)) {}

SmtpListener::~SmtpListener() { SLUICE_ASSERT(tasks_.running() == 0); }

Status SmtpListener::open() {
  Result<runtime::Listener> opened =
      runtime::Listener::open(reactor_, Endpoint{settings_.address.address(), settings_.port});
  if (!opened) return std::unexpected(opened.error());
  listener_ = std::move(*opened);
  return {};
}

void SmtpListener::set_settings(config::SmtpListener settings) {
  settings_ = std::move(settings);
  rules_.reset();
}

void SmtpListener::close() {
  if (listener_) listener_.stop();
}

void SmtpListener::start() { tasks_.spawn(accept_all()); }

runtime::Task<void> SmtpListener::accept_all() {
  for (;;) {
    while (waits_for_slot() && !stopping_ && shared_.inbound.used() >= shared_.inbound.limit()) {
      co_await runtime::sleep_for(reactor_, kSlotWait);
    }
    Result<runtime::Stream> accepted = co_await listener_.accept();
    if (!accepted) {
      if (accepted.error().code == Errc::Cancelled) {
        listener_ = {};  // the address is free again
        co_return;
      }
      if (accepted.error().code == Errc::NoDescriptors) {
        std::string line = shared_.descriptors.look(0, reactor_.descriptor_reserve());
        if (!line.empty() && log_) log_(std::move(line));
      }
      co_await runtime::sleep_for(reactor_, kAcceptAgain);
      continue;
    }
    if (stopping_) continue;
    try {
      tasks_.spawn(serve(std::move(*accepted)));
    } catch (...) {  // no memory for one more
      runtime::note_contained(reactor_, log_, kFailed);
    }
  }
}

std::shared_ptr<const ClientRules> SmtpListener::rules_for(const IpAddress& client) {
  const auto& snapshot = intake_.snapshot();
  if (!rules_ || rules_client_ != client || rules_snapshot_ != snapshot->number) {
    rules_ = std::make_shared<const ClientRules>(
        snapshot, snapshot->config->resolve_source(client, settings_.source), settings_.default_virtual_mta);
    rules_client_ = client;
    rules_snapshot_ = snapshot->number;
  }
  return rules_;
}

bool SmtpListener::waits_for_slot() const {
  return settings_.await_slot || intake_.snapshot()->config->globals.smtp_await_slot;
}

runtime::Task<std::optional<queue::InboundSlots::Slot>> SmtpListener::wait_for_slot(
    std::shared_ptr<queue::SourceGroupSlots> group) {
  auto slot = shared_.inbound.take(group);
  if (slot || waiting_ >= kWaitingMax) co_return slot;
  ++waiting_;
  while (!slot && !stopping_ && waits_for_slot()) {
    co_await runtime::sleep_for(reactor_, kSlotWait);
    slot = shared_.inbound.take(group);
  }
  --waiting_;
  co_return slot;
}

/// Says in the log when they run out, and when they are free again.
bool SmtpListener::is_last_descriptor(int fd) {
  const std::size_t left = reactor_.descriptors_left(fd);
  const std::size_t reserve = reactor_.descriptor_reserve();
  std::string line = shared_.descriptors.look(left, reserve);
  if (!line.empty() && log_) log_(std::move(line));
  return left < reserve;
}

runtime::Task<void> SmtpListener::serve(runtime::Stream stream) {
  try {
    co_await serve_client(std::move(stream));
  } catch (...) {
    runtime::note_contained(reactor_, log_, kFailed);
  }
}

runtime::Task<void> SmtpListener::serve_client(runtime::Stream stream) {
  const auto client = reactor_.peer_endpoint(stream.fd());
  const auto local = reactor_.local_endpoint(stream.fd());
  if (!client || !local) co_return;  // gone already
  const std::shared_ptr<const ClientRules> rules = rules_for(client->address);
  const std::string host = greeting_name(*intake_.snapshot(), *rules, local->address);
  std::optional<net::Answer> refusal;
  // The last descriptors are lent for as long as it takes to say no.
  std::optional<queue::InboundSlots::Slot> slot;
  if (!is_last_descriptor(stream.fd())) slot = co_await wait_for_slot(rules->group);
  if (!slot) {
    refusal = net::Answer::hang_up(421, "4.3.2 too many connections, try again later");
  } else if (!rules->settings.smtp_service) {
    refusal = net::Answer::hang_up(521, host + " does not accept mail from you");
  }
  // Numbers of sessions do not repeat over the shards.
  const std::uint64_t number = ++sessions_begun_ * intake_.snapshot()->shards + reactor_.shard().raw();
  const delivery::SessionLog::Wishes wishes{.connections = rules->settings.log_connections,
                                            .commands = rules->settings.log_commands,
                                            .data = rules->settings.log_data};
  SmtpSession session(reactor_, intake_, std::move(stream), *client, *local, rules, host,
                      delivery::SessionLog(log_, number, wishes));
  running_.push_back(&session);
  const auto trouble = co_await session.run(std::move(refusal));
  std::erase(running_, &session);
  if (trouble) runtime::note_contained_words(reactor_, log_, kFailed, {}, *trouble);
}

runtime::Task<void> SmtpListener::stop(Duration grace) {
  stopping_ = true;
  close();
  for (SmtpSession* session : std::vector(running_)) session->hang_up();
  const MonoTime deadline = reactor_.now() + grace;
  while (tasks_.running() > 0 && reactor_.now() < deadline) co_await runtime::sleep_for(reactor_, 5ms);
  for (SmtpSession* session : std::vector(running_)) session->cut();
  co_await tasks_.join();
}

}  // namespace sluice::injection
