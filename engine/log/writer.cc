#include "engine/log/writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/log/bytes.h"
#include "policy/base/assert.h"

namespace sluice::log {

Writer::GapTimer::GapTimer(Writer& writer)
    : Timer([](Timer& timer) { static_cast<GapTimer&>(timer).owner.pump(); }), owner(writer) {}

Writer::Writer(runtime::Reactor& reactor, WriterOptions options, SegmentStore& store, BufferSource& source,
               GroupSink& sink)
    : reactor_(reactor),
      options_(options),
      store_(store),
      source_(source),
      sink_(sink),
      wakeup_(reactor),
      idle_(reactor),
      gap_timer_(*this) {}

Writer::~Writer() { SLUICE_ASSERT(tasks_.running() == 0 && in_flight_ == 0); }

void Writer::start(std::uint64_t next_sequence) {
  next_sequence_ = next_sequence;
  done_sequence_ = next_sequence - 1;
  tasks_.spawn(pump_at_end_of_turn());
}

runtime::Task<void> Writer::stop() {
  stopping_ = true;
  hurry_ = true;
  pump();
  while (group_open_ || !groups_.empty()) co_await idle_.wait();
  close_buffer();
  reactor_.disarm(gap_timer_);
  wakeup_.set();
  co_await tasks_.join();
}

// One group for all that a turn of the loop brings: the pump is resumed behind the coroutines that were ready before.
runtime::Task<void> Writer::pump_at_end_of_turn() {
  for (;;) {
    co_await wakeup_.wait();
    pump();
    if (stopping_ && groups_.empty() && !group_open_) break;
  }
}

bool Writer::fits(std::size_t record) const {
  if (buffer_ == nullptr) return false;
  const std::uint64_t in_segment = segment_->header.bytes - buffer_->file_offset;
  const std::uint64_t limit = std::min<std::uint64_t>(buffer_->memory.size(), in_segment);
  if (group_open_) return group_records_ < kRecordsPerGroupMax && buffer_->used + record <= limit;
  return buffer_->used + kGroupHeaderBytes + record <= limit;
}

Result<Writer::Reserved> Writer::begin(std::size_t payload_bytes) {
  if (!error_) return std::unexpected(error_.error());
  if (stopping_) return fail(Errc::Cancelled, "log: stopped");
  if (payload_bytes > payload_bytes_max(store_.options().segment_bytes)) {
    return fail(Errc::BadInput, "log: record too large");
  }
  const std::size_t record = record_bytes(payload_bytes);
  if (!fits(record)) {
    const Status room = make_room(record);
    if (!room) return std::unexpected(room.error());
  }
  if (!group_open_) open_group();
  Reserved out;
  out.payload = buffer_->memory.subspan(buffer_->used + kRecordHeaderBytes, payload_bytes);
  out.segment = segment_;
  out.buffer = buffer_;
  out.offset = static_cast<std::uint32_t>(buffer_->file_offset + buffer_->used);
  out.sequence = next_sequence_;
  return out;
}

void Writer::end(const Reserved& reserved, RecordType type) {
  SLUICE_ASSERT(group_open_ && reserved.buffer == buffer_);
  seal_record(reserved.payload.data() - kRecordHeaderBytes, type, static_cast<std::uint32_t>(reserved.payload.size()),
              segment_->seed);
  const std::size_t record = record_bytes(reserved.payload.size());
  buffer_->used += record;
  waiting_bytes_ += record;
  ++group_records_;
  wakeup_.set();
}

// Where the record goes: next group of this buffer, next buffer of this segment, or next segment. Nothing is changed
// before everything needed is there, except that the open group is sealed.
Status Writer::make_room(std::size_t record) {
  if (group_open_) {
    seal_group();
    wakeup_.set();
    if (fits(record)) return {};
  }
  const std::size_t needed = round_up(kGroupHeaderBytes + record, kBlockBytes);
  const bool same_segment = segment_ != nullptr && next_offset_ + needed <= segment_->header.bytes;
  if (!same_segment && !store_.has_spare()) {
    (void)store_.take();  // none: asks for one
    return fail(Errc::NoSpace, "log: no segment ready");
  }
  Buffer* buffer = source_.take_buffer(needed + (same_segment ? 0 : kBlockBytes));
  if (buffer == nullptr) return fail(Errc::NoMemory, "log: no buffer free");
  close_buffer();
  if (!same_segment) {
    if (segment_ != nullptr) {
      segment_->end = next_offset_;
      segment_->state = Segment::State::Sealed;
    }
    segment_ = store_.take();
    next_offset_ = 0;
  }
  buffer_ = buffer;
  buffer_->segment = segment_;
  buffer_->file_offset = next_offset_;
  buffer_->used = 0;
  buffer_->closed = false;
  if (!same_segment) put_segment_header();
  return {};
}

// The header goes with the first group in one write: a segment without a group needs no header.
void Writer::put_segment_header() {
  segment_->header.incarnation = options_.incarnation;
  segment_->header.first_sequence = next_sequence_;
  segment_->header.created = reactor_.wall_now();
  encode(segment_->header, buffer_->memory.first<kBlockBytes>());
  buffer_->used = kBlockBytes;
  next_offset_ = kBlockBytes;
  header_pending_ = true;
}

void Writer::open_group() {
  group_at_ = buffer_->used;
  group_from_ = header_pending_ ? group_at_ - kBlockBytes : group_at_;
  header_pending_ = false;
  buffer_->used += kGroupHeaderBytes;
  group_records_ = 0;
  group_open_ = true;
}

void Writer::seal_group() {
  SLUICE_ASSERT(group_open_);
  group_open_ = false;
  const std::size_t end = round_up(buffer_->used, kBlockBytes);
  GroupHeader header;
  header.segment = segment_->header.number;
  header.shard = options_.shard;
  header.sequence = next_sequence_;
  header.committed = done_sequence_;
  header.bytes = static_cast<std::uint32_t>(buffer_->used - group_at_);
  header.records = group_records_;
  header.written = reactor_.wall_now();
  encode(header, segment_->seed, buffer_->memory.subspan(group_at_).first<kGroupHeaderBytes>());
  std::memset(buffer_->memory.data() + buffer_->used, 0, end - buffer_->used);
  Group& group = groups_.emplace_back();
  group.writer = this;
  group.buffer = buffer_;
  group.segment = segment_;
  group.from = group_from_;
  group.bytes = end - group_from_;
  group.sequence = next_sequence_++;
  ++buffer_->groups_under_way;
  buffer_->used = end;
  next_offset_ = buffer_->file_offset + end;
}

void Writer::close_buffer() {
  if (buffer_ == nullptr) return;
  buffer_->closed = true;
  Buffer* buffer = std::exchange(buffer_, nullptr);
  if (buffer->groups_under_way == 0) source_.buffer_done(*buffer);
}

void Writer::hurry() {
  hurry_ = true;
  wakeup_.set();
}

void Writer::pump() {
  while (in_flight_ < options_.in_flight_max && error_) {
    if (in_flight_ < groups_.size()) {  // sealed groups wait behind those under way
      submit_next();
      continue;
    }
    if (!group_open_) break;
    const bool much = waiting_bytes_ >= options_.eager_bytes;
    if (in_flight_ > 0 && !much) break;
    const MonoTime due = last_start_ + options_.gap_min;
    if (!much && !hurry_ && reactor_.now() < due) {
      if (!gap_timer_.armed()) reactor_.arm(gap_timer_, due);
      break;
    }
    seal_group();
  }
  if (!error_) {
    if (group_open_) seal_group();
    settle();
  }
}

void Writer::submit_next() {
  Group& group = groups_[in_flight_];
  ++in_flight_;
  group.submitted = true;
  last_start_ = reactor_.now();
  hurry_ = false;
  waiting_bytes_ = group_open_ ? buffer_->used - group_at_ : 0;
  for (std::size_t i = in_flight_; i < groups_.size(); ++i) waiting_bytes_ += groups_[i].bytes;
  write_rest(group);
}

void Writer::write_rest(Group& group) {
  group.kind = runtime::OpKind::Write;
  group.durable = true;
  group.fd = group.segment->file.fd();
  group.fixed_buffer = group.buffer->fixed_buffer;
  group.data = group.buffer->memory.data() + group.from + group.written;
  group.size = group.bytes - group.written;
  group.offset = group.buffer->file_offset + group.from + group.written;
  group.runtime::Op::done = &Writer::on_written;
  reactor_.submit(group);
}

void Writer::on_written(runtime::Op& op, runtime::Completion completion) {
  Group& group = static_cast<Group&>(op);
  Writer& writer = *group.writer;
  const std::int32_t result = completion.result;
  if (result == -EINTR || result == -EAGAIN) {
    writer.write_rest(group);
    return;
  }
  if (result > 0) {
    group.written += static_cast<std::size_t>(result);
    if (group.written < group.bytes) {
      // Short: the rest goes in a further write. Direct writes have to stay on the grid.
      group.written -= group.written % kBlockBytes;
      writer.write_rest(group);
      return;
    }
  } else {
    group.status = result < 0 ? Status(fail_errno(-result, "log: write")) : fail(Errc::NoSpace, "log: write", ENOSPC);
  }
  group.done = true;
  writer.settle();
  writer.pump();
}

// Acknowledges the longest prefix that is done.
void Writer::settle() {
  while (!groups_.empty()) {
    Group& group = groups_.front();
    if (group.submitted && !group.done) break;
    if (!group.submitted && error_) break;
    if (error_ && !group.status) error_ = group.status;
    const std::uint64_t sequence = group.sequence;
    Buffer& buffer = *group.buffer;
    if (group.submitted) --in_flight_;
    ++groups_done_;
    bytes_done_ += group.bytes;
    if (error_) done_sequence_ = sequence;
    const GroupDone done{sequence, group.segment->header.number, buffer.file_offset + group.from + group.bytes, error_};
    groups_.pop_front();
    --buffer.groups_under_way;
    sink_.group_done(done);
    if (buffer.closed && buffer.groups_under_way == 0) source_.buffer_done(buffer);
  }
  if (groups_.empty()) idle_.set();
}

}  // namespace sluice::log
