#include "engine/journal/storage.h"

#include "engine/journal/lost_event.h"
#include "engine/journal/recovered_impl.h"
#include "policy/base/assert.h"

namespace sluice::journal {

StorageWorld::StorageWorld(std::string root, Recovered& found)
    : root_(std::move(root)),
      homes_(found.impl().shards, nullptr),
      directory_(std::make_unique<JournalDirectory>(std::move(found.impl().tracks))) {}

std::string StorageWorld::shard_directory(ShardId shard) const {
  return root_ + "/" + shard_directory_name(shard.raw());
}

namespace {

StorageOptions with_directories(StorageOptions options, const std::string& directory) {
  options.spool.directory = directory;
  // They come as "<spool>" each.
  for (log::SegmentPlace& place : options.spool.places)
    place.directory += directory.substr(directory.rfind('/'));
  options.journal.directory = directory;
  return options;
}

}  // namespace

Storage::Storage(runtime::Reactor& reactor, StorageWorld& world, StorageOptions options)
    : journal(reactor, with_directories(options, world.shard_directory(reactor.shard())).journal,
              world.directory(), world.homes()),
      spool(reactor, with_directories(options, world.shard_directory(reactor.shard())).spool, journal),
      reader(reactor, world.homes(), options.reader),
      reactor_(reactor),
      world_(world) {
  SLUICE_ASSERT(reactor.shard().raw() < world.homes_.size());
  world.homes_[reactor.shard().raw()] = &spool;
}

Storage::~Storage() { world_.homes_[reactor_.shard().raw()] = nullptr; }

runtime::Task<Status> Storage::start(Recovered& found, RecoveredVisitor& visitor) {
  Recovered::Impl& impl = found.impl();
  const std::uint32_t shard = reactor_.shard().raw();
  Status status = co_await journal.start(std::move(impl.journals[shard]));
  if (!status) co_return status;
  status = co_await spool.start(std::move(impl.spools[shard]));
  if (!status) co_return status;
  std::vector<RecoveredRecipient> recipients;
  std::size_t in_slice = 0;
  for (const std::uint32_t at : impl.messages_of[shard]) {
    const LiveSet::Message& message = impl.live.messages()[at];
    recipients.clear();
    for (std::uint32_t one = message.first; one != LiveSet::kNone; one = impl.live.recipient(one).next) {
      const LiveSet::Recipient& recipient = impl.live.recipient(one);
      RecoveredRecipient& to = recipients.emplace_back();
      to.index = recipient.index;
      to.domain = impl.live.names().text(recipient.domain);
      to.vmta = impl.live.names().text(recipient.vmta);
      to.queue = impl.live.names().text(recipient.queue);
      to.priority = recipient.priority;
      to.attempts = recipient.attempts;
      to.shut_attempts = recipient.shut_attempts;
      to.next_due = recipient.next_due;
      to.first_attempt = recipient.first_attempt;
    }
    spool::StoredMessage* stored =
        spool.adopt(message.id, message.place, message.received, spool::MessageFlags{message.flags},
                    static_cast<std::uint32_t>(recipients.size()), impl.live.names().text(message.job));
    if (stored == nullptr) {
      // Its file went away between recovery and now: ended like those that recovery could not find.
      for (std::uint32_t one = message.first; one != LiveSet::kNone; one = impl.live.recipient(one).next) {
        Event event = lost_event(impl.live, message, impl.live.recipient(one), reactor_);
        if (impl.live.name(event)) journal.append(event);
      }
      continue;
    }
    visitor.recovered(*stored, recipients);
    in_slice += recipients.size();
    if (in_slice >= kAdoptedPerSliceMax) {
      in_slice = 0;
      co_await runtime::yield(reactor_);
    }
  }
  spool.all_adopted();
  JournalTrack& track = *world_.directory().find(shard);
  // By every shard: where a journal was cut, its end lies behind the checkpoint's again.
  if (!track.settled.load()) journal.put_state(kHolesKey, impl.holes);
  // With a full disk it waits in memory, and the holes stay in the way of checkpoints.
  if (!track.settled.load() && co_await journal.flush()) track.settled.store(true);
  co_return Status();
}

runtime::Task<Status> Storage::stop() {
  co_await spool.stop();
  co_return co_await journal.stop();
}

}  // namespace sluice::journal
