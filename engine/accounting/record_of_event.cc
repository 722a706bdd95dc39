#include "engine/accounting/record_of_event.h"

namespace sluice::accounting {

RecordType type_of(journal::EventKind kind) {
  switch (kind) {
    case journal::EventKind::Received: return RecordType::Reception;
    case journal::EventKind::Delivered: return RecordType::Delivery;
    case journal::EventKind::Bounced: return RecordType::Bounce;
    case journal::EventKind::Transient: return RecordType::Transient;
    case journal::EventKind::QueueTransient: return RecordType::TransientQueue;
  }
  return RecordType::Bounce;
}

AcctRecord record_of(const journal::Event& event) {
  AcctRecord out;
  out.type = type_of(event.kind);
  out.time_logged = event.time_logged;
  out.time_queued = event.time_queued;
  out.time_first_attempt = event.time_first_attempt;
  out.dlv_size_bytes = event.dlv_size_bytes;
  out.message = event.message;
  out.recipient = event.recipient;
  out.attempt = event.attempts;
  out.orig = event.orig;
  out.rcpt = event.rcpt;
  out.orcpt = event.orcpt;
  out.dsn_action = event.dsn_action;
  out.dsn_status = event.dsn_status;
  out.dsn_diag = event.dsn_diag;
  out.dsn_mta = event.dsn_mta;
  out.bounce_cat = event.bounce_cat;
  out.src_type = event.src_type;
  out.src_mta = event.src_mta;
  out.dlv_type = event.dlv_type;
  out.dlv_source_ip = event.dlv_source_ip;
  out.dlv_destination_ip = event.dlv_destination_ip;
  out.dlv_esmtp_available = event.dlv_esmtp_available;
  out.dlv_tls_protocol = event.dlv_tls_protocol;
  out.dlv_tls_cipher = event.dlv_tls_cipher;
  // The record of reception names what was chosen (PowerMTA): the pool, not the member whose turn it was.
  const bool by_pool = event.kind == journal::EventKind::Received && !event.vmta_pool.empty();
  out.vmta = by_pool ? event.vmta_pool : event.vmta;
  out.vmta_pool = event.vmta_pool;
  out.job_id = event.job_id;
  out.env_id = event.env_id;
  out.queue = event.queue;
  out.rcv_smtp_user = event.rcv_smtp_user;
  out.rcv_source_ip = event.rcv_source_ip;
  out.rcv_destination_ip = event.rcv_destination_ip;
  out.headers = event.headers;
  return out;
}

}  // namespace sluice::accounting
