#pragma once
// From a stored message to its received events: what the journal writes and what recovery completes are the same.

#include <cstdint>
#include <string>

#include "engine/journal/event.h"
#include "engine/spool/message.h"

namespace sluice::journal {

/// Calls `visit(Event&)` for the recipients from `first` on. Views live during the call.
template <class F>
void for_each_received(const spool::MessageView& view, const spool::MessagePlace& place, WallTime now,
                       F&& visit, std::uint32_t first = 0) {
  Event event;
  event.kind = EventKind::Received;
  event.time_logged = now;
  event.time_queued = view.received;
  event.message = view.id;
  event.place = place;
  event.recipient_count = view.recipient_count();
  event.flags = view.flags;
  event.orig = view.orig;
  event.src_type = view.src_type;
  event.src_mta = view.src_mta;
  event.vmta_pool = view.vmta_pool;
  event.job_id = view.job_id;
  event.env_id = view.env_id;
  event.rcv_smtp_user = view.rcv_smtp_user;
  event.rcv_source_ip = view.rcv_source_ip;
  event.rcv_destination_ip = view.rcv_destination_ip;
  view.for_each_header([&event](const spool::HeaderField& field) { event.headers.push_back(field); });
  for (std::uint32_t i = first; i < view.recipient_count(); ++i) {
    const spool::Recipient recipient = view.recipient(i);
    event.recipient = i;
    event.rcpt = recipient.address;
    event.orcpt = recipient.orcpt;
    event.vmta = recipient.vmta.empty() ? view.vmta : recipient.vmta;
    event.queue = recipient.queue;
    event.priority = recipient.priority;
    visit(event);
  }
}

}  // namespace sluice::journal
