#pragma once
// The simulated disk of one machine: a tree of files of which every byte and every name is either durable or
// not yet.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/runtime/reactor.h"
#include "engine/runtime/sim/file_image.h"
#include "engine/runtime/sim/random.h"
#include "policy/base/result.h"
#include "policy/base/units.h"

namespace sluice::runtime::sim {

struct DiskOptions {
  std::uint64_t capacity_bytes = 64 * kGiB;  ///< simulated; holes and reserved space cost no memory
  Duration read_min = 60us, read_max = 250us;
  Duration write_min = 20us, write_max = 120us;
  Duration durable_min = 100us, durable_max = 900us;  ///< durable writes and syncs
  /// Names reach the disk in the order they were changed (a journal, as ext4 and XFS keep one). Otherwise a
  /// power cut leaves any subset of what was not synced, which is all POSIX promises.
  bool names_in_order = true;
  /// The file system's own commit: name changes older than this are durable. nullopt: only a sync of the
  /// directory makes them so.
  std::optional<Duration> names_commit_after = 5s;
  /// nullopt: drawn anew for every power cut.
  std::optional<Loss> loss = std::nullopt;
  /// Files made from now on remember what durable writes replace: see Disk::written().
  bool keep_before = false;
};

/// A file or directory.
struct Node {
  bool is_directory = false;
  FileImage image;
  std::map<std::string, std::shared_ptr<Node>, std::less<>> entries;          // as seen now
  std::map<std::string, std::shared_ptr<Node>, std::less<>> durable_entries;  // as after a power cut
  bool locked = false;  // by flock(), of the open file that holds it
  MonoTime modified{};  // last written; what tests put there was written long ago
  std::uint32_t opens = 0;
  std::uint32_t links = 0;
};
/// Shared by directories (current and durable), pending changes and open descriptors, as an inode is.
using NodePtr = std::shared_ptr<Node>;

/// Thread: the world's only one. Lifetime: the machine's; survives its crashes.
/// Paths are absolute; a relative one counts from "/". "." and ".." components are not resolved, except ".".
/// Latency and faults are the reactor's business: everything here happens at once.
class Disk {
 public:
  static constexpr std::size_t kDirectAlign = 4096;

  Disk(DiskOptions options, Random random);
  DiskOptions options;

  // --- What operations do. Answers follow the kernel: >= 0, or -errno.
  struct Opened {
    std::int32_t error = 0;  ///< -errno, or 0 and `node` is set
    NodePtr node;
  };
  [[nodiscard]] Opened open(std::string_view path, int flags, MonoTime now);
  void opened(const NodePtr& node);
  void closed(const NodePtr& node);
  [[nodiscard]] std::int32_t write(Node& node, std::uint64_t offset, std::span<const std::byte> bytes);
  [[nodiscard]] std::int32_t allocate(Node& node, std::uint64_t offset, std::uint64_t size);
  [[nodiscard]] std::int32_t truncate(Node& node, std::uint64_t size);
  [[nodiscard]] std::int32_t rename(std::string_view from, std::string_view to, MonoTime now);
  [[nodiscard]] std::int32_t unlink(std::string_view path, MonoTime now);
  [[nodiscard]] std::int32_t make_dir(std::string_view path, MonoTime now);
  /// The mark up to which a sync of a directory that begins now covers name changes.
  [[nodiscard]] std::uint64_t names_mark() const { return changes_made_; }
  [[nodiscard]] std::int32_t sync_dir(const NodePtr& node, std::uint64_t mark);
  [[nodiscard]] Result<std::vector<DirectoryEntry>> list(std::string_view path) const;
  [[nodiscard]] FileSystemSpace space() const;
  [[nodiscard]] Status make_directories(std::string_view path, MonoTime now);

  // --- For tests: behind the engine's back.
  [[nodiscard]] NodePtr find(std::string_view path) const;
  [[nodiscard]] bool exists(std::string_view path) const { return find(path) != nullptr; }
  /// The whole file as it reads now; requires that it exists.
  [[nodiscard]] std::string content(std::string_view path) const;
  /// Creates or replaces a file with its directories, all durable.
  void put(std::string_view path, std::string_view content);
  /// Bit rot. Requires offset < size.
  void flip_bit(std::string_view path, std::uint64_t offset, unsigned bit);
  /// Cuts a file, durably, as a broken file system check would.
  void cut(std::string_view path, std::uint64_t size);
  /// One 4-KiB block that a durable write or sync has put on the disk, with what it replaced.
  struct Block {
    std::string path;
    std::uint64_t page = 0;
    FileImage::PagePtr before;
  };
  /// Those below `path` since the files were made (options.keep_before) or forget_written(), by file, the oldest first.
  [[nodiscard]] std::vector<Block> written(std::string_view path) const;
  void forget_written(std::string_view path);
  /// A disk that lied: the block is as it was before, all along. Swaps, so that a second call takes it back; `block`
  /// has to be the last one written to its page. Requires that its file is clean (after a crash).
  void lose(Block& block);
  /// Everything is on the platter now.
  void make_all_durable();
  /// All files below `path`, sorted.
  [[nodiscard]] std::vector<std::string> files_below(std::string_view path) const;

  /// Keeps what is durable, plus what chance lets through. The caller tears writes under way afterwards.
  void cut_power();
  /// A write that was under way when the power went or the process died: any of its sectors may be there.
  void tear(Node& node, std::uint64_t offset, std::span<const std::byte> bytes);

 private:
  struct Edit {
    NodePtr directory;
    std::string name;
    NodePtr target;  // null: the name goes away
  };
  /// One atomic change of names.
  struct Change {
    std::uint64_t serial = 0;
    MonoTime at{};
    std::vector<Edit> edits;
  };
  struct Place {
    NodePtr directory;  // null: a component is missing or no directory
    std::string name;   // empty: the root
    std::int32_t error = 0;
  };
  [[nodiscard]] Place locate(std::string_view path) const;
  [[nodiscard]] static NodePtr child(const Node& directory, std::string_view name);
  void change(std::vector<Edit> edits, MonoTime now);
  static void apply_durably(const Change& change);
  void commit_old(MonoTime now);
  [[nodiscard]] std::int32_t account(Node& node, std::uint64_t before);
  [[nodiscard]] bool counts(const Node& node) const { return node.links != 0 || node.opens != 0; }
  void unlink_node(const NodePtr& node);
  static void forget_links(Node& directory);
  void restore(Node& directory, Loss loss);
  [[nodiscard]] std::uint64_t pages_max() const { return options.capacity_bytes / FileImage::kPageBytes; }

  Random random_;
  NodePtr root_;
  std::deque<Change> pending_;
  std::uint64_t changes_made_ = 0;
  std::uint64_t pages_used_ = 0;
};

}  // namespace sluice::runtime::sim
