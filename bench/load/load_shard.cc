#include "bench/load/load_shard.h"

#include <algorithm>

#include "bench/lib/hash.h"

namespace sluice::bench {

using runtime::Stream;
using runtime::Task;

namespace {
constexpr Duration kRetryStep = 20ms;
constexpr std::size_t kLedgerReplyMax = 200;
}  // namespace

struct LoadShard::Connection {
  Connection(runtime::Reactor& reactor, const LoadPlan& plan, LoadDesk& desk)
      : wakeup(reactor), client(plan, desk) {}
  Stream stream;
  runtime::Wakeup wakeup;
  LoadClient client;
  bool waits = false;  // in the shard's idle list
};

LoadShard::LoadShard(runtime::Reactor& reactor, const LoadPlan& plan, std::size_t threads,
                     std::unique_ptr<LedgerLog> ledger, LoadCounters& counters)
    : reactor_(reactor),
      plan_(plan),
      index_(reactor.shard().raw()),
      threads_(threads),
      ledger_(std::move(ledger)),
      counters_(counters),
      maker_(plan),
      connecting_(reactor, kConnectingMax),
      arrival_alarm_([](runtime::Timer& timer) { static_cast<Alarm&>(timer).owner.on_arrival(); }, *this) {
  if (!plan.rates.empty()) arrivals_.emplace(plan, index_, threads_);
  // Thread i sends the messages i, i + threads, ...
  if (plan.messages)
    messages_left_ = *plan.messages / threads_ + (index_ < *plan.messages % threads_ ? 1 : 0);
  next_number_ = index_;
}

LoadShard::~LoadShard() { SLUICE_ASSERT(connections_.empty()); }

Task<void> LoadShard::run() {
  mono_base_ = started_at_ = last_reply_ = reactor_.read_clock();
  wall_base_us_ =
      static_cast<std::uint64_t>(std::chrono::microseconds(reactor_.wall_now().time_since_epoch()).count());
  if (arrivals_) next_arrival_ = arrivals_->next();
  const std::uint64_t mine = plan_.connections / threads_ + (index_ < plan_.connections % threads_ ? 1 : 0);
  for (std::uint64_t i = 0; i < mine; ++i)
    tasks_.spawn(keep_connected(static_cast<std::size_t>(index_ + i * threads_)));
  co_await tasks_.join();
  reactor_.disarm(arrival_alarm_);
}

void LoadShard::stop() {
  stopping_ = true;
  for (Connection* connection : connections_) {
    if (!connection->stream) continue;
    connection->stream.set_deadline(reactor_.now() + kDrainTime);
    connection->wakeup.set();
  }
}

bool LoadShard::out_of_time(MonoTime now) const {
  return plan_.duration && now - started_at_ >= *plan_.duration;
}

Ticket LoadShard::next_ticket(MonoTime now) {
  if (stopping_ || messages_left_ == 0 || out_of_time(now) || (arrivals_ && !next_arrival_)) {
    tickets_over_ = true;
    // Idle connections have nothing to wait for any more.
    on_arrival();
    return {};
  }
  Ticket ticket{.kind = Ticket::Kind::Go, .number = next_number_, .time = now};
  if (arrivals_) {
    ticket.time = started_at_ + *next_arrival_;
    if (ticket.time > now) {
      ticket.kind = Ticket::Kind::Later;
      return ticket;
    }
    next_arrival_ = arrivals_->next();
  }
  --messages_left_;
  next_number_ += threads_;
  return ticket;
}

LoadMessage LoadShard::make_message(std::uint64_t number) {
  counters_.started.add();
  return maker_.make(number, reactor_.wall_now());
}

void LoadShard::finished(Attempt&& attempt, Injection how, std::string_view reply, MonoTime now) {
  last_reply_ = now;
  switch (how) {
    case Injection::Accepted:
      counters_.accepted.add();
      counters_.recipients.add(static_cast<std::uint64_t>(std::ranges::count(attempt.accepted, true)));
      counters_.bytes.add(attempt.message.bytes());
      counters_.latency_ns.record(
          static_cast<std::uint64_t>(std::max<std::int64_t>(0, (now - attempt.intended).count())));
      break;
    case Injection::Refused: {
      counters_.refused.add();
      auto& kinds = counters_.refusals;
      const auto found =
          std::ranges::find(kinds, reply, [](const auto& kind) { return std::string_view(kind.first); });
      if (found != kinds.end()) {
        ++found->second;
      } else if (kinds.size() < LoadCounters::kRefusalsMax) {
        kinds.emplace_back(std::string(reply), 1);
      }
      break;
    }
    case Injection::Unknown: counters_.unknown.add(); break;
    case Injection::Unsent: counters_.unsent.add(); return;
  }
  record(attempt, how, reply);
}

void LoadShard::record(const Attempt& attempt, Injection how, std::string_view reply) {
  std::string recipients;
  for (std::size_t i = 0; i < attempt.message.recipients.size(); ++i) {
    // What was not answered may have been taken as well.
    if (how != Injection::Unknown && !attempt.accepted[i]) continue;
    if (!recipients.empty()) recipients += ',';
    recipients += attempt.message.recipients[i];
  }
  ledger_text_.clear();
  const auto age = reactor_.now() - mono_base_;
  append_ledger_line(
      {.kind = LedgerKind::Injected,
       .time_us = wall_base_us_ + static_cast<std::uint64_t>(std::max<std::int64_t>(0, age / 1us)),
       .session = attempt.message.number,
       .provider = plan_.run,
       .source = {},
       .message = attempt.message.id,
       .recipients = recipients,
       .certainty = how == Injection::Unknown ? Certainty::Unknown : Certainty::Answered,
       .body_bytes = attempt.message.body_bytes,
       .body_hash = attempt.message.body_hash,
       .reply = reply.substr(0, kLedgerReplyMax)},
      ledger_text_);
  ledger_->append(ledger_text_);
}

// --------------------------------------------------------------------------------------------------- connections

// False: given up.
Task<bool> LoadShard::connect(std::size_t index, Stream& into, MonoTime give_up) {
  const Endpoint& target = plan_.targets[index % plan_.targets.size()];
  const IpAddress* source = plan_.sources.empty() ? nullptr : &plan_.sources[index % plan_.sources.size()];
  for (;;) {
    co_await connecting_.take(1);
    auto stream = co_await Stream::connect(reactor_, target, source, plan_.timeout);
    connecting_.give(1);
    if (stream) {
      counters_.connects.add();
      into = *std::move(stream);
      co_return true;
    }
    counters_.connects_failed.add();
    if (reactor_.now() >= give_up || ending()) co_return false;
    co_await sleep_for(reactor_, kRetryStep);
  }
}

Task<void> LoadShard::keep_connected(std::size_t index) {
  MonoTime give_up = reactor_.now() + plan_.reconnect;
  while (!ending()) {
    Connection connection(reactor_, plan_, *this);
    if (!co_await connect(index, connection.stream, give_up)) co_return;
    connections_.push_back(&connection);
    co_await converse(connection);
    connection.client.on_lost(reactor_.read_clock());
    connection.stream.notify(nullptr);
    if (connection.waits) std::erase(idle_, &connection);
    std::erase(connections_, &connection);
    const bool limit_reached = plan_.messages_per_connection != 0 && connection.client.greeted();
    if (!connection.client.done()) {
      if (!limit_reached) counters_.connections_lost.add();
      if (connection.client.greeted()) give_up = reactor_.now() + plan_.reconnect;
      if (!limit_reached && reactor_.now() >= give_up) co_return;
      if (!limit_reached) co_await sleep_for(reactor_, kRetryStep);
    }
  }
}

Task<void> LoadShard::converse(Connection& connection) {
  LoadClient& client = connection.client;
  connection.stream.notify(&connection.wakeup);
  connection.stream.set_deadline(reactor_.now() + plan_.timeout);
  while (!client.over()) {
    while (auto got = connection.stream.try_receive()) {
      if (!*got || (*got)->bytes().empty()) co_return;
      const auto bytes = (*got)->bytes();
      client.on_bytes({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, reactor_.read_clock());
      if (client.over()) co_return;
    }
    client.fill(reactor_.read_clock());
    const auto parts = client.output();
    if (!parts.empty()) {
      connection.stream.set_deadline(reactor_.now() + (stopping_ ? kDrainTime : plan_.timeout));
      const Status sent = co_await connection.stream.send(parts);
      if (!sent) co_return;
      client.on_sent();
      continue;
    }
    if (client.next_time()) wait_for_arrival(connection);
    if (client.under_way() == 0 && client.greeted() && client.next_time()) connection.stream.clear_deadline();
    co_await connection.wakeup.wait();
  }
}

// Connections without work queue up, and one alarm serves them all: an alarm each would wake thousands for one arrival.
void LoadShard::wait_for_arrival(Connection& connection) {
  if (!connection.waits) {
    connection.waits = true;
    idle_.push_back(&connection);
  }
  if (next_arrival_) reactor_.arm(arrival_alarm_, started_at_ + *next_arrival_);
}

void LoadShard::on_arrival() {
  if (tickets_over_ || stopping_) {
    for (Connection* connection : std::exchange(idle_, {})) {
      connection->waits = false;
      connection->wakeup.set();
    }
    return;
  }
  if (idle_.empty()) return;
  Connection* connection = idle_.front();
  idle_.pop_front();
  connection->waits = false;
  connection->wakeup.set();
}

}  // namespace sluice::bench
