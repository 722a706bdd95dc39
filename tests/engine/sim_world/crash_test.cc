// Goal: what a machine leaves behind when it crashes is what its disk had promised, names included; peers see what
// peers of a dead machine see; and the machine boots again.
// How: coroutines write, sync and talk; the machine is killed or loses power at a chosen or random moment; what is
// found is compared with what had been confirmed before. No leak may be left (run under the address sanitizer).
#include <gtest/gtest.h>

#include <cerrno>
#include <set>
#include <string>
#include <vector>

#include "engine/runtime/file.h"
#include "engine/runtime/stream.h"
#include "engine/runtime/sync.h"
#include "tests/support/sim_test.h"

namespace sluice::runtime::sim {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

class CrashTest : public test::SimTest {
 protected:
  void lose(Loss loss) { world.disk().options.loss = loss; }
  void reboot() {
    world.crash();
    world.machine().boot();
  }
};

Task<void> writes_three_files(Reactor& reactor) {
  Result<File> synced = co_await File::open(reactor, "/spool/synced", {.create = true});
  EXPECT_TRUE((co_await synced->write(bytes_of("synced"), 0)).has_value());
  EXPECT_TRUE((co_await synced->sync()).has_value());
  Result<File> durable = co_await File::open(reactor, "/spool/durable", {.create = true});
  EXPECT_TRUE((co_await durable->write(bytes_of("durable"), 0, true)).has_value());
  EXPECT_TRUE((co_await sync_directory(reactor, "/spool")).has_value());
  Result<File> nameless = co_await File::open(reactor, "/spool/nameless", {.create = true});
  EXPECT_TRUE((co_await nameless->write(bytes_of("synced, but its name was not"), 0, true)).has_value());
  EXPECT_TRUE((co_await durable->write(bytes_of(" and more"), 7)).has_value());
}

TEST_F(CrashTest, UnsyncedBytesAndNamesAreLost) {
  lose(Loss::All);
  world.disk().put("/spool/keep", "kept");
  ASSERT_TRUE(test::finish(world, writes_three_files(here())));
  EXPECT_EQ(world.disk().content("/spool/durable"), "durable and more");
  reboot();
  EXPECT_EQ(world.disk().files_below("/"),
            (std::vector<std::string>{"/spool/durable", "/spool/keep", "/spool/synced"}));
  EXPECT_EQ(world.disk().content("/spool/synced"), "synced");
  EXPECT_EQ(world.disk().content("/spool/durable"), "durable");
}

TEST_F(CrashTest, AKilledProcessKeepsThePageCache) {
  lose(Loss::All);
  world.disk().put("/spool/keep", "kept");
  ASSERT_TRUE(test::finish(world, writes_three_files(here())));
  world.crash(Crash::Kill);
  world.machine().boot();
  EXPECT_EQ(world.disk().content("/spool/durable"), "durable and more");
  EXPECT_TRUE(world.disk().exists("/spool/nameless"));
  EXPECT_EQ(world.machine().boots(), 2u);
}

TEST_F(CrashTest, TheFileSystemCommitsNamesByItself) {
  lose(Loss::All);
  world.disk().put("/spool/keep", "kept");
  ASSERT_TRUE(test::finish(world, writes_three_files(here())));
  world.run_for(6s);
  world.disk().options.names_commit_after = 5s;
  const auto touch = [](Reactor& reactor) -> Task<void> { co_await unlink_file(reactor, "/spool/keep"); };
  ASSERT_TRUE(test::finish(world, touch(here())));
  reboot();
  EXPECT_TRUE(world.disk().exists("/spool/nameless"));
  EXPECT_TRUE(world.disk().exists("/spool/keep")) << "the removal was too young";
}

// --- Replacing a file as a whole: any crash leaves the old or the new one.

Task<void> replaces(Reactor& reactor, int from, int& confirmed) {
  for (int version = from; version < from + 50; ++version) {
    std::string content(5000, static_cast<char>('a' + version % 26));
    EXPECT_TRUE((co_await replace_file(reactor, "/etc/state", std::move(content))).has_value());
    confirmed = version;
  }
}

class EverySeed : public ::testing::TestWithParam<std::uint64_t> {};

TEST_P(EverySeed, ReplacedFilesAreOldOrNewAfterAnyCrash) {
  World world(GetParam());
  Random random = Random(GetParam()).branch(99);
  world.disk().options.names_in_order = GetParam() % 2 == 0;
  world.disk().put("/etc/state", "");
  int confirmed = -1;
  for (int life = 0; life < 10; ++life) {
    const int before = confirmed;
    test::start(replaces(world.reactor(), before + 1, confirmed));
    world.run_for(random.between(0ms, 40ms));
    const Crash how = random.chance(0.3) ? Crash::Kill : Crash::PowerCut;
    world.crash(how);
    world.machine().boot();
    const std::string found = world.disk().content("/etc/state");
    if (confirmed < 0 && found.empty()) continue;
    ASSERT_EQ(found.size(), 5000u) << "seed " << GetParam();
    ASSERT_TRUE(found == std::string(5000, found[0]));
    const char old_one = static_cast<char>('a' + confirmed % 26);
    const char new_one = static_cast<char>('a' + (confirmed + 1) % 26);
    ASSERT_TRUE((confirmed >= 0 && found[0] == old_one) || found[0] == new_one)
        << "seed " << GetParam() << " confirmed " << confirmed << " found " << found[0];
    // After a kill the new name may live in the cache only.
    if (found[0] == new_one && how == Crash::PowerCut) ++confirmed;
  }
}

// --- A log of records with durable writes, as the spool writes it.

Task<void> appends_records(Reactor& reactor, std::uint64_t offset, std::vector<std::uint64_t>& confirmed) {
  Result<File> file = co_await File::open(reactor, "/spool/log", {});
  EXPECT_TRUE(file.has_value());
  for (;; offset += 1000) {
    const std::string record(1000, static_cast<char>('A' + offset / 1000 % 26));
    if (!co_await file->write(bytes_of(record), offset, true)) co_return;
    confirmed.push_back(offset);
  }
}

TEST_P(EverySeed, ConfirmedRecordsSurviveAndOnlyTheLastIsTorn) {
  World world(GetParam());
  Random random = Random(GetParam()).branch(7);
  world.disk().put("/spool/log", std::string(100'000, '.'));
  std::vector<std::uint64_t> confirmed;
  test::start(appends_records(world.reactor(), 0, confirmed));
  world.run_for(random.between(0ms, 30ms));
  world.crash();
  world.machine().boot();
  const std::string found = world.disk().content("/spool/log");
  for (const std::uint64_t offset : confirmed) {
    ASSERT_EQ(found.substr(offset, 1000), std::string(1000, static_cast<char>('A' + offset / 1000 % 26)));
  }
  const std::uint64_t next = confirmed.empty() ? 0 : confirmed.back() + 1000;
  EXPECT_TRUE(found.substr(next + 1000) == std::string(100'000 - next - 1000, '.'))
      << "beyond the write under way";
}
INSTANTIATE_TEST_SUITE_P(Seeds, EverySeed, ::testing::Range<std::uint64_t>(1, 41));

TEST(Crash, SomeSeedsTearAWriteUnderWay) {
  int torn = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    World world(seed);
    world.disk().put("/spool/log", std::string(100'000, '.'));
    std::vector<std::uint64_t> confirmed;
    test::start(appends_records(world.reactor(), 0, confirmed));
    world.run_for(10ms + std::chrono::microseconds(seed * 13));
    world.crash();
    world.machine().boot();
    const std::string found = world.disk().content("/spool/log");
    const std::size_t end = found.find_last_not_of('.');
    const std::uint64_t next = confirmed.empty() ? 0 : confirmed.back() + 1000;
    if (end != std::string::npos && end >= next && found.substr(next, 1000).find('.') != std::string::npos)
      ++torn;
  }
  EXPECT_GT(torn, 3);
}

// --- Peers of a machine that dies.

const Endpoint kServer{IpAddress::from_v4({192, 0, 2, 1}), 25};

struct PeerSide {
  Stream stream;
  std::optional<Error> error;
  bool ended = false;
};
Task<void> waits_for_the_end(PeerSide& side) {
  for (;;) {
    const Result<ReceivedBytes> got = co_await side.stream.receive();
    if (!got) side.error = got.error();
    if (!got || got->bytes().empty()) break;
  }
  side.ended = true;
}
Task<void> connects(Reactor& reactor, PeerSide& side) {
  Result<Stream> got = co_await Stream::connect(reactor, kServer, nullptr, 10min);
  if (got) side.stream = std::move(*got);
  if (!got) side.error = got.error();
}
/// The server's whole life: what it holds dies with its machine.
struct Server {
  explicit Server(Reactor& reactor) : listener(*Listener::open(reactor, kServer)), gate(reactor) {}
  Listener listener;
  Gate gate;
  std::vector<Stream> streams;
};
Task<void> serves(Server& server) {
  for (;;) {
    Result<Stream> got = co_await server.listener.accept();
    if (!got) co_return;
    server.streams.push_back(std::move(*got));
  }
}
Task<void> waits_for_ever(Server& server) { co_await server.gate.wait(); }
Task<Status> send_text(Stream& stream, std::string text) { co_return co_await stream.send(text); }

class PeersOfTheDead : public CrashTest {
 protected:
  PeersOfTheDead() {
    server = std::make_unique<Server>(here());
    test::start(serves(*server));
    test::start(waits_for_ever(*server));
    EXPECT_TRUE(test::finish(world, connects(there(), peer)));
    world.run_for(1s);
    test::start(waits_for_the_end(peer));
  }
  ~PeersOfTheDead() override {
    if (peer.stream) peer.stream.abort();
    world.run_for(1s);
  }
  void crash(Crash how) {
    world.crash(how);
    world.machine().bury(std::move(server));
  }
  std::unique_ptr<Server> server;
  PeerSide peer;
};

TEST_F(PeersOfTheDead, AKilledProcessEndsItsConnections) {
  crash(Crash::Kill);
  world.run_for(1s);
  EXPECT_TRUE(peer.ended);
  PeerSide next;
  EXPECT_TRUE(test::finish(world, connects(there(), next)));
  EXPECT_EQ(next.error->code, Errc::Refused) << "the machine is up, nobody listens";
}

TEST_F(PeersOfTheDead, AfterAPowerCutThereIsSilenceUntilSomebodySpeaks) {
  crash(Crash::PowerCut);
  world.run_for(1h);
  EXPECT_FALSE(peer.ended);
  world.machine().boot();
  world.run_for(1h);
  EXPECT_FALSE(peer.ended);
  EXPECT_TRUE(*test::finish(world, send_text(peer.stream, "hello?")));
  world.run_for(1s);
  ASSERT_TRUE(peer.ended);
  EXPECT_EQ(peer.error->sys_errno, ECONNRESET) << "the rebooted machine knows nothing of the connection";
}

TEST_F(PeersOfTheDead, SpeakingToADeadMachineIsAnsweredAtItsReboot) {
  crash(Crash::PowerCut);
  EXPECT_TRUE(*test::finish(world, send_text(peer.stream, "hello?")));
  world.run_for(60s);
  EXPECT_FALSE(peer.ended);
  PeerSide next;
  test::start(connects(there(), next));
  world.run_for(5s);
  world.machine().boot();
  world.run_for(2s);
  EXPECT_TRUE(peer.ended);
  EXPECT_EQ(next.error->code, Errc::Refused) << "silent while down, refused once up";
}

TEST_F(PeersOfTheDead, AMachineThatStaysDownEndsInATimeout) {
  crash(Crash::PowerCut);
  EXPECT_TRUE(*test::finish(world, send_text(peer.stream, "hello?")));
  world.run_until([&] { return peer.ended; }, 1h);
  EXPECT_EQ(peer.error->sys_errno, ETIMEDOUT);
}

TEST_F(PeersOfTheDead, ALaterLifeListensAgain) {
  for (int life = 0; life < 3; ++life) {
    crash(life % 2 == 0 ? Crash::PowerCut : Crash::Kill);
    world.machine().boot();
    server = std::make_unique<Server>(here());
    test::start(serves(*server));
    PeerSide next;
    ASSERT_TRUE(test::finish(world, connects(there(), next)));
    EXPECT_FALSE(next.error);
    world.run_for(1s);
    EXPECT_EQ(server->streams.size(), 1u);
  }
  crash(Crash::PowerCut);
}

// --- Space and errors.

class FullDisk : public test::SimTest {
 protected:
  static WorldOptions small() {
    WorldOptions options;
    options.machine.disk.capacity_bytes = 40 * 4096;
    return options;
  }
  FullDisk() : SimTest(1, small()) {}
};

Task<Result<std::int32_t>> write_once(Reactor& reactor, int fd, std::string bytes, std::uint64_t offset) {
  Op op;
  op.kind = OpKind::Write;
  op.fd = fd;
  op.data = reinterpret_cast<std::byte*>(bytes.data());
  op.size = bytes.size();
  op.offset = offset;
  co_return co_await perform(reactor, op);
}
Task<Result<File>> open_file(Reactor& reactor, std::string path, OpenOptions options) {
  co_return co_await File::open(reactor, std::move(path), options);
}
Task<Status> unlink_named(Reactor& reactor, std::string path) {
  co_return co_await unlink_file(reactor, std::move(path));
}
Task<Status> sync_of(File& file) { co_return co_await file.sync(); }

TEST_F(FullDisk, WritesComeUpShortAndThenFail) {
  File file = std::move(**test::finish(world, open_file(here(), "/big", {.create = true})));
  EXPECT_EQ(**test::finish(world, write_once(here(), file.fd(), std::string(38 * 4096, 'x'), 0)), 38 * 4096);
  EXPECT_EQ(here().space_of("/")->free_bytes, 2u * 4096);
  EXPECT_EQ(**test::finish(world, write_once(here(), file.fd(), std::string(4 * 4096, 'x'), 38 * 4096)),
            2 * 4096);
  EXPECT_EQ(**test::finish(world, write_once(here(), file.fd(), std::string(4 * 4096, 'x'), 40 * 4096)),
            -ENOSPC);
  EXPECT_EQ(**test::finish(world, write_once(here(), file.fd(), "rewriting is free", 0)), 17);
  EXPECT_EQ(test::finish(world, open_file(here(), "/more", {.create = true}))->error().code, Errc::NoSpace);
  EXPECT_TRUE(*test::finish(world, unlink_named(here(), "/big")));
  EXPECT_EQ(here().space_of("/")->free_bytes, 0u) << "an open file keeps its space";
  file = File();
  EXPECT_EQ(here().space_of("/")->free_bytes, 40u * 4096);
}

TEST_F(FullDisk, AScriptedEioOnSyncIsNotForgivenByTheNext) {
  world.disk().options.loss = Loss::Nothing;
  world.disk().put("/f", "old");
  File file = std::move(**test::finish(world, open_file(here(), "/f", {})));
  world.faults().add(
      {.kind = OpKind::Sync, .path_contains = "/f", .strike = Strike::Error, .sys_errno = EIO});
  EXPECT_EQ(**test::finish(world, write_once(here(), file.fd(), "new", 0)), 3);
  EXPECT_EQ(test::finish(world, sync_of(file))->error().sys_errno, EIO);
  EXPECT_TRUE(*test::finish(world, sync_of(file)));
  world.crash();
  world.machine().boot();
  EXPECT_EQ(world.disk().content("/f"), "old");
}

TEST_F(FullDisk, ShortWritesAndSlowSyncsAsScripted) {
  File file = std::move(**test::finish(world, open_file(here(), "/f", {.create = true})));
  world.faults().add({.kind = OpKind::Write, .skip = 1, .strike = Strike::Short});
  EXPECT_EQ(**test::finish(world, write_once(here(), file.fd(), std::string(1000, 'x'), 0)), 1000);
  const std::int32_t second = **test::finish(world, write_once(here(), file.fd(), std::string(1000, 'x'), 0));
  EXPECT_GT(second, 0);
  EXPECT_LT(second, 1000);
  world.disk().options.durable_min = world.disk().options.durable_max = 2s;
  const MonoTime begin = world.now();
  EXPECT_TRUE(*test::finish(world, sync_of(file)));
  EXPECT_GE(world.now() - begin, 2s);
}

TEST_F(FullDisk, RotIsFoundByWhoReads) {
  world.disk().put("/f", "hello");
  world.disk().flip_bit("/f", 1, 0);
  EXPECT_EQ(world.disk().content("/f"), "hdllo");
  world.disk().cut("/f", 2);
  EXPECT_EQ(world.disk().content("/f"), "hd");
}

}  // namespace
}  // namespace sluice::runtime::sim
