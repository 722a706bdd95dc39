// Goal: whatever lies in a spool is scanned, decoded and printed without harm.
// How: the fuzzer's bytes as a file, and as the payload of a sound record of every type, through the dumper, which
// uses every decoder of log, spool and journal.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "engine/journal/event_codec.h"
#include "engine/journal/live_set.h"
#include "engine/log/format.h"
#include "engine/spool/message.h"
#include "tools/spool_dump/dump.h"

namespace {

using sluice::log::kBlockBytes;

// The bytes as they are, and as the payload of a sound record: the fuzzer cannot guess checksums.
void scan_raw(std::span<const std::byte> bytes) {
  (void)sluice::spool_dump::dump("msg-0000000001.seg", bytes, {.bodies = true});
}

void scan_in_a_sound_frame(std::span<const std::byte> bytes, sluice::log::RecordType type) {
  sluice::log::SegmentHeader header;
  header.role = sluice::log::Role::Events;
  header.number = 1;
  header.first_sequence = 1;
  const std::size_t record = sluice::log::record_bytes(bytes.size());
  const std::size_t group = sluice::log::kGroupHeaderBytes + record;
  std::vector<std::byte> file(kBlockBytes + (group + kBlockBytes - 1) / kBlockBytes * kBlockBytes);
  header.bytes = file.size();
  sluice::log::encode(header, std::span(file).first<kBlockBytes>());
  const auto seed = sluice::log::seed_of(header);
  std::byte* at = file.data() + kBlockBytes + sluice::log::kGroupHeaderBytes;
  if (!bytes.empty()) std::memcpy(at + sluice::log::kRecordHeaderBytes, bytes.data(), bytes.size());
  sluice::log::seal_record(at, type, static_cast<std::uint32_t>(bytes.size()), seed);
  sluice::log::GroupHeader head;
  head.segment = 1;
  head.sequence = 1;
  head.bytes = static_cast<std::uint32_t>(group);
  head.records = 1;
  sluice::log::encode(head, seed, std::span(file).subspan(kBlockBytes).first<sluice::log::kGroupHeaderBytes>());
  (void)sluice::spool_dump::dump("evt-0000000001.seg", file, {.bodies = true});
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || size > 60'000) return 0;
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  if (data[0] == 0) {
    scan_raw(bytes);
  } else {
    scan_in_a_sound_frame(bytes, static_cast<sluice::log::RecordType>(data[0]));
  }
  return 0;
}
