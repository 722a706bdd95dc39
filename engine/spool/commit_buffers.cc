#include "engine/spool/commit_buffers.h"

#include <algorithm>

#include "engine/log/bytes.h"
#include "policy/base/assert.h"

namespace sluice::spool {

CommitBuffers::CommitBuffers(runtime::Reactor& reactor, std::size_t count, std::size_t buffer_bytes,
                             std::uint64_t large_bytes)
    : buffer_bytes_(buffer_bytes),
      large_bytes_max_(large_bytes),
      pinned_max_(static_cast<std::uint32_t>(count / 2)),
      memory_(log::AlignedMemory::make(count * buffer_bytes)) {
  // One registration for all: the kernel pins the pages once, and any part of them can be named by one index. Without
  // it (locked memory limit) writes work all the same and cost a little more.
  const Result<std::uint16_t> fixed = reactor.register_buffer(memory_.bytes());
  buffers_.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    auto buffer = std::make_unique<CommitBuffer>();
    buffer->memory = memory_.bytes().subspan(i * buffer_bytes, buffer_bytes);
    buffer->fixed_buffer = fixed.value_or(runtime::Op::kNoFixedBuffer);
    buffer->owner = this;
    buffer->index = static_cast<std::uint32_t>(i);
    free_.push_back(buffer.get());
    buffers_.push_back(std::move(buffer));
  }
}

log::Buffer* CommitBuffers::take_buffer(std::size_t bytes_min) {
  if (bytes_min > buffer_bytes_) return take_large(bytes_min);
  if (!free_.empty()) {
    CommitBuffer* one = free_.back();
    free_.pop_back();
    return one;
  }
  for (std::size_t tries = resident_.size(); tries > 0; --tries) {
    CommitBuffer* oldest = resident_.front();
    resident_.pop_front();
    std::uint32_t unpinned = 0;
    if (oldest->pins.compare_exchange_strong(unpinned, CommitBuffer::kEvicted, std::memory_order_acq_rel)) {
      oldest->become(log::Buffer::State::Free);
      return oldest;
    }
    resident_.push_back(oldest);
  }
  return nullptr;
}

CommitBuffer* CommitBuffers::take_large(std::size_t bytes) {
  const std::size_t size = log::round_up(bytes, log::kBlockBytes);
  if (large_bytes_ != 0 && large_bytes_ + size > large_bytes_max_) return nullptr;
  auto buffer = std::make_unique<CommitBuffer>();
  buffer->own = log::AlignedMemory::make(size);
  buffer->memory = buffer->own.bytes();
  buffer->owner = this;
  buffer->one_group = true;
  large_bytes_ += size;
  large_.push_back(std::move(buffer));
  return large_.back().get();
}

void CommitBuffers::buffer_opened(log::Buffer& opened) {
  auto& buffer = static_cast<CommitBuffer&>(opened);
  if (!buffer.is_large()) buffer.pins.store(0, std::memory_order_release);
}

void CommitBuffers::buffer_done(log::Buffer& done) {
  auto& buffer = static_cast<CommitBuffer&>(done);
  if (!buffer.is_large()) {
    buffer.become(log::Buffer::State::Resident);
    resident_.push_back(&buffer);
    return;
  }
  buffer.become(log::Buffer::State::Free);
  large_bytes_ -= buffer.own.size();
  std::erase_if(large_, [&buffer](const auto& one) { return one.get() == &buffer; });
}

CommitBuffers::Census CommitBuffers::census() const {
  Census out;
  for (const auto& one : buffers_) {
    const auto in_free = std::ranges::count(free_, one.get());
    const auto in_resident = std::ranges::count(resident_, one.get());
    SLUICE_ASSERT(in_free == (one->state == log::Buffer::State::Free ? 1 : 0));
    SLUICE_ASSERT(in_resident == (one->state == log::Buffer::State::Resident ? 1 : 0));
    switch (one->state) {
      case log::Buffer::State::Free: ++out.free; break;
      case log::Buffer::State::Open: ++out.open; break;
      case log::Buffer::State::Closed: ++out.closed; break;
      case log::Buffer::State::Resident: ++out.resident; break;
    }
  }
  std::uint64_t bytes = 0;
  for (const auto& one : large_) {
    SLUICE_ASSERT(one->state == log::Buffer::State::Open || one->state == log::Buffer::State::Closed);
    bytes += one->own.size();
  }
  SLUICE_ASSERT(bytes == large_bytes_);
  out.large = large_.size();
  return out;
}

bool CommitBuffers::pin(CommitBuffer& buffer) {
  std::uint32_t seen = buffer.pins.load(std::memory_order_relaxed);
  bool counted = false;
  for (;;) {
    if ((seen & CommitBuffer::kEvicted) != 0) break;
    if (seen == 0 && !counted) {
      if (pinned_.fetch_add(1, std::memory_order_relaxed) >= pinned_max_) {
        pinned_.fetch_sub(1, std::memory_order_relaxed);
        return false;
      }
      counted = true;
    }
    if (buffer.pins.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      // Somebody else was first after all: the buffer is counted already.
      if (counted && seen != 0) pinned_.fetch_sub(1, std::memory_order_relaxed);
      return true;
    }
  }
  if (counted) pinned_.fetch_sub(1, std::memory_order_relaxed);
  return false;
}

void CommitBuffers::unpin(CommitBuffer& buffer) {
  const std::uint32_t before = buffer.pins.fetch_sub(1, std::memory_order_acq_rel);
  SLUICE_ASSERT(before != 0 && (before & CommitBuffer::kEvicted) == 0);
  if (before == 1) pinned_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace sluice::spool
