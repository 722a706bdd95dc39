// Goal: provided buffers are shared fairly in both worlds: input that nobody reads holds none of them, who
// found none goes on in the order of coming, and nobody is forgotten.
// How: as contract_test.cc, with many more connections than buffers.
#include <string>
#include <vector>

#include "tests/engine/runtime/contract_parts.h"

namespace sluice::runtime {
namespace {

constexpr std::size_t kStreams = 3 * std::size_t{EitherWorld::kBuffers};

Task<void> talk(Reactor& reactor) {
  Pair pair = co_await connected_pair(reactor);
  const std::string text = pattern_text(3 * EitherWorld::kBufferBytes);
  std::string got;
  TaskGroup group;
  group.spawn(receive_all_into(pair.server, got));
  EXPECT_TRUE((co_await pair.client.send(text)).has_value());
  pair.client.close();
  co_await group.join();
  EXPECT_EQ(got, text);
}

enum class Reader : std::uint8_t { NeverCame, AskedOnce, TookOne, Paused };

Task<void> ignores_its_input(Reactor& reactor, Reader kind) {
  const std::string text = pattern_text(5 * EitherWorld::kBufferBytes);
  std::vector<Pair> pairs;
  std::vector<std::unique_ptr<Wakeup>> wakeups;
  std::vector<std::string> got(kStreams);
  for (std::size_t i = 0; i < kStreams; ++i) {
    pairs.push_back(co_await connected_pair(reactor));
    wakeups.push_back(std::make_unique<Wakeup>(reactor));
    Stream& stream = pairs.back().server;
    stream.notify(wakeups.back().get());
    if (kind != Reader::NeverCame) EXPECT_FALSE(stream.try_receive().has_value());
    if (kind == Reader::Paused) stream.pause();
    if (kind == Reader::TookOne) {
      EXPECT_TRUE((co_await pairs.back().client.send("first")).has_value());
      for (;;) {
        auto first = stream.try_receive();
        if (first) {
          const auto bytes = (**first).bytes();
          got[i].assign(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          if (got[i] == "first") break;
          ADD_FAILURE_AT(__FILE__, __LINE__) << got[i];
        }
        co_await sleep_for(reactor, 1ms);
      }
      got[i].clear();
    }
  }
  for (Pair& pair : pairs) EXPECT_TRUE((co_await pair.client.send(text)).has_value());
  co_await sleep_for(reactor, 50ms);
  const MonoTime begun = reactor.now();
  co_await talk(reactor);
  EXPECT_LT(reactor.now() - begun, 5s) << "others wait for somebody who does not read";
  for (std::size_t i = 0; i < kStreams; ++i) {
    pairs[i].server.notify(nullptr);
    pairs[i].client.close();
    got[i] = co_await receive_all(pairs[i].server);
    EXPECT_TRUE(got[i] == text) << i << ": " << got[i].size();
  }
}
TEST_P(InEitherWorld, InputOfNobodyHoldsNoBuffer) {
  run(ignores_its_input(env.reactor(), Reader::NeverCame));
}
TEST_P(InEitherWorld, InputOfAReaderThatStaysAwayIsMovedOut) {
  run(ignores_its_input(env.reactor(), Reader::AskedOnce));
}
TEST_P(InEitherWorld, InputOfAReaderThatTookEnoughHoldsNoBuffer) {
  // One byte at a time "first" would come in five.
  if (GetParam() == Which::SimInPieces) env.world().network().default_link.read_max = 1 << 20;
  if (env.is_simulated()) env.world().network().default_link.read_cut = 0;
  run(ignores_its_input(env.reactor(), Reader::TookOne));
}
TEST_P(InEitherWorld, InputOfAPausedReaderHoldsNoBuffer) {
  run(ignores_its_input(env.reactor(), Reader::Paused));
}

/// Takes every buffer there is, and gives them back one by one.
class Hoarder {
 public:
  explicit Hoarder(Reactor& reactor) : reactor_(reactor) {}
  Task<void> take_all() {
    pair_ = co_await connected_pair(reactor_);
    receive_.kind = OpKind::RecvMulti;
    receive_.fd = pair_.server.fd();
    reactor_.submit(receive_);
    // Byte by byte in one of the worlds, so more than enough; the rest stays where it is.
    const std::string much = pattern_text((EitherWorld::kBuffers + 2) * EitherWorld::kBufferBytes);
    EXPECT_TRUE((co_await pair_.client.send(much)).has_value());
    while (receive_.completions.size() < EitherWorld::kBuffers) co_await sleep_for(reactor_, 1ms);
    reactor_.cancel(receive_);
    co_await until_ended(reactor_, receive_);
  }
  void give_one() { reactor_.return_buffer(receive_.completions[next_++].buffer_id); }
  void give_all() {
    while (next_ < EitherWorld::kBuffers) give_one();
  }

 private:
  Reactor& reactor_;
  Pair pair_;
  Recorded receive_;
  std::size_t next_ = 0;
};

Task<void> serves_in_order(Reactor& reactor) {
  std::vector<Pair> pairs;
  std::vector<Recorded> waiting(EitherWorld::kBuffers);
  for (std::size_t i = 0; i < waiting.size(); ++i) pairs.push_back(co_await connected_pair(reactor));
  Hoarder hoarder(reactor);
  co_await hoarder.take_all();
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    EXPECT_TRUE((co_await pairs[i].client.send("x")).has_value());
    co_await sleep_for(reactor, 10ms);
    waiting[i].kind = OpKind::RecvMulti;
    waiting[i].fd = pairs[i].server.fd();
    reactor.submit(waiting[i]);
    co_await sleep_for(reactor, 250ms);  // longer than any delay of the world
  }
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    hoarder.give_one();
    co_await sleep_for(reactor, 20ms);
    for (std::size_t j = 0; j < waiting.size(); ++j)
      EXPECT_EQ(waiting[j].completions.size(), j <= i ? 1u : 0u) << "after " << i << ": " << j;
  }
  for (std::size_t i = 0; i < waiting.size(); ++i) {
    reactor.cancel(waiting[i]);
    co_await until_ended(reactor, waiting[i]);
    for (const Completion& one : waiting[i].completions) {
      if (one.has_buffer) reactor.return_buffer(one.buffer_id);
    }
  }
}
TEST_P(InEitherWorld, WhoFoundNoBufferGoesOnInOrder) { run(serves_in_order(env.reactor())); }

Task<void> forgets_nobody(Reactor& reactor) {
  std::vector<Pair> pairs;
  for (std::size_t i = 0; i < kStreams; ++i) pairs.push_back(co_await connected_pair(reactor));
  Hoarder hoarder(reactor);
  co_await hoarder.take_all();
  std::vector<Recorded> waiting(kStreams);
  for (std::size_t i = 0; i < kStreams; ++i) {
    waiting[i].kind = OpKind::RecvMulti;
    waiting[i].fd = pairs[i].server.fd();
    reactor.submit(waiting[i]);  // finds no buffer, and has nothing to receive yet either
  }
  co_await sleep_for(reactor, 300ms);
  reactor.cancel(waiting[1]);  // out of the middle of the line, and its front
  reactor.cancel(waiting[0]);
  hoarder.give_all();
  co_await sleep_for(reactor, 20ms);
  const std::uint64_t calls = reactor.counters().system_calls;
  co_await sleep_for(reactor, 100ms);
  EXPECT_LT(reactor.counters().system_calls - calls, 2000u) << "the loop spins";
  for (std::size_t i = 2; i < kStreams; ++i) {
    EXPECT_TRUE((co_await pairs[i].client.send("y")).has_value());
    for (int tries = 0; tries < 500 && waiting[i].completions.empty(); ++tries)
      co_await sleep_for(reactor, 1ms);
    EXPECT_EQ(waiting[i].completions.size(), 1u) << i << " was left behind";
    if (!waiting[i].completions.empty()) reactor.return_buffer(waiting[i].completions.front().buffer_id);
  }
  for (Recorded& one : waiting) {
    reactor.cancel(one);
    co_await until_ended(reactor, one);
  }
}
TEST_P(InEitherWorld, NobodyWhoFoundNoBufferIsForgotten) { run(forgets_nobody(env.reactor())); }

}  // namespace
}  // namespace sluice::runtime
