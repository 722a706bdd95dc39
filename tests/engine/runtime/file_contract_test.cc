// Goal: what op.h and file.h promise about files holds in both worlds.
// How: coroutines on a simulated disk (plainly, and with short writes and delays) and in a temporary
// directory through io_uring.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>

#include "engine/runtime/file.h"
#include "tests/engine/runtime/either_world.h"

namespace sluice::runtime {
namespace {

INSTANTIATE_TEST_SUITE_P(Worlds, InEitherWorld,
                         ::testing::Values(Which::Sim, Which::SimInPieces, Which::Uring), world_name);

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

Task<std::string> content_of(Reactor& reactor, std::string path) {
  const Result<std::string> text = co_await read_small_file(reactor, std::move(path), 1 << 20);
  EXPECT_TRUE(text.has_value()) << (text ? "" : text.error().text());
  co_return text.value_or("(unreadable)");
}

/// Memory on the grid of direct I/O.
struct Aligned {
  explicit Aligned(std::size_t bytes)
      : memory(static_cast<std::byte*>(std::aligned_alloc(File::kDirectAlign, bytes)), &std::free),
        size(bytes) {}
  [[nodiscard]] std::span<std::byte> span() const { return {memory.get(), size}; }
  std::unique_ptr<std::byte, decltype(&std::free)> memory;
  std::size_t size;
};

Task<void> writes_and_reads(Reactor& reactor, std::string dir) {
  {
    Result<File> file = co_await File::open(reactor, dir + "/a", {.create = true, .exclusive = true});
    EXPECT_TRUE(file.has_value());
    if (!file) co_return;
    EXPECT_TRUE((co_await file->write(bytes_of("hello, world"), 0)).has_value());
    EXPECT_TRUE((co_await file->write(bytes_of("W"), 7, true)).has_value());
    EXPECT_TRUE((co_await file->write(bytes_of("end"), 9000)).has_value());  // leaves a hole
    EXPECT_TRUE((co_await file->sync()).has_value());
    std::array<std::byte, 20> memory;
    EXPECT_EQ(*co_await file->read(std::span(memory).first(5), 7), 5u);
    EXPECT_EQ(std::string(reinterpret_cast<char*>(memory.data()), 5), "World");
    EXPECT_EQ(*co_await file->read(memory, 8999), 4u);  // short at the end
    EXPECT_EQ(memory[0], std::byte{0});
    EXPECT_EQ(*co_await file->read(memory, 9003), 0u);
    EXPECT_EQ(*co_await file->read(memory, 1 << 20), 0u);
  }
  EXPECT_EQ(*reactor.size_of(dir + "/a"), 9003u);
  const auto again = co_await File::open(reactor, dir + "/a", {.create = true, .exclusive = true});
  EXPECT_EQ(again.error().code, Errc::Exists);
  const auto missing = co_await File::open(reactor, dir + "/none", {});
  EXPECT_EQ(missing.error().code, Errc::NotFound);
  const auto nowhere = co_await File::open(reactor, dir + "/none/x", {.create = true});
  EXPECT_EQ(nowhere.error().code, Errc::NotFound);
  const auto through_file = co_await File::open(reactor, dir + "/a/x", {.create = true});
  EXPECT_EQ(through_file.error().sys_errno, ENOTDIR);
  const auto directory = co_await File::open(reactor, dir, {});
  EXPECT_EQ(directory.error().sys_errno, EISDIR);
}
TEST_P(InEitherWorld, FilesReadWhatWasWritten) { run(writes_and_reads(env.reactor(), env.directory())); }

Task<void> sizes(Reactor& reactor, std::string dir) {
  Result<File> file = co_await File::open(reactor, dir + "/s", {.create = true});
  EXPECT_TRUE((co_await file->write(bytes_of("0123456789"), 0)).has_value());
  EXPECT_TRUE((co_await file->allocate(5000)).has_value());
  EXPECT_EQ(*reactor.size_of(dir + "/s"), 5000u);
  EXPECT_TRUE((co_await file->allocate(100)).has_value());
  EXPECT_EQ(*reactor.size_of(dir + "/s"), 5000u);  // never shrinks
  EXPECT_TRUE((co_await file->truncate(4)).has_value());
  EXPECT_EQ(*reactor.size_of(dir + "/s"), 4u);
  EXPECT_TRUE((co_await file->truncate(8)).has_value());
  std::array<std::byte, 20> memory;
  EXPECT_EQ(*co_await file->read(memory, 0), 8u);
  EXPECT_EQ(std::string(reinterpret_cast<char*>(memory.data()), 8), std::string("0123\0\0\0\0", 8));
  {
    Result<File> cut = co_await File::open(reactor, dir + "/s", {.truncate = true});
    EXPECT_EQ(*reactor.size_of(dir + "/s"), 0u);
  }
}
TEST_P(InEitherWorld, SizesFollowAllocateAndTruncate) { run(sizes(env.reactor(), env.directory())); }

Task<void> appends(Reactor& reactor, std::string dir) {
  {
    Result<File> file = co_await File::open(reactor, dir + "/log", {.create = true, .append = true});
    EXPECT_TRUE((co_await file->write(bytes_of("one\n"), 0)).has_value());
    EXPECT_TRUE((co_await file->write(bytes_of("two\n"), 0)).has_value());  // the offset does not count
  }
  EXPECT_EQ(co_await content_of(reactor, dir + "/log"), "one\ntwo\n");
  Result<File> reader = co_await File::open(reactor, dir + "/log", {.read_only = true});
  EXPECT_FALSE((co_await reader->write(bytes_of("x"), 0)).has_value());
}
TEST_P(InEitherWorld, AppendingIgnoresTheOffset) { run(appends(env.reactor(), env.directory())); }

Task<void> names(Reactor& reactor, std::string dir) {
  EXPECT_TRUE(reactor.make_directories(dir + "/x/y/z", 0750).has_value());
  EXPECT_TRUE(reactor.make_directories(dir + "/x/y/z", 0750).has_value());  // again is fine
  EXPECT_TRUE((co_await replace_file(reactor, dir + "/x/b", "first")).has_value());
  EXPECT_TRUE((co_await replace_file(reactor, dir + "/x/a", "other")).has_value());
  EXPECT_TRUE((co_await replace_file(reactor, dir + "/x/b", "second")).has_value());
  const auto list = reactor.list_directory(dir + "/x");
  EXPECT_TRUE(list.has_value());
  if (!list) co_return;
  EXPECT_EQ(list->size(), 3u);
  EXPECT_EQ((*list)[0].name, "a");
  EXPECT_EQ((*list)[1].name, "b");
  EXPECT_EQ((*list)[1].size_bytes, 6u);
  EXPECT_FALSE((*list)[1].is_directory);
  EXPECT_EQ((*list)[2].name, "y");
  EXPECT_TRUE((*list)[2].is_directory);
  EXPECT_EQ(reactor.list_directory(dir + "/nothing").error().code, Errc::NotFound);
  EXPECT_EQ(reactor.size_of(dir + "/nothing").error().code, Errc::NotFound);

  EXPECT_TRUE((co_await rename_file(reactor, dir + "/x/a", dir + "/x/b")).has_value());
  EXPECT_EQ(co_await content_of(reactor, dir + "/x/b"), "other");
  EXPECT_EQ((co_await rename_file(reactor, dir + "/x/a", dir + "/x/c")).error().code, Errc::NotFound);
  EXPECT_TRUE((co_await unlink_file(reactor, dir + "/x/b")).has_value());
  EXPECT_EQ((co_await unlink_file(reactor, dir + "/x/b")).error().code, Errc::NotFound);
  EXPECT_EQ((co_await unlink_file(reactor, dir + "/x/y")).error().sys_errno, EISDIR);
  EXPECT_EQ((co_await sync_directory(reactor, dir + "/nothing")).error().code, Errc::NotFound);
  Op make;
  make.kind = OpKind::MakeDir;
  const std::string path = dir + "/x/y";
  make.path = path.c_str();
  make.mode = 0750;
  EXPECT_EQ(co_await perform(reactor, make), -EEXIST);
  EXPECT_FALSE((co_await read_small_file(reactor, dir + "/none", 10)).has_value());
  EXPECT_TRUE((co_await replace_file(reactor, dir + "/eleven", "12345678901")).has_value());
  EXPECT_EQ((co_await read_small_file(reactor, dir + "/eleven", 10)).error().code, Errc::NoSpace);
}
TEST_P(InEitherWorld, NamesAreMadeReplacedAndRemoved) { run(names(env.reactor(), env.directory())); }

Task<void> directory_in_parts(Reactor& reactor, std::string dir) {
  EXPECT_TRUE(reactor.make_directories(dir + "/many/below", 0750).has_value());
  for (int i = 0; i < 20; ++i) {
    const std::string path = dir + "/many/" + std::to_string(i);
    Result<File> file = co_await File::open(reactor, path, {.create = true});
    EXPECT_TRUE((co_await file->write(bytes_of("12345"), 0)).has_value());
  }
  auto cursor = reactor.open_directory(dir + "/many");
  EXPECT_TRUE(cursor.has_value());
  if (!cursor) co_return;
  std::map<std::string, FileState> found;
  for (;;) {
    const auto part = (*cursor)->next(3);
    EXPECT_TRUE(part.has_value());
    if (!part || part->empty()) break;
    EXPECT_LE(part->size(), 3u);
    for (const DirectoryCursor::Entry& one : *part) EXPECT_TRUE(found.emplace(one.name, one.state).second);
    // What went away is not named, and is no reason to stop.
    (void)co_await unlink_file(reactor, dir + "/many/7");
  }
  found.erase("7");
  EXPECT_EQ(found.size(), 20u);
  EXPECT_TRUE(found["below"].is_directory && !found["below"].is_plain);
  const FileState& one = found["3"];
  EXPECT_TRUE(one.is_plain && !one.is_directory);
  EXPECT_EQ(one.size_bytes, 5u);
  EXPECT_LT(std::chrono::abs(reactor.wall_now() - one.modified), 10s);

  EXPECT_TRUE((co_await rename_file(reactor, dir + "/many/3", dir + "/many/three")).has_value());
  Result<File> file = co_await File::open(reactor, dir + "/many/three", {});
  const Result<FileState> now = reactor.state_of(file->fd());
  EXPECT_TRUE(now && now->identity == one.identity && now->modified == one.modified);
  EXPECT_FALSE(now->identity == found["4"].identity);
  co_await sleep_for(reactor, 20ms);
  EXPECT_TRUE((co_await file->write(bytes_of("6"), 5)).has_value());
  EXPECT_GT(reactor.state_of(file->fd())->modified, one.modified);
  EXPECT_EQ(reactor.open_directory(dir + "/nothing").error().code, Errc::NotFound);
  EXPECT_EQ(reactor.open_directory(dir + "/many/4").error().sys_errno, ENOTDIR);
}
TEST_P(InEitherWorld, ALargeDirectoryIsReadInParts) {
  run(directory_in_parts(env.reactor(), env.directory()));
}

Task<void> plain_only(Reactor& reactor, std::string dir, bool is_real) {
  constexpr OpenOptions kPlain{.read_only = true, .no_follow = true, .plain_only = true};
  EXPECT_TRUE((co_await replace_file(reactor, dir + "/plain", "text")).has_value());
  Result<File> file = co_await File::open(reactor, dir + "/plain", kPlain);
  EXPECT_TRUE(file.has_value());
  std::array<std::byte, 10> memory;
  if (file) EXPECT_EQ(*co_await file->read(memory, 0), 4u);
  EXPECT_EQ((co_await File::open(reactor, dir, kPlain)).error().code, Errc::BadInput);
  if (!is_real) co_return;
  EXPECT_EQ(::fcntl(file->fd(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(::mkfifo((dir + "/pipe").c_str(), 0600), 0);
  EXPECT_EQ(::symlink((dir + "/plain").c_str(), (dir + "/link").c_str()), 0);
  EXPECT_EQ((co_await File::open(reactor, dir + "/pipe", kPlain)).error().code, Errc::BadInput);
  EXPECT_EQ((co_await File::open(reactor, dir + "/link", kPlain)).error().sys_errno, ELOOP);
  auto cursor = reactor.open_directory(dir);
  for (const DirectoryCursor::Entry& one : *(*cursor)->next(100))
    EXPECT_EQ(one.state.is_plain, one.name == "plain") << one.name;
}
TEST_P(InEitherWorld, APipeInPlaceOfAFileIsRefusedWithoutWaiting) {
  run(plain_only(env.reactor(), env.directory(), !env.is_simulated()));
}

Task<void> removed_but_open(Reactor& reactor, std::string dir) {
  Result<File> file = co_await File::open(reactor, dir + "/gone", {.create = true});
  EXPECT_TRUE((co_await file->write(bytes_of("still here"), 0)).has_value());
  EXPECT_TRUE((co_await unlink_file(reactor, dir + "/gone")).has_value());
  EXPECT_FALSE(reactor.size_of(dir + "/gone").has_value());
  std::array<std::byte, 5> memory;
  EXPECT_EQ(*co_await file->read(memory, 0), 5u);
}
TEST_P(InEitherWorld, ARemovedFileLivesWhileItIsOpen) {
  run(removed_but_open(env.reactor(), env.directory()));
}

Task<void> direct(Reactor& reactor, std::string dir) {
  const Aligned memory(4 * File::kDirectAlign);
  const Result<std::uint16_t> fixed = reactor.register_buffer(memory.span());
  EXPECT_TRUE(fixed.has_value());
  Result<File> file = co_await File::open(reactor, dir + "/direct", {.create = true, .direct = true});
  EXPECT_TRUE(file.has_value());
  if (!file) co_return;
  for (std::size_t i = 0; i < memory.size; ++i) memory.span()[i] = static_cast<std::byte>(i / 512);
  EXPECT_TRUE((co_await file->allocate(8 * File::kDirectAlign)).has_value());
  EXPECT_TRUE((co_await file->write(memory.span(), 2 * File::kDirectAlign, true, *fixed)).has_value());
  std::fill(memory.span().begin(), memory.span().end(), std::byte{0xff});
  EXPECT_EQ(*co_await file->read(memory.span(), 2 * File::kDirectAlign, *fixed), memory.size);
  for (std::size_t i = 0; i < memory.size; i += 512)
    EXPECT_EQ(memory.span()[i], static_cast<std::byte>(i / 512));
  EXPECT_EQ(*co_await file->read(memory.span(), 7 * File::kDirectAlign, *fixed), File::kDirectAlign);
  if (!file->is_direct()) co_return;
  Op off_grid;
  off_grid.kind = OpKind::Write;
  off_grid.fd = file->fd();
  off_grid.data = memory.memory.get() + 1;
  off_grid.size = 100;
  off_grid.offset = 7;
  EXPECT_EQ(co_await perform(reactor, off_grid), -EINVAL);
}
TEST_P(InEitherWorld, DirectFilesKeepToTheGrid) { run(direct(env.reactor(), env.directory())); }

Task<void> fixed_files(Reactor& reactor, std::string dir) {
  Result<File> file = co_await File::open(reactor, dir + "/fixed", {.create = true});
  Op op;
  op.fixed_file = reactor.register_file(file->fd());
  op.fd = file->fd();
  std::string text = "through a slot";
  op.kind = OpKind::Write;
  op.data = reinterpret_cast<std::byte*>(text.data());
  op.size = 1;
  EXPECT_EQ(co_await perform(reactor, op), 1);
  op.kind = OpKind::Read;
  std::array<std::byte, 4> memory{};
  op.data = memory.data();
  op.size = memory.size();
  EXPECT_EQ(co_await perform(reactor, op), 1);
  EXPECT_EQ(memory[0], std::byte{'t'});
  reactor.unregister_file(op.fixed_file);
  const std::int32_t again = reactor.register_file(file->fd());
  EXPECT_EQ(again, op.fixed_file);
  reactor.unregister_file(again);
  reactor.unregister_file(-1);
}
TEST_P(InEitherWorld, RegisteredFilesServeLikeDescriptors) {
  run(fixed_files(env.reactor(), env.directory()));
}

Task<void> space(Reactor& reactor, std::string dir) {
  const auto found = reactor.space_of(dir);
  EXPECT_TRUE(found.has_value());
  EXPECT_GT(found->free_bytes, 0u);
  EXPECT_GE(found->total_bytes, found->free_bytes);
  EXPECT_FALSE(reactor.space_of(dir + "/nothing").has_value());
  co_return;
}
TEST_P(InEitherWorld, SpaceIsKnown) { run(space(env.reactor(), env.directory())); }

Task<void> close_op(Reactor& reactor, std::string dir) {
  const std::string path = dir + "/closed";
  Op op;
  op.kind = OpKind::Open;
  op.path = path.c_str();
  op.open_flags = O_CREAT | O_RDWR | O_CLOEXEC;
  op.mode = 0600;
  const int fd = co_await perform(reactor, op);
  EXPECT_GE(fd, 0);
  Op close;
  close.kind = OpKind::Close;
  close.fd = fd;
  EXPECT_EQ(co_await perform(reactor, close), 0);
  EXPECT_EQ(co_await perform(reactor, close), -EBADF);
}
TEST_P(InEitherWorld, OpenAndCloseAreOperationsToo) { run(close_op(env.reactor(), env.directory())); }

}  // namespace
}  // namespace sluice::runtime
