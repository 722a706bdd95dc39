// Into which queue mail goes: `queue-to`, MX rollup, and the way back when a rollup is gone.
//
//   mail -> queue of its domain -> in question? -> DNS is asked once for all that gather there -> the queue
//   it joins,
//                                                                                              or its own way
//
// The question is asked before a queue's first connection, and again when the MX records behind the answer
// run out: so mail is never sent under the wrong queue's limits, and waits where `show queues` sees it. Order
// is kept: all that gathered moves on in a row, later mail behind it. Nothing is written: after a restart the
// same question gives the same answer (and the journal's last event already names a listed rollup).
#include <algorithm>

#include "engine/delivery/dispatcher.h"
#include "engine/runtime/boundary.h"
#include "policy/base/assert.h"

namespace sluice::delivery {
namespace {

/// An answer that DNS cannot renew holds so much longer.
constexpr Duration kStaleAnswer = 1min;
/// Hosts of a rollup that take no mail send it back to its domains, but not in a circle.
constexpr Duration kRouteLostPause = 10min;

/// Domain of a recipient's address, lower case.
std::string domain_of(std::string_view address) {
  std::string domain(address.substr(std::min(address.rfind('@') + 1, address.size())));
  for (char& c : domain) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return domain;
}

}  // namespace

void Dispatcher::apply_placement(queue::Queue& queue) {
  queue::Placement& placement = queue.placement;
  const config::DomainSettings& settings = *queue.settings;
  const std::string_view domain = queue.domain();
  placement.is_rollup = routing::is_rollup_name(domain) && settings.smtp_hosts.empty();
  placement.joins.clear();
  placement.route.reset();
  placement.valid_until = {};
  placement.in_circle = false;
  placement.by_setting = !settings.queue_to.empty() && settings.queue_to != domain;
  if (placement.by_setting) placement.joins = settings.queue_to;
  placement.in_question = !placement.by_setting && rollups_.active() && !placement.is_rollup &&
                          settings.type == config::QueueType::Smtp && settings.smtp_hosts.empty() &&
                          !settings.disable_mx_rollup && !domain.starts_with('[');
  if (!placement.is_rollup) {
    queue.route.reset();
  } else if (auto listed = rollups_.hosts_of(domain)) {
    queue.route = std::move(listed);
  } else if (!snapshot_->config->globals.auto_mx_rollup) {
    queue.route.reset();  // a list that has gone
  }
}

/// True: the queue's mail does not go out from here, now or at all; `queue` may be gone.
bool Dispatcher::place(queue::Queue& queue, MonoTime now) {
  queue::Placement& placement = queue.placement;
  if (placement.asking || placement.in_line) {
    set_timer(queue, std::nullopt);
    return true;
  }
  // A list's hosts are known from its first domain on, which may have come behind the queue.
  if (placement.is_rollup && !queue.route) queue.route = rollups_.hosts_of(queue.domain());
  if (placement.is_rollup && !queue.route && !queue.is_joined_by_setting) {
    placement.asking = true;
    tasks_.spawn(dissolve(queue));
    return true;
  }
  if (placement.open(now)) {
    if (queue.retry_until > now) return false;
    if (placing_ >= kPlacingMax) {
      placement.in_line = true;
      placing_line_.push_back(&queue);
      return true;
    }
    ++placing_;
    placement.asking = true;
    tasks_.spawn(ask_placement(queue));
    return true;
  }
  if (placement.joins.empty() || placement.in_circle) return false;
  start_moving(queue);
  set_timer(queue, std::nullopt);
  return true;
}

Rollups::Wishes Dispatcher::wishes_of(const queue::Queue& queue) {
  Rollups::Wishes wishes;
  wishes.providers = queue.settings->mx_rollup;
  for (const std::string& provider : snapshot_->rollup_providers) {
    // `<domain gmail.com> mx-rollup gmail.com`: said where the provider's own queue is spoken of, meant for
    // all.
    const auto& theirs = settings_->settings_for(provider, queue.vmta).mx_rollup;
    if (std::find(theirs.begin(), theirs.end(), provider) == theirs.end()) continue;
    if (std::find(wishes.providers.begin(), wishes.providers.end(), provider) == wishes.providers.end())
      wishes.providers.push_back(provider);
  }
  // A domain somebody wrote a block for keeps what that block says.
  wishes.automatic = snapshot_->config->globals.auto_mx_rollup &&
                     queue.settings.get() == &settings_->settings_for("no-block.invalid", queue.vmta);
  return wishes;
}

runtime::Task<void> Dispatcher::ask_placement(queue::Queue& queue) {
  ++queue.held;
  const std::uint64_t asked_under = snapshot_->number;
  Rollups::Answer answer;
  try {
    answer = co_await rollups_.decide(std::string(queue.domain()), wishes_of(queue));
  } catch (...) {  // as a question that DNS did not answer: it is asked again
    runtime::note_contained(reactor_, log_, "asking where mail goes:", queue.name());
    answer = {};
  }
  --placing_;
  --queue.held;
  queue.placement.asking = false;
  if (stopping_) co_return;
  // After a reload in between the question is another one.
  if (asked_under == snapshot_->number) note_placement(queue, answer);
  consider(queue);
  next_in_placing_line();
}

void Dispatcher::note_placement(queue::Queue& queue, const Rollups::Answer& answer) {
  queue::Placement& placement = queue.placement;
  if (!answer.known) {
    if (placement.valid_until != MonoTime{}) {
      placement.valid_until = reactor_.now() + kStaleAnswer;
    } else {
      failed(queue, QueueFailureKind::Dns, nullptr,
             {{4, 4, 3}, "StatusDnsQueryFailed resolving " + std::string(queue.domain())});
    }
    return;
  }
  placement.joins = answer.joins;
  if (answer.joins.empty())
    snapshot_->joined->set(snapshot_->identity(queue.vmta).state.get(), queue.domain(), {});
  placement.route = answer.route;
  placement.valid_until = std::max(answer.valid_until, reactor_.now() + 1s);
  if (answer.new_anchor) settler_.remember(queue::Remembered::rollup_key(answer.joins), queue.domain());
}

void Dispatcher::next_in_placing_line() {
  while (!placing_line_.empty() && placing_ < kPlacingMax) {
    queue::Queue& next = *placing_line_.front();
    placing_line_.pop_front();
    next.placement.in_line = false;
    consider(next);
  }
}

bool Dispatcher::route_lost(queue::Queue& queue) {
  const MonoTime now = reactor_.now();
  if (!queue.placement.is_rollup || !queue.route || queue.route_lost + kRouteLostPause >= now) return false;
  const bool listed = snapshot_->rollups.find(queue.domain()) != nullptr;
  if (listed && !rollups_.drop_anchor(queue.domain()))
    return false;  // names somebody wrote down: as they say
  queue.route_lost = now;
  if (listed) settler_.remember(queue::Remembered::rollup_key(queue.domain()), "");
  queue.route.reset();
  return true;
}

/// Sends every recipient back to the queue of its own domain.
runtime::Task<void> Dispatcher::dissolve(queue::Queue& queue) {
  ++queue.held;
  // What comes meanwhile is left for the next time.
  for (std::size_t left = queue.size(); left > 0 && !stopping_;) {
    std::vector<Arrival> mail;
    std::vector<Handed> slice;
    queue.remove_some(std::min(left, kMovedAtOnce), [this, &mail](queue::Item& item) {
      mail.push_back(arrival_of(item));
      items_.give_back(&item);
    });
    if (mail.empty()) break;
    left -= mail.size();
    for (Arrival& one : mail) {
      Result<spool::MessageLease> lease = co_await reader_.open(*one.message);
      if (stopping_) break;  // recovery finds them
      if (!lease) {
        // Unreadable now: its domain is unknown, and it is looked at again in a while.
        one.due = reactor_.now() + kStaleAnswer;
        keep(queue, one);
        continue;
      }
      Handed out{.arrival = one, .vmta = std::string(queue.vmta_name())};
      out.domain = domain_of(lease->view().recipient(one.recipient).address);
      out.home = snapshot_->home_of(queue.vmta, out.domain);
      out.by.is_back = true;
      slice.push_back(std::move(out));
    }
    co_await hand_over(std::move(slice));
  }
  queue.emptied_at = reactor_.now();
  --queue.held;
  queue.placement.asking = false;
  if (!stopping_) consider(queue);
}

}  // namespace sluice::delivery
