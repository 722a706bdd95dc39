// Goal: order and counts of a queue: first in first out, one message's recipients together, retries by time.
// How:  items of messages that exist only as far as the queue looks at them; no reactor, no clock.
#include "engine/queue/queue.h"

#include <gtest/gtest.h>

#include "engine/queue/queue_table.h"

namespace sluice::queue {
namespace {

struct QueueTest : ::testing::Test {
  QueueTest() : queue("gmail.com", "v1", [](runtime::Timer&) {}, nullptr) {}
  Item& make(spool::StoredMessage& message, std::uint32_t recipient) {
    Item& item = *pool.make();
    item.message = &message;
    item.recipient = recipient;
    return item;
  }
  static std::vector<std::uint32_t> numbers(const Batch& batch) {
    std::vector<std::uint32_t> out;
    for (const Item* item : batch) out.push_back(item->recipient);
    return out;
  }
  ItemPool pool;
  Queue queue;
  spool::StoredMessage a, b;
};

TEST_F(QueueTest, NameHasBothParts) {
  EXPECT_EQ(queue.name(), "gmail.com/v1");
  EXPECT_EQ(queue.domain(), "gmail.com");
  EXPECT_EQ(queue.vmta_name(), "v1");
}

TEST_F(QueueTest, TakesOneMessageAtATimeInOrder) {
  for (std::uint32_t i = 0; i < 3; ++i) queue.push(make(a, i));
  queue.push(make(b, 10));
  queue.push(make(a, 3));
  Batch batch;
  queue.take(batch, 100);
  EXPECT_EQ(numbers(batch), (std::vector<std::uint32_t>{0, 1, 2}));
  batch.clear();
  queue.take(batch, 100);
  EXPECT_EQ(numbers(batch), (std::vector<std::uint32_t>{10}));
  EXPECT_EQ(queue.ready(), 1u);
  EXPECT_EQ(queue.size(), 5u);
}

TEST_F(QueueTest, TakesNoMoreThanAsked) {
  for (std::uint32_t i = 0; i < 5; ++i) queue.push(make(a, i));
  Batch batch;
  queue.take(batch, 2);
  EXPECT_EQ(numbers(batch), (std::vector<std::uint32_t>{0, 1}));
  batch.clear();
  queue.take(batch, 0);
  EXPECT_TRUE(batch.empty());
}

TEST_F(QueueTest, PutBackComesFirstAgain) {
  for (std::uint32_t i = 0; i < 3; ++i) queue.push(make(a, i));
  Batch batch;
  queue.take(batch, 2);
  for (auto item = batch.rbegin(); item != batch.rend(); ++item) queue.put_back(**item);
  batch.clear();
  queue.take(batch, 3);
  EXPECT_EQ(numbers(batch), (std::vector<std::uint32_t>{0, 1, 2}));
}

TEST_F(QueueTest, PutBackIntoAnEmptyQueueKeepsTheTail) {
  queue.push(make(a, 1));
  Batch batch;
  queue.take(batch, 1);
  queue.put_back(*batch.front());
  queue.push(make(a, 2));
  batch.clear();
  queue.take(batch, 9);
  EXPECT_EQ(numbers(batch), (std::vector<std::uint32_t>{1, 2}));
}

TEST_F(QueueTest, RetriesWakeByTheirTime) {
  const MonoTime start{};
  for (const int seconds : {30, 10, 20}) {
    Item& item = make(a, static_cast<std::uint32_t>(seconds));
    item.due = start + std::chrono::seconds(seconds);
    queue.wait(item, false);
  }
  EXPECT_EQ(queue.next_wake(), start + 10s);
  EXPECT_EQ(queue.wake(start + 10s - 1ns), 0u);
  EXPECT_EQ(queue.wake(start + 20s), 2u);
  EXPECT_EQ(queue.waiting(), 1u);
  Batch batch;
  queue.take(batch, 9);
  EXPECT_EQ(numbers(batch), (std::vector<std::uint32_t>{10, 20}));
  EXPECT_EQ(queue.wake_all(), 1u);
  EXPECT_FALSE(queue.next_wake());
}

TEST_F(QueueTest, CountsTakenItemsUntilTheyEnd) {
  queue.push(make(a, 0));
  Batch batch;
  queue.take(batch, 1);
  EXPECT_EQ(queue.size(), 1u);
  queue.ended(*batch.front());
  EXPECT_EQ(queue.size(), 0u);
}

TEST_F(QueueTest, KeepsTheNewestEvents) {
  for (int i = 0; i < 15; ++i) queue.note({}, true, std::to_string(i));
  ASSERT_EQ(queue.events().size(), Queue::kEventsMax);
  EXPECT_EQ(queue.events().front().text, "14");
}

TEST(QueueTable, FindsByBothParts) {
  QueueTable table;
  const auto add = [&table](const char* domain, const char* vmta) {
    table.add(std::make_unique<Queue>(domain, vmta, [](runtime::Timer&) {}, nullptr));
  };
  add("a.com", "v1");
  add("a.com", "v2");
  add("b.com", "v1");
  ASSERT_NE(table.find({"a.com", "v2"}), nullptr);
  EXPECT_EQ(table.find({"a.com", "v2"})->name(), "a.com/v2");
  EXPECT_EQ(table.find({"a.co", "mv2"}), nullptr);
  EXPECT_EQ(table.find({"b.com", "v2"}), nullptr);
  table.remove(*table.find({"a.com", "v1"}));
  EXPECT_EQ(table.find({"a.com", "v1"}), nullptr);
  EXPECT_EQ(table.size(), 2u);
}

TEST_F(QueueTest, TotalsAreWhatAllQueuesHold) {
  QueueTable table;
  Queue& one = table.add(std::make_unique<Queue>("a.com", "v1", [](runtime::Timer&) {}, nullptr));
  Queue& two = table.add(std::make_unique<Queue>("b.com", "v1", [](runtime::Timer&) {}, nullptr));
  const auto expect = [&](std::size_t recipients, std::size_t queues, const char* after) {
    EXPECT_EQ(table.totals().recipients, recipients) << after;
    EXPECT_EQ(table.totals().queues, queues) << after;
    EXPECT_EQ(table.totals().bytes, one.bytes() + two.bytes()) << after;
    EXPECT_EQ(one.size() + two.size(), recipients) << after;
  };
  expect(0, 0, "nothing");
  for (std::uint32_t i = 0; i < 4; ++i) one.push(make(a, i));
  Item& later = make(b, 0);
  later.due = MonoTime{} + std::chrono::hours(1);
  two.wait(later, false);
  expect(5, 2, "push and wait");
  Batch batch;
  one.take(batch, 2);
  expect(5, 2, "take");
  one.ended(*batch[0]);
  one.put_back(*batch[1]);
  expect(4, 2, "an end, and one put back");
  Batch moved;
  two.extract(moved, 9, [](const Item&) { return true; });
  expect(4, 2, "extract takes without ending");
  two.ended(*moved.front());
  expect(3, 1, "one queue is empty");
  std::size_t visited = 0;
  one.remove_all([&](Item& item) {
    ++visited;
    two.push(item);
  });
  EXPECT_EQ(visited, 3u);
  expect(3, 1, "all moved to the other");
  table.remove(one);
  EXPECT_EQ(table.totals().recipients, 3u);
}

TEST_F(QueueTest, HigherPrioritiesGoFirstAndKeepTheirOrder) {
  static constexpr std::uint8_t kPriorities[] = {50, 90, 50, 10, 90, 50};
  for (std::uint32_t i = 0; i < 6; ++i) {
    Item& item = make(i % 2 == 0 ? a : b, i);
    item.priority = kPriorities[i];
    queue.push(item);
  }
  std::vector<std::uint32_t> order;
  Batch first;
  queue.take(first, 1);
  EXPECT_EQ(numbers(first), (std::vector<std::uint32_t>{1}));
  queue.put_back(*first.front());
  while (queue.ready() > 0) {
    Batch batch;
    queue.take(batch, 100);
    for (const std::uint32_t one : numbers(batch)) order.push_back(one);
  }
  EXPECT_EQ(order, (std::vector<std::uint32_t>{1, 4, 0, 2, 5, 3}));
}

TEST_F(QueueTest, ExtractsFromEverywhere) {
  const MonoTime soon{5s};
  for (std::uint32_t i = 0; i < 6; ++i) {
    Item& item = make(a, i);
    item.due = soon;
    if (i % 2 == 0) {
      queue.push(item);
    } else {
      queue.wait(item, false);
    }
  }
  Batch batch;
  queue.extract(batch, 100, [](const Item& item) { return item.recipient >= 3; });
  EXPECT_EQ(batch.size(), 3u);
  EXPECT_EQ(queue.ready(), 2u);
  EXPECT_EQ(queue.waiting(), 1u);
  for (Item* item : batch) queue.give_back(*item, MonoTime{});
  EXPECT_EQ(queue.waiting(), 4u);
  EXPECT_EQ(queue.wake(soon), 4u);
  EXPECT_EQ(queue.ready(), 6u);
}

TEST_F(QueueTest, RemovesSomeInTheOrderTheyWouldGo) {
  for (std::uint32_t i = 0; i < 3; ++i) queue.push(make(a, i));
  Item& urgent = make(b, 10);
  urgent.priority = 90;
  queue.push(urgent);
  for (std::uint32_t i = 0; i < 3; ++i) {
    Item& later = make(b, 22 - i);
    later.due = MonoTime{1s * (3 - i)};
    queue.wait(later, false);
  }
  std::vector<std::uint32_t> out;
  const auto visit = [&](Item& item) {
    out.push_back(item.recipient);
    pool.give_back(&item);
  };
  EXPECT_EQ(queue.remove_some(2, visit), 2u);
  EXPECT_EQ(queue.size(), 5u);
  EXPECT_EQ(queue.ready(), 2u);
  EXPECT_EQ(queue.remove_some(100, visit), 5u);
  EXPECT_EQ(out, (std::vector<std::uint32_t>{10, 0, 1, 2, 20, 21, 22}));
  EXPECT_EQ(queue.size(), 0u);
  EXPECT_EQ(queue.taken(), 0u);
  EXPECT_EQ(queue.remove_some(1, visit), 0u);
}

TEST_F(QueueTest, OlderMailGoesBeforeWhatCameMeanwhile) {
  queue.push(make(a, 10));
  queue.expect_older();
  queue.push_older(make(b, 0));
  queue.push(make(a, 11));
  queue.expect_older();
  queue.push_older(make(b, 1));
  Item& urgent = make(a, 12);
  urgent.priority = 90;
  queue.push(urgent);
  EXPECT_EQ(queue.ready(), 5u);
  queue.bring_together();
  queue.push(make(a, 13));
  std::vector<std::uint32_t> out;
  queue.remove_all([&](Item& item) {
    out.push_back(item.recipient);
    pool.give_back(&item);
  });
  EXPECT_EQ(out, (std::vector<std::uint32_t>{12, 0, 1, 10, 11, 13}));
  EXPECT_EQ(queue.ready(), 0u);
}

TEST(ItemPool, ReusesWhatCameBack) {
  ItemPool pool;
  Item* first = pool.make();
  pool.give_back(first);
  EXPECT_EQ(pool.make(), first);
  EXPECT_EQ(pool.live(), 1u);
}

}  // namespace
}  // namespace sluice::queue
