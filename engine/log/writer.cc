#include "engine/log/writer.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/log/bytes.h"
#include "policy/base/assert.h"

namespace sluice::log {
namespace {

// How soon a line is looked at again when nothing of the writer's own is going to move it.
constexpr Duration kLookAgain = 1ms;

}  // namespace

Writer::Alarm::Alarm(Writer& writer, void (Writer::*what)())
    : Timer([](Timer& timer) {
        Alarm& alarm = static_cast<Alarm&>(timer);
        (alarm.owner.*alarm.act)();
      }),
      owner(writer),
      act(what) {}

Writer::Writer(runtime::Reactor& reactor, WriterOptions options, SegmentStore& store, BufferSource& source,
               GroupSink& sink)
    : reactor_(reactor),
      options_(options),
      store_(store),
      source_(source),
      sink_(sink),
      wakeup_(reactor),
      idle_(reactor),
      gap_timer_(*this, &Writer::pump),
      line_timer_(*this, &Writer::serve) {}

Writer::~Writer() { SLUICE_ASSERT(tasks_.running() == 0 && in_flight_ == 0); }

void Writer::start(std::uint64_t next_sequence) {
  next_sequence_ = next_sequence;
  done_sequence_ = next_sequence - 1;
  tasks_.spawn(pump_at_end_of_turn());
}

runtime::Task<void> Writer::stop() {
  stopping_ = true;
  hurry_ = true;
  serve();  // refuses them all
  pump();
  while (has_work()) co_await idle_.wait();
  close_buffer();
  reactor_.disarm(gap_timer_);
  reactor_.disarm(line_timer_);
  wakeup_.set();
  co_await tasks_.join();
}

// One group for all that a turn of the loop brings: the pump is resumed behind the coroutines that were ready before.
runtime::Task<void> Writer::pump_at_end_of_turn() {
  for (;;) {
    co_await wakeup_.wait();
    serve();
    pump();
    if (stopping_ && !has_work()) break;
  }
}

bool Writer::fits(std::size_t record) const {
  if (buffer_ == nullptr) return false;
  const std::uint64_t in_segment = segment_->header.bytes - buffer_->file_offset;
  const std::uint64_t limit = std::min<std::uint64_t>(buffer_->memory.size(), in_segment);
  if (group_open_) return group_records_ < kRecordsPerGroupMax && buffer_->used + record <= limit;
  return buffer_->used + kGroupHeaderBytes + record <= limit;
}

Result<Room> Writer::begin(std::size_t payload_bytes) {
  if (!line_.empty()) return fail(Errc::NoMemory, "log: others wait for room");
  return place(payload_bytes, false);
}

std::uint64_t Writer::bytes_left() const {
  const std::uint64_t end = group_open_ ? buffer_->file_offset + buffer_->used : next_offset_;
  return segment_ == nullptr ? 0 : segment_->header.bytes - end;
}

Result<Room> Writer::place(std::size_t payload_bytes, bool may_use_last_room) {
  SLUICE_ASSERT(!settling_);
  if (!error_) return std::unexpected(error_.error());
  if (stopping_) return fail(Errc::Cancelled, "log: stopped");
  if (payload_bytes > payload_bytes_max(store_.options().segment_bytes)) {
    return fail(Errc::BadInput, "log: record too large");
  }
  const std::size_t record = record_bytes(payload_bytes);
  if (!may_use_last_room && !store_.has_room() && bytes_left() < record + options_.last_room_bytes) {
    return fail(Errc::NoSpace, "log: the last room is kept");
  }
  if (!fits(record)) {
    const Status made = make_room(record);
    if (!made) return std::unexpected(made.error());
  }
  if (!group_open_) open_group();
  Room out;
  out.payload = buffer_->memory.subspan(buffer_->used + kRecordHeaderBytes, payload_bytes);
  out.segment = segment_;
  out.buffer = buffer_;
  out.offset = static_cast<std::uint32_t>(buffer_->file_offset + buffer_->used);
  out.sequence = next_sequence_;
  return out;
}

void Writer::end(const Room& room, RecordType type) {
  SLUICE_ASSERT(group_open_ && room.buffer == buffer_);
  seal_record(room.payload.data() - kRecordHeaderBytes, type, static_cast<std::uint32_t>(room.payload.size()),
              segment_->seed);
  const std::size_t record = record_bytes(room.payload.size());
  buffer_->used += record;
  waiting_bytes_ += record;
  ++group_records_;
  wakeup_.set();
}

void Writer::reserve(RoomWaiter& waiter, std::size_t payload_bytes, bool may_use_last_room) {
  Result<Room> room = line_.empty() ? place(payload_bytes, may_use_last_room)
                                    : fail(Errc::NoMemory, "log: others wait for room");
  if (room || !is_worth_waiting(room.error())) {
    waiter.on_room(std::move(room));
    return;
  }
  waiter.payload_bytes_ = payload_bytes;
  waiter.may_use_last_room_ = may_use_last_room;
  line_.join(waiter);
  watch_line();
}

void Writer::cancel(RoomWaiter& waiter) {
  if (!waiter.waits()) return;
  line_.leave(waiter);
  wakeup_.set();  // there may be room for those behind it
}

bool Writer::is_worth_waiting(const Error& error) const {
  return error.code == Errc::NoMemory || (error.code == Errc::NoSpace && error_ && store_.has_room());
}

// In turn, until one has to wait on: a large record is not overtaken.
void Writer::serve() {
  while (!line_.empty()) {
    RoomWaiter& first = *line_.first();
    Result<Room> room = place(first.payload_bytes_, first.may_use_last_room_);
    if (!room && is_worth_waiting(room.error())) break;
    line_.leave(first);
    first.on_room(std::move(room));
  }
  watch_line();
}

// The end of a group or a change in the store moves the line. There is neither when the pins of other threads came and
// went while the source looked through its resident buffers, so that it missed those that nobody holds.
void Writer::watch_line() {
  const bool stands_alone = !line_.empty() && !has_work() && store_.has_spare();
  if (stands_alone && !line_timer_.armed()) reactor_.arm_in(line_timer_, kLookAgain);
}

// Where the record goes: next group of this buffer, next buffer of this segment, or next segment. Nothing is changed
// before everything needed is there, except that the open group is sealed and a buffer with nothing under way closed.
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
  // A buffer with nothing under way holds memory that the next one may need.
  if (buffer_ != nullptr && buffer_->groups_under_way == 0) close_buffer();
  Buffer* buffer = source_.take_buffer(needed + (same_segment ? 0 : kBlockBytes));
  if (buffer == nullptr) return fail(Errc::NoMemory, "log: no buffer free");
  close_buffer();
  if (!same_segment) {
    if (segment_ != nullptr) seal_segment();
    segment_ = store_.take();
  }
  open_buffer(*buffer);
  if (!same_segment) put_segment_header();
  return {};
}

bool Writer::leave_segment() {
  if (segment_ == nullptr || has_work() || header_pending_) return false;
  close_buffer();
  seal_segment();
  return true;
}

void Writer::seal_segment() {
  segment_->end = next_offset_;
  segment_->state = Segment::State::Sealed;
  segment_ = nullptr;
  next_offset_ = 0;
}

void Writer::open_buffer(Buffer& buffer) {
  SLUICE_ASSERT(buffer_ == nullptr && !group_open_);
  buffer.become(Buffer::State::Open);
  buffer.segment = segment_;
  buffer.file_offset = next_offset_;
  buffer_ = &buffer;
  source_.buffer_opened(buffer);
}

// The header goes with the first group in one write: a segment without a group needs no header.
void Writer::put_segment_header() {
  segment_->header.incarnation = options_.incarnation;
  segment_->header.first_sequence = next_sequence_;
  segment_->header.created = reactor_.lasting_now();
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
  header.written = reactor_.lasting_now();
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
  if (buffer_->one_group) close_buffer();
}

void Writer::close_buffer() {
  if (buffer_ == nullptr) return;
  SLUICE_ASSERT(!group_open_);
  Buffer* buffer = std::exchange(buffer_, nullptr);
  buffer->become(Buffer::State::Closed);
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
    serve();
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
    group.status =
        result < 0 ? Status(fail_errno(-result, "log: write")) : fail(Errc::NoSpace, "log: write", ENOSPC);
  }
  group.done = true;
  writer.settle();
  writer.serve();
  writer.pump();
}

// Acknowledges the longest prefix that is done, and returns its buffers.
void Writer::settle() {
  SLUICE_ASSERT(!settling_);
  settling_ = true;
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
    const GroupDone done{sequence, group.segment->header.number,
                         buffer.file_offset + group.from + group.bytes, error_};
    groups_.pop_front();
    sink_.group_done(done);  // may look at the bytes: the buffer is still counted
    SLUICE_ASSERT(buffer.groups_under_way > 0);
    if (--buffer.groups_under_way == 0 && buffer.state == Buffer::State::Closed) source_.buffer_done(buffer);
  }
  settling_ = false;
  if (groups_.empty()) idle_.set();
}

}  // namespace sluice::log
