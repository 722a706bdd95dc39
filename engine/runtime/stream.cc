#include "engine/runtime/stream.h"

#include <algorithm>
#include <cerrno>
#include <new>

#include "policy/base/assert.h"

namespace sluice::runtime {

ReceivedBytes::ReceivedBytes(std::span<const std::byte> bytes, std::uint64_t sent_before)
    : own_(new std::byte[bytes.size()]), sent_before_(sent_before), size_(bytes.size()) {
  std::ranges::copy(bytes, own_.get());
}

void ReceivedBytes::move_out() noexcept {
  if (reactor_ == nullptr) return;
  own_.reset(new (std::nothrow) std::byte[size_]);
  if (!own_) return;
  std::ranges::copy(reactor_->provided_buffer(buffer_).first(size_), own_.get());
  std::exchange(reactor_, nullptr)->return_buffer(buffer_);
}

/// How soon a cancel is asked for again that nothing came of.
constexpr Duration kInsistAfter = 100ms;

// Outlives its Stream until the kernel has let go of `receive_op` and `send_op`.
struct Stream::State final : BufferKeeper {
  State(Reactor& the_reactor, int descriptor)
      : reactor(the_reactor), fd(descriptor), deadline([](Timer& timer) { on_deadline(timer); }, *this) {
    receive_op.kind = OpKind::RecvMulti;
    receive_op.fd = fd;
    receive_op.done = &on_received;
    receive_op.user = this;
    send_op.fd = fd;
    send_op.user = this;
  }

  struct Deadline : Timer {
    Deadline(Fire fire, State& state) : Timer(fire), owner(state) {}
    State& owner;
  };

  Reactor& reactor;
  int fd;
  Op receive_op;
  Op send_op;
  Deadline deadline;
  MonoTime deadline_at{};  // the wanted one; the armed timer may be earlier and is then moved when it fires
  std::deque<ReceivedBytes> input;
  bool wanted = false;             // a reader has asked and got nothing yet
  std::uint64_t told_in_turn = 0;  // the turn whose end told it; it comes in the next one
  std::optional<Error> ended;      // the reason no more input comes
  std::optional<Error> aborted;    // deadline or abort(): every later operation answers this
  std::coroutine_handle<> receiver;
  std::coroutine_handle<> sender;
  std::int32_t send_result = 0;
  std::uint64_t sent = 0;
  bool zero_copy_sent = false;  // the first of two completions has come
  bool was_copied = false;
  Wakeup* wakeup = nullptr;
  bool orphaned = false;
  bool at_end = false;  // orderly end seen
  bool paused = false;

  void start_receiving() {
    if (receive_op.in_flight || at_end || ended || aborted || orphaned) return;
    reactor.submit(receive_op);
  }

  /// Somebody asked for input, or was told of some just now.
  [[nodiscard]] bool has_reader() const { return wanted || told_in_turn == reactor.counters().turns; }
  [[nodiscard]] bool has_room() const {
    return input.size() < (has_reader() ? kInputQueueMax : 1) && !paused;
  }

  void add_input(ReceivedBytes bytes) {
    if (std::exchange(wanted, false)) told_in_turn = reactor.counters().turns;
    input.push_back(std::move(bytes));
    if (has_reader()) {
      keeps_buffers(reactor);
    } else {
      free_buffers();  // more use to others
    }
  }

  void free_buffers() {
    give_buffers_back();
    keeps_none();
  }

  void pause() {
    paused = true;
    wanted = false;
    free_buffers();
    if (receive_op.in_flight) reactor.cancel(receive_op);
  }

  void give_buffers_back() noexcept override {
    for (ReceivedBytes& one : input) one.move_out();
  }

  void forget_input() {
    input.clear();
    keeps_none();
  }

  void tell_receiver() {
    if (receiver) reactor.post(std::exchange(receiver, nullptr));
    if (wakeup != nullptr) wakeup->set();
  }

  static void on_received(Op& op, Completion completion) {
    auto* self = static_cast<State*>(op.user);
    ReceivedBytes bytes;
    if (completion.has_buffer) {
      bytes = ReceivedBytes(self->reactor, completion.buffer_id,
                            completion.result > 0 ? static_cast<std::size_t>(completion.result) : 0, self->sent);
    }
    if (completion.result > 0) {
      if (!self->orphaned) self->add_input(std::move(bytes));
    } else if (completion.result == 0) {
      self->at_end = true;
    } else if (completion.result != -ENOBUFS && completion.result != -ECANCELED) {
      self->ended = Error{errc_from_errno(-completion.result), -completion.result, "receive"};
    }
    if (self->orphaned) {
      self->free_if_idle();
      return;
    }
    if (completion.more && !self->has_room()) self->reactor.cancel(op);
    // The kernel ended the multishot: go on as soon as there is room.
    if (!completion.more && self->has_room()) self->start_receiving();
    self->tell_receiver();
  }

  static void on_sent(Op& op, Completion completion) {
    auto* self = static_cast<State*>(op.user);
    // SendZeroCopy: first what was sent, then, when the memory is free again, whether it was copied.
    if (op.kind == OpKind::SendZeroCopy && self->zero_copy_sent) {
      self->was_copied = completion.result == Op::kCopied;
    } else {
      self->send_result = completion.result;
      if (completion.result > 0) self->sent += static_cast<std::uint64_t>(completion.result);
      self->zero_copy_sent = completion.more;
    }
    if (completion.more) return;
    self->zero_copy_sent = false;
    if (self->sender) self->reactor.post(std::exchange(self->sender, nullptr));
    if (self->orphaned) self->free_if_idle();
  }

  static void on_deadline(Timer& timer) {
    State& self = static_cast<Deadline&>(timer).owner;
    if (self.orphaned || self.aborted) return self.insist();
    if (self.deadline_at > self.reactor.now()) {
      self.reactor.arm(timer, self.deadline_at);
      return;
    }
    self.end_all(Error{Errc::Timeout, 0, "stream"});
  }

  void end_all(Error why) {
    if (!aborted) aborted = why;
    cancel_all();
    tell_receiver();
  }

  void cancel_all() {
    if (receive_op.in_flight) reactor.cancel(receive_op);
    if (send_op.in_flight) reactor.cancel(send_op);
    if (is_held()) reactor.arm_in(deadline, kInsistAfter);
  }
  /// A cancel may be lost.
  void insist() {
    if (receive_op.in_flight) reactor.cancel_again(receive_op);
    if (send_op.in_flight) reactor.cancel_again(send_op);
    if (is_held()) reactor.arm_in(deadline, kInsistAfter);
  }
  [[nodiscard]] bool is_held() const { return receive_op.in_flight || send_op.in_flight; }

  void orphan() {
    orphaned = true;
    SLUICE_ASSERT(!receiver);
    wakeup = nullptr;
    forget_input();
    reactor.disarm(deadline);
    cancel_all();
    free_if_idle();
  }

  void free_if_idle() {
    if (is_held()) return;
    reactor.disarm(deadline);
    reactor.close_now(fd);
    delete this;
  }

  std::optional<Result<ReceivedBytes>> take_input() {
    if (aborted) return std::unexpected(*aborted);
    paused = false;
    if (!input.empty()) {
      ReceivedBytes bytes = std::move(input.front());
      input.pop_front();
      if (input.empty()) keeps_none();
      if (input.size() < kInputQueueMax / 2) start_receiving();
      return bytes;
    }
    if (ended) return std::unexpected(*ended);
    if (at_end) return ReceivedBytes();
    wanted = true;
    start_receiving();
    return std::nullopt;
  }
};

namespace {

/// Suspends into `slot` without any condition.
struct ParkIn {
  std::coroutine_handle<>& slot;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiting) const {
    SLUICE_ASSERT(!slot);
    slot = waiting;
  }
  void await_resume() const noexcept {}
};

}  // namespace

Stream::Stream(Reactor& reactor, int fd) : state_(new State(reactor, fd)) {}
Stream::Stream(Stream&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
Stream& Stream::operator=(Stream&& other) noexcept {
  if (this != &other) {
    close();
    state_ = std::exchange(other.state_, nullptr);
  }
  return *this;
}
Stream::~Stream() { close(); }

void Stream::close() {
  if (state_ != nullptr) std::exchange(state_, nullptr)->orphan();
}

int Stream::fd() const { return state_->fd; }

Task<Result<Stream>> Stream::connect(Reactor& reactor, Endpoint peer, const IpAddress* source,
                                     Duration timeout, ConnectStop* stop) {
  if (stop != nullptr && stop->stopped()) co_return fail(Errc::Cancelled, "connect");
  const Result<int> fd = reactor.tcp_socket(peer.address.is_v4(), source);
  if (!fd) co_return std::unexpected(fd.error());
  Op op;
  op.kind = OpKind::Connect;
  op.fd = *fd;
  op.peer = RawEndpoint(peer);
  op.timeout = timeout;
  if (stop != nullptr) {
    stop->reactor_ = &reactor;
    stop->op_ = &op;
  }
  const std::int32_t result = co_await perform(reactor, op);
  if (stop != nullptr) stop->op_ = nullptr;
  if (result < 0) {
    reactor.close_now(*fd);
    co_return fail_errno(-result, "connect");
  }
  co_return Stream(reactor, *fd);
}

std::optional<Result<ReceivedBytes>> Stream::try_receive() { return state_->take_input(); }

Task<Result<ReceivedBytes>> Stream::receive() {
  State* state = state_;
  for (;;) {
    if (auto input = state->take_input()) co_return std::move(*input);
    co_await ParkIn{state->receiver};
  }
}

void Stream::pause() { state_->pause(); }

void Stream::notify(Wakeup* wakeup) {
  state_->wakeup = wakeup;
  if (wakeup == nullptr) return;
  state_->start_receiving();
  if (!state_->input.empty() || state_->at_end || state_->ended || state_->aborted) wakeup->set();
}

Task<Status> Stream::send(std::span<const std::byte> bytes) {
  State* state = state_;
  if (state->aborted) co_return std::unexpected(*state->aborted);
  SLUICE_ASSERT(!state->send_op.in_flight);
  state->send_op.kind = OpKind::Send;
  state->send_op.done = &State::on_sent;
  state->send_op.data = const_cast<std::byte*>(bytes.data());  // Send only reads; see op.h
  state->send_op.size = bytes.size();
  state->reactor.submit(state->send_op);
  co_await ParkIn{state->sender};
  if (state->aborted) co_return std::unexpected(*state->aborted);
  if (state->send_result < 0) co_return fail_errno(-state->send_result, "send");
  if (static_cast<std::size_t>(state->send_result) != bytes.size()) co_return fail(Errc::PeerClosed, "send");
  co_return Status();
}

Task<Result<Stream::ZeroCopy>> Stream::send_zero_copy(std::span<const std::byte> bytes) {
  State* state = state_;
  if (state->aborted) co_return std::unexpected(*state->aborted);
  SLUICE_ASSERT(!state->send_op.in_flight);
  state->send_op.kind = OpKind::SendZeroCopy;
  state->send_op.done = &State::on_sent;
  state->send_op.data = const_cast<std::byte*>(bytes.data());  // only read; see op.h
  state->send_op.size = bytes.size();
  state->was_copied = false;
  state->reactor.submit(state->send_op);
  co_await ParkIn{state->sender};
  if (state->aborted) co_return std::unexpected(*state->aborted);
  if (state->send_result < 0) co_return fail_errno(-state->send_result, "send");
  if (static_cast<std::size_t>(state->send_result) != bytes.size()) co_return fail(Errc::PeerClosed, "send");
  co_return state->was_copied ? ZeroCopy::Copied : ZeroCopy::Spared;
}

Task<Status> Stream::send(std::span<iovec> parts) {
  static constexpr std::size_t kPartsMax = 1024;  // IOV_MAX
  State* state = state_;
  while (!parts.empty()) {
    if (state->aborted) co_return std::unexpected(*state->aborted);
    SLUICE_ASSERT(!state->send_op.in_flight);
    const std::span<iovec> now = parts.first(std::min(parts.size(), kPartsMax));
    std::size_t wanted = 0;
    for (const iovec& part : now) wanted += part.iov_len;
    state->send_op.kind = OpKind::SendVector;
    state->send_op.done = &State::on_sent;
    state->send_op.vectors = now.data();
    state->send_op.vector_count = static_cast<std::uint32_t>(now.size());
    state->reactor.submit(state->send_op);
    co_await ParkIn{state->sender};
    if (state->aborted) co_return std::unexpected(*state->aborted);
    if (state->send_result < 0) co_return fail_errno(-state->send_result, "send");
    if (static_cast<std::size_t>(state->send_result) != wanted) co_return fail(Errc::PeerClosed, "send");
    parts = parts.subspan(now.size());
  }
  co_return Status();
}

std::uint64_t Stream::sent_bytes() const { return state_->sent; }

void Stream::set_deadline(MonoTime time) {
  if (state_->aborted) return;
  state_->deadline_at = time;
  if (!state_->deadline.armed() || state_->deadline.due() > time) state_->reactor.arm(state_->deadline, time);
}

void Stream::clear_deadline() {
  if (!state_->aborted) state_->reactor.disarm(state_->deadline);
}

void Stream::abort() { state_->end_all(Error{Errc::Cancelled, 0, "stream"}); }

// ---------------------------------------------------------------------------------------------------------------

struct Listener::State {
  State(Reactor& the_reactor, int descriptor) : reactor(the_reactor), fd(descriptor) {
    op.kind = OpKind::Accept;
    op.fd = fd;
    op.done = &on_accepted;
    op.user = this;
  }
  Reactor& reactor;
  int fd;
  Op op;
  std::deque<int> accepted;
  std::optional<Error> error;  // answered once
  std::coroutine_handle<> waiting;
  bool stopped = false;
  bool orphaned = false;

  static void on_accepted(Op& op, Completion completion) {
    auto* self = static_cast<State*>(op.user);
    if (completion.result >= 0) {
      self->op.once = self->reactor.descriptors_left(completion.result) < kManyDescriptors;
      if (self->op.once && completion.more) self->reactor.cancel(op);
      if (self->stopped) {
        self->reactor.close_now(completion.result);
      } else {
        self->accepted.push_back(completion.result);
      }
    } else if (completion.result != -ECANCELED) {
      self->error = Error{errc_from_errno(-completion.result), -completion.result, "accept"};
    }
    if (self->orphaned) {
      self->free_if_idle();
      return;
    }
    if (self->waiting) self->reactor.post(std::exchange(self->waiting, nullptr));
  }
  void stop() {
    stopped = true;
    if (op.in_flight) reactor.cancel(op);
    for (const int one : accepted) reactor.close_now(one);
    accepted.clear();
    if (waiting) reactor.post(std::exchange(waiting, nullptr));
  }
  void orphan() {
    stop();
    orphaned = true;
    free_if_idle();
  }
  void free_if_idle() {
    if (op.in_flight) return;
    SLUICE_ASSERT(!waiting);
    reactor.close_now(fd);
    delete this;
  }
};

Listener::Listener(Reactor& reactor, int fd) : state_(new State(reactor, fd)) {}
Listener::Listener(Listener&& other) noexcept : state_(std::exchange(other.state_, nullptr)) {}
Listener& Listener::operator=(Listener&& other) noexcept {
  std::swap(state_, other.state_);
  return *this;
}
Listener::~Listener() {
  if (state_ != nullptr) state_->orphan();
}

Result<Listener> Listener::open(Reactor& reactor, const Endpoint& at, ListenOptions options) {
  const Result<int> fd = reactor.tcp_listener(at, options);
  if (!fd) return std::unexpected(fd.error());
  return Listener(reactor, *fd);
}

Result<Listener> Listener::open_unix(Reactor& reactor, const std::string& path, std::uint32_t mode) {
  const Result<int> fd = reactor.unix_listener(path, mode);
  if (!fd) return std::unexpected(fd.error());
  return Listener(reactor, *fd);
}

Endpoint Listener::endpoint() const {
  const Result<Endpoint> at = state_->reactor.local_endpoint(state_->fd);
  return at ? *at : Endpoint{};
}

Task<Result<Stream>> Listener::accept() {
  State* state = state_;
  for (;;) {
    if (state->stopped) co_return fail(Errc::Cancelled, "accept");
    if (!state->accepted.empty()) {
      const int fd = state->accepted.front();
      state->accepted.pop_front();
      co_return Stream(state->reactor, fd);
    }
    if (state->error) {
      const Error error = *std::exchange(state->error, std::nullopt);
      co_return std::unexpected(error);
    }
    if (!state->op.in_flight) state->reactor.submit(state->op);
    co_await ParkIn{state->waiting};
  }
}

void Listener::stop() { state_->stop(); }

}  // namespace sluice::runtime
