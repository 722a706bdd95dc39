#include "engine/log/scan_file.h"

#include <algorithm>

#include "engine/log/aligned.h"
#include "engine/log/bytes.h"
#include "engine/runtime/file.h"

namespace sluice::log {
namespace {

constexpr std::size_t kWindowBytes = 1 * kMiB;
constexpr std::uint64_t kKeptAsideBytesMax = 64 * kMiB;

}  // namespace

runtime::Task<Result<SegmentHead>> read_segment_head(runtime::Reactor& reactor, std::string path, Role role) {
  SegmentHead out;
  const auto size = reactor.size_of(path);
  if (!size) co_return std::unexpected(size.error());
  out.file_bytes = *size;
  Result<runtime::File> file = co_await runtime::File::open(reactor, path, {.direct = true, .read_only = true});
  if (!file) co_return std::unexpected(file.error());
  const AlignedMemory memory = AlignedMemory::make(2 * kBlockBytes);
  const auto have = co_await file->read(memory.bytes(), 0);
  if (!have) co_return std::unexpected(have.error());
  const auto bytes = std::span<const std::byte>(memory.bytes()).first(*have);
  const auto first = bytes.first(std::min(bytes.size(), kBlockBytes));
  out.blank = std::ranges::all_of(first, [](std::byte one) { return one == std::byte{0}; });
  const Result<SegmentHeader> header = decode_segment_header(bytes);
  if (header) {
    out.header = *header;
  } else if (header.error().code == Errc::Unsupported) {
    co_return std::unexpected(header.error());
  } else if (bytes.size() > kBlockBytes) {
    out.header = salvage_segment_header(bytes.subspan(kBlockBytes), role, *size);
    if (!out.header) {
      const AlignedMemory more = AlignedMemory::make(kHeadSearchBytes);
      const auto found = co_await file->read(more.bytes(), 0);
      if (!found) co_return std::unexpected(found.error());
      for (std::size_t at = 2 * kBlockBytes; !out.header && at < *found; at += kBlockBytes) {
        out.header = salvage_segment_header(
            std::span<const std::byte>(more.bytes()).first(*found).subspan(at), role, *size);
      }
      out.front_lost = out.header.has_value();
    }
    out.salvaged = out.header.has_value();
  }
  co_return out;
}

runtime::Task<Result<SegmentScanner>> scan_file(runtime::Reactor& reactor, std::string path, SegmentHeader header,
                                                std::uint64_t from,
                                                const std::function<void(const ScannedGroup&)>& visit,
                                                bool sync_first, std::uint64_t* bytes_read) {
  Result<runtime::File> file = co_await runtime::File::open(reactor, path, {.direct = true, .read_only = true});
  if (!file) co_return std::unexpected(file.error());
  if (sync_first) {
    const Status synced = co_await file->sync();
    if (!synced) co_return std::unexpected(synced.error());
  }
  AlignedMemory memory = AlignedMemory::make(kWindowBytes);
  SegmentScanner scanner(header, from);
  std::uint64_t window_at = from;
  std::size_t have = 0;
  bool file_ends = false;
  for (;;) {
    const auto need = scanner.need();
    if (need.offset + need.bytes > window_at + have && !file_ends) {
      window_at = need.offset;
      const std::size_t window = std::max<std::size_t>(kWindowBytes, round_up(need.bytes, kBlockBytes));
      if (window != memory.size()) memory = AlignedMemory::make(window);
      const auto read = co_await file->read(memory.bytes(), window_at);
      if (!read) co_return std::unexpected(read.error());
      have = *read;
      if (bytes_read != nullptr) *bytes_read += have;
      file_ends = have < memory.size() || window_at + have >= header.bytes;
      co_await runtime::yield(reactor);
      continue;
    }
    const auto all = std::span<const std::byte>(memory.bytes()).first(have);
    const std::uint64_t skip = need.offset - window_at;
    const auto step = scanner.step(skip < all.size() ? all.subspan(skip) : std::span<const std::byte>());
    if (step == SegmentScanner::Step::End) break;
    if (step == SegmentScanner::Step::Group) visit(scanner.group());
  }
  co_return scanner;
}

runtime::Task<bool> keep_aside(runtime::Reactor& reactor, std::string path, std::uint64_t offset, std::uint64_t bytes,
                               std::string to) {
  Result<runtime::File> from = co_await runtime::File::open(reactor, path, {.read_only = true});
  if (!from) co_return false;
  Result<runtime::File> into = co_await runtime::File::open(reactor, to, {.create = true, .truncate = true});
  if (!into) co_return false;
  std::vector<std::byte> part(kWindowBytes);
  bytes = std::min(bytes, kKeptAsideBytesMax);
  for (std::uint64_t done = 0; done < bytes;) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(part.size(), bytes - done));
    const auto have = co_await from->read(std::span(part).first(want), offset + done);
    if (!have) co_return false;
    if (*have == 0) break;
    const Status status = co_await into->write(std::span(part).first(*have), done);
    if (!status) co_return false;
    done += *have;
  }
  const Status status = co_await into->sync();
  co_return status.has_value();
}

}  // namespace sluice::log
