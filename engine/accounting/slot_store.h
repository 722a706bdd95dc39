#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/runtime/file.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"

namespace sluice::accounting {

/// A small text that is replaced often and must survive anything: two slots in one file, written in turn,
/// each with a sequence number and a checksum. One durable write per save; no space is asked for after the
/// file was made, so a full disk does not stop it. FORMAT.md has the bytes. Thread: one shard. Lifetime: no
/// call under way at destruction.
class SlotStore {
 public:
  static constexpr std::size_t kSlotBytes = 256 * kKiB;
  static constexpr std::size_t kHeaderBytes = 32;
  static constexpr std::size_t kTextBytesMax = kSlotBytes - kHeaderBytes;

  /// Makes the file when it is not there. Errors: Corrupt when neither slot is readable though both were
  /// written.
  [[nodiscard]] static runtime::Task<Result<SlotStore>> open(runtime::Reactor& reactor, std::string path);

  /// What is stored at `path`, read only; nullopt: nothing that can be read.
  struct Peeked {
    std::string text;
    std::uint64_t sequence = 0;
  };
  [[nodiscard]] static runtime::Task<std::optional<Peeked>> peek(runtime::Reactor& reactor, std::string path);
  /// Of the last text saved; grows with every save. 0: none ever was.
  [[nodiscard]] std::uint64_t sequence() const { return sequence_; }
  /// open() found one slot that cannot be read beside a good one: a save that a crash cut short, or a newer text
  /// that is lost.
  [[nodiscard]] bool has_lost_slot() const { return has_lost_slot_; }
  /// The last text saved; nullopt: none ever was.
  [[nodiscard]] const std::optional<std::string>& text() const { return text_; }
  /// `text` is durable when it answers; after an error the previous one still is. Errors: NoSpace (too long),
  /// Io.
  [[nodiscard]] runtime::Task<Status> save(std::string text);

 private:
  SlotStore() = default;
  runtime::File file_;
  std::optional<std::string> text_;
  std::uint64_t sequence_ = 0;  // of the last good slot
  bool has_lost_slot_ = false;
};

}  // namespace sluice::accounting
