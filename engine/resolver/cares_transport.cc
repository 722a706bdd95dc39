#include "engine/resolver/cares_transport.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_set>

#include "engine/resolver/cares_sockets.h"
#include "engine/resolver/tcp_query.h"
#include "engine/runtime/sync.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::resolver {

using net::dns::Type;
using runtime::Op;
using runtime::Task;

namespace {

constexpr std::uint16_t kDnsPort = 53;
constexpr std::uint16_t kEdnsBytesMin = 512;
constexpr std::uint16_t kEdnsBytesMax = 2048;
constexpr std::size_t kPlainUdpBytes = 512;  // RFC 1035 4.2.1
constexpr std::size_t kFlagsByte = 2;
constexpr std::byte kTruncatedBit{0x02};

/// Newer versions of c-ares ask for no other names. SPF does: its macros may put anything into one.
bool is_host_text(std::string_view name) {
  return std::ranges::all_of(
      name, [](char c) { return is_alpha(c) || is_digit(c) || c == '-' || c == '.' || c == '_'; });
}

Errc errc_of(int status) {
  switch (status) {
    case ARES_ETIMEOUT: return Errc::Timeout;
    case ARES_ECONNREFUSED: return Errc::Refused;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION: return Errc::Cancelled;
    case ARES_ENOMEM: return Errc::NoMemory;
    case ARES_EBADRESP:
    case ARES_EBADQUERY:
    case ARES_EBADNAME: return Errc::BadInput;
    default: return Errc::Io;
  }
}

/// c-ares keeps SERVFAIL and the like to itself once all servers have said so; the rcode is all that is left.
std::optional<net::dns::Rcode> rcode_of(int status) {
  switch (status) {
    case ARES_ESERVFAIL: return net::dns::Rcode::ServFail;
    case ARES_ENOTIMP: return net::dns::Rcode::NotImp;
    case ARES_EREFUSED: return net::dns::Rcode::Refused;
    case ARES_EFORMERR: return net::dns::Rcode::FormErr;
    default: return std::nullopt;
  }
}

Result<std::vector<std::byte>> reply_with(net::dns::Rcode rcode, const std::string& name, Type type) {
  net::dns::Message reply;
  reply.header.response = true;
  reply.header.rcode = rcode;
  reply.questions.push_back({name, type, net::dns::kClassInternet});
  return net::dns::build_message(reply);
}

/// Once for the process; c-ares counts without locks, a function's static is made under one.
int init_library() {
  static const int status = ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

}  // namespace

class CaresTransport::State {
 public:
  State(runtime::Reactor& reactor, CaresOptions options)
      : reactor_(reactor),
        options_(std::move(options)),
        tcp_slots_(reactor, kTcpQueriesMax),
        idle_(reactor),
        sockets_(reactor, idle_),
        alarm_(*this) {}
  ~State() { SLUICE_ASSERT(channel_ == nullptr && under_way_ == 0); }

  Status start();
  Task<Result<std::vector<std::byte>>> query(std::string name, Type type);
  Task<void> stop();
  void destroy_channel();
  [[nodiscard]] Counters counters() const {
    Counters out = counters_;
    out.stray_datagrams = sockets_.stray_datagrams();
    return out;
  }

  std::vector<Endpoint> servers_;
  Counters counters_;

 private:
  /// A query in c-ares' hands; lives in the asking coroutine's frame.
  struct Pending {
    runtime::Reactor& reactor;
    std::coroutine_handle<> waiting;
    bool done = false;
    int status = ARES_SUCCESS;
    std::vector<std::byte> answer;
    bool await_ready() const noexcept { return done; }
    void await_suspend(std::coroutine_handle<> handle) noexcept { waiting = handle; }
    void await_resume() const noexcept {}
  };
  struct Alarm : runtime::Timer {
    explicit Alarm(State& owner)
        : Timer([](Timer& timer) { static_cast<Alarm&>(timer).state.on_alarm(); }), state(owner) {}
    State& state;
  };

  Status set_servers();
  Task<Result<std::vector<std::byte>>> ask_udp(const std::vector<std::byte>& wire, const std::string& name,
                                               Type type, bool has_edns);
  Task<Result<std::vector<std::byte>>> ask_tcp(const std::vector<std::byte>& wire);
  void arm_alarm();
  void on_alarm();
  static void on_answer(void* arg, int status, int timeouts, unsigned char* bytes, int size);

  runtime::Reactor& reactor_;
  CaresOptions options_;
  ares_channel channel_ = nullptr;
  std::unordered_set<TcpQuery*> tcp_;
  runtime::Semaphore tcp_slots_;
  std::size_t next_tcp_server_ = 0;
  std::size_t under_way_ = 0;
  bool stopping_ = false;
  runtime::Wakeup idle_;
  CaresSockets sockets_;
  Alarm alarm_;
};

Status CaresTransport::State::start() {
  if (init_library() != ARES_SUCCESS) return fail(Errc::Io, "c-ares");
  ares_options options{};
  // With everything given c-ares reads neither files nor environment. IGNTC: truncated answers come to us.
  options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_IGNTC;
  // A single server's SERVFAIL is the answer; asking it again at once, as c-ares would, only feeds a storm.
  if (options_.servers.size() == 1) options.flags |= ARES_FLAG_NOCHECKRESP;
  options.timeout = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(options_.timeout).count());
  options.tries = static_cast<int>(std::max(1u, options_.tries));
  options.ndots = 1;
  char lookups[] = "b";
  options.lookups = lookups;
  int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_NDOTS | ARES_OPT_LOOKUPS |
             ARES_OPT_DOMAINS | ARES_OPT_SORTLIST | ARES_OPT_ROTATE;
  if (options_.edns_udp_bytes) {
    options_.edns_udp_bytes = std::clamp(*options_.edns_udp_bytes, kEdnsBytesMin, kEdnsBytesMax);
    options.flags |= ARES_FLAG_EDNS;
    options.ednspsz = *options_.edns_udp_bytes;
    mask |= ARES_OPT_EDNSPSZ;
  }
  in_addr placeholder{};  // replaced by set_servers(), which takes ports and IPv6
  if (!options_.servers.empty()) {
    options.servers = &placeholder;
    options.nservers = 1;
    mask |= ARES_OPT_SERVERS;
  }
#ifdef ARES_OPT_QUERY_CACHE
  options.qcache_max_ttl = 0;  // the Resolver caches
  mask |= ARES_OPT_QUERY_CACHE;
#endif
  if (const int status = ares_init_options(&channel_, &options, mask); status != ARES_SUCCESS) {
    channel_ = nullptr;
    return fail(errc_of(status), "c-ares");
  }
  sockets_.attach(channel_);
  return set_servers();
}

Status CaresTransport::State::set_servers() {
  if (!options_.servers.empty()) {
    std::string list;
    for (Endpoint& server : options_.servers) {
      if (server.port == 0) server.port = kDnsPort;
      list += (list.empty() ? "" : ",") + server.text();
    }
    if (ares_set_servers_ports_csv(channel_, list.c_str()) != ARES_SUCCESS)
      return fail(Errc::BadInput, "name-server");
    servers_ = options_.servers;
    return {};
  }
  ares_addr_port_node* nodes = nullptr;
  if (ares_get_servers_ports(channel_, &nodes) != ARES_SUCCESS) return fail(Errc::NoMemory, "name-server");
  for (const ares_addr_port_node* node = nodes; node != nullptr; node = node->next) {
    Endpoint server;
    if (node->family == AF_INET) {
      std::array<std::uint8_t, 4> octets{};
      std::memcpy(octets.data(), &node->addr.addr4, octets.size());
      server.address = IpAddress::from_v4(octets);
    } else {
      std::array<std::uint8_t, 16> octets{};
      std::memcpy(octets.data(), &node->addr.addr6, octets.size());
      server.address = IpAddress::from_v6(octets);
    }
    server.port = node->tcp_port == 0 ? kDnsPort : static_cast<std::uint16_t>(node->tcp_port);
    servers_.push_back(server);
  }
  ares_free_data(nodes);
  if (servers_.empty()) return fail(Errc::NotFound, "name-server");
  return {};
}

void CaresTransport::State::destroy_channel() {
  reactor_.disarm(alarm_);
  if (channel_ != nullptr) ares_destroy(std::exchange(channel_, nullptr));
  sockets_.detach();
}

// --- Time.

void CaresTransport::State::arm_alarm() {
  // A younger query is due later than the one the alarm is set for, so an armed alarm is early enough.
  if (alarm_.armed() || channel_ == nullptr) return;
  timeval wait{};
  if (ares_timeout(channel_, nullptr, &wait) == nullptr) return;
  // One millisecond more: c-ares counts in microseconds and must find the time passed.
  reactor_.arm_in(alarm_, std::chrono::seconds(wait.tv_sec) + std::chrono::microseconds(wait.tv_usec) + 1ms);
}

void CaresTransport::State::on_alarm() {
  ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
  arm_alarm();
}

// --- Queries.

void CaresTransport::State::on_answer(void* arg, int status, int /*timeouts*/, unsigned char* bytes,
                                      int size) {
  auto& pending = *static_cast<Pending*>(arg);
  pending.done = true;
  pending.status = status;
  if (bytes != nullptr && size > 0) {
    const auto* begin = reinterpret_cast<const std::byte*>(bytes);
    pending.answer.assign(begin, begin + size);
  }
  if (pending.waiting) pending.reactor.post(pending.waiting);
}

Task<Result<std::vector<std::byte>>> CaresTransport::State::ask_tcp(const std::vector<std::byte>& wire) {
  co_await tcp_slots_.take(1);
  Result<std::vector<std::byte>> out = fail(Errc::Cancelled, "dns tcp");
  for (std::size_t i = 0; i < std::min(servers_.size(), kTcpServersMax) && !stopping_; ++i) {
    TcpQuery query;
    tcp_.insert(&query);
    ++counters_.tcp_queries;
    out = co_await ask_by_tcp(reactor_, query, servers_[next_tcp_server_++ % servers_.size()], wire,
                              options_.tcp_timeout);
    tcp_.erase(&query);
    if (out) break;
  }
  tcp_slots_.give(1);
  co_return out;
}

Task<Result<std::vector<std::byte>>> CaresTransport::State::query(std::string name, Type type) {
  if (stopping_) co_return fail(Errc::Cancelled, "dns");
  std::optional<net::dns::Edns> edns;
  if (options_.edns_udp_bytes) edns = net::dns::Edns{*options_.edns_udp_bytes, false};
  const auto wire = net::dns::build_query(static_cast<std::uint16_t>(reactor_.random()), name, type, edns);
  if (!wire) co_return std::unexpected(wire.error());
  ++under_way_;
  Result<std::vector<std::byte>> out = fail(Errc::Cancelled, "dns");
  if (is_host_text(name)) {
    out = co_await ask_udp(*wire, name, type, edns.has_value());
  } else {
    out = co_await ask_tcp(*wire);
  }
  if (--under_way_ == 0 && stopping_) idle_.set();
  co_return out;
}

Task<Result<std::vector<std::byte>>> CaresTransport::State::ask_udp(const std::vector<std::byte>& wire,
                                                                    const std::string& name, Type type,
                                                                    bool has_edns) {
  ++counters_.udp_queries;
  Pending pending{reactor_, nullptr, false, ARES_SUCCESS, {}};
  ares_send(channel_, reinterpret_cast<const unsigned char*>(wire.data()), static_cast<int>(wire.size()),
            &State::on_answer, &pending);
  arm_alarm();
  co_await pending;

  Result<std::vector<std::byte>> out = std::move(pending.answer);
  if (pending.status == ARES_ETIMEOUT) ++counters_.timeouts;
  if (const auto rcode = rcode_of(pending.status); rcode && out->empty()) {
    out = reply_with(*rcode, name, type);
  } else if (pending.status != ARES_SUCCESS && out->empty()) {
    out = fail(errc_of(pending.status), "dns");
  } else {
    // A server without EDNS makes c-ares 1.18 forget EDNS for all servers and cut what is longer than 512
    // bytes.
    const bool cut = has_edns && out->size() == kPlainUdpBytes;
    const bool truncated = out->size() > kFlagsByte && ((*out)[kFlagsByte] & kTruncatedBit) != std::byte{0};
    if (cut || truncated) out = co_await ask_tcp(wire);
  }
  co_return out;
}

Task<void> CaresTransport::State::stop() {
  stopping_ = true;
  if (channel_ != nullptr) ares_cancel(channel_);
  for (TcpQuery* query : tcp_) query->cancel();
  while (under_way_ != 0) co_await idle_.wait();
  destroy_channel();
  while (!sockets_.empty()) co_await idle_.wait();
}

// --- The class.

CaresTransport::CaresTransport(std::unique_ptr<State> state) : state_(std::move(state)) {}
CaresTransport::~CaresTransport() = default;

Result<std::unique_ptr<CaresTransport>> CaresTransport::open(runtime::Reactor& reactor,
                                                             CaresOptions options) {
  auto state = std::make_unique<State>(reactor, std::move(options));
  if (const Status started = state->start(); !started) {
    state->destroy_channel();
    return std::unexpected(started.error());
  }
  return std::unique_ptr<CaresTransport>(new CaresTransport(std::move(state)));
}

Task<Result<std::vector<std::byte>>> CaresTransport::query(std::string name, Type type) {
  return state_->query(std::move(name), type);
}
Task<void> CaresTransport::stop() { return state_->stop(); }
std::vector<Endpoint> CaresTransport::servers() const { return state_->servers_; }
CaresTransport::Counters CaresTransport::counters() const { return state_->counters(); }

}  // namespace sluice::resolver
