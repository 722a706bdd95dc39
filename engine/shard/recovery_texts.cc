#include "engine/shard/recovery_texts.h"

#include <fmt/format.h>

namespace sluice::shard {

std::vector<std::string> recovery_lines(const journal::RecoveryReport& report, std::string_view root) {
  std::vector<std::string> out;
  out.push_back(fmt::format("Recovered {} recipients of {} messages from {}", report.recipients,
                            report.messages, root));
  for (const journal::Damage& one : report.damage) {
    out.push_back(fmt::format("Damaged: {} bytes at {} of {} ({}){}{}", one.bytes, one.offset, one.file,
                              one.why, one.kept_as.empty() ? ", not kept" : ", kept as ", one.kept_as));
  }
  if (report.damage_count > report.damage.size())
    out.push_back(fmt::format("Damaged: {} more stretches", report.damage_count - report.damage.size()));
  for (const journal::Damage& one : report.torn) {
    out.push_back(fmt::format("Not written to its end: {} bytes at {} of {} ({})", one.bytes, one.offset,
                              one.file, one.why));
  }
  if (report.received_found_again > 0) {
    out.push_back(
        fmt::format("Found again in the messages: {} recipients whose reception the journal has lost",
                    report.received_found_again));
  }
  if (report.lost_segment > 0) {
    out.push_back(fmt::format("Lost: {} recipients whose message segment is gone; they end with 5.3.0",
                              report.lost_segment));
  }
  if (report.lost_unnamed > 0) {
    out.push_back(
        fmt::format("Lost: {} recipients whose message segment is gone, and nothing names them any more; "
                    "they get no record "
                    "and come back when the segment is put back",
                    report.lost_unnamed));
  }
  for (const std::string& doubt : report.doubts) out.push_back("Doubtful: " + doubt);
  if (report.messages_at_stop) {
    out.push_back(fmt::format("Doubtful: the last stop left {} messages in the spool, {} are there",
                              *report.messages_at_stop, report.messages));
  }
  return out;
}

std::string refusal_text(const journal::RecoveryReport& report, std::string_view root) {
  std::string out = fmt::format("the spool {} has lost something: ", root);
  for (const std::string& doubt : report.doubts) out += doubt + "; ";
  return out + fmt::format(
                   "what is lost may say which recipients have had their mail. Going on would send to these "
                   "again and "
                   "count them again, of the {} recipients that would be queued. Put the missing or damaged "
                   "files back if "
                   "there is a copy; nothing has been changed. To go on all the same, make the file "
                   "{}/accept-damage and "
                   "start again",
                   report.recipients, root);
}

}  // namespace sluice::shard
