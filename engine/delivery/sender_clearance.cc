// `check-spf-outbound` on a connection: a message goes out when the SPF record of its sender lets it leave
// from here. Nothing of this runs where the directive is off.
#include "engine/delivery/connection.h"
#include "policy/identity/envelope.h"

namespace sluice::delivery {

/// The sender of a message as it goes over the wire; `into` holds what had to be made.
std::string_view Connection::sender_of(const Active& slot, const spool::MessageView& message,
                                       std::string& into) {
  if (!message.flags.has(spool::MessageFlags::kVerp)) return message.orig;
  into.clear();
  // Mail of such a sender goes out one recipient at a time.
  identity::append_verp(into, message.orig, message.recipient(slot.items.front()->recipient).address);
  return into;
}

/// Whom receivers see, unless there is address translation on the way.
SpfGate::Exit Connection::exit() const {
  return {source_host_, source_ ? *source_ : IpAddress::parse(hop_->source_ip).value_or(IpAddress())};
}

/// True when nothing has to be asked and nothing speaks against sending.
bool Connection::is_cleared(Active& slot) const {
  const SpfGate::Verdict* known =
      dispatcher_.spf_gate().find(sender_of(slot, slot.lease.view(), slot.sender), exit());
  return known != nullptr && known->result == spf::Result::Pass;
}

/// Of a message that has been read. `lease` is given back while a name server is waited for, because others
/// may need its buffer, and taken again.
runtime::Task<SpfGate::Verdict> Connection::clear_sender(Active& slot, Result<spool::MessageLease>& lease) {
  const SpfGate::Exit seen = exit();  // of this connection, which ends only after its reads
  std::string made;
  std::string sender(sender_of(slot, lease->view(), made));
  if (const SpfGate::Verdict* known = dispatcher_.spf_gate().find(sender, seen)) co_return *known;
  lease->reset();
  SpfGate::Verdict verdict = co_await dispatcher_.spf_gate().ask(std::move(sender), seen, slot.stop);
  lease = co_await dispatcher_.reader().open(*slot.items.front()->message);
  co_return verdict;
}

void Connection::refuse_sender(Active& slot, const SpfGate::Verdict& verdict) {
  const bool permanent = verdict.result != spf::Result::TempError;
  const Failure failure{permanent ? EnhancedStatus{5, 7, 23} : EnhancedStatus{4, 7, 24},
                        "smtp;" + verdict.why};
  end_all_items(slot, failure, permanent);
  --messages_;
}

/// Ends checks of senders under way: their messages go back.
void Connection::stop_checks() {
  for (Active& slot : active_) {
    if (slot.state == Active::State::Reading) slot.stop.stop();
  }
}

}  // namespace sluice::delivery
