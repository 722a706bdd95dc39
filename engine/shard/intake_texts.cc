// What an operator is told when no new mail is taken.
#include <fmt/format.h>

#include "engine/shard/command_texts.h"
#include "engine/shard/node.h"

namespace sluice::shard {

void Node::watch_intake(const ShardStatus& now) {
  for (const std::string& line : intake_watch_.look(now.refused, control_.lasting_now())) log_.write(line);
}

std::string Node::refused_text() const {
  std::string out;
  for (const IntakeWatch::Standing& one : intake_watch_.standing()) {
    out += fmt::format("    REFUSED  new mail, with {} (since {}): {}\n", one.refused.reply,
                       local_time(control_.on_calendar(one.since)), one.refused.why);
  }
  return out;
}

}  // namespace sluice::shard
