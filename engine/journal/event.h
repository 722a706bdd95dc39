#pragma once
// What happened to a recipient, as one self-contained value: the journal stores it, and every reader of the
// journal (accounting, counters, suppression, monitor) understands it without asking anything else.

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/spool/message.h"
#include "policy/base/units.h"

namespace sluice::journal {

enum class EventKind : std::uint8_t {
  Received = 1,        ///< accounting r: a recipient was accepted
  Delivered = 2,       ///< accounting d, final
  Bounced = 3,         ///< accounting b, final: refused, expired, suppressed, deleted: see `ending`
  Transient = 4,       ///< accounting t: a recipient-level temporary failure
  QueueTransient = 5,  ///< accounting tq: a queue-level temporary failure; names no recipient
};

/// How a recipient ended; the endings of the design. Stored as numbers: never renumber.
enum class Ending : std::uint8_t {
  None = 0,
  Delivered = 1,
  Bounced = 2,
  Expired = 3,
  Suppressed = 4,
  Deleted = 5,
  Removed = 6,  ///< deleted without a record in accounting (`delete --no-accounting`)
};

/// One event. Views point into the caller's memory (when appended) or into the reader's block (when read); an
/// event that must live longer is copied by its user. Empty view = the field is empty in accounting. Field
/// names are accounting's, which are PowerMTA's.
struct Event {
  EventKind kind = EventKind::Received;
  Ending ending = Ending::None;
  WallTime time_logged{};
  WallTime time_queued{};  ///< on the calendar
  /// Received: time_queued on the lasting line (Reactor::lasting_now), which ages count from. Epoch: the same.
  WallTime received{};
  WallTime time_first_attempt{};  ///< epoch = not yet
  MessageId message;              ///< not for QueueTransient
  std::uint32_t recipient = 0;    ///< index in the message's envelope
  std::uint32_t attempts = 0;     ///< made so far, this one included
  std::uint8_t shut_attempts =
      0;                ///< Transient: of these, the last ones in a row while the queue was shut off
  WallTime next_due{};  ///< Transient: when the next attempt may start, on the lasting line
  std::uint64_t dlv_size_bytes = 0;
  std::uint8_t priority = 50;  ///< recipient-priority, 0 .. 100

  /// Received only: what recovery needs to know of the message without reading it. Filled by the spool's
  /// sink.
  spool::MessagePlace place;
  std::uint32_t recipient_count = 0;
  spool::MessageFlags flags;

  std::string_view orig, rcpt, orcpt;
  std::string_view dsn_action, dsn_status, dsn_diag, dsn_mta, bounce_cat;
  std::string_view src_type, src_mta;
  std::string_view dlv_type, dlv_source_ip, dlv_destination_ip, dlv_esmtp_available;
  std::string_view dlv_tls_protocol, dlv_tls_cipher;
  std::string_view vmta, vmta_pool, job_id, env_id, queue;
  std::string_view rcv_smtp_user, rcv_source_ip, rcv_destination_ip;
  /// Headers of the message that the configuration asks accounting for ("header_Subject").
  std::vector<std::pair<std::string_view, std::string_view>> headers;
};

}  // namespace sluice::journal
