// Goal: an operation that the system interrupts (EINTR) or turns away for the moment (EAGAIN) is done again
// by the reactor, whatever its kind; who asked for it learns nothing of it and no byte is lost or doubled.
// How: in the simulated world every operation of every kind is struck with some chance while connections,
// lists, zero-copy sends and files are used. The seed is printed on failure.
#include <fcntl.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <numeric>
#include <string>
#include <vector>

#include "engine/runtime/stream.h"
#include "tests/support/sim_test.h"

namespace sluice::runtime::sim {
namespace {

const Endpoint kServer{IpAddress::from_v4({10, 0, 0, 1}), 25};

constexpr std::array kKinds{OpKind::Accept, OpKind::Connect,  OpKind::Recv,     OpKind::Send,
                            OpKind::Poll,   OpKind::Read,     OpKind::Write,    OpKind::Sync,
                            OpKind::Open,   OpKind::Allocate, OpKind::Truncate, OpKind::Rename,
                            OpKind::Unlink, OpKind::MakeDir};

bool waits_in_kernel(OpKind kind) {
  return kind == OpKind::Accept || kind == OpKind::Recv || kind == OpKind::Send || kind == OpKind::Poll ||
         kind == OpKind::Read || kind == OpKind::Write;
}

std::string text_of(std::size_t size) {
  std::string out(size, ' ');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + (i * 7 + i / 251) % 26);
  return out;
}

Task<void> receive_all(Listener& listener, std::string& got, bool& well) {
  Result<Stream> stream = co_await listener.accept();
  well = stream.has_value();
  while (well) {
    const Result<ReceivedBytes> some = co_await stream->receive();
    well = some.has_value();
    if (!well || some->bytes().empty()) break;
    got.append(reinterpret_cast<const char*>(some->bytes().data()), some->bytes().size());
  }
}

Task<void> transfer(Reactor& from, Listener& listener) {
  const std::string text = text_of(700'000);
  std::string got;
  bool well = false;
  TaskGroup group;
  group.spawn(receive_all(listener, got, well));
  Result<Stream> stream = co_await Stream::connect(from, kServer, nullptr, 10s);
  EXPECT_TRUE(stream.has_value());
  if (!stream) co_return;
  EXPECT_TRUE((co_await stream->send(std::string_view(text).substr(0, 200'000))).has_value());
  std::vector<iovec> parts;
  for (std::size_t at = 200'000; at < 500'000; at += 777)
    parts.push_back({const_cast<char*>(text.data()) + at, std::min<std::size_t>(777, 500'000 - at)});
  EXPECT_TRUE((co_await stream->send(std::span(parts))).has_value());
  const auto rest = std::as_bytes(std::span(text)).subspan(500'000);
  EXPECT_TRUE((co_await stream->send_zero_copy(rest)).has_value());
  stream->close();
  co_await group.join();
  EXPECT_TRUE(well);
  EXPECT_TRUE(got == text) << got.size();
}

Task<std::int32_t> run_op(Reactor& reactor, OpKind kind, int fd, const char* path = nullptr,
                          const char* path2 = nullptr) {
  Op op;
  op.kind = kind;
  op.fd = fd;
  op.path = path;
  op.path2 = path2;
  op.mode = 0700;
  op.size = 8192;
  op.open_flags = O_RDWR | O_CREAT;
  co_return co_await perform(reactor, op);
}

Task<void> use_files(Reactor& reactor, int number) {
  const std::string directory = "/data" + std::to_string(number);
  EXPECT_EQ(co_await run_op(reactor, OpKind::MakeDir, -1, directory.c_str()), 0);
  const std::string one = directory + "/one";
  const std::string two = directory + "/two";
  const int fd = co_await run_op(reactor, OpKind::Open, -1, one.c_str());
  EXPECT_GE(fd, 0);
  EXPECT_EQ(co_await run_op(reactor, OpKind::Allocate, fd), 0);
  std::string text = text_of(5000);
  Op op;
  op.kind = OpKind::Write;
  op.fd = fd;
  op.data = reinterpret_cast<std::byte*>(text.data());
  op.size = text.size();
  EXPECT_EQ(co_await perform(reactor, op), 5000);
  EXPECT_EQ(co_await run_op(reactor, OpKind::Sync, fd), 0);
  std::string back(5000, ' ');
  op.kind = OpKind::Read;
  op.data = reinterpret_cast<std::byte*>(back.data());
  EXPECT_EQ(co_await perform(reactor, op), 5000);
  EXPECT_EQ(back, text);
  EXPECT_EQ(co_await run_op(reactor, OpKind::Truncate, fd), 0);
  EXPECT_EQ(co_await run_op(reactor, OpKind::Close, fd), 0);
  EXPECT_EQ(co_await run_op(reactor, OpKind::Rename, -1, one.c_str(), two.c_str()), 0);
  EXPECT_EQ(co_await run_op(reactor, OpKind::Unlink, -1, two.c_str()), 0);
}

class Interrupted : public test::SimTest, public ::testing::WithParamInterface<std::uint64_t> {
 protected:
  Interrupted() : SimTest(GetParam()) {}
  std::vector<Faults::RuleId> strike_everything() {
    std::vector<Faults::RuleId> rules;
    for (const OpKind kind : kKinds) {
      for (const int number : {EINTR, EAGAIN}) {
        if (number == EAGAIN && !waits_in_kernel(kind)) continue;
        rules.push_back(world.faults().add({.kind = kind,
                                            .times = FaultRule::kForever,
                                            .chance = 0.4,
                                            .strike = Strike::Error,
                                            .sys_errno = number}));
      }
    }
    return rules;
  }
};

TEST_P(Interrupted, NobodyLearnsOfIt) {
  const auto rules = strike_everything();
  Listener listener = *Listener::open(there(), kServer);
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(test::finish(world, transfer(here(), listener)));
    ASSERT_TRUE(test::finish(world, use_files(here(), i)));
  }
  listener = {};
  world.run_for(1min);
  EXPECT_EQ(here().operations_in_flight(), 0u);
  const auto hits =
      std::accumulate(rules.begin(), rules.end(), std::uint64_t{0},
                      [&](std::uint64_t sum, auto id) { return sum + world.faults().hits(id); });
  EXPECT_GT(hits, 50u);
}
INSTANTIATE_TEST_SUITE_P(Seeds, Interrupted, ::testing::Range<std::uint64_t>(1, 21));

using TurnedAway = test::SimTest;
TEST_F(TurnedAway, ForEverIsToldInTheEnd) {
  world.faults().add(
      {.kind = OpKind::Send, .times = FaultRule::kForever, .strike = Strike::Error, .sys_errno = EINTR});
  Listener listener = *Listener::open(there(), kServer);
  const auto send = [](Reactor& from) -> Task<Status> {
    Result<Stream> stream = co_await Stream::connect(from, kServer, nullptr, 10s);
    co_return co_await stream->send("hello");
  };
  const auto sent = test::finish(world, send(here()));
  ASSERT_TRUE(sent.has_value());
  EXPECT_FALSE(sent->has_value());
}

// --- Where a list goes on.

TEST(RestOfSend, IsEveryByteBehindWhatIsGone) {
  const std::string text = "abcdefghijkl";
  auto* bytes = const_cast<char*>(text.data());
  const std::array<iovec, 5> parts{
      {{bytes, 3}, {bytes + 3, 0}, {bytes + 3, 1}, {bytes + 4, 7}, {bytes + 11, 1}}};
  Op list;
  list.kind = OpKind::SendVector;
  list.vectors = parts.data();
  list.vector_count = parts.size();
  Op plain;
  plain.kind = OpKind::Send;
  plain.data = reinterpret_cast<std::byte*>(bytes);
  plain.size = text.size();
  EXPECT_EQ(send_size(list), text.size());
  EXPECT_EQ(send_size(plain), text.size());
  for (std::size_t gone = 0; gone <= text.size(); ++gone) {
    for (const Op* op : {&list, &plain}) {
      const SendRest rest = rest_of_send(*op, gone);
      std::string left(reinterpret_cast<const char*>(rest.piece.data()), rest.piece.size());
      for (const iovec& part : rest.parts) left.append(static_cast<const char*>(part.iov_base), part.iov_len);
      EXPECT_EQ(left, text.substr(gone)) << gone;
    }
  }
}

}  // namespace
}  // namespace sluice::runtime::sim
