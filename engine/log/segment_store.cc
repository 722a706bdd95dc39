#include "engine/log/segment_store.h"

#include <algorithm>
#include <charconv>

#include "engine/log/aligned.h"
#include "policy/base/assert.h"

namespace sluice::log {
namespace {

constexpr std::size_t kFillBytes = 1 * kMiB;
constexpr std::string_view kSuffix = ".seg";

std::string_view prefix_of(Role role) { return role == Role::Messages ? "msg-" : "evt-"; }

// Of no further use here: files of vanished shards, and those in places that keep none.
bool has_to_go(const Segment& segment) {
  return segment.foreign || segment.place == nullptr || segment.place->closed || segment.place->keep_none;
}

}  // namespace

std::string segment_file_name(Role role, std::uint32_t number) {
  std::string digits = std::to_string(number);
  return std::string(prefix_of(role)) + std::string(10 - digits.size(), '0') + digits + std::string(kSuffix);
}

std::optional<std::uint32_t> segment_file_number(Role role, std::string_view name) {
  const std::string_view prefix = prefix_of(role);
  if (!name.starts_with(prefix) || !name.ends_with(kSuffix)) return std::nullopt;
  const std::string_view digits = name.substr(prefix.size(), name.size() - prefix.size() - kSuffix.size());
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

SegmentStore::RetryTimer::RetryTimer(SegmentStore& store)
    : Timer([](Timer& timer) { static_cast<RetryTimer&>(timer).owner.wakeup_.set(); }), owner(store) {}

SegmentStore::SegmentStore(runtime::Reactor& reactor, SegmentStoreOptions options,
                           std::function<void()> on_change)
    : reactor_(reactor),
      options_(std::move(options)),
      on_change_(std::move(on_change)),
      slots_(std::make_unique<std::unique_ptr<Segment>[]>(kSegmentsMax)),
      wakeup_(reactor),
      retry_(*this) {
  SLUICE_ASSERT(options_.segment_bytes % kBlockBytes == 0 && options_.segment_bytes <= kSegmentBytesMax &&
                options_.segment_bytes >= 4 * kBlockBytes && !options_.places.empty());
  std::vector<SegmentPlace> sorted;  // equal ones as they were given
  for (SegmentPlace& place : options_.places) {
    const auto behind =
        std::ranges::upper_bound(sorted, place.priority, std::ranges::greater(), &SegmentPlace::priority);
    sorted.insert(behind, std::move(place));
  }
  options_.places = std::move(sorted);
}

SegmentStore::~SegmentStore() { SLUICE_ASSERT(group_.running() == 0); }

Segment* SegmentStore::new_slot() {
  if (!absent_.empty()) {
    Segment* segment = slots_[absent_.back()].get();
    absent_.pop_back();
    return segment;
  }
  if (used_slots_ == kSegmentsMax) return nullptr;
  slots_[used_slots_] = std::make_unique<Segment>();
  slots_[used_slots_]->slot = used_slots_;
  return slots_[used_slots_++].get();
}

runtime::Task<Result<Segment*>> SegmentStore::adopt(std::string path, SegmentHeader header, bool foreign) {
  SLUICE_ASSERT(!started_);
  Segment* segment = new_slot();
  if (segment == nullptr) co_return fail(Errc::NoSpace, "spool: too many segments");
  Result<runtime::File> file = co_await runtime::File::open(reactor_, path, {.direct = true});
  if (!file) {
    absent_.push_back(segment->slot);
    co_return std::unexpected(file.error());
  }
  segment->file = std::move(*file);
  segment->path = std::move(path);
  segment->place = place_of(segment->path);
  segment->header = header;
  segment->seed = seed_of(header);
  segment->state = Segment::State::Sealed;
  segment->foreign = foreign;
  segment->end = header.bytes;
  disk_bytes_ += header.bytes;
  co_return segment;
}

void SegmentStore::adopt_unused(std::string path, std::uint64_t bytes, bool foreign) {
  SLUICE_ASSERT(!started_);
  Segment* segment = new_slot();
  if (segment == nullptr) return;
  segment->path = std::move(path);
  segment->place = place_of(segment->path);
  segment->header.bytes = bytes;
  segment->foreign = foreign;
  segment->state = Segment::State::Unused;
  disk_bytes_ += bytes;
  unused_.push_back(segment);
}

runtime::Task<Status> SegmentStore::start(std::uint32_t next_number) {
  SLUICE_ASSERT(!started_);
  started_ = true;
  next_number_ = next_number;
  const Status first = co_await prepare_one();
  stuck_ = first ? std::nullopt : std::optional(first.error());
  group_.spawn(prepare_forever());
  if (stuck_) reactor_.arm_in(retry_, kRetryAfter);
  wakeup_.set();
  co_return first;
}

runtime::Task<void> SegmentStore::stop() {
  stopping_ = true;
  reactor_.disarm(retry_);
  wakeup_.set();
  co_await group_.join();
}

Segment* SegmentStore::take() {
  if (spares_.empty()) {
    wakeup_.set();
    return nullptr;
  }
  Segment* segment = spares_.front();
  spares_.pop_front();
  segment->state = Segment::State::Open;
  segment->live_bytes = 0;
  segment->live_records = 0;
  segment->unmovable = false;
  wakeup_.set();
  return segment;
}

void SegmentStore::retire(Segment& segment) {
  SLUICE_ASSERT(segment.state == Segment::State::Sealed && segment.readers.load() == 0);
  segment.state = Segment::State::Unused;
  unused_.push_back(&segment);
  wakeup_.set();
}

runtime::Task<void> SegmentStore::prepare_forever() {
  for (;;) {
    co_await wakeup_.wait();
    if (stopping_) break;
    while (!stopping_ && spares_.size() < options_.spares_min) {
      const Status status = co_await prepare_one();
      stuck_ = status ? std::nullopt : std::optional(status.error());
      if (stuck_) {
        if (!stopping_) reactor_.arm_in(retry_, kRetryAfter);
        on_change_();
        break;
      }
      on_change_();
    }
    while (!stopping_ && unused_.size() > options_.spares_max) {
      Segment* segment = unused_.front();
      unused_.pop_front();
      co_await remove(*segment);
    }
    const auto gone =
        std::find_if(unused_.begin(), unused_.end(), [](Segment* one) { return has_to_go(*one); });
    if (!stopping_ && gone != unused_.end()) {
      Segment* segment = *gone;
      unused_.erase(gone);
      co_await remove(*segment);
      wakeup_.set();
    }
  }
}

const SegmentPlace* SegmentStore::place_of(std::string_view path) const {
  const std::string_view directory = path.substr(0, path.rfind('/'));
  for (const SegmentPlace& place : options_.places) {
    if (place.directory == directory) return &place;
  }
  return nullptr;
}

std::vector<const SegmentPlace*> SegmentStore::places_in_order() const {
  std::vector<const SegmentPlace*> out;
  for (const SegmentPlace& place : options_.places) {
    if (!place.closed) out.push_back(&place);
  }
  for (auto first = out.begin(); first != out.end();) {
    const auto end =
        std::find_if(first, out.end(), [&](auto* one) { return one->priority != (*first)->priority; });
    // Behind the one that had the turn; before anyone had it, shards begin at different disks.
    const auto last = std::find(first, end, last_);
    std::rotate(first, last == end ? first + options_.shard % (end - first) : last + 1, end);
    first = end;
  }
  return out;
}

bool SegmentStore::may_grow(const SegmentPlace& place) {
  if (options_.disk_bytes_max != 0 && disk_bytes_ + options_.segment_bytes > options_.disk_bytes_max)
    return false;
  const Result<runtime::FileSystemSpace> space = reactor_.space_of(place.directory);
  return space && space->free_bytes >= place.min_free_disk_bytes + options_.segment_bytes;
}

runtime::Task<Status> SegmentStore::prepare_one() {
  std::optional<Error> why;
  for (const SegmentPlace* place : places_in_order()) {
    const Status status = co_await prepare_in(*place);
    if (status) {
      last_ = place;
      co_return status;
    }
    // One that is only full is reason enough to wait, whatever is wrong with the others.
    if (!why || status.error().code == Errc::NoSpace) why = status.error();
  }
  co_return std::unexpected(why.value_or(Error{Errc::NoSpace, 0, "spool: no directory takes new mail"}));
}

runtime::Task<Status> SegmentStore::prepare_in(const SegmentPlace& place) {
  Segment* segment = nullptr;
  const auto fitting = std::find_if(unused_.begin(), unused_.end(), [&](Segment* one) {
    return one->place == &place && !has_to_go(*one) && one->header.bytes == options_.segment_bytes;
  });
  Status status;
  if (fitting != unused_.end()) {
    segment = *fitting;
    unused_.erase(fitting);
    status = co_await use_again(*segment);
    if (status) ++recycled_;
  } else {
    if (!may_grow(place)) co_return fail(Errc::NoSpace, "no room for a segment beside min-free-space");
    segment = new_slot();
    if (segment == nullptr) co_return fail(Errc::NoSpace, "spool: too many segments");
    status = co_await make_file(*segment, place);
  }
  if (!status) {
    co_await remove(*segment);
    co_return status;
  }
  segment->header.role = options_.role;
  segment->header.shard = options_.shard;
  segment->header.bytes = options_.segment_bytes;
  segment->header.salt = reactor_.random();
  segment->seed = seed_of(segment->header);
  segment->end = 0;
  segment->state = Segment::State::Spare;
  spares_.push_back(segment);
  co_return status;
}

runtime::Task<Status> SegmentStore::make_file(Segment& segment, const SegmentPlace& place) {
  segment.header = SegmentHeader{};
  segment.header.number = next_number_++;
  segment.foreign = false;
  segment.place = &place;
  segment.path = place.directory + "/" + segment_file_name(options_.role, segment.header.number);
  Result<runtime::File> file = co_await runtime::File::open(
      reactor_, segment.path, {.create = true, .truncate = true, .direct = true});
  if (!file) {
    segment.path.clear();
    co_return std::unexpected(file.error());
  }
  segment.file = std::move(*file);
  disk_bytes_ += options_.segment_bytes;
  segment.header.bytes = options_.segment_bytes;
  Status status = co_await segment.file.allocate(options_.segment_bytes);
  if (status && options_.prefill) {
    const AlignedMemory zeros =
        AlignedMemory::make(std::min<std::size_t>(kFillBytes, options_.segment_bytes));
    for (std::uint64_t at = 0; status && at < options_.segment_bytes; at += kFillBytes) {
      if (stopping_) co_return fail(Errc::Cancelled, "spool: stopping");  // a slow disk holds no shutdown
      const std::uint64_t part = std::min<std::uint64_t>(kFillBytes, options_.segment_bytes - at);
      status = co_await segment.file.write(zeros.bytes().first(part), at);
    }
  }
  if (status) status = co_await segment.file.sync();
  if (status) status = co_await runtime::sync_directory(reactor_, place.directory);
  co_return status;
}

// A blank first block tells the next start that nothing in this file is wanted any more.
runtime::Task<Status> SegmentStore::use_again(Segment& segment) {
  const AlignedMemory blank = AlignedMemory::make(kBlockBytes);
  if (!segment.file) {
    Result<runtime::File> file = co_await runtime::File::open(reactor_, segment.path, {.direct = true});
    if (!file) co_return std::unexpected(file.error());
    segment.file = std::move(*file);
  }
  Status status = co_await segment.file.write(blank.bytes(), 0, true);
  if (status) status = co_await segment.file.allocate(options_.segment_bytes);  // it may have been cut short
  if (!status) co_return status;
  segment.header.number = next_number_++;
  std::string path = segment.place->directory + "/" + segment_file_name(options_.role, segment.header.number);
  status = co_await runtime::rename_file(reactor_, segment.path, path);
  if (status) segment.path = std::move(path);
  co_return status;
}

runtime::Task<void> SegmentStore::remove(Segment& segment) {
  segment.file = runtime::File();
  if (!segment.path.empty()) {
    (void)co_await runtime::unlink_file(reactor_,
                                        segment.path);  // worst case it is found unused at the next start
    disk_bytes_ -= std::min(disk_bytes_, segment.header.bytes);
  }
  segment.path.clear();
  segment.place = nullptr;
  segment.header = SegmentHeader{};
  segment.foreign = false;
  segment.state = Segment::State::Absent;
  absent_.push_back(segment.slot);
}

}  // namespace sluice::log
