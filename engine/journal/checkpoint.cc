#include "engine/journal/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "engine/log/aligned.h"
#include "engine/log/bytes.h"
#include "engine/log/scan_file.h"
#include "engine/runtime/file.h"

namespace sluice::journal {
namespace {

constexpr std::string_view kPrefix = "checkpoint-";
constexpr std::string_view kSuffix = ".ckp";
constexpr std::size_t kGroupBytes = 256 * kKiB;
constexpr std::size_t kPositionBytes = 24;
constexpr std::size_t kEndBytes = 24;

// One group at a time in memory, written when full.
class CheckpointWriter {
 public:
  CheckpointWriter(runtime::Reactor& reactor, runtime::File& file, log::SegmentHeader header)
      : reactor_(reactor),
        file_(file),
        header_(header),
        seed_(log::seed_of(header)),
        memory_(log::AlignedMemory::make(kGroupBytes)) {}

  runtime::Task<Status> begin() {
    log::encode(header_, memory_.bytes().first<log::kBlockBytes>());
    const Status status = co_await file_.write(memory_.bytes().first(log::kBlockBytes), 0);
    co_return status;
  }
  // A record that would not fit into a group gets one of its own size.
  template <class F>
  runtime::Task<Status> put(log::RecordType type, std::size_t payload, const F& write) {
    const std::size_t record = log::record_bytes(payload);
    if (used_ + record > memory_.size() || records_ == log::kRecordsPerGroupMax) {
      const Status status = co_await flush();
      if (!status) co_return status;
    }
    if (used_ + record > memory_.size()) {
      memory_ = log::AlignedMemory::make(log::round_up(log::kGroupHeaderBytes + record, log::kBlockBytes));
    }
    std::byte* at = memory_.bytes().data() + used_;
    write(std::span<std::byte>(at + log::kRecordHeaderBytes, payload));
    log::seal_record(at, type, static_cast<std::uint32_t>(payload), seed_);
    used_ += record;
    ++records_;
    ++all_records_;
    co_return Status();
  }
  runtime::Task<Status> flush() {
    if (records_ == 0) co_return Status();
    const std::size_t end = log::round_up(used_, log::kBlockBytes);
    std::memset(memory_.bytes().data() + used_, 0, end - used_);
    log::GroupHeader group;
    group.segment = header_.number;
    group.sequence = sequence_;
    group.committed = sequence_ - 1;
    group.bytes = static_cast<std::uint32_t>(used_);
    group.records = records_;
    group.written = reactor_.lasting_now();
    log::encode(group, seed_, memory_.bytes().first<log::kGroupHeaderBytes>());
    const Status status = co_await file_.write(memory_.bytes().first(end), offset_);
    ++sequence_;
    offset_ += end;
    used_ = log::kGroupHeaderBytes;
    records_ = 0;
    co_return status;
  }
  [[nodiscard]] std::uint64_t bytes() const { return offset_; }
  [[nodiscard]] std::uint64_t records() const { return all_records_; }

 private:
  runtime::Reactor& reactor_;
  runtime::File& file_;
  log::SegmentHeader header_;
  log::SegmentSeed seed_;
  log::AlignedMemory memory_;
  std::size_t used_ = log::kGroupHeaderBytes;
  std::uint64_t offset_ = log::kBlockBytes;
  std::uint64_t sequence_ = 1;
  std::uint32_t records_ = 0;
  std::uint64_t all_records_ = 0;
};

struct Load {
  LiveSet& into;
  LoadedCheckpoint out;
  std::uint64_t records = 0;
  bool bad = false;

  void take(const log::RecordView& record) {
    ++records;
    log::Decoder in(record.payload);
    switch (record.type) {
      case log::RecordType::LiveMessage:
        if (!into.apply_checkpointed(record.payload)) bad = true;
        return;
      case log::RecordType::State:
        if (const auto state = decode_state(record.payload)) into.apply(*state);
        return;
      case log::RecordType::Position: {
        const auto shard = in.number<std::uint32_t>();
        JournalPosition position{in.number<std::uint32_t>(), 0};
        position.offset = in.number<std::uint32_t>();
        ReceivedMark mark{in.number<std::uint32_t>(), 0, 0};
        mark.offset = in.number<std::uint32_t>();
        mark.recipient = in.number<std::uint32_t>();
        out.positions[shard] = position;
        if (mark != ReceivedMark{}) into.raise_mark(shard, mark);
        return;
      }
      case log::RecordType::CheckpointEnd: {
        const auto expected = in.number<std::uint64_t>();
        out.complete = in.ok() && expected == records - 1 && !bad;
        return;
      }
      default: bad = true;
    }
  }
};

}  // namespace

std::string checkpoint_file_name(std::uint32_t number) {
  const std::string digits = std::to_string(number);
  return std::string(kPrefix) + std::string(10 - digits.size(), '0') + digits + std::string(kSuffix);
}

std::optional<std::uint32_t> checkpoint_file_number(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
  const std::string_view digits = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

Result<std::vector<CheckpointFile>> list_checkpoints(runtime::Reactor& reactor, const std::string& root) {
  const auto listed = reactor.list_directory(root);
  if (!listed) return std::unexpected(listed.error());
  std::vector<CheckpointFile> out;
  for (const auto& entry : *listed) {
    if (const auto number = checkpoint_file_number(entry.name)) {
      out.push_back({*number, root + "/" + entry.name, entry.size_bytes});
    }
  }
  std::ranges::sort(out, {}, &CheckpointFile::number);
  return out;
}

runtime::Task<Result<LoadedCheckpoint>> load_checkpoint(runtime::Reactor& reactor, CheckpointFile file,
                                                        LiveSet& into) {
  const auto head = co_await log::read_segment_head(reactor, file.path, log::Role::Checkpoint);
  if (!head) co_return std::unexpected(head.error());
  Load load{into, {}};
  load.out.number = file.number;
  load.out.bytes = file.bytes;
  if (!head->header) co_return std::move(load.out);
  log::SegmentHeader header = *head->header;
  header.bytes = file.bytes;
  const auto take = [&load](const log::ScannedGroup& group) {
    load.out.written = std::max(load.out.written, group.header.written);
    for (const log::RecordView& record : group.records) load.take(record);
  };
  const auto scanned = co_await log::scan_file(reactor, file.path, header, log::kBlockBytes, take);
  if (!scanned) co_return std::unexpected(scanned.error());
  const auto verdict = scanned->verdict();
  load.out.damaged = verdict.damaged;
  load.out.damaged.insert(load.out.damaged.end(), verdict.torn.begin(), verdict.torn.end());
  if (!load.out.damaged.empty()) load.out.complete = false;
  co_return std::move(load.out);
}

runtime::Task<Result<std::uint64_t>> write_checkpoint(runtime::Reactor& reactor, std::string root,
                                                      std::uint32_t number, const LiveSet& set,
                                                      const JournalPositions& positions) {
  const std::string path = root + "/" + checkpoint_file_name(number);
  const std::string temporary = path + ".new";
  std::uint64_t bytes = 0;
  {
    Result<runtime::File> file =
        co_await runtime::File::open(reactor, temporary, {.create = true, .truncate = true, .direct = true});
    if (!file) co_return std::unexpected(file.error());
    log::SegmentHeader header;
    header.role = log::Role::Checkpoint;
    header.number = number;
    header.first_sequence = 1;
    header.created = reactor.lasting_now();
    header.salt = reactor.random();
    CheckpointWriter out(reactor, *file, header);
    Status status = co_await out.begin();
    JournalPositions all = positions;
    for (const auto& [shard, mark] : set.marks()) all.try_emplace(shard);
    for (const auto& [shard, position] : all) {
      if (!status) break;
      const ReceivedMark mark = set.mark(shard);
      const auto write = [&](std::span<std::byte> to) {
        log::Encoder in(to.data());
        for (const std::uint32_t one :
             {shard, position.segment, position.offset, mark.segment, mark.offset, mark.recipient}) {
          in.number(one);
        }
      };
      status = co_await out.put(log::RecordType::Position, kPositionBytes, write);
    }
    for (const auto& [key, kept] : set.states()) {
      if (!status) break;
      if (kept.value.empty()) continue;
      const StateRecord state{kept.time, key, kept.value};
      const auto write = [&](std::span<std::byte> to) { encode(state, to); };
      status = co_await out.put(log::RecordType::State, encoded_bytes(state), write);
    }
    std::size_t since_yield = 0;
    for (const LiveSet::Message& message : set.messages()) {
      if (!status) break;
      if (!message.used) continue;
      const std::size_t payload = LiveSet::encoded_bytes(set, message);
      const auto write = [&](std::span<std::byte> to) { LiveSet::encode(set, message, to); };
      status = co_await out.put(log::RecordType::LiveMessage, payload, write);
      since_yield += payload;
      if (since_yield >= kGroupBytes) {
        since_yield = 0;
        co_await runtime::yield(reactor);
      }
    }
    const std::uint64_t records = out.records();
    const auto write = [&](std::span<std::byte> to) {
      log::Encoder in(to.data());
      in.number(records);
      in.number(set.live_messages());
      in.number(set.live_recipients());
    };
    if (status) status = co_await out.put(log::RecordType::CheckpointEnd, kEndBytes, write);
    if (status) status = co_await out.flush();
    if (status) status = co_await file->sync();
    if (!status) {
      *file = runtime::File();
      (void)co_await runtime::unlink_file(reactor, temporary);
      co_return std::unexpected(status.error());
    }
    bytes = out.bytes();
  }
  Status status = co_await runtime::rename_file(reactor, temporary, path);
  if (status) status = co_await runtime::sync_directory(reactor, root);
  if (!status) co_return std::unexpected(status.error());
  // Older ones say less and their journals are about to go.
  if (const auto listed = list_checkpoints(reactor, root)) {
    for (const CheckpointFile& one : *listed) {
      if (one.number < number) (void)co_await runtime::unlink_file(reactor, one.path);
    }
  }
  co_return bytes;
}

}  // namespace sluice::journal
