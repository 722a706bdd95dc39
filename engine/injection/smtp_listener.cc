#include "engine/injection/smtp_listener.h"

#include "engine/injection/smtp_session.h"
#include "policy/base/assert.h"

namespace sluice::injection {
namespace {

constexpr Duration kSlotWait = 20ms;            // smtp-await-slot: how soon a freed slot is noticed
constexpr Duration kNoDescriptorsWait = 100ms;  // out of descriptors: not a loop that spins on accept

}  // namespace

SmtpListener::SmtpListener(runtime::Reactor& reactor, Intake& intake, queue::SharedState& shared,
                           config::SmtpListener settings)
    : reactor_(reactor), intake_(intake), shared_(shared), settings_(std::move(settings)) {}

SmtpListener::~SmtpListener() { SLUICE_ASSERT(tasks_.running() == 0); }

Status SmtpListener::open() {
  Result<runtime::Listener> opened =
      runtime::Listener::open(reactor_, Endpoint{settings_.address.address(), settings_.port});
  if (!opened) return std::unexpected(opened.error());
  listener_ = std::move(*opened);
  return {};
}

void SmtpListener::start() { tasks_.spawn(accept_all()); }

runtime::Task<void> SmtpListener::accept_all() {
  for (;;) {
    const bool waits_for_slot = settings_.await_slot || intake_.snapshot()->config->globals.smtp_await_slot;
    while (waits_for_slot && !stopping_ && shared_.inbound.used() >= shared_.inbound.limit()) {
      co_await runtime::sleep_for(reactor_, kSlotWait);
    }
    Result<runtime::Stream> accepted = co_await listener_.accept();
    if (!accepted) {
      if (accepted.error().code == Errc::Cancelled) co_return;
      if (accepted.error().code == Errc::NoDescriptors)
        co_await runtime::sleep_for(reactor_, kNoDescriptorsWait);
      continue;
    }
    if (!stopping_) tasks_.spawn(serve(std::move(*accepted)));
  }
}

std::shared_ptr<const config::SourceSettings> SmtpListener::rules_for(const IpAddress& client) {
  const auto& snapshot = intake_.snapshot();
  if (!rules_ || rules_client_ != client || rules_snapshot_ != snapshot->number) {
    rules_ = std::make_shared<const config::SourceSettings>(
        snapshot->config->resolve_source(client, settings_.source));
    rules_client_ = client;
    rules_snapshot_ = snapshot->number;
  }
  return rules_;
}

std::string SmtpListener::greeting_name(const config::SourceSettings& rules, const IpAddress& local) const {
  const queue::Snapshot& snapshot = *intake_.snapshot();
  if (rules.default_virtual_mta != config::kDefaultVmtaName) {
    if (const auto vmta = snapshot.config->find_vmta(rules.default_virtual_mta)) {
      return snapshot.identity(*vmta).sources.front().ehlo;
    }
  }
  for (const queue::Identity& identity : snapshot.identities) {
    for (const queue::SourceAddress& source : identity.sources) {
      if (source.address == local) return source.ehlo;
    }
  }
  const auto& names = snapshot.config->globals.host_name;
  return names.empty() ? "localhost" : names.front();
}

runtime::Task<void> SmtpListener::serve(runtime::Stream stream) {
  const auto client = reactor_.peer_endpoint(stream.fd());
  const auto local = reactor_.local_endpoint(stream.fd());
  if (!client || !local) co_return;  // gone already
  const std::shared_ptr<const config::SourceSettings> rules = rules_for(client->address);
  const std::string host = greeting_name(*rules, local->address);
  std::optional<net::Answer> refusal;
  const bool has_slot = shared_.inbound.try_take();
  if (!has_slot) {
    refusal = net::Answer::hang_up(421, "4.3.2 too many connections, try again later");
  } else if (!rules->smtp_service) {
    refusal = net::Answer::hang_up(521, host + " does not accept mail from you");
  }
  {
    SmtpSession session(reactor_, intake_, std::move(stream), *client, *local, rules, host,
                        settings_.default_virtual_mta);
    running_.push_back(&session);
    co_await session.run(std::move(refusal));
    std::erase(running_, &session);
  }
  if (has_slot) shared_.inbound.give_back();
}

runtime::Task<void> SmtpListener::stop(Duration grace) {
  stopping_ = true;
  listener_.stop();
  for (SmtpSession* session : std::vector(running_)) session->hang_up();
  const MonoTime deadline = reactor_.now() + grace;
  while (tasks_.running() > 0 && reactor_.now() < deadline) co_await runtime::sleep_for(reactor_, 5ms);
  for (SmtpSession* session : std::vector(running_)) session->cut();
  co_await tasks_.join();
}

}  // namespace sluice::injection
