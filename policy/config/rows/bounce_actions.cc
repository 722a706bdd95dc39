// `<bounce-actions>`: what is done about bounces, by category or by reply.
#include "policy/base/ascii.h"
#include "policy/config/rows/row.h"
#include "policy/config/rows/rows.h"

namespace sluice::config::rows {
namespace {

using L = BounceActionList;
constexpr std::string_view kActions = "action=suppress, action=retry or action=log";

bool set_action(std::string_view word, BounceAction& action) {
  if (word == "suppress" || word == "delete")
    action.action = BounceActionKind::Suppress;
  else if (word == "retry")
    action.action = BounceActionKind::Retry;
  else if (word == "log" || word == "log-only" || word == "none")
    action.action = BounceActionKind::Log;
  else
    return false;
  return true;
}

/// `action=X retry-after=T expire=T log-only=yes`; false after value.fail().
bool apply_options(const Attributes& options, std::string_view at, BounceAction& action, Value& value) {
  for (const auto& [name, content] : options) {
    const auto time = parse_duration(content);
    if (name == "action") {
      if (!set_action(content, action))
        return value.fail(at, "unknown action \"" + content + '"', std::string(kActions)), false;
    } else if (name == "log-only") {
      action.log_only = content == "yes" || content == "true";
    } else if ((name == "retry-after" || name == "expire") && time) {
      (name == "expire" ? action.expire : action.retry_after) = *time;
    } else if (name == "retry-after" || name == "expire") {
      return value.fail(at, "\"" + content + "\" is not a time", "TIME, for example 4h"), false;
    } else if (name != "match") {
      return value.fail(at, "unknown option \"" + name + '"', "action, retry-after, expire or log-only"),
             false;
    }
  }
  return true;
}

/// `match CATEGORY... action=suppress`; without an action it is given by an `action` line that follows.
void apply_match(Value& value, L& list) {
  BounceAction action;
  action.origin = value.origin();
  Attributes options;
  std::string_view at = value.text();
  for (const std::string_view part : split_words(value.text())) {
    if (part.find('=') != std::string_view::npos) {
      const auto option = parse_attributes(part);
      if (!option) return value.fail(part, "unknown option", "action=..., retry-after=..., expire=...");
      if (options.empty()) at = part;
      options.insert(options.end(), option->begin(), option->end());
    } else {
      for (const std::string_view category : split_list(part)) action.categories.emplace_back(category);
    }
  }
  if (action.categories.empty())
    return value.fail(value.text(), "argument missing", "CATEGORY... action=...");
  if (apply_options(options, at, action, value)) list.actions.push_back(std::move(action));
}

void apply_reply(Value& value, L& list) {
  BounceAction action;
  action.origin = value.origin();
  std::string_view rest = value.text();
  action.reply = take_regex(rest, value);
  if (!action.reply) return;
  const auto options = parse_attributes(rest);
  if (!options)
    return value.fail(rest.empty() ? value.text().substr(value.text().size()) : rest, "argument missing",
                      std::string(kActions));
  if (apply_options(*options, rest, action, value)) list.actions.push_back(std::move(action));
}

/// "5.1.1", "4.*": a status; anything else is text to be found in the reply.
std::string response_regex(std::string_view match) {
  bool status =
      match.size() >= 2 && (match[0] == '2' || match[0] == '4' || match[0] == '5') && match[1] == '.';
  for (const char c : match) status = status && (is_digit(c) || c == '.' || c == '*');
  std::string out = status ? "^" : "";
  for (const char c : match) {
    if (c == '*')
      out += status ? "[\\d.]*" : ".*";
    else if (is_alpha(c) || is_digit(c) || c == ' ' || c == '-' || static_cast<unsigned char>(c) >= 0x80)
      out += c;
    else
      out += '\\', out += c;
  }
  return status ? out + ';' : out;
}

/// Second spelling: <response match="5.1.1" action="delete" log-only="no"/>.
void apply_response(Value& value, L& list) {
  const auto options = parse_attributes(value.text());
  const std::string match = options ? attribute(*options, "match") : std::string();
  if (match.empty()) return value.fail(value.text(), "argument missing", "match=\"5.1.1\" action=\"delete\"");
  BounceAction action;
  action.origin = value.origin();
  action.reply = Regex{response_regex(match), value.origin()};
  if (apply_options(*options, value.text(), action, value)) list.actions.push_back(std::move(action));
}

BounceAction* last_of(Value& value, L& list) {
  if (!list.actions.empty()) return &list.actions.back();
  value.fail(value.text(), "nothing to act on: a match line comes first", "match CATEGORY...");
  return nullptr;
}

void apply_action(Value& value, L& list) {
  if (BounceAction* last = last_of(value, list)) {
    if (!set_action(value.text(), *last))
      value.fail(value.text(), "unknown action", "suppress, retry or log");
  }
}

void apply_retry_after(Value& value, L& list) {
  if (BounceAction* last = last_of(value, list))
    last->retry_after = Codec<Duration>::parse(value.text(), value);
}

void apply_expire(Value& value, L& list) {
  if (BounceAction* last = last_of(value, list)) last->expire = Codec<Duration>::parse(value.text(), value);
}

/// `type permanent` and `type transient` are labels: what happens is said by match and action.
void apply_type(Value& value, L&) {
  if (value.text() != "permanent" && value.text() != "transient") {
    value.fail(value.text(), "unknown type", "permanent or transient");
  }
}

}  // namespace

void append_bounce_actions(std::vector<Directive>& out) {
  add(out,
      custom<&apply_match, &L::actions>(
          "match", "failures of these categories; suppress only bounces: there is no list to fill yet",
          {.since = Since::Extension,
           .flags = kRepeats,
           .grammar =
               "CATEGORY... action=suppress|retry|log [retry-after=TIME] [expire=TIME] [log-only=yes]"}));
  add(out,
      custom<&apply_reply, &L::actions>(
          "reply", "bounces whose \"STATUS;DIAG\" matches",
          {.since = Since::Extension,
           .flags = kRepeats | kRegex,
           .grammar = "/REGEX/ action=suppress|retry|log [retry-after=TIME] [expire=TIME] [log-only=yes]"}));
  add(out, custom<&apply_response, &L::actions>("response", "bounces by status or text",
                                                {.since = Since::Spelling,
                                                 .flags = kRepeats,
                                                 .grammar = "match=\"STATUS\" action=\"delete\"",
                                                 .replacement = "reply"}));
  add(out, custom<&apply_action, &L::actions>("action", "what is done about the match line before",
                                              {.since = Since::Spelling,
                                               .grammar = "suppress|retry|log",
                                               .replacement = "match ... action=..."}));
  add(out, custom<&apply_retry_after, &L::actions>(
               "retry-after", "retry interval of the match line before",
               {.since = Since::Spelling, .grammar = "TIME", .replacement = "match ... retry-after=..."}));
  add(out, custom<&apply_expire, &L::actions>(
               "expire", "lifetime of the suppression of the match line before",
               {.since = Since::Spelling, .grammar = "TIME", .replacement = "match ... expire=..."}));
  add(out, custom<&apply_type, &L::actions>(
               "type", "label",
               {.since = Since::Spelling, .grammar = "permanent|transient", .replacement = "match"}));
}

}  // namespace sluice::config::rows
