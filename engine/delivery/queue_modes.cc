#include "engine/delivery/queue_modes.h"

#include <algorithm>

#include "engine/delivery/dispatcher.h"
#include "policy/backoff/state_text.h"
#include "policy/backoff/status_texts.h"
#include "policy/base/assert.h"
#include "policy/classify/status_text.h"
#include "policy/limits/mode_limits.h"

namespace sluice::delivery {
namespace {

// A stored time further off than this is a changed clock, not a retry.
constexpr Duration kRetryMax = 30 * 24h;
constexpr std::string_view kNotOurs = "EADDRNOTAVAIL: not an address of this host";

ModeRules mode_rules(const config::DomainSettings& settings) {
  return {.to_normal_after = settings.backoff_to_normal_after,
          .to_normal_after_delivery = settings.backoff_to_normal_after_delivery};
}

PacingRules pacing_rules(const config::DomainSettings& settings) {
  return {.floor = settings.adaptive_pacing_floor.value_or(Rate{1, 24h}),
          .cut_percent = settings.adaptive_pacing_cut,
          .step_percent = settings.adaptive_pacing_step,
          .interval = settings.adaptive_pacing_interval};
}

config::RateLimit ceiling_of(const queue::Queue& queue) {
  return limits_of(*queue.settings, queue.mode.mode()).recipients;
}

}  // namespace

const IpAddress QueueModes::kAnyAddress = IpAddress::from_v4({0, 0, 0, 0});

void QueueModes::set_listeners(Notify notify, Log log) {
  notify_ = std::move(notify);
  log_ = std::move(log);
}

void QueueModes::recall(queue::Queue& queue, queue::Remembered& remembered) {
  using queue::Remembered;
  const MonoTime now = dispatcher_.reactor().now();
  const WallTime lasting_now = dispatcher_.reactor().lasting_now();
  const std::string name = queue.name();
  queue.mode = ModeState::decode(remembered.take(Remembered::mode_key(name)), now, lasting_now);
  queue.shut = ShutSources::decode(remembered.take(Remembered::shut_key(name)), now, lasting_now);
  const std::string pace = remembered.take(Remembered::pace_key(name));
  if (queue.pacing) *queue.pacing = Pacing::decode(pace, now, lasting_now);
  const std::string retry = remembered.take(Remembered::retry_key(name));
  if (const auto until = decode_time(retry, now, lasting_now); until && *until) {
    queue.retry_until = std::min(**until, now + kRetryMax);
    queue.stored_retry = true;
  }
  if (queue.mode.in_backoff())
    queue.note_mode(dispatcher_.reactor().wall_now(),
                    "backoff, from before the start: " + queue.mode.reason());
  recheck_sources(queue);
}

void QueueModes::apply_settings(queue::Queue& queue) {
  queue.reroute_loops = false;
  if (!queue.settings->adaptive_pacing) {
    if (queue.pacing && queue.pacing->limit()) {
      dispatcher_.settler().remember(queue::Remembered::pace_key(queue.name()), {});
    }
    queue.pacing.reset();
  } else if (!queue.pacing) {
    queue.pacing = std::make_unique<Pacing>();
  } else {
    queue.pacing->on_ceiling(ceiling_of(queue));
  }
  recheck_sources(queue);
}

const ReplyRules& QueueModes::inline_rules(const queue::Queue& queue) {
  std::unique_ptr<const ReplyRules>& rules = inline_rules_[queue.settings.get()];
  if (!rules) {
    auto made = ReplyRules::make(queue.settings->inline_reply_rules);
    SLUICE_ASSERT(made.has_value());  // the loader wrote these patterns, out of plain text
    rules = std::make_unique<const ReplyRules>(std::move(*made));
  }
  return *rules;
}

ReplyActions QueueModes::find_actions(const queue::Queue& queue, std::string_view reply) {
  ReplyActions out;
  // What stands in the domain block itself comes before the list it names.
  if (!queue.settings->inline_reply_rules.empty()) inline_rules(queue).find(reply, out);
  if (const ReplyRules* list = dispatcher_.snapshot()->find_reply_rules(queue.settings->smtp_pattern_list)) {
    list->find(reply, out);
  }
  return out;
}

ReplyVerdict QueueModes::on_refusal(queue::Queue& queue, const Heard& heard) {
  const std::string text = heard.reply.full_text();
  const ReplyActions actions = find_actions(queue, text);
  const ReplyVerdict verdict = judge_reply(heard.phase, heard.reply, actions, *queue.settings);
  if (queue.pacing && is_push_back(heard.phase, heard.reply, actions) &&
      queue.pacing->on_push_back(dispatcher_.reactor().now(), pacing_rules(*queue.settings),
                                 ceiling_of(queue))) {
    queue.note_mode(dispatcher_.reactor().wall_now(), "pace cut: " + text);
    pace_changed(queue);
  }
  if (!actions.any() && !verdict.bounce_queue) return verdict;
  if (actions.mode == config::QueueMode::Backoff) {
    ModeState::Entry entry{
        .cause = ModeCause::Reply, .reason = text, .to_normal_after = actions.backoff_to_normal_after};
    const config::DomainSettings& settings = *queue.settings;
    if (actions.ends_by_itself && !entry.to_normal_after && !settings.backoff_to_normal_after &&
        !settings.backoff_to_normal_after_delivery) {
      entry.to_normal_after = actions.retry_after.value_or(settings.backoff_retry_after.front());
    }
    enter_backoff(queue, std::move(entry));
  } else if (actions.mode == config::QueueMode::Normal && queue.mode.leave_backoff(ModeCause::Reply, text)) {
    mode_changed(queue);
  }
  if (actions.disable_source_ip) {
    disable(queue, heard.source.value_or(kAnyAddress),
            actions.reenable_after ? actions.reenable_after : queue.settings->reenable_source_ip_after, text);
  }
  const EnhancedStatus status = status_of_reply(heard.reply, ReplyPhase::Other, {});
  if (verdict.bounce_queue) {
    dispatcher_.bounce_all(
        queue, {status, actions.bounce_queue ? bounced_with_queue("smtp;" + text) : "smtp;" + text, true},
        heard.hop);
  }
  if (verdict.defer_queue) {
    const ConnectionEnds ends{heard.source_host, heard.hop.source_ip, heard.hop.mta};
    dispatcher_.settler().queue_failed(queue, &heard.hop,
                                       {status, refused_while_connected(text, ends), true});
    dispatcher_.rest(queue, QueueFailureKind::Delivery, verdict.queue_wait);
  }
  return verdict;
}

void QueueModes::on_delivered(queue::Queue& queue, const SmtpReply& reply) {
  if (!queue.mode.in_backoff()) return;
  if (queue.mode.on_delivery(mode_rules(*queue.settings))) return mode_changed(queue);
  // Only rules about nothing but mode=normal can speak of deliveries, and only now are they worth a look.
  const ReplyRules* list = dispatcher_.snapshot()->find_reply_rules(queue.settings->smtp_pattern_list);
  if (list == nullptr || !list->can_end_backoff()) return;
  const std::string text = reply.full_text();
  if (list->ends_backoff(text) && queue.mode.leave_backoff(ModeCause::Reply, text)) mode_changed(queue);
}

void QueueModes::on_time(queue::Queue& queue) {
  const MonoTime now = dispatcher_.reactor().now();
  if (queue.mode.on_time(now)) mode_changed(queue);
  if (!queue.shut.empty()) {
    for (const IpAddress& source : queue.shut.take_due(now)) {
      shut_changed(queue, "source IP " + source.text() + " enabled: its time is over");
    }
  }
  if (queue.pacing && queue.pacing->on_time(now, pacing_rules(*queue.settings), ceiling_of(queue)))
    pace_changed(queue);
}

std::optional<MonoTime> QueueModes::next_time(const queue::Queue& queue) {
  std::optional<MonoTime> out = queue.mode.ends_at();
  const auto add = [&out](const std::optional<MonoTime>& time) {
    if (time && (!out || *time < *out)) out = time;
  };
  if (!queue.shut.empty()) add(queue.shut.next_time());
  if (queue.pacing) add(queue.pacing->next_time());
  return out;
}

std::string_view QueueModes::reroute_target(const queue::Queue& queue) {
  if (queue.reroute_loops || !queue.vmta_exists) return {};
  const config::DomainSettings& settings = *queue.settings;
  if (queue.mode.in_backoff() && !settings.backoff_reroute_to_virtual_mta.empty()) {
    return settings.backoff_reroute_to_virtual_mta;
  }
  return settings.reroute_to_virtual_mta;
}

void QueueModes::enter_backoff(queue::Queue& queue, ModeState::Entry entry) {
  const auto before = queue.mode.ends_at();
  if (queue.mode.enter_backoff(std::move(entry), mode_rules(*queue.settings), dispatcher_.reactor().now())) {
    mode_changed(queue);
  } else if (queue.mode.ends_at() != before) {
    runtime::Reactor& reactor = dispatcher_.reactor();
    dispatcher_.settler().remember(queue::Remembered::mode_key(queue.name()),
                                   queue.mode.encode(reactor.now(), reactor.lasting_now()));
  }
}

void QueueModes::mode_changed(queue::Queue& queue) {
  runtime::Reactor& reactor = dispatcher_.reactor();
  const bool backoff = queue.mode.in_backoff();
  dispatcher_.settler().remember(queue::Remembered::mode_key(queue.name()),
                                 queue.mode.encode(reactor.now(), reactor.lasting_now()));
  // The other list of intervals begins at its beginning, and a loop is looked for anew.
  queue.retry_index = 0;
  queue.reroute_loops = false;
  if (queue.pacing) queue.pacing->on_ceiling(ceiling_of(queue));
  std::string event(backoff ? "backoff" : "normal");
  event += ", by ";
  event += name_of(queue.mode.cause());
  if (!queue.mode.reason().empty()) event += ": " + queue.mode.reason();
  const std::string line =
      "Queue " + queue.name() + " is now in " + (backoff ? "backoff" : "normal") + " mode";
  log(line + " (" + event + ')');
  notify(queue.settings->backoff_notify, line, line + ".\nWhy: " + event);
  queue.note_mode(reactor.wall_now(), std::move(event));
  dispatcher_.limits_changed(queue);
}

void QueueModes::pace_changed(queue::Queue& queue) {
  runtime::Reactor& reactor = dispatcher_.reactor();
  dispatcher_.settler().remember(queue::Remembered::pace_key(queue.name()),
                                 queue.pacing->encode(reactor.now(), reactor.lasting_now()));
  dispatcher_.limits_changed(queue);
}

void QueueModes::recheck_sources(queue::Queue& queue) {
  const queue::Identity& identity = dispatcher_.snapshot()->identity(queue.vmta);
  const std::vector<queue::SourceAddress>& sources = identity.sources;
  const bool before = queue.all_shut;
  queue.all_shut = !queue.shut.empty() &&
                   std::all_of(sources.begin(), sources.end(),
                               [&queue](const auto& source) { return is_shut(queue, source.address); });
  const auto is_gone = [](const ShutSources::Entry& entry) { return entry.reason == kNotOurs; };
  if (!queue.all_shut || !std::ranges::all_of(queue.shut.entries(), is_gone)) {
    queue.barred.reset();
  } else if (!queue.barred) {
    identity.state->blocked.bar();
    queue.barred = {static_cast<void*>(identity.state.get()),
                    [state = identity.state](const void*) { state->blocked.unbar(); }};
  }
  if (before && !queue.all_shut) queue.unnote_state(all_sources_disabled(queue.name()));
  // Pools look for another member while it lasts.
  if (queue.all_shut != before) identity.state->blocked.set(queue.domain(), queue.all_shut);
}

void QueueModes::shut_changed(queue::Queue& queue, std::string event) {
  runtime::Reactor& reactor = dispatcher_.reactor();
  dispatcher_.settler().remember(queue::Remembered::shut_key(queue.name()),
                                 queue.shut.encode(reactor.now(), reactor.lasting_now()));
  const bool before = queue.all_shut;
  recheck_sources(queue);
  const std::string line = "Queue " + queue.name() + ": " + event;
  if (queue.settings->log_disabled_ips) log(line);
  std::string text = line;
  queue.note_mode(reactor.wall_now(), std::move(event));
  if (queue.all_shut && !before) {
    const std::string all = all_sources_disabled(queue.name());
    queue.note(reactor.wall_now(), true, all);
    text += '\n' + all;
  }
  notify(queue.settings->disabled_source_ip_notify, line, std::move(text));
  if (queue.all_shut && !before && queue.settings->backoff_upon_all_sources_disabled) {
    enter_backoff(queue, {.cause = ModeCause::AllSourcesDisabled,
                          .reason = all_sources_disabled(queue.name()),
                          .to_normal_after = std::nullopt});
  }
  dispatcher_.limits_changed(queue);
}

void QueueModes::disable(queue::Queue& queue, const IpAddress& source, std::optional<Duration> time,
                         std::string_view why) {
  const MonoTime now = dispatcher_.reactor().now();
  if (!queue.shut.disable(source, time ? std::optional(now + *time) : std::nullopt, why)) return;
  std::string event = "source IP " + source.text() + " disabled";
  if (time) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*time).count();
    event += " for " + std::to_string(seconds) + 's';
  }
  event += ": ";
  event += why;
  shut_changed(queue, std::move(event));
}

bool QueueModes::source_is_gone(queue::Queue& queue, const IpAddress& source) {
  const MonoTime now = dispatcher_.reactor().now();
  std::erase_if(gone_, [now](const auto& one) { return one.second <= now; });
  const auto same = [&source](const auto& one) { return one.first == source; };
  if (std::none_of(gone_.begin(), gone_.end(), same)) {
    gone_.emplace_back(source, now + kGoneFor);
    log("source IP " + source.text() +
        " is not an address of this host: queues disable it, and try again every " +
        std::to_string(std::chrono::duration_cast<std::chrono::seconds>(kGoneFor).count()) + "s");
  }
  disable(queue, source, kGoneFor, kNotOurs);
  return is_shut(queue, source);
}

void QueueModes::notify(const std::vector<std::string>& to, std::string subject, std::string text) {
  if (notify_ && !to.empty()) notify_({to, std::move(subject), std::move(text)});
}

// --- Commands

void QueueModes::set_mode(queue::Queue& queue, config::QueueMode mode) {
  if (mode == config::QueueMode::Backoff) {
    enter_backoff(queue,
                  {.cause = ModeCause::Command, .reason = "set queue", .to_normal_after = std::nullopt});
  } else if (queue.mode.leave_backoff(ModeCause::Command, "set queue")) {
    mode_changed(queue);
  }
}

bool QueueModes::disable_source(queue::Queue& queue, const IpAddress& source,
                                std::optional<Duration> reenable_after) {
  const std::vector<queue::SourceAddress>& sources = dispatcher_.snapshot()->identity(queue.vmta).sources;
  const bool known = std::any_of(sources.begin(), sources.end(), [&source](const queue::SourceAddress& one) {
    return one.address.value_or(kAnyAddress) == source;
  });
  if (!known) return false;
  disable(queue, source, reenable_after ? reenable_after : queue.settings->reenable_source_ip_after,
          "command");
  return true;
}

bool QueueModes::enable_source(queue::Queue& queue, const IpAddress& source) {
  if (!queue.shut.enable(source)) return false;
  shut_changed(queue, "source IP " + source.text() + " enabled: command");
  return true;
}

}  // namespace sluice::delivery
