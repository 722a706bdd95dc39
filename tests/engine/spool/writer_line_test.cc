// Goal: those who wait for room are served in turn, leave the line when they are cancelled, are refused by a stop, and
//       nobody asks a writer for room while it is in the middle of its accounts.
// How:  one writer on a simulated disk whose large budget lets one record through at a time.
#include <gtest/gtest.h>

#include "engine/log/writer.h"
#include "engine/spool/commit_buffers.h"
#include "tests/support/sim_test.h"

namespace sluice::spool {
namespace {

class WriterLineTest : public test::SimTest, protected log::GroupSink {
 protected:
  struct Client final : log::RoomWaiter {
    WriterLineTest& test;
    std::size_t bytes;
    std::optional<Errc> refused;
    Client(WriterLineTest& a_test, std::size_t some) : test(a_test), bytes(some) {
      test.writer.reserve(*this, bytes);
    }
    ~Client() { test.writer.cancel(*this); }
    void on_room(Result<log::Room> room) override {
      test.served.push_back(bytes);
      if (!room) {
        refused = room.error().code;
        return;
      }
      std::memset(room->payload.data(), 'x', bytes);
      test.writer.end(*room, log::RecordType::Message);
    }
  };
  WriterLineTest() {
    world.disk().put("/spool/.made", "");
    writer.start(1);
    EXPECT_TRUE(test::finish(world, store.start(1)).has_value());
  }
  ~WriterLineTest() override {
    EXPECT_TRUE(test::finish(world, writer.stop()));
    EXPECT_TRUE(test::finish(world, store.stop()));
  }
  static log::SegmentStoreOptions store_options() {
    log::SegmentStoreOptions out;
    out.places = {{.directory = "/spool"}};
    out.segment_bytes = 8 * kMiB;
    return out;
  }
  void group_done(const log::GroupDone&) override {
    if (asks_when_told) (void)writer.begin(1);
  }

  // Finds nothing `misses` times, as when the pins of other threads come and go while it looks.
  struct Source final : log::BufferSource {
    explicit Source(runtime::Reactor& reactor) : buffers(reactor, 8, 256 * kKiB, 1) {}
    log::Buffer* take_buffer(std::size_t bytes_min) override {
      return misses > 0 && misses-- > 0 ? nullptr : buffers.take_buffer(bytes_min);
    }
    void buffer_opened(log::Buffer& buffer) override { buffers.buffer_opened(buffer); }
    void buffer_done(log::Buffer& buffer) override { buffers.buffer_done(buffer); }
    CommitBuffers buffers;
    int misses = 0;
  };

  Source source{here()};
  log::SegmentStore store{here(), store_options(), [this] { writer.segments_changed(); }};
  log::Writer writer{here(), {.in_flight_max = 4}, store, source, *this};
  std::vector<std::size_t> served;  // sizes, in order
  bool asks_when_told = false;
};

TEST_F(WriterLineTest, ServesInTurn) {
  const Client large(*this, 1 * kMiB);
  const Client behind(*this, 2 * kMiB);
  const Client small(*this, 100);
  EXPECT_EQ(writer.waiters(), 2u) << "a small one does not overtake";
  EXPECT_EQ(writer.begin(10).error().code, Errc::NoMemory) << "nor does one that does not wait";
  world.run_for(1s);
  EXPECT_EQ(served, (std::vector<std::size_t>{1 * kMiB, 2 * kMiB, 100}));
}

TEST_F(WriterLineTest, ThoseBehindACancelledOneGoOnAtOnce) {
  world.faults().add({.kind = runtime::OpKind::Write,
                      .path_contains = "/msg-",
                      .strike = runtime::sim::Strike::Delay,
                      .delay = 10s});
  const Client large(*this, 1 * kMiB);
  auto behind = std::make_unique<Client>(*this, 2 * kMiB);
  const Client small(*this, 100);
  world.run_for(1s);
  EXPECT_EQ(served.size(), 1u);
  behind.reset();
  world.run_for(1s);
  EXPECT_EQ(served, (std::vector<std::size_t>{1 * kMiB, 100}));
}

TEST_F(WriterLineTest, ALineThatNothingMovesIsLookedAtAgain) {
  source.misses = 3;
  const Client one(*this, 100);
  EXPECT_FALSE(writer.has_work());
  EXPECT_EQ(writer.waiters(), 1u);
  world.run_for(1s);
  EXPECT_EQ(served, std::vector<std::size_t>{100});
  EXPECT_EQ(source.misses, 0);
}

TEST_F(WriterLineTest, AStopRefusesThem) {
  const Client large(*this, 1 * kMiB);
  const Client behind(*this, 2 * kMiB);
  EXPECT_TRUE(test::finish(world, writer.stop(), 1s));
  EXPECT_EQ(behind.refused, Errc::Cancelled);
  EXPECT_EQ(large.refused, std::nullopt);
  const Client late(*this, 1);
  EXPECT_EQ(late.refused, Errc::Cancelled);
}

TEST_F(WriterLineTest, AskingForRoomWhenToldIsAFault) {
  asks_when_told = true;
  EXPECT_DEATH(
      {
        const Client one(*this, 10);
        world.run_for(1s);
      },
      "!settling_");
  asks_when_told = false;
}

}  // namespace
}  // namespace sluice::spool
