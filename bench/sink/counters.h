#pragma once

#include <string_view>

#include "bench/lib/counter.h"

namespace sluice::bench {

/// What one shard saw at one provider. Written by that shard only.
struct SinkCounters {
  Counter connections;          ///< greeted
  Counter connections_refused;  ///< turned away by a cap or rate
  Counter messages;             ///< taken over
  Counter recipients;           ///< of those
  Counter body_bytes;           ///< of those, as received
  Counter replies_4xx;
  Counter replies_5xx;
  Counter dropped;               ///< connections ended on purpose without a reply
  Counter dropped_after_accept;  ///< of those, with a message taken over: a possible duplicate
  Counter lost_in_body;          ///< the client went in the middle of a message
  Counter greylisted;
  Counter unknown_users;
  Counter rate_limited;
  Counter unidentified;  ///< messages without Message-ID
  // What a correct sender never does.
  Counter misrouted;       ///< recipients of other providers' domains
  Counter bare_line_ends;  ///< messages with a bare CR or LF (RFC 5321 2.3.8)
  Counter unannounced;     ///< use of an extension that was not offered
  Counter oversized;       ///< messages above the announced SIZE
  Counter syntax_errors;
};

/// Name and place of every counter, for reports.
struct CounterName {
  std::string_view name;
  Counter SinkCounters::* member;
  bool violation = false;
};
inline constexpr CounterName kCounterNames[] = {
    {"connections", &SinkCounters::connections},
    {"connections_refused", &SinkCounters::connections_refused},
    {"messages", &SinkCounters::messages},
    {"recipients", &SinkCounters::recipients},
    {"body_bytes", &SinkCounters::body_bytes},
    {"replies_4xx", &SinkCounters::replies_4xx},
    {"replies_5xx", &SinkCounters::replies_5xx},
    {"dropped", &SinkCounters::dropped},
    {"dropped_after_accept", &SinkCounters::dropped_after_accept},
    {"lost_in_body", &SinkCounters::lost_in_body},
    {"greylisted", &SinkCounters::greylisted},
    {"unknown_users", &SinkCounters::unknown_users},
    {"rate_limited", &SinkCounters::rate_limited},
    {"unidentified", &SinkCounters::unidentified},
    {"misrouted", &SinkCounters::misrouted, true},
    {"bare_line_ends", &SinkCounters::bare_line_ends, true},
    {"unannounced", &SinkCounters::unannounced, true},
    {"oversized", &SinkCounters::oversized, true},
    {"syntax_errors", &SinkCounters::syntax_errors, true},
};

}  // namespace sluice::bench
