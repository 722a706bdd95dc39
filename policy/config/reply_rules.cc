// `reply /REGEX/ ACTIONS` and `/REGEX/ CATEGORY`.
#include "policy/base/ascii.h"
#include "policy/config/value.h"

namespace sluice::config {
namespace {

constexpr std::string_view kActions =
    "mode=backoff, mode=normal, backoff-to-normal-after=TIME, skip-mx, bounce-queue, bounce-rcpt, "
    "defer-queue, "
    "disable-source-ip, reenable-after=TIME, retry-after=TIME";

/// Applies one action; false after value.fail().
bool apply_action(std::string_view action, ReplyRule& rule, Value& value) {
  const std::size_t equals = action.find('=');
  const std::string_view name = trim(action.substr(0, equals));
  const std::string_view argument = equals == std::string_view::npos ? "" : trim(action.substr(equals + 1));
  const auto flag = [&](bool& target) {
    if (equals != std::string_view::npos)
      value.fail(action, std::string(name) + " takes no value", std::string(name));
    target = true;
  };
  const auto time = [&](std::optional<Duration>& target) {
    if (target) return value.fail(action, std::string(name) + " given twice");
    target = Codec<Duration>::parse(argument, value);
  };
  if (iequals(name, "mode")) {
    const QueueMode mode = iequals(argument, "normal") ? QueueMode::Normal : QueueMode::Backoff;
    if (!iequals(argument, "normal") && !iequals(argument, "backoff"))
      value.fail(action, "unknown mode", "mode=backoff or mode=normal");
    else if (rule.mode && *rule.mode != mode)
      value.fail(action, "both modes in one rule", "one mode");
    rule.mode = mode;
  } else if (iequals(name, "backoff-to-normal-after")) {
    if (rule.mode != QueueMode::Backoff)
      value.fail(action, "backoff-to-normal-after without mode=backoff before it");
    time(rule.backoff_to_normal_after);
  } else if (iequals(name, "skip-mx"))
    flag(rule.skip_mx);
  else if (iequals(name, "bounce-queue"))
    flag(rule.bounce_queue);
  else if (iequals(name, "bounce-rcpt"))
    flag(rule.bounce_recipient);
  else if (iequals(name, "defer-queue"))
    flag(rule.defer_queue);
  else if (iequals(name, "disable-source-ip"))
    flag(rule.disable_source_ip);
  else if (iequals(name, "reenable-after")) {
    if (!rule.disable_source_ip) value.fail(action, "reenable-after without disable-source-ip before it");
    time(rule.reenable_after);
  } else if (iequals(name, "retry-after"))
    time(rule.retry_after);
  else
    value.fail(action, "unknown action \"" + std::string(name) + '"', std::string(kActions));
  return !value.failed();
}

}  // namespace

std::optional<ReplyRule> Codec<ReplyRule>::parse(std::string_view token, Value& value) {
  std::string_view rest = token;
  ReplyRule rule;
  auto pattern = take_regex(rest, value);
  if (!pattern) return std::nullopt;
  rule.pattern = std::move(*pattern);
  const auto actions = split_list(rest);
  if (actions.empty()) {
    value.fail(token.substr(token.size()), "argument missing", std::string(kActions));
    return std::nullopt;
  }
  for (const std::string_view action : actions) {
    if (!apply_action(action, rule, value)) return std::nullopt;
  }
  if (rule.skip_mx && rule.bounce_queue) {
    value.fail(rest, "skip-mx and bounce-queue exclude each other");
    return std::nullopt;
  }
  return rule;
}

std::string Codec<ReplyRule>::format(const ReplyRule& rule) {
  std::string out = format_regex(rule.pattern.text);
  char separator = ' ';
  const auto add = [&](const std::string& action) {
    out += separator + action;
    separator = ',';
  };
  if (rule.mode) add(*rule.mode == QueueMode::Backoff ? "mode=backoff" : "mode=normal");
  if (rule.backoff_to_normal_after)
    add("backoff-to-normal-after=" + format_duration(*rule.backoff_to_normal_after));
  if (rule.skip_mx) add("skip-mx");
  if (rule.bounce_queue) add("bounce-queue");
  if (rule.bounce_recipient) add("bounce-rcpt");
  if (rule.defer_queue) add("defer-queue");
  if (rule.disable_source_ip) add("disable-source-ip");
  if (rule.reenable_after) add("reenable-after=" + format_duration(*rule.reenable_after));
  if (rule.retry_after) add("retry-after=" + format_duration(*rule.retry_after));
  return out;
}

std::optional<BounceCategoryRule> Codec<BounceCategoryRule>::parse(std::string_view token, Value& value) {
  std::string_view rest = token;
  auto pattern = take_regex(rest, value);
  if (!pattern) return std::nullopt;
  const auto words = split_words(rest);
  if (words.size() != 1) {
    value.fail(words.empty() ? token.substr(token.size()) : words[1],
               words.empty() ? "argument missing" : "too many arguments", std::string(kGrammar));
    return std::nullopt;
  }
  return BounceCategoryRule{std::move(*pattern), std::string(words[0])};
}
std::string Codec<BounceCategoryRule>::format(const BounceCategoryRule& rule) {
  return format_regex(rule.pattern.text) + ' ' + rule.category;
}

}  // namespace sluice::config
