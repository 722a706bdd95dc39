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

Spool::Append::Append(Spool& spool, const MessageDraft& draft, AppendStop* stop)
    : spool_(spool), draft_(draft), stop_(stop) {
  if (stop_ != nullptr) stop_->append_ = this;
}
Spool::Append::~Append() {
  if (stop_ != nullptr) stop_->append_ = nullptr;
}
bool Spool::Append::await_ready() { return spool_.core_->append(*this); }
void Spool::Append::on_room(Result<log::Room> room) { spool_.core_->fill(*this, room); }
void Spool::Append::stop() { spool_.core_->cancel(*this); }

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
