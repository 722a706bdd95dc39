#include "engine/spool/spool.h"

#include "engine/spool/spool_core.h"

namespace sluice::spool {

Spool::Spool(runtime::Reactor& reactor, SpoolOptions options, DurableSink& sink)
    : core_(std::make_unique<SpoolCore>(reactor, std::move(options), sink)) {}

Spool::~Spool() = default;

runtime::Task<Status> Spool::start(SpoolInheritance inheritance) {
  return core_->start(std::move(inheritance));
}
runtime::Task<void> Spool::stop() { return core_->stop(); }
MessageId Spool::next_id() { return core_->next_id(); }
bool Spool::accepting() const { return core_->accepting(); }
bool Spool::failed() const { return core_->failed(); }
bool Spool::Append::await_ready() { return spool_.core_->append(*this); }
void Spool::release(StoredMessage& message) { core_->release(message); }
void Spool::move_durable(StoredMessage& message) { core_->move_durable(message); }
StoredMessage* Spool::adopt(MessageId id, const MessagePlace& place, WallTime received, MessageFlags flags,
                            std::uint32_t outstanding, std::string_view job) {
  return core_->adopt(id, place, received, flags, outstanding, job);
}
JobTable& Spool::jobs() { return core_->jobs(); }
void Spool::all_adopted() { core_->all_adopted(); }
Spool::Stats Spool::stats() const { return core_->stats(); }

}  // namespace sluice::spool
