// Goal: buffers stay readable as long as they are pinned, the oldest unpinned goes first, and pins can never take so
// many that injection starves.
// How: CommitBuffers alone, taken, published, finished and pinned by hand; then pins from several threads.
#include "engine/spool/commit_buffers.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/support/sim_test.h"

namespace sluice::spool {
namespace {

constexpr std::size_t kBytes = 64 * kKiB;

class CommitBuffersTest : public test::SimTest {
 protected:
  CommitBuffer* take(std::size_t bytes = kBytes) {
    auto* buffer = static_cast<CommitBuffer*>(buffers.take_buffer(bytes));
    if (buffer != nullptr) open(*buffer);
    return buffer;
  }
  // What a writer does with a buffer.
  void open(CommitBuffer& buffer) {
    buffer.become(log::Buffer::State::Open);
    buffers.buffer_opened(buffer);
  }
  void finish(CommitBuffer& buffer) {
    buffer.become(log::Buffer::State::Closed);
    buffers.buffer_done(buffer);
  }
  CommitBuffers buffers{here(), 8, kBytes, 256 * kKiB};
};

TEST_F(CommitBuffersTest, TheOldestUnpinnedIsTakenFirst) {
  std::vector<CommitBuffer*> all;
  for (int i = 0; i < 8; ++i) all.push_back(take());
  EXPECT_EQ(take(), nullptr) << "all are under way";
  for (CommitBuffer* one : all) finish(*one);
  EXPECT_TRUE(buffers.pin(*all[0]));
  EXPECT_EQ(take(), all[1]);
  EXPECT_EQ(take(), all[2]);
  buffers.unpin(*all[0]);
}

TEST_F(CommitBuffersTest, HalfOfThemCannotBePinned) {
  std::vector<CommitBuffer*> all;
  for (int i = 0; i < 8; ++i) all.push_back(take());
  for (CommitBuffer* one : all) finish(*one);
  int pinned = 0;
  for (CommitBuffer* one : all) pinned += buffers.pin(*one) ? 1 : 0;
  EXPECT_EQ(pinned, 4);
  EXPECT_TRUE(buffers.pin(*all[0])) << "one more reader of a pinned buffer costs nothing";
  for (int i = 0; i < 4; ++i) EXPECT_NE(take(), nullptr) << "injection goes on";
  EXPECT_EQ(take(), nullptr);
  buffers.unpin(*all[0]);
  for (int i = 0; i < 4; ++i) buffers.unpin(*all[static_cast<std::size_t>(i)]);
  EXPECT_EQ(buffers.pinned(), 0u);
}

TEST_F(CommitBuffersTest, AnEvictedBufferCannotBePinned) {
  CommitBuffer* buffer = static_cast<CommitBuffer*>(buffers.take_buffer(kBytes));
  EXPECT_FALSE(buffers.pin(*buffer)) << "not opened yet";
  open(*buffer);
  EXPECT_TRUE(buffers.pin(*buffer));
  buffers.unpin(*buffer);
}

TEST_F(CommitBuffersTest, EachIsInExactlyOneList) {
  CommitBuffer* resident = take();
  finish(*resident);
  CommitBuffer* closed = take();
  closed->become(log::Buffer::State::Closed);
  closed->groups_under_way = 1;
  take();
  take(128 * kKiB);
  const CommitBuffers::Census now = buffers.census();
  EXPECT_EQ(now.free, 5u);
  EXPECT_EQ(now.open, 1u);
  EXPECT_EQ(now.closed, 1u);
  EXPECT_EQ(now.resident, 1u);
  EXPECT_EQ(now.large, 1u);
}

TEST_F(CommitBuffersTest, ABufferCannotBeReturnedTwice) {
  CommitBuffer* buffer = take();
  finish(*buffer);
  EXPECT_DEATH(buffers.buffer_done(*buffer), "groups_under_way == 0");
}

TEST_F(CommitBuffersTest, LargeOnesAreBoundedButOneIsAlwaysLetThrough) {
  auto* huge = take(1 * kMiB);
  ASSERT_NE(huge, nullptr) << "larger than the budget, but alone";
  EXPECT_EQ(take(128 * kKiB), nullptr);
  EXPECT_NE(take(), nullptr) << "small ones are not affected";
  finish(*huge);
  auto* one = take(128 * kKiB);
  auto* two = take(128 * kKiB);
  EXPECT_NE(one, nullptr);
  EXPECT_NE(two, nullptr);
  EXPECT_EQ(take(128 * kKiB), nullptr);
  finish(*one);
  EXPECT_NE(take(128 * kKiB), nullptr);
}

TEST_F(CommitBuffersTest, PinsFromManyThreadsAddUp) {
  std::vector<CommitBuffer*> all;
  for (int i = 0; i < 8; ++i) all.push_back(take());
  for (CommitBuffer* one : all) finish(*one);
  std::atomic<bool> stop = false;
  std::vector<std::thread> readers;
  for (unsigned t = 0; t < 3; ++t) {
    readers.emplace_back([&, t] {
      for (unsigned i = t; !stop; ++i) {
        CommitBuffer& one = *all[i % 8];
        if (buffers.pin(one)) {
          EXPECT_EQ(one.pins.load() & CommitBuffer::kEvicted, 0u);
          buffers.unpin(one);
        }
      }
    });
  }
  for (int i = 0; i < 20'000; ++i) {
    auto* taken = static_cast<CommitBuffer*>(buffers.take_buffer(kBytes));
    if (taken == nullptr) continue;
    EXPECT_EQ(taken->pins.load(), CommitBuffer::kEvicted);
    open(*taken);
    finish(*taken);
  }
  stop = true;
  for (std::thread& one : readers) one.join();
  EXPECT_EQ(buffers.pinned(), 0u);
}

}  // namespace
}  // namespace sluice::spool
