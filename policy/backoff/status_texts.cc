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
