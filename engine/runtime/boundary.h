#pragma once
// Where an exception ends.
//
// A library throws, and so does a lack of memory. What that ends is one thing, and everything else goes on:
//   conversations  an SMTP session, a connection or another delivery, a command, a question to DNS
//   files          one of `pickup`: it goes to BADDIR, or a later pass takes it
//   mail of ours   a report, a copy, a notice
//   recipients     one that is expired, bounced or refused: it waits and is ended later
//   rounds         of pickup, of precaching, of looking at the node; of accounting, which tries again
// Each says in its header what becomes of the thing. Nothing that was stored or answered may depend on a step behind it
// that throws: such steps are repeated, or left to the next start, which finds the message in the spool.
//
// Not contained are those whose state many share, where going on could lose or double mail: the loop itself, jobs from
// other shards and timers, the writers of spool and journal, recovery and checkpoints, reading journals for
// accounting, and what the dispatcher does with whole queues (moving, placing, slots). There an exception ends the
// process, and the next start recovers.

#include <functional>
#include <string>
#include <string_view>

#include "engine/runtime/reactor.h"

namespace sluice::runtime {

/// For the catch block of a boundary: counts the exception being handled (Reactor::Counters::contained) and says
/// "WHAT NAME: internal error: WORDS" by `say`, which may be empty.
/// Thread: the reactor's.
/// Errors: none. Where there is no memory for the line, either, the count alone tells of it.
void note_contained(Reactor& reactor, const std::function<void(std::string)>& say, std::string_view what,
                    std::string_view name = {}) noexcept;
/// The same for an exception that was caught elsewhere, and whose words were kept.
void note_contained_words(Reactor& reactor, const std::function<void(std::string)>& say,
                          std::string_view what, std::string_view name, std::string_view words) noexcept;

}  // namespace sluice::runtime
