#include "engine/accounting/slot_store.h"

#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include "engine/accounting/directories.h"

namespace sluice::accounting {
namespace {

using runtime::File;
using runtime::Reactor;
using runtime::Task;

static_assert(std::endian::native == std::endian::little, "the format is little-endian and copied as it is");

constexpr char kMagic[8] = {'S', 'L', 'U', 'S', 'L', 'O', 'T', '1'};

struct Header {
  char magic[8] = {};
  std::uint64_t sequence = 0;
  std::uint64_t size = 0;
  std::uint64_t checksum = 0;  // of sequence, size and text
};
static_assert(sizeof(Header) == SlotStore::kHeaderBytes);

std::uint64_t checksum_of(std::uint64_t sequence, std::string_view text) {
  return XXH3_64bits_withSeed(text.data(), text.size(), sequence ^ (std::uint64_t{text.size()} << 40));
}

struct Slot {
  bool blank = true;
  std::optional<std::string> text;
  std::uint64_t sequence = 0;
};

Slot decode(std::string_view bytes) {
  Slot out;
  Header header;
  if (bytes.size() < sizeof header) return out;
  std::memcpy(&header, bytes.data(), sizeof header);
  out.blank = bytes.find_first_not_of('\0') == std::string_view::npos;
  if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.size > bytes.size() - sizeof header)
    return out;
  const std::string_view text = bytes.substr(sizeof header, static_cast<std::size_t>(header.size));
  if (checksum_of(header.sequence, text) != header.checksum) return out;
  out.text = std::string(text);
  out.sequence = header.sequence;
  return out;
}

std::string encode(std::uint64_t sequence, std::string_view text) {
  Header header;
  std::memcpy(header.magic, kMagic, sizeof kMagic);
  header.sequence = sequence;
  header.size = text.size();
  header.checksum = checksum_of(sequence, text);
  std::string out(sizeof header + text.size(), '\0');
  std::memcpy(out.data(), &header, sizeof header);
  std::copy(text.begin(), text.end(), out.begin() + sizeof header);
  return out;
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

Task<Status> make_blank(Reactor& reactor, File& file, std::string path) {
  // Zeros are written, not only reserved: later saves then change data blocks alone.
  const std::string zeros(2 * SlotStore::kSlotBytes, '\0');
  Status done = co_await file.write(std::as_bytes(std::span(zeros)), 0);
  if (done) done = co_await file.sync();
  if (done) done = co_await make_durable_directories(reactor, directory_of(path));
  if (done) done = co_await runtime::sync_directory(reactor, directory_of(path));
  co_return done;
}

}  // namespace

Task<Result<SlotStore>> SlotStore::open(Reactor& reactor, std::string path) {
  SlotStore out;
  Result<File> file = co_await File::open(reactor, path, {.create = true});
  if (!file) co_return std::unexpected(file.error());
  out.file_ = std::move(*file);
  std::string bytes(2 * kSlotBytes, '\0');
  const Result<std::size_t> size = co_await out.file_.read(std::as_writable_bytes(std::span(bytes)), 0);
  if (!size) co_return std::unexpected(size.error());
  const Slot first = decode(std::string_view(bytes).substr(0, kSlotBytes));
  const Slot second = decode(std::string_view(bytes).substr(kSlotBytes));
  const Slot& newest = second.text && (!first.text || second.sequence > first.sequence) ? second : first;
  if (newest.text) {
    out.text_ = newest.text;
    out.sequence_ = newest.sequence;
    const Slot& other = &newest == &first ? second : first;
    out.has_lost_slot_ = !other.text && !other.blank;
  } else if (!first.blank && !second.blank) {
    co_return fail(Errc::Corrupt, "accounting state");
  } else if (const Status made = co_await make_blank(reactor, out.file_, path); !made) {
    // One slot with rubbish is a first save that a crash cut short: nobody was told that it had succeeded.
    co_return std::unexpected(made.error());
  }
  co_return std::move(out);
}

Task<std::optional<SlotStore::Peeked>> SlotStore::peek(Reactor& reactor, std::string path) {
  Result<File> file = co_await File::open(reactor, path, {.read_only = true});
  if (!file) co_return std::nullopt;
  std::string bytes(2 * kSlotBytes, '\0');
  const Result<std::size_t> size = co_await file->read(std::as_writable_bytes(std::span(bytes)), 0);
  if (!size) co_return std::nullopt;
  Slot first = decode(std::string_view(bytes).substr(0, kSlotBytes));
  Slot second = decode(std::string_view(bytes).substr(kSlotBytes));
  Slot& newest = second.text && (!first.text || second.sequence > first.sequence) ? second : first;
  if (!newest.text) co_return std::nullopt;
  co_return Peeked{std::move(*newest.text), newest.sequence};
}

Task<Status> SlotStore::save(std::string text) {
  if (text.size() > kTextBytesMax) co_return fail(Errc::NoSpace, "accounting state: too long");
  const std::uint64_t sequence = sequence_ + 1;
  const std::string bytes = encode(sequence, text);
  const std::uint64_t at = sequence % 2 == 0 ? kSlotBytes : 0;
  const Status written = co_await file_.write(std::as_bytes(std::span(bytes)), at, true);
  // After an error the other slot still holds the last text, and the next try goes into the same slot again.
  if (!written) co_return written;
  sequence_ = sequence;
  text_ = std::move(text);
  co_return Status();
}

}  // namespace sluice::accounting
