// Goal: a conversation over a wire reads and writes the same bytes with and without a layer under it; what came in
//       plain before a layer is never taken for the conversation's; a cut is not an end; neither silence nor drips
//       outlast what is allowed; what counts as left and as acknowledged has left and was acknowledged.
// How:  two machines of the simulated world whose network cuts and delays at random, and a toy layer.
#include "engine/wire/wire.h"

#include <string>
#include <vector>

#include "tests/support/sim_test.h"
#include "tests/support/toy_layer.h"

namespace sluice::wire {
namespace {

using runtime::Listener;
using runtime::ReceivedBytes;
using runtime::Stream;
using runtime::Task;
using test::ToyLayer;

const Endpoint kServer{IpAddress::from_v4({192, 0, 2, 25}), 25};

std::string text_of(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
std::string pattern(std::size_t size, unsigned salt) {
  std::string out(size, ' ');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + (i * 7 + i / 251 + salt) % 26);
  return out;
}

class WireTest : public test::SimTest {
 protected:
  explicit WireTest(std::uint64_t seed = 1) : SimTest(seed), listener_(*Listener::open(there(), kServer)) {}
  /// Both ends of a connection.
  void connect() {
    near = {};
    far = {};
    test::start(accept());
    ASSERT_TRUE(test::finish(world, open()));
    world.run_until([this] { return static_cast<bool>(far); }, 1min);
    ASSERT_TRUE(near && far);
  }
  Task<Status> upgrade_near() { co_return co_await near.upgrade(layer(ToyLayer::Side::First)); }
  Task<void> upgrade_far(std::optional<Status>& out) {
    out = co_await far.upgrade(layer(ToyLayer::Side::Second));
  }
  void upgrade_both() {
    std::optional<Status> other;
    test::start(upgrade_far(other));
    const auto mine = test::finish(world, upgrade_near());
    world.run_until([&] { return other.has_value(); }, 1min);
    ASSERT_TRUE(mine && *mine);
    ASSERT_TRUE(other && *other);
  }
  static std::unique_ptr<Layer> layer(ToyLayer::Side side) { return std::make_unique<ToyLayer>(side); }
  Task<void> open() {
    auto got = co_await Stream::connect(here(), kServer, nullptr, 1min);
    if (got) near = Wire(here(), std::move(*got));
  }
  Task<void> accept() {
    auto got = co_await listener_.accept();
    if (got) far = Wire(there(), std::move(*got));
  }
  static Task<Status> say(Wire& wire, std::string text) { co_return co_await wire.send(text); }
  static Task<std::string> next_of(Wire& wire) {
    const auto input = co_await wire.receive();
    co_return input ? text_of(input->bytes()) : std::string();
  }
  std::string next(Wire& wire) { return test::finish(world, next_of(wire)).value_or(""); }
  /// Until the end, or an error.
  struct Heard {
    std::string text;
    std::optional<Error> error;
    bool over = false;
  };
  static Task<void> listen_to(Wire& wire, Heard& heard) {
    for (;;) {
      const auto input = co_await wire.receive();
      if (!input) heard.error = input.error();
      if (!input || input->bytes().empty()) break;
      heard.text += text_of(input->bytes());
    }
    heard.over = true;
  }
  Heard hear(Wire& wire, Duration at_most = 1h) {
    auto heard = std::make_unique<Heard>();
    test::start(listen_to(wire, *heard));
    world.run_until([&] { return heard->over; }, at_most);
    EXPECT_TRUE(heard->over);
    if (!heard->over) {
      world.machine().bury(std::move(heard));
      return {};
    }
    return *heard;
  }

  Listener listener_;
  Wire near;
  Wire far;
};

class RandomWire : public WireTest, public ::testing::WithParamInterface<int> {
 protected:
  RandomWire() : WireTest(static_cast<std::uint64_t>(GetParam()) + 1) {}
};

Task<Status> say_all(Wire& wire, const std::string& text, runtime::sim::Random& random) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size =
        std::min<std::size_t>(text.size() - at, 1 + random.below(random.chance(0.1) ? 200'000 : 3'000));
    const std::uint64_t before = wire.sent_bytes();
    Status sent;
    if (random.chance(0.5)) {
      sent = co_await wire.send(std::string_view(text).substr(at, size));
    } else {
      std::vector<iovec> parts;
      for (std::size_t part = 0; part < size; part += 777)
        parts.push_back(
            {const_cast<char*>(text.data()) + at + part, std::min<std::size_t>(777, size - part)});
      sent = co_await wire.send(std::span(parts));
    }
    if (!sent) co_return sent;
    EXPECT_EQ(wire.sent_bytes(), before + size);
    const auto acknowledged = wire.acknowledged_bytes();
    if (acknowledged) EXPECT_LE(*acknowledged, wire.sent_bytes());
    at += size;
  }
  co_return co_await wire.end();
}

TEST_P(RandomWire, SaysTheSameWithAndWithoutALayer) {
  for (const bool layered : {false, true}) {
    SCOPED_TRACE(layered);
    connect();
    if (layered) upgrade_both();
    runtime::sim::Random& random = world.random();
    const std::string forth = pattern(1 + random.below(700'000), 1);
    const std::string back = pattern(1 + random.below(700'000), 2);
    std::optional<Status> said, answered;
    Heard at_far, at_near;
    test::start(listen_to(far, at_far));
    test::start(listen_to(near, at_near));
    test::start(say_all(near, forth, random), said);
    test::start(say_all(far, back, random), answered);
    world.run_until(
        [&] {
          return said && answered && at_far.text.size() == forth.size() && at_near.text.size() == back.size();
        },
        1h);
    ASSERT_TRUE(said && *said);
    ASSERT_TRUE(answered && *answered);
    EXPECT_TRUE(at_far.text == forth);
    EXPECT_TRUE(at_near.text == back);
    world.run_for(1min);
    EXPECT_EQ(near.acknowledged_bytes(), forth.size());
    near.abort();
    far.abort();
    world.run_until([&] { return at_far.over && at_near.over; }, 1min);
    if (layered) {  // each has told the other that nothing more comes
      EXPECT_FALSE(at_far.error.has_value());
      EXPECT_FALSE(at_near.error.has_value());
    }
    ASSERT_TRUE(at_far.over && at_near.over);
  }
}
INSTANTIATE_TEST_SUITE_P(Seeds, RandomWire, ::testing::Range(0, 20));

// --- What comes before the layer.

TEST_F(WireTest, WhatASecondHeardBeforeItsLastWordLeftIsNotTheConversations) {
  connect();
  // The answer to STARTTLS has not left when something comes that somebody put behind it, and looks like a handshake.
  ASSERT_TRUE(*test::finish(world, say(near, "STARTTLS\r\n")));
  world.run_for(1s);
  ASSERT_EQ(next(far), "STARTTLS\r\n");
  ASSERT_TRUE(*test::finish(world, say(near, "HELLO")));
  world.run_for(1s);
  ASSERT_TRUE(*test::finish(world, say(far, "220 go\r\n")));
  std::optional<Status> other;
  test::start(upgrade_far(other));
  world.run_until([&] { return other.has_value(); }, 1min);
  ASSERT_TRUE(other.has_value());
  ASSERT_FALSE(*other);
  EXPECT_EQ(other->error().code, Errc::BadInput);
}

TEST_F(WireTest, AHandshakeThatIsThereAlreadyIsTakenUp) {
  connect();
  ASSERT_TRUE(*test::finish(world, say(far, "220 go\r\n")));
  world.run_for(1s);
  ASSERT_NE(next(near), "");
  ASSERT_TRUE(*test::finish(world, say(near, "HELLO")));  // as its layer would
  world.run_for(1s);
  std::optional<Status> other;
  test::start(upgrade_far(other));
  world.run_until([&] { return other.has_value(); }, 1min);
  ASSERT_TRUE(other.has_value());
  EXPECT_TRUE(*other);
}

TEST_F(WireTest, WhatAFirstHearsBeforeItBeginsIsNotTheConversations) {
  connect();
  ASSERT_TRUE(*test::finish(world, say(far, "220 go\r\n250 more\r\n")));
  world.run_for(1s);
  ASSERT_NE(next(near), "");
  ASSERT_TRUE(*test::finish(world, say(far, "READY")));  // nobody has asked yet
  world.run_for(1s);
  const auto mine = test::finish(world, upgrade_near());
  ASSERT_TRUE(mine.has_value());
  ASSERT_FALSE(*mine);
  EXPECT_EQ(mine->error().code, Errc::BadInput);
}

TEST_F(WireTest, ABrokenHandshakeIsToldToThePeer) {
  connect();
  std::optional<Status> other;
  test::start(upgrade_far(other));
  ASSERT_TRUE(*test::finish(world, say(near, "EHLO me\r\n")));
  world.run_until([&] { return other.has_value(); }, 1min);
  ASSERT_TRUE(other && !*other);
  EXPECT_EQ(other->error().code, Errc::BadInput);
  far.close();
  const Heard heard = hear(near);
  EXPECT_EQ(heard.text, "ALERT");
}

TEST_F(WireTest, AHandshakeThatDoesNotEndIsGivenUp) {
  connect();
  near.allow({.silence = 5s, .whole = 20s});
  const MonoTime begin = world.now();
  const auto mine = test::finish(world, upgrade_near());
  ASSERT_TRUE(mine && !*mine);
  EXPECT_EQ(mine->error().code, Errc::Timeout);
  EXPECT_LE(world.now() - begin, 6s);
}

TEST_F(WireTest, TheFirstWordsMayComeWithTheEndOfTheHandshake) {
  connect();
  ASSERT_TRUE(*test::finish(world, say(far, "220 go\r\n")));
  world.run_for(1s);
  ASSERT_NE(next(near), "");
  ToyLayer by_hand(ToyLayer::Side::First);
  Buffer bytes, plain;
  ASSERT_TRUE(by_hand.begin(bytes));
  ASSERT_TRUE(by_hand.seal(std::as_bytes(std::span(std::string_view("EHLO me\r\n"))), bytes));
  ASSERT_TRUE(*test::finish(world, say(near, text_of(bytes))));
  std::optional<Status> other;
  test::start(upgrade_far(other));
  world.run_until([&] { return other.has_value(); }, 1min);
  ASSERT_TRUE(other && *other);
  const auto first = far.try_receive();
  ASSERT_TRUE(first && *first);
  EXPECT_EQ(text_of((*first)->bytes()), "EHLO me\r\n");
  EXPECT_EQ(far.sent_before(**first), 8u);
}

// --- Ends.

TEST_F(WireTest, ACutIsNotAnEnd) {
  for (const bool says_goodbye : {true, false}) {
    SCOPED_TRACE(says_goodbye);
    connect();
    upgrade_both();
    ASSERT_TRUE(*test::finish(world, say(near, "half of a mess")));
    if (says_goodbye) ASSERT_TRUE(*test::finish(world, near.end()));
    near.close();
    const Heard heard = hear(far);
    EXPECT_EQ(heard.text, "half of a mess");
    EXPECT_EQ(heard.error.has_value(), !says_goodbye);
    if (heard.error) EXPECT_EQ(heard.error->code, Errc::PeerClosed);
  }
}

TEST_F(WireTest, ABrokenPieceEndsTheConversation) {
  connect();
  ASSERT_TRUE(*test::finish(world, say(near, std::string("HELLO") + "\x7f\x7f plain words")));
  std::optional<Status> other;
  test::start(upgrade_far(other));
  world.run_until([&] { return other.has_value(); }, 1min);
  ASSERT_TRUE(other.has_value());
  const Heard heard = hear(far);
  EXPECT_EQ(heard.text, "");
  ASSERT_TRUE(heard.error.has_value());
  EXPECT_EQ(heard.error->code, Errc::BadInput);
  const auto sent = test::finish(world, say(far, "more"));
  EXPECT_TRUE(sent && !*sent);
}

// --- How long.

Task<void> drip(Wire& wire, Duration each, int count) {
  for (int i = 0; i < count; ++i) {
    if (!co_await wire.send("x")) co_return;
    co_await runtime::sleep_for(wire.reactor(), each);
  }
}

TEST_F(WireTest, NeitherSilenceNorDripsOutlastWhatIsAllowed) {
  struct Case {
    const char* name;
    int drips;
    Duration least, most;
  };
  for (const bool layered : {false, true}) {
    for (const Case& one :
         {Case{"silent", 0, 10s, 11s}, Case{"stops", 3, 16s, 19s}, Case{"drips", 1000, 60s, 61s}}) {
      SCOPED_TRACE(std::string(one.name) + (layered ? ", layered" : ""));
      connect();
      if (layered) upgrade_both();
      const MonoTime begin = world.now();
      near.allow({.silence = 10s, .whole = 60s});
      test::start(drip(far, 3s, one.drips));
      const Heard heard = hear(near);
      ASSERT_TRUE(heard.error.has_value());
      EXPECT_EQ(heard.error->code, Errc::Timeout);
      EXPECT_GE(world.now() - begin, one.least);
      EXPECT_LE(world.now() - begin, one.most);
      near.close();
      world.run_for(10s);
      far.abort();
      world.run_for(10s);
    }
  }
}

TEST_F(WireTest, ASendThatNobodyReadsEnds) {
  connect();
  upgrade_both();
  const MonoTime begin = world.now();
  near.allow({.silence = 10s, .whole = 60s});
  const auto sent = test::finish(world, say(near, pattern(30'000'000, 3)));
  ASSERT_TRUE(sent && !*sent);
  EXPECT_EQ(sent->error().code, Errc::Timeout);
  EXPECT_LE(world.now() - begin, 61s);
}

}  // namespace
}  // namespace sluice::wire
