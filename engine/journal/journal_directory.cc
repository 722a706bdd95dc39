#include "engine/journal/journal_directory.h"

#include <algorithm>

#include "engine/journal/journal_reader.h"
#include "policy/base/assert.h"

namespace sluice::journal {
namespace {

std::size_t owners(const std::vector<std::unique_ptr<JournalTrack>>& tracks) {
  std::size_t count = 0;
  for (const auto& track : tracks) count = std::max<std::size_t>(count, track->owner.raw() + std::size_t{1});
  return count;
}

}  // namespace

JournalDirectory::JournalDirectory(std::vector<std::unique_ptr<JournalTrack>> tracks)
    : tracks_(std::move(tracks)), told_(tracks_.size(), 0), journals_(owners(tracks_)) {}

JournalDirectory::~JournalDirectory() = default;

JournalTrack* JournalDirectory::find(std::uint32_t directory_shard) const {
  const auto found = std::find_if(tracks_.begin(), tracks_.end(),
                                  [&](const auto& one) { return one->directory_shard == directory_shard; });
  return found == tracks_.end() ? nullptr : found->get();
}

void JournalDirectory::attach(ShardId shard, Journal* journal) { journals_[shard.raw()].store(journal); }

void JournalDirectory::publish(runtime::Reactor& from, JournalTrack& track, JournalPosition end) {
  track.durable.store(std::uint64_t{end.segment} << 32 | end.offset);
  // Either this sees that a reader waits, or the reader, which looks again after saying so, sees the new end.
  if (!waiting_.load() || !waiting_.exchange(false)) return;
  const ShardId shard(readers_shard_.load());
  if (shard == from.shard()) {
    wake_readers();
  } else {
    from.send_to(shard, [this] { wake_readers(); });
  }
}

void JournalDirectory::wake_readers() {
  for (JournalReader* reader : readers_) reader->wake();
}

void JournalDirectory::add(JournalReader& reader, runtime::Reactor& reactor) {
  SLUICE_ASSERT(readers_reactor_ == nullptr || readers_reactor_ == &reactor);
  readers_reactor_ = &reactor;
  readers_shard_.store(reactor.shard().raw());
  readers_.push_back(&reader);
}

void JournalDirectory::remove(JournalReader& reader) { std::erase(readers_, &reader); }

void JournalDirectory::trim() {
  if (readers_.empty()) return;
  for (std::size_t i = 0; i < tracks_.size(); ++i) {
    const JournalTrack& track = *tracks_[i];
    JournalPosition keep = track.end();
    for (const JournalReader* reader : readers_) {
      keep = std::min(keep, reader->acknowledged().at(track.directory_shard));
    }
    if (keep.segment <= told_[i]) continue;
    told_[i] = keep.segment;
    const auto job = [this, owner = track.owner, shard = track.directory_shard, keep] {
      if (Journal* journal = journals_[owner.raw()].load()) journal->trim(shard, keep);
    };
    if (track.owner == readers_reactor_->shard()) {
      job();
    } else {
      readers_reactor_->send_to(track.owner, job);
    }
  }
}

}  // namespace sluice::journal
