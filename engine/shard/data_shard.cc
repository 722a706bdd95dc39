#include "engine/shard/data_shard.h"

#include <algorithm>

#include "engine/injection/pickup.h"
#include "policy/base/assert.h"

namespace sluice::shard {
ShardStatus& ShardStatus::operator+=(const ShardStatus& other) {
  in_messages += other.in_messages;
  in_recipients += other.in_recipients;
  in_bytes += other.in_bytes;
  out_recipients += other.out_recipients;
  out_messages += other.out_messages;
  out_bytes += other.out_bytes;
  bounced += other.bounced;
  deferred += other.deferred;
  queue_failures += other.queue_failures;
  queued_recipients += other.queued_recipients;
  queued_bytes += other.queued_bytes;
  queues += other.queues;
  names_cached += other.names_cached;
  queries_pending += other.queries_pending;
  queries_active += other.queries_active;
  contained += other.contained;
  spool.segments_in_use += other.spool.segments_in_use;
  spool.segments_spare += other.spool.segments_spare;
  spool.disk_bytes += other.spool.disk_bytes;
  journal.backlog_bytes += other.journal.backlog_bytes;
  for (const Refused& one : other.refused) {
    const auto same = [&one](const Refused& known) {
      return known.cause == one.cause && known.why == one.why;
    };
    if (std::ranges::none_of(refused, same)) refused.push_back(one);
  }
  return *this;
}

DataShard::DataShard(runtime::Reactor& reactor, World& world, std::unique_ptr<resolver::DnsTransport> dns,
                     journal::StorageOptions storage)
    : reactor_(reactor),
      world_(world),
      log_(reactor, world.control, world.log, world.shared.zone),
      dns_(reactor, std::move(dns)),
      resolver_(reactor, dns_),
      precache_(reactor, resolver_, [this](std::string text) { log_.write(std::move(text)); }),
      storage_(reactor, world.storage, std::move(storage)),
      lost_(reactor, storage_.journal, world.storage.directory(), world.storage.root(),
            [this](std::string line) { log_.write(std::move(line)); }),
      settler_(reactor, storage_.journal, items_),
      dispatcher_(reactor, resolver_, storage_.reader, settler_, items_, world.shared),
      cold_book_(reactor, world.shared,
                 [this](const std::string& key, const std::string& value) { settler_.remember(key, value); }),
      intake_(reactor, storage_.spool, resolver_, world.dispatchers, world.cold_books, world.shared.zone,
              world.shared.pressure, [this](std::string line) { log_.write(std::move(line)); }),
      notices_(reactor, intake_, [this](std::string line) { log_.write(std::move(line)); }),
      copies_(reactor, intake_, [this](std::string line) { log_.write(std::move(line)); }),
      reports_(reactor, intake_, storage_.journal, world.shared.reports,
               [this](std::string line) { log_.write(std::move(line)); }) {
  SLUICE_ASSERT(reactor.shard().raw() < world.dispatchers.size());
  reactor.keep_time(world.shared.clock);
  if (reactor.shard().raw() == 0) {
    pickup_ = std::make_unique<injection::Pickup>(reactor, intake_, world.control,
                                                  [this](std::string line) { log_.write(std::move(line)); });
  }
  world.dispatchers[reactor.shard().raw()] = &dispatcher_;
  world.cold_books[reactor.shard().raw()] = &cold_book_;
  if (reactor.shard().raw() == 0)
    sink_.emplace(reactor, [this](const std::string& line) { log_.write(line); });
  dispatcher_.set_peers(world.dispatchers);
  settler_.set_copies(copies_);
  settler_.set_reports(reports_);
  settler_.set_lost(lost_);
  dispatcher_.set_log([this](std::string line) { log_.write(line); });
  dispatcher_.modes().set_listeners([this](delivery::Notice notice) { notices_.send(std::move(notice)); },
                                    [this](std::string line) { log_.write(std::move(line)); });
}

DataShard::~DataShard() = default;

runtime::Task<Status> DataShard::start(journal::Recovered& found) {
  world_.shared.remembered.for_each_paused_job(
      [this](std::string_view name) { storage_.spool.jobs().pause(name, true); });
  const queue::Remembered& remembered = world_.shared.remembered;
  remembered.for_each_queue([this](std::string_view name) { dispatcher_.recall(name); });
  for (const auto& [pattern, pauses] : world_.shared.pauses->all()) {
    const bool is_name = pattern.find('*') == std::string::npos;
    if (pauses && is_name && intake_.snapshot()->config->find_vmta(pattern.substr(pattern.find('/') + 1)))
      dispatcher_.recall(pattern);
  }
  co_return co_await storage_.start(found, *this);
}

void DataShard::recovered(spool::StoredMessage& message,
                          std::span<const journal::RecoveredRecipient> recipients) {
  const queue::Snapshot& snapshot = *intake_.snapshot();
  const WallTime lasting = reactor_.lasting_now();
  std::vector<Returning> all;
  for (const journal::RecoveredRecipient& one : recipients) {
    // The queue of its last event keeps rollups and reroutes; a recipient that never got that far goes by its
    // domain.
    std::string_view domain = one.domain;
    std::string_view vmta = one.vmta;
    auto refusal = delivery::Refusal::parse(one.queue);
    if (refusal) {
      // Let in to be bounced, and the crash came first.
    } else if (const std::size_t slash = one.queue.find('/'); slash != std::string_view::npos) {
      // But an automatic site is known by its MX records only, which are looked up anew.
      const std::string_view last = one.queue.substr(0, slash);
      if (!routing::is_rollup_name(last) || snapshot.rollups.find(last) != nullptr) domain = last;
      vmta = one.queue.substr(slash + 1);
    }
    Returning back{.arrival = {.message = &message,
                               .recipient = one.index,
                               .attempts = static_cast<std::uint16_t>(std::min(one.attempts, 0xffffu)),
                               .priority = one.priority,
                               .shut_attempts = one.shut_attempts,
                               .due = {},
                               .schedule = {},
                               .first_attempt = one.first_attempt},
                   .domain = std::string(domain),
                   .vmta = std::string(vmta),
                   .refusal = std::move(refusal)};
    if (message.flags().has(spool::MessageFlags::kReport)) world_.shared.reports.add(one.domain);
    if (one.next_due > lasting) back.arrival.due = reactor_.now() + (one.next_due - lasting);
    all.push_back(std::move(back));
  }
  if (!message.flags().has(spool::MessageFlags::kScheduled)) {
    admit(std::move(all), nullptr);
    return;
  }
  // Their windows are in the stored message: queued once they are read, some messages at a time.
  unread_.push_back(std::move(all));
  if (tasks_.running() < kReadersMax) tasks_.spawn(read_schedules());
}

void DataShard::admit(std::vector<Returning> all, const std::shared_ptr<const schedule::Windows>& windows) {
  const queue::Snapshot& snapshot = *intake_.snapshot();
  for (Returning& one : all) {
    one.arrival.schedule = windows;
    const auto vmta = snapshot.config->find_vmta(one.vmta);
    const ShardId home = snapshot.home_of(vmta.value_or(config::kDefaultVmta), one.domain);
    if (one.refusal) {
      delivery::Dispatcher* there = world_.dispatchers[home.raw()];
      const auto act = [there, one] { there->refuse(one.arrival, one.domain, one.vmta, *one.refusal); };
      if (home == reactor_.shard()) {
        act();
      } else {
        reactor_.send_to(home, act);
      }
      continue;
    }
    if (home == reactor_.shard()) {
      dispatcher_.enqueue(one.arrival, one.domain, one.vmta);
      continue;
    }
    delivery::Dispatcher* there = world_.dispatchers[home.raw()];
    reactor_.send_to(home,
                     [there, one = std::move(one)] { there->enqueue(one.arrival, one.domain, one.vmta); });
  }
}

runtime::Task<void> DataShard::read_schedules() {
  while (!unread_.empty() && !stopping_) {
    std::vector<Returning> all = std::move(unread_.front());
    unread_.pop_front();
    const spool::StoredMessage& message = *all.front().arrival.message;
    std::shared_ptr<const schedule::Windows> windows;
    for (bool again = true; again && !stopping_;) {
      const Result<spool::MessageLease> lease = co_await storage_.reader.open(message);
      if (lease) {
        if (auto read = schedule::Windows::decode(lease->view().schedule)) {
          windows = std::make_shared<const schedule::Windows>(std::move(*read));
        }
      }
      // A damaged message is found to be so again, and ended, where it is to be delivered.
      again = !lease && lease.error().code != Errc::Corrupt;
      if (again) co_await runtime::sleep_for(reactor_, kReadAgain);
    }
    if (!stopping_) admit(std::move(all), windows);
  }
}

DataShard::Listeners::iterator DataShard::find(Listeners& in, const config::SmtpListener& wanted) {
  return std::find_if(in.begin(), in.end(), [&wanted](const auto& one) {
    return one->settings().address == wanted.address && one->settings().port == wanted.port;
  });
}

std::expected<void, std::string> DataShard::prepare(const queue::Snapshot& next) {
  for (const config::SmtpListener& settings : next.config->listeners) {
    if (settings.immediate_tls) continue;
    if (find(listeners_, settings) != listeners_.end() || find(prepared_, settings) != prepared_.end())
      continue;
    auto listener =
        std::make_unique<injection::SmtpListener>(reactor_, intake_, world_.shared, settings,
                                                  [this](std::string line) { log_.write(std::move(line)); });
    if (const Status opened = listener->open(); !opened) {
      const Endpoint at{settings.address.address(), settings.port};
      drop_prepared();
      return std::unexpected(queue::error_at(*next.config, settings.origin,
                                             "cannot listen on " + at.text() + ": " + opened.error().text()));
    }
    prepared_.push_back(std::move(listener));
  }
  if (sink_) {
    if (auto ready = sink_->prepare(next); !ready) {
      drop_prepared();
      return ready;
    }
  }
  const config::GlobalSettings& before = intake_.snapshot()->config->globals;
  const config::GlobalSettings& after = next.config->globals;
  const bool same_dns =
      before.name_server == after.name_server && before.edns_udp_length == after.edns_udp_length;
  if (same_dns || !world_.open_dns) return {};
  auto opened = world_.open_dns(reactor_, after);
  if (!opened) {
    drop_prepared();
    return std::unexpected("cannot use the name servers of name-server: " + opened.error().text());
  }
  prepared_dns_ = std::move(*opened);
  return {};
}

void DataShard::drop_prepared() {
  prepared_.clear();
  if (sink_) sink_->drop_prepared();
  if (prepared_dns_) dns_.retire(std::move(prepared_dns_));
}

void DataShard::listen() {
  if (prepared_dns_) {
    dns_.replace(std::move(prepared_dns_));
    resolver_.clear_cache();  // the operator has a reason not to believe those before
  }
  Listeners wanted;
  for (const config::SmtpListener& settings : intake_.snapshot()->config->listeners) {
    // Clients that begin with a handshake must not be greeted in clear: they find nobody, and so go elsewhere.
    if (settings.immediate_tls) {
      if (reactor_.shard().raw() == 0)
        log_.write("Listener " + Endpoint{settings.address.address(), settings.port}.text() +
                   " stays closed: immediate-tls asks for TLS, which Sluice does not have yet");
      continue;
    }
    for (Listeners* from : {&listeners_, &prepared_}) {
      const auto found = find(*from, settings);
      if (found == from->end()) continue;
      (*found)->set_settings(settings);
      if (from == &prepared_) (*found)->start();
      wanted.push_back(std::move(*found));
      from->erase(found);
      break;
    }
  }
  std::erase_if(closed_, [](const auto& one) { return one->is_idle(); });
  for (auto& gone : std::exchange(listeners_, std::move(wanted))) {
    gone->close();
    closed_.push_back(std::move(gone));
  }
  prepared_.clear();
  if (sink_) sink_->apply(*intake_.snapshot());
  dispatcher_.start();
  if (pickup_) pickup_->configure();
}

void DataShard::set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot) {
  const config::DnsSettings& dns = snapshot->config->dns;
  precache_.configure({.path = dns.precached_domains_file,
                       .interval = dns.precached_refresh_interval,
                       .domains_max = dns.precached_max_domains,
                       .families = snapshot->families});
  storage_.journal.set_hurry(snapshot->config->globals.sync_msg_update);
  intake_.set_snapshot(snapshot);
  dispatcher_.set_snapshot(std::move(snapshot));
}

runtime::Task<Status> DataShard::stop_traffic(Duration grace) {
  stopping_ = true;
  runtime::TaskGroup ending;
  for (const Listeners* some : {&listeners_, &closed_}) {
    for (const auto& listener : *some) ending.spawn(listener->stop(grace));
  }
  if (sink_) ending.spawn(sink_->stop());
  if (pickup_) ending.spawn(pickup_->stop());
  ending.spawn(dispatcher_.stop(grace));
  co_await ending.join();
  listeners_.clear();
  closed_.clear();
  co_await notices_.stop();
  co_await copies_.stop();
  co_await reports_.stop();
  co_await precache_.stop();
  co_await resolver_.stop();
  co_await intake_.stop();
  co_return Status();
}

runtime::Task<Status> DataShard::stop_storage() {
  co_await tasks_.join();
  co_await dispatcher_.join();  // the last mail of sessions, here and on other shards
  co_await lost_.stop();
  co_return co_await storage_.stop();
}

ShardStatus DataShard::status() const {
  ShardStatus out;
  const injection::IntakeCounters& in = intake_.counters();
  out.in_messages = in.messages;
  out.in_recipients = in.recipients;
  out.in_bytes = in.bytes;
  if (sink_) {
    out.in_messages += sink_->counters().messages;
    out.in_recipients += sink_->counters().recipients;
    out.in_bytes += sink_->counters().bytes;
  }
  const delivery::DeliveryCounters& delivered = settler_.counters();
  out.out_recipients = delivered.delivered;
  out.out_messages = delivered.delivered_messages;
  out.out_bytes = delivered.delivered_bytes;
  out.bounced = delivered.bounced;
  out.deferred = delivered.deferred;
  out.queue_failures = delivered.queue_failures;
  const queue::QueueTotals& queued = dispatcher_.queues().totals();
  out.queued_recipients = queued.recipients;
  out.queued_bytes = queued.bytes;
  out.queues = queued.queues;
  const resolver::Resolver::Counters names = resolver_.counters();
  out.names_cached = names.cache_entries;
  out.queries_pending = names.in_flight + names.waiting;
  out.queries_active = names.in_flight;
  out.contained = reactor_.counters().contained;
  out.spool = storage_.spool.stats();
  out.journal = storage_.journal.stats();
  auto refusing = intake_.refusing();
  // A large message may find no room where a small one does.
  if (!refusing && out.spool.no_room && out.spool.turned_away &&
      reactor_.now() - *out.spool.turned_away < IntakeWatch::kCalm)
    refusing = {injection::Intake::Refusing::Cause::Spool, "4.3.1 insufficient system storage"};
  if (refusing && !stopping_)
    out.refused.push_back(refused_of(*refusing, storage_.spool.failed(), out.spool.no_room));
  return out;
}

void DataShard::clock_was_set(runtime::LastingClock clock) {
  reactor_.keep_time(clock);
  dispatcher_.clock_was_set();
}

void DataShard::pause_job(const std::string& name, bool paused) {
  storage_.spool.jobs().pause(name, paused);
  // One shard remembers for all.
  if (reactor_.shard().raw() == 0)
    settler_.remember(queue::Remembered::job_pause_key(name), paused ? "1" : "");
}

std::vector<Endpoint> DataShard::endpoints() const {
  std::vector<Endpoint> out;
  for (const auto& listener : listeners_) out.push_back(listener->endpoint());
  return out;
}

}  // namespace sluice::shard
