// Goal: a writer with its buffers and segments keeps its promises whatever is written, in any order, on any disk: each
//       buffer is in exactly one list, nobody waits for room while nothing moves, a record is whole when its group is
//       told done, what was acknowledged reads back, and a stop ends.
// How:  clients that draw sizes over eight decades and come, wait and leave at random; pins of readers; segments given
//       back; a disk that is slow, short, full or refuses; a kill or power cut. Production's own limits by turns with
//       small ones, which reach every edge more often. Invariants are checked all the time.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <list>
#include <random>

#include "engine/log/bytes.h"
#include "engine/log/writer.h"
#include "engine/spool/commit_buffers.h"
#include "tests/support/sim_test.h"

namespace sluice::spool {
namespace {

// More when asked for: SLUICE_WRITER_SEEDS=500 engine_spool_writer_test.
const int kSeeds = [] {
  const char* asked = std::getenv("SLUICE_WRITER_SEEDS");
  return asked == nullptr ? 24 : static_cast<int>(std::strtol(asked, nullptr, 10));
}();

struct Limits {
  std::uint64_t segment_bytes = 64 * kMiB;
  std::size_t buffers = 256;
  std::uint64_t large_bytes = 64 * kMiB;
  std::size_t largest = 60 * kMiB;
  std::uint64_t total_bytes = 260 * kMiB;
};
constexpr Limits kProduction;
constexpr Limits kSmall{.segment_bytes = 2 * kMiB,
                        .buffers = 8,
                        .large_bytes = 1 * kMiB,
                        .largest = 2 * kMiB - 8 * kKiB,
                        .total_bytes = 60 * kMiB};

std::string text_of(std::uint64_t number, std::size_t bytes) {
  std::string out(bytes, static_cast<char>('a' + number % 26));
  const std::string name = std::to_string(number) + ' ';
  out.replace(0, std::min(bytes, name.size()), name, 0, std::min(bytes, name.size()));
  return out;
}
std::string_view view_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// One shard: a writer and everything it needs.
class Rig final : log::GroupSink {
 public:
  Rig(runtime::Reactor& reactor, const Limits& limits, std::uint64_t seed)
      : reactor_(reactor),
        limits_(limits),
        random_(seed),
        buffers(reactor, limits.buffers, 256 * kKiB, limits.large_bytes),
        store(reactor, store_options(limits, reactor.shard().raw()), [this] { writer.segments_changed(); }),
        writer(reactor, {.shard = reactor.shard().raw(), .in_flight_max = 4}, store, buffers, *this) {}

  static log::SegmentStoreOptions store_options(const Limits& limits, std::uint32_t shard) {
    log::SegmentStoreOptions out;
    out.places = {{.directory = "/spool" + std::to_string(shard)}};
    out.shard = shard;
    out.segment_bytes = limits.segment_bytes;
    out.prefill = false;
    return out;
  }

  struct Record {
    std::uint64_t number = 0;
    std::size_t bytes = 0;
    std::uint64_t sequence = 0;
    std::uint32_t slot = 0;
    std::uint32_t segment = 0;
    std::uint32_t offset = 0;
    std::span<const std::byte> payload;
    log::SegmentSeed seed{};
  };
  // A client with a record.
  struct Client final : log::RoomWaiter {
    Rig& rig;
    std::uint64_t number;
    std::size_t bytes;
    bool answered = false;
    Client(Rig& a_rig, std::uint64_t a_number, std::size_t some)
        : rig(a_rig), number(a_number), bytes(some) {}
    void on_room(Result<log::Room> room) override {
      answered = true;
      if (room) rig.put(*room, number, bytes);
    }
  };

  runtime::Task<void> start() {
    writer.start(1);
    (void)co_await store.start(1);
  }
  // Comes, waits or leaves, again and again.
  runtime::Task<void> run_client(std::size_t records) {
    for (std::size_t i = 0; i < records; ++i) {
      const std::uint64_t pause = below(3) == 0 ? below(4000) : 0;
      co_await runtime::sleep_for(reactor_, std::chrono::microseconds(pause));
      Client client(*this, ++numbers_ * 2 + reactor_.shard().raw(), draw());
      if (below(10) == 0) {
        if (const auto room = writer.begin(client.bytes)) put(*room, client.number, client.bytes);
      } else {
        writer.reserve(client, client.bytes);
        const MonoTime leaves = reactor_.now() + std::chrono::microseconds(below(3000));
        const bool is_patient = below(5) != 0;
        while (!client.answered && (is_patient || reactor_.now() < leaves)) {
          co_await runtime::sleep_for(reactor_, 200us);
        }
        writer.cancel(client);
      }
      touch_pins();
      give_segments_back();
    }
    ++clients_done;
  }

  // What holds at every moment.
  void check() const {
    const auto census = buffers.census();
    EXPECT_LE(census.open, 1u);
    if (writer.waiters() > 0) {
      EXPECT_TRUE(writer.has_work() || !store.has_spare()) << "somebody waits and nothing moves";
    }
  }
  // Everything acknowledged and not given back is on the disk. In any file: a power cut may undo the renaming of a
  // segment, and the header tells which it is.
  void check_disk(runtime::sim::Disk& disk) const {
    std::vector<std::string> files;
    for (const std::string& path : disk.files_below("/spool" + std::to_string(reactor_.shard().raw()))) {
      files.push_back(disk.content(path));
    }
    for (const Record& one : kept_) {
      const bool there = std::ranges::any_of(files, [&one](const std::string& file) {
        const auto bytes = std::as_bytes(std::span(file));
        if (one.offset >= bytes.size()) return false;
        const auto record = log::parse_record(bytes.subspan(one.offset), one.offset, one.seed);
        return record && view_of(record->payload) == text_of(one.number, one.bytes);
      });
      ASSERT_TRUE(there) << "lost: record " << one.number << " of " << one.bytes << " bytes at "
                         << one.offset;
    }
  }
  void unpin_all() {
    for (CommitBuffer* one : std::exchange(pinned_, {})) buffers.unpin(*one);
  }

 private:
  runtime::Reactor& reactor_;
  const Limits& limits_;
  std::mt19937_64 random_;

 public:
  CommitBuffers buffers;
  log::SegmentStore store;
  log::Writer writer;
  std::size_t clients_done = 0;
  std::size_t acknowledged = 0;

 private:
  std::uint64_t below(std::uint64_t limit) { return random_() % limit; }
  std::size_t draw() {
    std::size_t bytes = (std::size_t{1} << below(20)) + below(100);
    if (below(3) == 0) bytes = 200 * kKiB + below(112 * kKiB);  // about as large as a buffer
    if (below(6) == 0) bytes = limits_.largest / 4 + below(limits_.largest * 3 / 4) + 1;
    if (below(20) == 0) bytes = limits_.largest;
    if (bytes > limits_.largest || bytes > left_) bytes = 1 + below(2000);
    left_ -= std::min<std::uint64_t>(left_, bytes);
    return bytes;
  }
  void put(const log::Room& room, std::uint64_t number, std::size_t bytes) {
    const std::string text = text_of(number, bytes);
    std::memcpy(room.payload.data(), text.data(), bytes);
    writer.end(room, log::RecordType::Message);
    ++room.segment->live_records;
    pending_.push_back({number, bytes, room.sequence, room.segment->slot, room.segment->header.number,
                        room.offset, room.payload, room.segment->seed});
  }
  void group_done(const log::GroupDone& done) override {
    EXPECT_GT(done.sequence, last_done_);
    last_done_ = done.sequence;
    while (!pending_.empty() && pending_.front().sequence <= done.sequence) {
      Record& one = pending_.front();
      EXPECT_EQ(one.segment, done.segment);
      EXPECT_TRUE(view_of(one.payload) == text_of(one.number, one.bytes))
          << "overwritten before it was written";
      if (done.status) {
        ++acknowledged;
        kept_.push_back(one);
      } else {
        --store.at(one.slot).live_records;
      }
      pending_.pop_front();
    }
  }
  // Readers hold some of the buffers, and as many as they are let.
  void touch_pins() {
    if (below(2) == 0 && !pinned_.empty()) {
      const std::size_t at = below(pinned_.size());
      buffers.unpin(*pinned_[at]);
      pinned_.erase(pinned_.begin() + static_cast<std::ptrdiff_t>(at));
    }
    for (std::uint64_t tries = below(12); tries > 0; --tries) {
      CommitBuffer& one = buffers.at(static_cast<std::uint32_t>(below(limits_.buffers)));
      if (buffers.pin(one)) pinned_.push_back(&one);
    }
  }
  void give_segments_back() {
    std::erase_if(kept_, [this](const Record& one) {
      const bool ends = below(8) == 0;
      if (ends) --store.at(one.slot).live_records;
      return ends;
    });
    for (std::uint32_t slot = 0; slot < store.slots(); ++slot) {
      log::Segment& one = store.at(slot);
      if (one.state == log::Segment::State::Sealed && one.live_records == 0) store.retire(one);
    }
  }

  std::uint64_t left_ = limits_.total_bytes;
  std::uint64_t numbers_ = 0;
  std::uint64_t last_done_ = 0;
  std::deque<Record> pending_;
  std::vector<Record> kept_;
  std::vector<CommitBuffer*> pinned_;
};

class WriterModelTest : public test::SimTest, public ::testing::WithParamInterface<int> {
 protected:
  static constexpr std::size_t kShards = 2;
  WriterModelTest()
      : SimTest(static_cast<std::uint64_t>(GetParam()) + 1, {.machine = {.reactors = kShards}}) {}
};

TEST_P(WriterModelTest, KeepsItsPromises) {
  const Limits& limits = GetParam() % 4 == 0 ? kProduction : kSmall;
  std::mt19937_64 random(world.seed() * 104'729);
  const auto below = [&random](std::uint64_t limit) { return random() % limit; };
  std::vector<std::unique_ptr<Rig>> rigs;
  for (std::size_t i = 0; i < kShards; ++i) {
    rigs.push_back(std::make_unique<Rig>(here(i), limits, random()));
    world.disk().put("/spool" + std::to_string(i) + "/.made", "");  // a directory that outlives a power cut
    ASSERT_TRUE(test::finish(world, rigs.back()->start()));
  }
  if (below(3) == 0) {
    world.faults().plan.operation_delayed = 0.3;
    world.faults().plan.delay_max = std::chrono::milliseconds(1 + below(50));
  }
  if (below(3) == 0) world.faults().plan.write_short = 0.3;
  if (below(3) == 0) {
    world.faults().add({.kind = runtime::OpKind::Write,
                        .path_contains = "/spool" + std::to_string(below(2)),
                        .skip = below(80),
                        .times = 1 + below(3),
                        .sys_errno = below(2) == 0 ? EIO : ENOSPC});
  }
  if (below(4) == 0) world.disk().options.capacity_bytes = 6 * limits.segment_bytes;
  std::size_t clients = 0;
  for (auto& rig : rigs) {
    for (std::uint64_t n = 1 + below(12); n > 0; --n, ++clients) test::start(rig->run_client(1 + below(40)));
  }
  const bool dies = below(3) == 0;
  const MonoTime dies_at = world.now() + std::chrono::microseconds(below(60'000));
  std::uint64_t steps = 0;
  const auto ended = world.run_until(
      [&] {
        std::size_t done = 0;
        for (auto& rig : rigs) {
          if (++steps % (limits.buffers / 4) == 0) rig->check();
          done += rig->clients_done;
        }
        return done == clients || (dies && world.now() >= dies_at) || HasFailure();
      },
      10min);
  EXPECT_EQ(ended, runtime::sim::Ended::Reached) << "somebody waits for ever";
  std::size_t acknowledged = 0;
  for (auto& rig : rigs) acknowledged += rig->acknowledged;
  RecordProperty("acknowledged", static_cast<int>(acknowledged));
  if (dies || HasFailure()) {
    world.crash(below(2) == 0 ? runtime::sim::Crash::Kill : runtime::sim::Crash::PowerCut);
  } else {
    for (auto& rig : rigs) {
      EXPECT_TRUE(test::finish(world, rig->writer.stop(), 1min));
      EXPECT_TRUE(test::finish(world, rig->store.stop(), 1min));
      rig->unpin_all();
      const CommitBuffers::Census left = rig->buffers.census();
      EXPECT_EQ(left.open + left.closed + left.large, 0u);
    }
  }
  for (auto& rig : rigs) rig->check_disk(world.disk());
  if (dies || HasFailure()) {
    for (auto& rig : rigs) world.machine().bury(std::move(rig));
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, WriterModelTest, ::testing::Range(0, kSeeds));

}  // namespace
}  // namespace sluice::spool
