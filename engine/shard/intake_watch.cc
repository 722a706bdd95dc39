#include "engine/shard/intake_watch.h"

#include <algorithm>

namespace sluice::shard {
namespace {

using Cause = injection::Intake::Refusing::Cause;

std::string about_spool(bool failed, const std::optional<Error>& no_room) {
  if (failed) return "writing to the spool failed; once its disk is mended, a restart takes mail again";
  if (!no_room) return "the spool takes none: too much waits to be written";
  return "the spool has no room: " + no_room->text();
}

}  // namespace

Refused refused_of(const injection::Intake::Refusing& refusing, bool spool_failed,
                   const std::optional<Error>& no_room) {
  Refused out{refusing.cause, "452 " + std::string(refusing.reply), {}};
  switch (refusing.cause) {
    case Cause::Spool: out.why = about_spool(spool_failed, no_room); break;
    case Cause::MemoryOfMessages: out.why = "messages on their way in have used up their memory"; break;
    case Cause::MemoryOfHost: out.why = "memory is short (max-memory-usage-percent)"; break;
    case Cause::QueuedRecipients:
      out.why = "as many recipients are queued as spool-max-recipients allows";
      break;
  }
  return out;
}

std::vector<std::string> IntakeWatch::look(const std::vector<Refused>& now_refused, WallTime now) {
  std::vector<std::string> out;
  const auto holds = [&now_refused](const std::string& why) {
    return std::ranges::find(now_refused, why, &Refused::why) != now_refused.end();
  };
  // Memory of the host has lines of its own (MemoryWatch).
  const auto say = [&out](const Refused& one, std::string line) {
    if (one.cause != Cause::MemoryOfHost) out.push_back(std::move(line));
  };
  for (const Refused& one : now_refused) {
    const auto known =
        std::ranges::find(standing_, one.cause, [](const Standing& s) { return s.refused.cause; });
    if (known != standing_.end()) {
      known->seen = now;
      if (holds(known->refused.why)) continue;
      known->refused = one;
    } else {
      standing_.push_back({one, now, now});
    }
    say(one, "New mail is refused with " + one.reply + ": " + one.why + "; deliveries go on");
  }
  const auto over = [now](const Standing& one) { return now - one.seen >= kCalm || now < one.seen; };
  for (const Standing& one : standing_) {
    if (over(one)) say(one.refused, "New mail is no longer refused for this reason: " + one.refused.why);
  }
  std::erase_if(standing_, over);
  return out;
}

}  // namespace sluice::shard
