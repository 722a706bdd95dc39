#include "bench/sink/sink_shard.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>

#include "policy/base/assert.h"

namespace sluice::bench {

using runtime::Stream;
using runtime::Task;

namespace {

constexpr std::size_t kSlowReadMax = 16384;

bool reads_slowly(const Provider& provider) {
  const auto& rules = provider.rules[static_cast<std::size_t>(Phase::Body)];
  const auto slows = [](const Rule& rule) { return rule.action.kind == Action::Kind::Slow; };
  return provider.receive_buffer_bytes.has_value() || std::ranges::any_of(rules, slows);
}

// Closing with SO_LINGER 0 sends RST instead of FIN.
void make_close_reset(int fd) {
  const linger abrupt{.l_onoff = 1, .l_linger = 0};
  std::ignore = ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

SinkShared::SinkShared(Internet the_internet, std::size_t shards)
    : internet(std::move(the_internet)), directory(internet) {
  for (const Provider& provider : internet.providers)
    states.push_back(std::make_unique<ProviderState>(provider));
  for (std::size_t i = 0; i < shards; ++i) {
    counters.push_back(std::make_unique<std::vector<SinkCounters>>(internet.providers.size()));
  }
}

Parsed<std::vector<SinkListen>> listens_of(const Internet& internet) {
  std::vector<SinkListen> out;
  std::map<Endpoint, std::uint32_t> taken;
  const auto add = [&](Endpoint at, std::uint32_t provider, const std::string& host) -> Parsed<void> {
    if (at.port == 0) at.port = internet.port;
    const auto [place, fresh] = taken.try_emplace(at, provider);
    // With port 0 every listener gets its own port, so one address may serve many.
    if (!fresh && at.port != 0) {
      if (place->second == provider) return {};
      return complain(fmt::format("{} belongs to both {} and {}", at.text(),
                                  internet.providers[place->second].name, internet.providers[provider].name));
    }
    out.push_back({at, provider, host});
    return {};
  };
  for (std::uint32_t index = 0; index < internet.providers.size(); ++index) {
    const Provider& provider = internet.providers[index];
    for (const MxHost& mx : provider.mx) {
      if (!mx.listens) continue;
      for (const Endpoint& at : mx.addresses) {
        if (const auto added = add(at, index, mx.name); !added) return std::unexpected(added.error());
      }
    }
    for (const Endpoint& at : provider.addresses) {
      if (const auto added = add(at, index, provider.name); !added) return std::unexpected(added.error());
    }
  }
  return out;
}

// One connection and everything that may wake it: input, its timer, the end of the sink.
struct SinkShard::Connection {
  struct Alarm : runtime::Timer {
    explicit Alarm(Connection& the_owner)
        : Timer([](Timer& timer) { static_cast<Alarm&>(timer).owner.wakeup.set(); }), owner(the_owner) {}
    Connection& owner;
  };
  Connection(runtime::Reactor& reactor, Stream the_stream)
      : stream(std::move(the_stream)), wakeup(reactor), alarm(*this) {}
  Stream stream;
  runtime::Wakeup wakeup;
  Alarm alarm;
  runtime::ReceivedBytes input;
  std::size_t used = 0;  // of `input`
  std::string sending;
  std::vector<std::byte> slow_input;  // not empty: reads are made one by one and as slowly as asked
  std::size_t slow_size = 0;
  bool stopping = false;

  [[nodiscard]] std::string_view rest() const {
    if (!slow_input.empty()) return text_of(std::span(slow_input).first(slow_size)).substr(used);
    return text_of(input.bytes()).substr(used);
  }
};

SinkShard::SinkShard(runtime::Reactor& reactor, SinkShared& shared, std::unique_ptr<LedgerLog> ledger,
                     int ledger_fd)
    : reactor_(reactor), shared_(shared), ledger_(std::move(ledger)), ledger_fd_(ledger_fd) {
  auto& counters = *shared.counters[reactor.shard().raw()];
  worlds_.reserve(shared.internet.providers.size());
  for (std::uint32_t i = 0; i < shared.internet.providers.size(); ++i) {
    worlds_.push_back({.directory = shared.directory,
                       .provider = i,
                       .state = *shared.states[i],
                       .counters = counters[i],
                       .ledger = *ledger_,
                       .start = shared.start,
                       .record_refusals = shared.record_refusals,
                       .record_connections = shared.record_connections});
  }
  mono_base_ = reactor.now();
  wall_base_us_ =
      static_cast<std::uint64_t>(std::chrono::microseconds(reactor.wall_now().time_since_epoch()).count());
}

SinkShard::~SinkShard() { SLUICE_ASSERT(connections_.empty()); }

Moment SinkShard::moment() const {
  const Duration age = reactor_.now() - mono_base_;
  return {reactor_.now(), wall_base_us_ + static_cast<std::uint64_t>(age / 1us)};
}

Result<runtime::Listener> SinkShard::listen(const SinkListen& at) {
  const auto fd = reactor_.tcp_listener(at.at, {.reuse_port = true, .backlog = 4096});
  if (!fd) return std::unexpected(fd.error());
  const auto& buffer = shared_.internet.providers[at.provider].receive_buffer_bytes;
  if (buffer) {
    // Accepted sockets inherit it; set after listen() it still decides the window of later connections.
    const int bytes = static_cast<int>(*buffer);
    std::ignore = ::setsockopt(*fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  }
  return runtime::Listener(reactor_, *fd);
}

Parsed<void> SinkShard::open(std::vector<SinkListen>& listens) {
  std::uint16_t common_port = 0;
  for (SinkListen& one : listens) {
    // One free port for all: the delivering side is told one port only.
    SinkListen wanted = one;
    if (wanted.at.port == 0) wanted.at.port = common_port;
    auto listener = listen(wanted);
    if (!listener && one.at.port == 0) listener = listen(one);
    if (!listener)
      return complain(fmt::format("cannot listen at {}: {}", one.at.text(), listener.error().text()));
    if (one.at.port == 0) {
      one.at.port = listener->endpoint().port;
      if (common_port == 0) common_port = one.at.port;
    }
    listeners_.push_back(*std::move(listener));
  }
  listens_ = listens;
  for (std::size_t i = 0; i < listeners_.size(); ++i) tasks_.spawn(accept(i));
  return {};
}

Task<void> SinkShard::stop() {
  stopping_ = true;
  for (runtime::Listener& listener : listeners_) listener.stop();
  for (Connection* connection : connections_) {
    connection->stopping = true;
    connection->wakeup.set();
    connection->stream.abort();
    // Reads that were made one by one are not the stream's.
    if (!connection->slow_input.empty()) reactor_.shutdown_socket(connection->stream.fd());
  }
  co_await tasks_.join();
}

Task<void> SinkShard::accept(std::size_t index) {
  while (!stopping_) {
    auto stream = co_await listeners_[index].accept();
    // Out of descriptors: the connection waits in the backlog until others have ended.
    if (!stream) {
      if (!stopping_) co_await sleep_for(reactor_, 10ms);
      continue;
    }
    tasks_.spawn(serve(*std::move(stream), listens_[index].provider, listens_[index].host));
  }
}

Task<void> SinkShard::serve(Stream stream, std::uint32_t provider, std::string host) {
  const auto peer = reactor_.peer_endpoint(stream.fd());
  const IpAddress source = peer ? peer->address : IpAddress();
  const std::string source_text = source.text();
  Connection connection(reactor_, std::move(stream));
  if (reads_slowly(shared_.internet.providers[provider])) {
    connection.slow_input.resize(kSlowReadMax);
  } else {
    connection.stream.notify(&connection.wakeup);
  }
  connections_.push_back(&connection);
  const std::uint64_t number = next_session_++ * shared_.counters.size() + reactor_.shard().raw() + 1;
  SinkSession session(worlds_[provider], number, source, source_text, host);
  session.begin(moment());
  const bool client_left = co_await converse(connection, session);
  const bool ours = session.want() == SinkSession::Want::Close || session.want() == SinkSession::Want::Reset;
  const Farewell farewell = session.said_quit() && !client_left ? Farewell::Quit
                            : connection.stopping               ? Farewell::Stopped
                            : client_left || !ours              ? Farewell::Lost
                                                                : Farewell::Closed;
  session.end(farewell, moment());
  if (session.want() == SinkSession::Want::Reset) make_close_reset(connection.stream.fd());
  reactor_.disarm(connection.alarm);
  connection.stream.notify(nullptr);
  std::erase(connections_, &connection);
}

// Answers true when the client left or the sink stops, false when the session wants the connection ended.
Task<bool> SinkShard::converse(Connection& connection, SinkSession& session) {
  using Want = SinkSession::Want;
  for (;;) {
    if (connection.stopping) co_return true;
    if (session.want() == Want::Input && !connection.rest().empty()) {
      const bool room = session.output().size() < SinkSession::kOutputMax;
      if (room) {
        connection.used += session.consume(connection.rest(), moment());
        // Given back before anything is waited for: thousands of quiet connections must not keep all buffers.
        if (connection.slow_input.empty() && connection.rest().empty()) {
          connection.input = runtime::ReceivedBytes();
          connection.used = 0;
        }
        continue;
      }
    }
    // Everything that is here has been read: one send for all the replies.
    if (session.want() == Want::Input && connection.slow_input.empty()) {
      if (auto got = connection.stream.try_receive()) {
        if (!*got || (*got)->bytes().empty()) {
          if (session.output().empty()) co_return true;
        } else {
          connection.input = **std::move(got);
          connection.used = 0;
          continue;
        }
      }
    }
    if (!session.output().empty() && !co_await send_replies(connection, session)) co_return true;
    switch (session.want()) {
      case Want::Input:
        if (!co_await take_input(connection, session)) co_return true;
        break;
      case Want::Wait:
        co_await wait_until(connection, reactor_.now() + session.wait());
        if (!connection.stopping) session.resume(moment());
        break;
      case Want::Stall: co_await drain_until_end(connection); co_return true;
      case Want::Close:
      case Want::Reset: co_return false;
    }
  }
}

// False: the client has left.
Task<bool> SinkShard::take_input(Connection& connection, SinkSession& session) {
  if (!connection.slow_input.empty()) co_return co_await take_input_slowly(connection, session);
  const Provider& provider = session.provider();
  const MonoTime idle_at = provider.idle ? reactor_.now() + provider.idle->value : MonoTime::max();
  for (;;) {
    if (connection.stopping) co_return false;
    if (auto got = connection.stream.try_receive()) {
      if (!*got || (*got)->bytes().empty()) co_return false;
      connection.input = **std::move(got);
      connection.used = 0;
      co_return true;
    }
    if (provider.idle) {
      if (reactor_.now() >= idle_at) {
        session.on_idle(moment());
        co_return true;
      }
      reactor_.arm(connection.alarm, idle_at);
    }
    co_await connection.wakeup.wait();
  }
}

Task<bool> SinkShard::take_input_slowly(Connection& connection, SinkSession& session) {
  std::size_t size = connection.slow_input.size();
  if (const auto speed = session.read_speed()) {
    // Ten reads a second, or one byte at a time below that.
    size = std::clamp<std::size_t>(*speed / 10, 1, size);
    const Duration gap{static_cast<std::int64_t>(1'000'000'000 * size / *speed)};
    co_await wait_until(connection, reactor_.now() + gap);
    if (connection.stopping) co_return false;
  }
  runtime::Op op;
  op.kind = runtime::OpKind::Recv;
  op.fd = connection.stream.fd();
  op.data = connection.slow_input.data();
  op.size = size;
  const std::int32_t got = co_await perform(reactor_, op);
  if (got <= 0) co_return false;
  connection.slow_size = static_cast<std::size_t>(got);
  connection.used = 0;
  co_return true;
}

// False: the client has left.
Task<bool> SinkShard::send_replies(Connection& connection, SinkSession& session) {
  connection.sending.clear();
  std::swap(connection.sending, session.output());
  if (session.take_commit_wanted() && shared_.ledger_sync && ledger_fd_ >= 0) co_await sync_ledger();
  if (!session.provider().bytewise) {
    const Status sent = co_await connection.stream.send(std::string_view(connection.sending));
    co_return sent.has_value();
  }
  for (const char& c : connection.sending) {
    const Status sent = co_await connection.stream.send(std::string_view(&c, 1));
    if (!sent) co_return false;
  }
  co_return true;
}

// Keeps reading, so that the end of the connection is seen, but looks at nothing.
Task<void> SinkShard::drain_until_end(Connection& connection) {
  if (!connection.slow_input.empty()) {
    runtime::Op op;
    std::int32_t got = 1;
    while (got > 0 && !connection.stopping) {
      op = runtime::Op();
      op.kind = runtime::OpKind::Recv;
      op.fd = connection.stream.fd();
      op.data = connection.slow_input.data();
      op.size = connection.slow_input.size();
      got = co_await perform(reactor_, op);
    }
    co_return;
  }
  while (!connection.stopping) {
    const auto got = connection.stream.try_receive();
    if (!got) {
      co_await connection.wakeup.wait();
    } else if (!*got || (*got)->bytes().empty()) {
      co_return;
    }
  }
}

Task<void> SinkShard::wait_until(Connection& connection, MonoTime due) {
  while (reactor_.now() < due && !connection.stopping) {
    reactor_.arm(connection.alarm, due);
    co_await connection.wakeup.wait();
  }
  reactor_.disarm(connection.alarm);
  // Input may have come meanwhile and set the same wakeup.
  connection.wakeup.set();
}

namespace {

struct JoinList {
  std::vector<std::coroutine_handle<>>& list;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) const { list.push_back(waiting); }
  void await_resume() const noexcept {}
};

}  // namespace

Task<void> SinkShard::sync_ledger() {
  const std::uint64_t mine = ++sync_wanted_;
  while (sync_done_ < mine) {
    if (sync_running_) {
      co_await JoinList{sync_waiting_};
      continue;
    }
    sync_running_ = true;
    const std::uint64_t covers = sync_wanted_;
    runtime::Op op;
    op.kind = runtime::OpKind::Sync;
    op.fd = ledger_fd_;
    // A ledger that cannot be synced proves nothing: better no answer than a wrong one.
    const std::int32_t result = co_await perform(reactor_, op);
    SLUICE_ASSERT(result >= 0);
    sync_done_ = covers;
    sync_running_ = false;
    for (const auto handle : std::exchange(sync_waiting_, {})) reactor_.post(handle);
  }
}

}  // namespace sluice::bench
