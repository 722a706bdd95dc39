#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "engine/log/aligned.h"
#include "engine/log/bytes.h"
#include "engine/runtime/file.h"
#include "engine/runtime/sync.h"
#include "engine/spool/message_lease.h"
#include "engine/spool/spool_core.h"
#include "policy/base/assert.h"

namespace sluice::spool {
namespace {

constexpr std::array<std::size_t, 3> kClassBytes = {16 * kKiB, 64 * kKiB, 256 * kKiB};
constexpr int kOvertakenMax = 16;  // moves that may overtake one read; each needs a whole group commit

struct ReadBuffer {
  std::span<std::byte> memory;
  std::uint16_t fixed_buffer = runtime::Op::kNoFixedBuffer;
  std::optional<std::size_t> size_class;  // nullopt: with its own memory
  bool is_overflow = false;               // of the overflow budget, else of the large one
  log::AlignedMemory own;
};

struct SizeClass {
  SizeClass(runtime::Reactor& reactor, std::size_t count) : free_count(reactor, count) {}
  runtime::Semaphore free_count;
  std::vector<ReadBuffer*> free;
};

}  // namespace

struct MessageReader::State {
  State(runtime::Reactor& a_reactor, std::span<Spool* const> some_homes, MessageReaderOptions options)
      : reactor(a_reactor),
        homes(some_homes),
        large(a_reactor, std::max<std::uint64_t>(options.large_bytes, 1)),
        overflow_bytes(options.overflow_bytes) {
    // A quarter each for small and large ones, half for the middle: bulk mail is mostly 10 to 60 KB.
    const std::array<std::uint64_t, 3> shares = {options.pool_bytes / 4, options.pool_bytes / 2,
                                                 options.pool_bytes / 4};
    std::size_t total = 0;
    std::array<std::size_t, 3> counts{};
    for (std::size_t i = 0; i < 3; ++i) {
      counts[i] = std::max<std::size_t>(shares[i] / kClassBytes[i], 1);
      total += counts[i] * kClassBytes[i];
    }
    memory = log::AlignedMemory::make(total);
    const Result<std::uint16_t> fixed = reactor.register_buffer(memory.bytes());
    std::size_t at = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      classes.push_back(std::make_unique<SizeClass>(reactor, counts[i]));
      for (std::size_t n = 0; n < counts[i]; ++n, at += kClassBytes[i]) {
        auto buffer = std::make_unique<ReadBuffer>();
        buffer->memory = memory.bytes().subspan(at, kClassBytes[i]);
        buffer->fixed_buffer = fixed.value_or(runtime::Op::kNoFixedBuffer);
        buffer->size_class = i;
        classes[i]->free.push_back(buffer.get());
        buffers.push_back(std::move(buffer));
      }
    }
  }

  runtime::Task<ReadBuffer*> take(std::size_t bytes);
  void give(ReadBuffer* buffer);
  runtime::Task<void> keep_aside(std::string directory, MessageId id, std::vector<std::byte> bytes);
  [[nodiscard]] SpoolCore& home_of(const StoredMessage& message) const;

  runtime::Reactor& reactor;
  std::span<Spool* const> homes;
  log::AlignedMemory memory;
  std::vector<std::unique_ptr<ReadBuffer>> buffers;
  std::vector<std::unique_ptr<SizeClass>> classes;
  runtime::Semaphore large;
  const std::uint64_t overflow_bytes;
  std::uint64_t overflow_used = 0;
  std::uint64_t leases = 0;
  Stats stats;
};

runtime::Task<ReadBuffer*> MessageReader::State::take(std::size_t bytes) {
  const auto fitting = std::ranges::lower_bound(kClassBytes, bytes);
  if (fitting != kClassBytes.end()) {
    SizeClass& one = *classes[static_cast<std::size_t>(fitting - kClassBytes.begin())];
    if (one.free_count.free() == 0) {
      if (overflow_used + *fitting <= overflow_bytes) {
        overflow_used += *fitting;
        auto buffer = std::make_unique<ReadBuffer>();
        buffer->own = log::AlignedMemory::make(*fitting);
        buffer->memory = buffer->own.bytes();
        buffer->is_overflow = true;
        co_return buffer.release();  // taken back by give()
      }
      ++stats.waited;
    }
    co_await one.free_count.take(1);
    ReadBuffer* buffer = one.free.back();
    one.free.pop_back();
    co_return buffer;
  }
  const std::uint64_t units = std::min<std::uint64_t>(bytes, large.total());
  if (large.free() < units) ++stats.waited;
  co_await large.take(units);
  auto buffer = std::make_unique<ReadBuffer>();
  buffer->own = log::AlignedMemory::make(bytes);
  buffer->memory = buffer->own.bytes();
  co_return buffer.release();  // taken back by give()
}

void MessageReader::State::give(ReadBuffer* buffer) {
  if (buffer->size_class) {
    SizeClass& one = *classes[*buffer->size_class];
    one.free.push_back(buffer);
    one.free_count.give(1);
    return;
  }
  const std::unique_ptr<ReadBuffer> owned(buffer);
  if (buffer->is_overflow) {
    overflow_used -= buffer->memory.size();
  } else {
    large.give(std::min<std::uint64_t>(buffer->memory.size(), large.total()));
  }
}

// Best effort: the bytes may help a human; the message is reported either way.
runtime::Task<void> MessageReader::State::keep_aside(std::string directory, MessageId id,
                                                     std::vector<std::byte> bytes) {
  const std::string damaged = directory.substr(0, directory.rfind('/') + 1) + "damaged";
  if (!reactor.make_directories(damaged, 0750)) co_return;
  Result<runtime::File> file = co_await runtime::File::open(
      reactor, damaged + "/message-" + std::to_string(id.raw()) + ".bin", {.create = true, .truncate = true});
  if (file) (void)co_await file->write(bytes, 0);
}

SpoolCore& MessageReader::State::home_of(const StoredMessage& message) const {
  const std::uint32_t home = message.home().raw();
  SLUICE_ASSERT(home < homes.size() && homes[home] != nullptr);
  return *homes[home]->core_;
}

MessageReader::MessageReader(runtime::Reactor& reactor, std::span<Spool* const> homes,
                             MessageReaderOptions options)
    : state_(std::make_unique<State>(reactor, homes, options)) {}

MessageReader::~MessageReader() { SLUICE_ASSERT(state_->leases == 0); }

const MessageReader::Stats& MessageReader::stats() const { return state_->stats; }

bool MessageReader::has_plenty() const { return state_->overflow_used <= state_->overflow_bytes / 2; }

std::optional<MessageLease> MessageReader::try_open(const StoredMessage& message) {
  const PlaceWord at = PlaceWord::unpack(message.where_.load(std::memory_order_acquire));
  if (!at.buffer) return std::nullopt;
  SpoolCore& home = state_->home_of(message);
  CommitBuffer& buffer = home.buffers().at(*at.buffer);
  if (!home.buffers().pin(buffer)) return std::nullopt;
  const std::size_t payload = std::size_t{message.envelope_bytes_} + message.body_bytes_;
  const std::uint64_t begin = at.offset + log::kRecordHeaderBytes;
  // The buffer may have been given to another stretch of the log since.
  const bool here = buffer.segment->slot == at.slot && at.offset >= buffer.file_offset &&
                    begin + payload <= buffer.file_offset + buffer.memory.size();
  if (!here) {
    home.buffers().unpin(buffer);
    return std::nullopt;
  }
  const Result<MessageView> view =
      MessageView::decode(buffer.memory.subspan(begin - buffer.file_offset, payload));
  SLUICE_ASSERT(view.has_value() && view->id == message.id_);
  MessageLease lease;
  lease.view_ = *view;
  lease.holder_ = &buffer;
  lease.reader_ = this;
  lease.resident_ = true;
  if (message.home().raw() == state_->reactor.shard().raw()) lease.fixed_buffer_ = buffer.fixed_buffer;
  ++state_->leases;
  ++state_->stats.from_memory;
  return lease;
}

runtime::Task<Result<MessageLease>> MessageReader::open(const StoredMessage& message) {
  State& state = *state_;
  const std::size_t payload = std::size_t{message.envelope_bytes_} + message.body_bytes_;
  ReadBuffer* buffer = nullptr;
  for (int overtaken = 0; overtaken < kOvertakenMax; ++overtaken) {
    if (std::optional<MessageLease> lease = try_open(message)) {
      if (buffer != nullptr) state.give(buffer);
      co_return std::move(*lease);
    }
    // A place anywhere in its first block: one block more than the record always suffices.
    const std::size_t span = log::round_up(log::record_bytes(payload) + log::kBlockBytes, log::kBlockBytes);
    if (buffer == nullptr) buffer = co_await state.take(span);
    const std::uint64_t word = message.where_.load();
    const PlaceWord at = PlaceWord::unpack(word);
    log::Segment& segment = state.home_of(message).store().at(at.slot);
    // Counted first, then looked again: from here on the segment is not used for anything else.
    segment.readers.fetch_add(1);
    if (message.where_.load() != word) {
      segment.readers.fetch_sub(1);
      continue;
    }
    const log::SegmentSeed seed = segment.seed;
    const std::uint64_t begin = at.offset / log::kBlockBytes * log::kBlockBytes;
    const std::size_t want = log::round_up(at.offset + log::record_bytes(payload) - begin, log::kBlockBytes);
    std::size_t have = 0;
    std::int32_t result = 0;
    while (have < want) {
      runtime::Op op;
      op.kind = runtime::OpKind::Read;
      op.fd = segment.file.fd();
      op.data = buffer->memory.data() + have;
      op.size = want - have;
      op.offset = begin + have;
      op.fixed_buffer = buffer->fixed_buffer;
      result = co_await runtime::perform(state.reactor, op);
      if (result == -EINTR || result == -EAGAIN) continue;
      if (result <= 0) break;
      have += static_cast<std::size_t>(result);
      if (static_cast<std::size_t>(result) % log::kBlockBytes != 0) break;  // the file ends here
    }
    const std::string directory = state.home_of(message).options().directory;
    segment.readers.fetch_sub(1);
    if (result < 0) {
      state.give(buffer);
      co_return fail_errno(-result, "spool: read message");
    }
    ++state.stats.from_disk;
    const std::size_t skip = at.offset - begin;
    const auto bytes = std::span<const std::byte>(buffer->memory).first(have);
    const auto record = have <= skip ? std::nullopt : log::parse_record(bytes.subspan(skip), at.offset, seed);
    Result<MessageView> view = fail(Errc::Corrupt, "spool: message record");
    if (record && record->payload.size() == payload) view = MessageView::decode(record->payload);
    if (!view || view->id != message.id_) {
      ++state.stats.corrupt;
      std::vector<std::byte> kept(bytes.begin(), bytes.end());
      state.give(buffer);
      co_await state.keep_aside(directory, message.id_, std::move(kept));
      co_return fail(Errc::Corrupt, "spool: message record");
    }
    MessageLease lease;
    lease.view_ = *view;
    lease.holder_ = buffer;
    lease.reader_ = this;
    lease.fixed_buffer_ = buffer->fixed_buffer;
    ++state.leases;
    co_return lease;
  }
  if (buffer != nullptr) state.give(buffer);
  co_return fail(Errc::Timeout, "spool: message is being moved");
}

MessageLease& MessageLease::operator=(MessageLease&& other) noexcept {
  if (this == &other) return *this;
  reset();
  view_ = other.view_;
  holder_ = std::exchange(other.holder_, nullptr);
  reader_ = std::exchange(other.reader_, nullptr);
  fixed_buffer_ = other.fixed_buffer_;
  resident_ = other.resident_;
  return *this;
}

void MessageLease::reset() {
  if (holder_ == nullptr) return;
  void* holder = std::exchange(holder_, nullptr);
  --reader_->state_->leases;
  if (resident_) {
    auto* buffer = static_cast<CommitBuffer*>(holder);
    buffer->owner->unpin(*buffer);
  } else {
    reader_->state_->give(static_cast<ReadBuffer*>(holder));
  }
  reader_ = nullptr;
  view_ = {};
}

}  // namespace sluice::spool
