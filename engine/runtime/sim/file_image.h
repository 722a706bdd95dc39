#pragma once
// The bytes of one simulated file: what a reader sees now, and what the platter would show after a power cut.

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "engine/runtime/sim/random.h"

namespace sluice::runtime::sim {

/// How a power cut treats what was not synced. One is drawn for every crash.
enum class Loss : std::uint8_t {
  Nothing,  ///< the cache had just been written back
  All,      ///< nothing since the last sync is there
  Sectors,  ///< any subset of the 512-byte sectors is there: writes are lost, torn and reordered
  Pages,    ///< any subset of the 4096-byte pages
};

/// Thread: the world's only one. Limits: the disk above it bounds the space; holes cost nothing.
/// Pages are shared between the current contents, the durable ones and running syncs, and copied when written to:
/// that is the one reason for shared_ptr here.
class FileImage {
 public:
  static constexpr std::size_t kPageBytes = 4096;
  static constexpr std::size_t kSectorBytes = 512;
  using Page = std::array<std::byte, kPageBytes>;
  using PagePtr = std::shared_ptr<Page>;

  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// Pages that occupy the disk, reserved ones included.
  [[nodiscard]] std::uint64_t pages_used() const { return used_; }
  /// How many more pages a write of [offset, offset + size) would occupy.
  [[nodiscard]] std::uint64_t pages_wanted(std::uint64_t offset, std::uint64_t size) const;

  [[nodiscard]] std::size_t read(std::uint64_t offset, std::span<std::byte> into) const;
  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  void truncate(std::uint64_t size);
  /// Reserves up to `end` and extends the size to it.
  void allocate(std::uint64_t end);

  /// What is covered by a sync that begins now.
  struct SyncPoint {
    std::uint64_t size = 0;
    std::vector<std::pair<std::uint64_t, PagePtr>> pages;
  };
  [[nodiscard]] SyncPoint begin_sync() const;
  void finish_sync(const SyncPoint& point);
  /// Linux after a failed write-back: later syncs succeed, and these pages are still not on the disk.
  void fail_sync(const SyncPoint& point);
  /// [offset, offset + size) as it is now, and the file's size, are durable.
  void make_durable(std::uint64_t offset, std::uint64_t size);

  /// A page that was made durable, and what the disk held there before.
  struct Before {
    std::uint64_t page = 0;
    PagePtr content;  ///< null: a hole
  };
  /// From here on what durable writes and syncs replace is kept, for a disk that lied about them.
  void keep_before(bool keep) { keep_before_ = keep; }
  /// Oldest first.
  [[nodiscard]] std::span<const Before> before() const { return before_; }
  void forget_before() { before_.clear(); }
  /// Puts `content` there, as found on the disk, and answers what was there.
  PagePtr exchange(std::uint64_t page, PagePtr content);

  /// Turns the current contents into what is found after a power cut.
  void cut_power(Loss loss, Random& random);
  /// A write that was under way when the power went: each of its sectors is there or not.
  void tear(std::uint64_t offset, std::span<const std::byte> bytes, Random& random);
  /// Changes what lies on the disk behind everybody's back.
  void flip_bit(std::uint64_t offset, unsigned bit);
  [[nodiscard]] bool is_clean() const { return dirty_.empty() && size_ == durable_size_; }
  void make_all_durable();

 private:
  struct Dirty {
    PagePtr durable;        ///< null: a hole
    bool poisoned = false;  ///< a sync of this page has failed
  };
  Page& writable(std::uint64_t index);
  void drop_from(std::uint64_t first_page);
  void set_durable_size(std::uint64_t size);
  [[nodiscard]] PagePtr mixed(const PagePtr& from, const PagePtr& to, Loss loss, Random& random) const;

  std::uint64_t size_ = 0;
  std::uint64_t durable_size_ = 0;
  std::uint64_t reserved_ = 0;  ///< pages below this index are reserved
  std::uint64_t used_ = 0;
  std::map<std::uint64_t, PagePtr> pages_;
  std::map<std::uint64_t, Dirty> dirty_;
  bool keep_before_ = false;
  std::vector<Before> before_;
};

}  // namespace sluice::runtime::sim
