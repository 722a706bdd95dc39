// Goal: what op.h promises about single operations, zero copy, datagrams and polls holds in both worlds.
// How: as contract_test.cc, whose worlds these tests run in.
#include <poll.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "engine/runtime/send_progress.h"
#include "tests/engine/runtime/contract_parts.h"

namespace sluice::runtime {
namespace {

// --- Backpressure, deadlines, cancelling.

Task<void> send_into(Stream& stream, const std::string& text, Status& status, bool& done) {
  status = co_await stream.send(text);
  done = true;
}

Task<void> blocks_the_sender(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  const std::string much(32 << 20, 'x');
  Status status;
  bool done = false;
  TaskGroup group;
  group.spawn(send_into(pair.client, much, status, done));
  co_await sleep_for(reactor, 100ms);
  EXPECT_FALSE(done) << "nobody reads, and yet 32 MiB were taken";
  pair.client.abort();
  EXPECT_FALSE(done) << "the completion must come from the loop";
  co_await group.join();
  EXPECT_EQ(status.error().code, Errc::Cancelled);
}
TEST_P(InEitherWorld, APeerThatDoesNotReadBlocksTheSender) { run(blocks_the_sender(env.reactor())); }

Task<void> meets_the_deadline(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  const MonoTime begin = reactor.now();
  pair.client.set_deadline(begin + 30ms);
  const Result<ReceivedBytes> got = co_await pair.client.receive();
  EXPECT_EQ(got.error().code, Errc::Timeout);
  EXPECT_GE(reactor.now() - begin, 30ms);
  const Status later = co_await pair.client.send("late");
  EXPECT_EQ(later.error().code, Errc::Timeout);
}
TEST_P(InEitherWorld, AfterTheDeadlineEverythingAnswersTimeout) { run(meets_the_deadline(env.reactor())); }

Task<void> times_out(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  std::array<std::byte, 10> memory;
  Op receive;
  receive.kind = OpKind::Recv;
  receive.fd = pair.client.fd();
  receive.data = memory.data();
  receive.size = memory.size();
  receive.timeout = 20ms;
  const MonoTime begin = reactor.now();
  EXPECT_EQ(co_await perform(reactor, receive), -ETIMEDOUT);
  EXPECT_GE(reactor.now() - begin, 20ms);
  // In time: the timeout leaves no trace.
  EXPECT_TRUE((co_await pair.server.send("in time")).has_value());
  receive.timeout = 10s;
  const std::int32_t got = co_await perform(reactor, receive);
  EXPECT_GT(got, 0);
  EXPECT_EQ(memory[0], std::byte{'i'});
}
TEST_P(InEitherWorld, AnOperationsTimeoutEndsItWithEtimedout) { run(times_out(env.reactor())); }

Task<void> cancels(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  Recorded receive;
  receive.kind = OpKind::RecvMulti;
  receive.fd = pair.client.fd();
  receive.inside = true;
  reactor.submit(receive);
  EXPECT_TRUE(receive.in_flight);
  receive.inside = false;
  co_await sleep_for(reactor, 2ms);
  EXPECT_TRUE(receive.completions.empty());
  receive.inside = true;
  reactor.cancel(receive);
  reactor.cancel(receive);  // asking twice changes nothing
  EXPECT_TRUE(receive.in_flight);
  receive.inside = false;
  co_await until_ended(reactor, receive);
  EXPECT_FALSE(receive.done_inside);
  EXPECT_EQ(receive.completions.size(), 1u);
  EXPECT_EQ(receive.completions.back().result, -ECANCELED);
  EXPECT_FALSE(receive.completions.back().more);
  reactor.cancel(receive);  // not in flight: no effect
  // Asked for and called back in one turn.
  receive.completions.clear();
  reactor.submit(receive);
  reactor.cancel(receive);
  co_await until_ended(reactor, receive);
  EXPECT_EQ(receive.completions.size(), 1u);
  EXPECT_EQ(receive.completions.back().result, -ECANCELED);
}
TEST_P(InEitherWorld, CancelAsksAndTheCompletionAnswersLater) { run(cancels(env.reactor())); }

Task<void> completions_are_never_inline(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  EXPECT_TRUE((co_await pair.server.send("ready")).has_value());
  co_await sleep_for(reactor, 10ms);
  std::array<std::byte, 10> memory;
  Recorded receive;
  receive.kind = OpKind::Recv;
  receive.fd = pair.client.fd();
  receive.data = memory.data();
  receive.size = memory.size();
  receive.inside = true;
  reactor.submit(receive);
  receive.inside = false;
  EXPECT_TRUE(receive.in_flight);
  co_await until_ended(reactor, receive);
  EXPECT_FALSE(receive.done_inside);
  EXPECT_GT(receive.completions.back().result, 0);
}
TEST_P(InEitherWorld, SubmitNeverCompletesInline) { run(completions_are_never_inline(env.reactor())); }

// --- Provided buffers.

Task<void> runs_out_of_buffers(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  const std::string text = pattern_text((EitherWorld::kBuffers + 4) * EitherWorld::kBufferBytes);
  Status status;
  bool sent = false;
  TaskGroup group;
  group.spawn(send_into(pair.server, text, status, sent));
  Recorded receive;
  receive.kind = OpKind::RecvMulti;
  receive.fd = pair.client.fd();
  reactor.submit(receive);
  co_await sleep_for(reactor, 100ms);
  EXPECT_EQ(receive.completions.size(), std::size_t{EitherWorld::kBuffers});
  EXPECT_TRUE(receive.in_flight) << "out of buffers is a pause, not an end";
  std::string got;
  for (std::size_t next = 0; got.size() < text.size();) {
    if (next == receive.completions.size()) {
      co_await sleep_for(reactor, 1ms);
      continue;
    }
    const Completion& one = receive.completions[next++];
    EXPECT_TRUE(one.has_buffer && one.result > 0);
    if (!one.has_buffer) break;
    const auto bytes = reactor.provided_buffer(one.buffer_id).first(static_cast<std::size_t>(one.result));
    got.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    reactor.return_buffer(one.buffer_id);
  }
  EXPECT_TRUE(got == text);
  co_await group.join();
  pair.server.close();
  co_await until_ended(reactor, receive);
  EXPECT_EQ(receive.completions.back().result, 0);
  EXPECT_FALSE(receive.completions.back().has_buffer);
}
TEST_P(InEitherWorld, ReceivingPausesWithoutBuffersAndLosesNothing) {
  run(runs_out_of_buffers(env.reactor()));
}

Task<void> zero_copy(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  const std::string text = pattern_text(20'000);
  Recorded send;
  send.kind = OpKind::SendZeroCopy;
  send.fd = pair.client.fd();
  send.data = reinterpret_cast<std::byte*>(const_cast<char*>(text.data()));
  send.size = text.size();
  std::string got;
  TaskGroup group;
  group.spawn(receive_all_into(pair.server, got));
  reactor.submit(send);
  co_await until_ended(reactor, send);
  if (send.completions.front().result == -EOPNOTSUPP) {
    EXPECT_FALSE(send.completions.front().more && send.completions.size() == 1);
  } else {
    EXPECT_EQ(send.completions.size(), 2u);
    EXPECT_EQ(send.completions.front().result, static_cast<std::int32_t>(text.size()));
    EXPECT_TRUE(send.completions.front().more);
    EXPECT_FALSE(send.completions.back().more);
    EXPECT_TRUE(send.completions.back().result == 0 || send.completions.back().result == Op::kCopied);
  }
  const bool went = send.completions.front().result >= 0;
  pair.client.close();
  co_await group.join();
  EXPECT_EQ(got, went ? text : "");
}
TEST_P(InEitherWorld, ZeroCopySendsHaveTwoCompletions) { run(zero_copy(env.reactor())); }

Task<void> cancels_zero_copy(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  const std::string much(32 << 20, 'x');  // more than all buffers between the two
  Recorded send;
  send.kind = OpKind::SendZeroCopy;
  send.fd = pair.client.fd();
  send.data = reinterpret_cast<std::byte*>(const_cast<char*>(much.data()));
  send.size = much.size();
  reactor.submit(send);
  co_await sleep_for(reactor, 50ms);
  if (!send.in_flight) co_return;  // not supported here
  reactor.cancel(send);
  const MonoTime begin = reactor.now();
  while (send.in_flight && reactor.now() - begin < 5s) co_await sleep_for(reactor, 1ms);
  EXPECT_FALSE(send.in_flight) << "the peer that does not read holds the sender's memory";
  while (send.in_flight) co_await sleep_for(reactor, 1ms);
}
TEST_P(InEitherWorld, ACancelledZeroCopySendLetsGoOfItsMemory) { run(cancels_zero_copy(env.reactor())); }

Task<void> reports_progress(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  auto* progress = dynamic_cast<SendProgress*>(&reactor);
  EXPECT_NE(progress, nullptr);
  if (progress == nullptr) co_return;
  const std::uint64_t before = progress->acknowledged(pair.client.fd());
  EXPECT_TRUE((co_await pair.client.send(std::string(1000, 'x'))).has_value());
  std::string got;
  while (got.size() < 1000) {
    const auto piece = co_await pair.server.receive();
    EXPECT_TRUE(piece.has_value());
    if (!piece) co_return;
    got.append(piece->bytes().size(), 'x');
  }
  co_await sleep_for(reactor, 10ms);
  EXPECT_EQ(progress->acknowledged(pair.client.fd()) - before, 1000u);
  EXPECT_EQ(progress->acknowledged(987'654), 0u);
}
TEST_P(InEitherWorld, ASenderLearnsWhatTheOtherSideHasTaken) { run(reports_progress(env.reactor())); }

Task<void> stream_zero_copy(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  const std::string text = pattern_text(300'000);
  std::string got;
  TaskGroup group;
  group.spawn(receive_all_into(pair.server, got));
  const auto sent = co_await pair.client.send_zero_copy(std::as_bytes(std::span(text)));
  if (!sent) {
    EXPECT_EQ(sent.error().code, Errc::Unsupported);
  }
  const bool after = (co_await pair.client.send(" and plainly")).has_value();
  EXPECT_TRUE(after);
  pair.client.close();
  co_await group.join();
  EXPECT_TRUE(got == (sent ? text : "") + " and plainly");
}
TEST_P(InEitherWorld, AStreamMixesZeroCopyAndPlainSends) { run(stream_zero_copy(env.reactor())); }

// --- Polls, datagrams, Unix sockets, wrong descriptors.

Task<void> datagrams(Reactor& reactor) {
  const Endpoint any = kAnyLocalPort;
  const int here = *reactor.udp_socket(true, &any);
  const int there = *reactor.udp_socket(true, &any);
  const Endpoint to = *reactor.local_endpoint(there);
  std::array<std::byte, 100> memory;
  EXPECT_EQ(reactor.receive_datagram(there, memory).error().code, Errc::Timeout);
  Recorded waiting;
  waiting.kind = OpKind::Poll;
  waiting.fd = there;
  waiting.poll_events = POLLIN;
  reactor.submit(waiting);
  co_await sleep_for(reactor, 2ms);
  EXPECT_TRUE(waiting.completions.empty());
  const std::string text = "one datagram";
  EXPECT_EQ(*reactor.send_datagram(here, std::as_bytes(std::span(text)), &to), text.size());
  co_await until_ended(reactor, waiting);
  EXPECT_EQ(waiting.completions.back().result, POLLIN);
  const auto got = reactor.receive_datagram(there, memory);
  EXPECT_TRUE(got.has_value());
  if (got) {
    EXPECT_EQ(got->size, text.size());
    EXPECT_EQ(got->from, *reactor.local_endpoint(here));
    EXPECT_EQ(std::string(reinterpret_cast<char*>(memory.data()), got->size), text);
  }
  // Cut to the reader's memory; the rest is gone.
  static_cast<void>(reactor.send_datagram(here, std::as_bytes(std::span(text)), &to));
  waiting.completions.clear();
  reactor.submit(waiting);
  co_await until_ended(reactor, waiting);
  EXPECT_EQ(reactor.receive_datagram(there, std::span(memory).first(3))->size, 3u);
  EXPECT_FALSE(reactor.receive_datagram(there, memory).has_value());
  reactor.close_now(here);
  reactor.close_now(there);
}
TEST_P(InEitherWorld, DatagramsArriveWholeAfterAPoll) { run(datagrams(env.reactor())); }

Task<void> polls_a_stream(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  Op poll;
  poll.kind = OpKind::Poll;
  poll.fd = pair.client.fd();
  poll.poll_events = POLLOUT;
  EXPECT_EQ(co_await perform(reactor, poll), POLLOUT);
  poll.poll_events = POLLIN;
  poll.timeout = 10ms;
  EXPECT_EQ(co_await perform(reactor, poll), -ETIMEDOUT);
  poll.timeout = 0ns;
  EXPECT_TRUE((co_await pair.server.send("x")).has_value());
  EXPECT_EQ(co_await perform(reactor, poll), POLLIN);
}
TEST_P(InEitherWorld, PollTellsWhatIsReady) { run(polls_a_stream(env.reactor())); }

Task<void> unix_sockets(Reactor& reactor, std::string path) {
  const int lonely = *reactor.unix_socket();
  EXPECT_EQ(reactor.connect_unix(lonely, path + "-nobody").error().code, Errc::NotFound);
  reactor.close_now(lonely);
  Result<Listener> listener = Listener::open_unix(reactor, path, 0600);
  EXPECT_TRUE(listener.has_value());
  if (!listener) co_return;
  const int fd = *reactor.unix_socket();
  EXPECT_TRUE(reactor.connect_unix(fd, path).has_value());
  Stream client(reactor, fd);
  Result<Stream> server = co_await listener->accept();
  EXPECT_TRUE((co_await client.send("hello")).has_value());
  client.close();
  EXPECT_EQ(co_await receive_all(*server), "hello");
  // A living listener keeps its path, one that is gone does not.
  Result<Listener> second = Listener::open_unix(reactor, path, 0600);
  EXPECT_FALSE(second.has_value());
  EXPECT_EQ(second ? 0 : second.error().sys_errno, EADDRINUSE);
  listener->stop();
  *listener = Listener();
  for (int turns = 0; !second && turns < 1000; ++turns) {
    co_await sleep_for(reactor, 1ms);
    second = Listener::open_unix(reactor, path, 0600);
  }
  EXPECT_TRUE(second.has_value());
}
TEST_P(InEitherWorld, UnixSocketsCarryStreams) {
  run(unix_sockets(env.reactor(), env.directory() + "/control.sock"));
}

Task<void> bad_descriptors(Reactor& reactor) {
  Op op;
  op.fd = 987'654;
  std::array<std::byte, 10> memory{};
  op.data = memory.data();
  op.size = memory.size();
  for (const OpKind kind : {OpKind::Recv, OpKind::Send, OpKind::Read, OpKind::Write, OpKind::Sync,
                            OpKind::Close, OpKind::Poll, OpKind::Allocate, OpKind::Truncate}) {
    op.kind = kind;
    EXPECT_EQ(co_await perform(reactor, op), -EBADF) << static_cast<int>(kind);
  }
  EXPECT_FALSE(reactor.local_endpoint(op.fd).has_value());
}
TEST_P(InEitherWorld, AWrongDescriptorAnswersEbadf) { run(bad_descriptors(env.reactor())); }

}  // namespace
}  // namespace sluice::runtime
