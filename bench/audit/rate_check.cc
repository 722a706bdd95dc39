#include "bench/audit/rate_check.h"

#include <fmt/format.h>

#include <algorithm>

namespace sluice::bench {

Parsed<RateRule> parse_rate_rule(std::string_view text) {
  const auto words = split_words(text);
  if (!words) return std::unexpected(words.error());
  if (words->size() < 3 || words->size() > 4) {
    return complain("a rate rule is 'messages|connections PROVIDER|* RATE [per-provider|per-source]'");
  }
  RateRule rule;
  const std::string& event = (*words)[0].text;
  if (event != "messages" && event != "connections")
    return complain(fmt::format("'{}' is not counted", event));
  rule.event = event == "messages" ? RateEvent::Message : RateEvent::Connection;
  if ((*words)[1].text != "*") rule.provider = (*words)[1].text;
  const auto rate = parse_rate((*words)[2].text);
  if (!rate) return std::unexpected(rate.error());
  rule.rate = *rate;
  if (words->size() == 4) {
    const std::string& scope = (*words)[3].text;
    if (scope != "per-provider" && scope != "per-source") {
      return complain(fmt::format("'{}' is neither per-provider nor per-source", scope));
    }
    rule.scope = scope == "per-provider" ? RateScope::Provider : RateScope::Source;
  }
  return rule;
}

void RateCheck::take(const LedgerLine& line) {
  const bool message = line.kind == LedgerKind::Received;
  const bool connection = line.kind == LedgerKind::Connected;
  if (rule_.event == RateEvent::Message ? !message : !connection) return;
  if (!rule_.provider.empty() && line.provider != rule_.provider) return;
  std::string where;
  if (rule_.scope != RateScope::Source) where = line.provider;
  if (rule_.scope == RateScope::ProviderAndSource) where += " ";
  if (rule_.scope != RateScope::Provider) where += line.source;
  Window& window = windows_[where];
  // The recipients of one message follow each other.
  if (message && line.message != "-" && line.message == window.last_message &&
      line.session == window.last_session) {
    return;
  }
  if (message) {
    window.last_message = line.message;
    window.last_session = line.session;
  }
  const Duration slack = std::min(rule_.slack, rule_.rate.per / 2);
  const auto length_us = static_cast<std::uint64_t>((rule_.rate.per - slack) / 1us);
  while (!window.times_us.empty() && window.times_us.front() + length_us <= line.time_us)
    window.times_us.pop_front();
  window.times_us.push_back(line.time_us);
  if (window.times_us.size() > worst_.events) worst_ = {window.times_us.size(), where, line.time_us};
  if (window.times_us.size() > rule_.rate.events) ++broken_;
}

}  // namespace sluice::bench
