#pragma once

#include "engine/journal/event.h"
#include "engine/journal/live_set.h"
#include "engine/runtime/reactor.h"

namespace sluice::journal {

/// The ending of a recipient whose stored message is gone, without its names: LiveSet::name() adds them.
/// Lifetime: views `live`.
[[nodiscard]] inline Event lost_event(const LiveSet& live, const LiveSet::Message& message,
                                      const LiveSet::Recipient& recipient, const runtime::Reactor& reactor) {
  Event event;
  event.kind = EventKind::Bounced;
  event.ending = Ending::Deleted;
  event.time_logged = reactor.wall_now();
  event.time_queued = reactor.on_calendar(message.received);
  event.message = message.id;
  event.recipient = recipient.index;
  event.attempts = recipient.attempts;
  event.dsn_action = "failed";
  event.dsn_status = "5.3.0 (other or undefined mail system status)";
  event.dsn_diag = "smtp;554 5.3.0 message lost from the spool";
  event.vmta = live.names().text(recipient.vmta);
  event.queue = live.names().text(recipient.queue);
  return event;
}

}  // namespace sluice::journal
