#include "policy/backoff/status_texts.h"

namespace sluice {
namespace {

std::string rate_reached(std::string_view what, std::string_view directive) {
  std::string out = "message rate limit reached (based on ";
  out += what;
  out += directive;
  out += " in configuration)";
  return out;
}

std::string while_connected(const ConnectionEnds& ends) {
  std::string out = " while connected from ";
  out += ends.source_host;
  out += " (";
  out += ends.source_ip;
  out += ") to ";
  out += ends.mta;
  return out;
}

}  // namespace

std::string message_rate_reached(config::QueueMode mode) {
  return rate_reached("queue's ",
                      mode == config::QueueMode::Backoff ? "backoff-max-msg-rate" : "max-msg-rate");
}

std::string volume_rate_reached(config::QueueMode mode) {
  return rate_reached(
      "", mode == config::QueueMode::Backoff ? "backoff-max-data-volume-rate" : "max-data-volume-rate");
}

std::string vmta_message_rate_reached() { return rate_reached("", "max-smtp-msg-rate"); }
std::string vmta_volume_rate_reached() { return rate_reached("", "max-smtp-data-volume-rate"); }

std::string_view rate_reached(HeldBy by, config::QueueMode mode) {
  using config::QueueMode;
  static const std::string kMessages[] = {message_rate_reached(QueueMode::Normal),
                                          message_rate_reached(QueueMode::Backoff)};
  static const std::string kVolume[] = {volume_rate_reached(QueueMode::Normal),
                                        volume_rate_reached(QueueMode::Backoff)};
  static const std::string kSourceMessages = rate_reached("", "source-ip-max-msg-rate");
  static const std::string kSourceVolume = rate_reached("", "source-ip-max-data-volume-rate");
  static const std::string kVmtaMessages = vmta_message_rate_reached();
  static const std::string kVmtaVolume = vmta_volume_rate_reached();
  const std::size_t which = mode == QueueMode::Backoff ? 1 : 0;
  switch (by) {
    case HeldBy::Messages: return kMessages[which];
    case HeldBy::Volume: return kVolume[which];
    case HeldBy::SourceMessages: return kSourceMessages;
    case HeldBy::SourceVolume: return kSourceVolume;
    case HeldBy::VmtaMessages: return kVmtaMessages;
    case HeldBy::VmtaVolume: return kVmtaVolume;
  }
  return kMessages[which];
}

std::string refused_while_connected(std::string_view reply, const ConnectionEnds& ends) {
  std::string out = "Error: \"";
  out += reply;
  out += '"';
  return out + while_connected(ends);
}

std::string mx_skipped(std::string_view reply, const ConnectionEnds& ends) {
  std::string out = "skip of MX requested: \"";
  out += reply;
  out += "\" received from ";
  out += ends.mta;
  return out + while_connected(ends);
}

std::string all_sources_disabled(std::string_view queue) {
  std::string out = "All SMTP sources for queue ";
  out += queue;
  return out + " are now disabled.";
}

std::string bounced_with_queue(std::string_view reply) {
  std::string out = "x-pmta;bounce-queue (";
  out += reply;
  out += ')';
  return out;
}

}  // namespace sluice
