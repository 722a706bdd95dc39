#include "engine/delivery/settler.h"

#include <algorithm>
#include <limits>

#include "engine/delivery/delivery_headers.h"
#include "policy/backoff/retry_rules.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/classify/status_text.h"
#include "policy/identity/envelope.h"

namespace sluice::delivery {
namespace {

std::string_view dlv_type(const queue::Queue& queue) {
  switch (queue.settings->type) {
    case config::QueueType::Smtp: return "smtp";
    case config::QueueType::Pipe: return "pipe";
    case config::QueueType::File: return "file";
    case config::QueueType::Discard: return "discard";
    case config::QueueType::HttpDelivery: return "http-delivery";
  }
  return "smtp";
}

std::string_view domain_of(std::string_view address) {
  const std::size_t at = address.rfind('@');
  return at == std::string_view::npos ? std::string_view() : address.substr(at + 1);
}

/// Is `name` one of "PIPELINING,DSN,SIZE"?
bool lists_extension(std::string_view listed, std::string_view name) {
  for (std::size_t at = listed.find(name); at != std::string_view::npos; at = listed.find(name, at + 1)) {
    const std::size_t end = at + name.size();
    if ((at == 0 || listed[at - 1] == ',') && (end == listed.size() || listed[end] == ',')) return true;
  }
  return false;
}

constexpr Duration kNoAgeLimit = std::chrono::hours(24 * 36500);

void count_attempt(queue::Item& item) {
  if (item.attempts < std::numeric_limits<std::uint16_t>::max()) ++item.attempts;
}

}  // namespace

Settler::Settler(runtime::Reactor& reactor, journal::Journal& journal, queue::ItemPool& items)
    : reactor_(reactor), journal_(journal), items_(items) {}

void Settler::set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot,
                           std::shared_ptr<config::DomainSettingsCache> settings) {
  snapshot_ = std::move(snapshot);
  settings_ = std::move(settings);
  if (!snapshot_->config->globals.track_time_first_attempt) first_attempts_.clear();
}

void Settler::fill(journal::Event& event, const queue::Queue& queue, const queue::Item& item,
                   const spool::MessageView& message, const HopFacts* hop) {
  const spool::Recipient recipient = message.recipient(item.recipient);
  notify_ = recipient.notify.bits;
  event.headers.clear();
  event.ending = journal::Ending::None;
  event.time_logged = reactor_.wall_now();
  event.time_queued = reactor_.on_calendar(message.received);
  event.time_first_attempt = {};
  event.message = message.id;
  event.recipient = item.recipient;
  event.attempts = item.attempts;
  event.next_due = {};
  event.dlv_size_bytes = 0;
  event.orig = message.orig;
  if (message.flags.has(spool::MessageFlags::kVerp)) {
    sender_.clear();
    identity::append_verp(sender_, message.orig, recipient.address);
    event.orig = sender_;
  }
  event.rcpt = recipient.address;
  event.orcpt = recipient.orcpt;
  event.src_type = message.src_type;
  event.src_mta = message.src_mta;
  event.vmta = queue.vmta_name();
  event.vmta_pool = message.vmta_pool;
  event.job_id = message.job_id;
  event.env_id = message.env_id;
  event.rcv_smtp_user = message.rcv_smtp_user;
  event.queue = queue.name();
  event.dlv_type = dlv_type(queue);
  event.dsn_mta = hop != nullptr ? std::string_view(hop->mta) : std::string_view();
  event.dlv_source_ip = hop != nullptr ? std::string_view(hop->source_ip) : std::string_view();
  event.dlv_destination_ip = hop != nullptr ? std::string_view(hop->destination_ip) : std::string_view();
  event.dlv_esmtp_available = hop != nullptr ? std::string_view(hop->esmtp) : std::string_view();
  message.for_each_header([&event](const spool::HeaderField& header) { event.headers.push_back(header); });
}

void Settler::note_attempt(journal::Event& event, const queue::Item& item, bool was_tried) {
  if (!snapshot_->config->globals.track_time_first_attempt) return;
  event.time_first_attempt = first_attempts_.find(item);
  if (event.time_first_attempt == WallTime{} && was_tried) event.time_first_attempt = event.time_logged;
}

std::string_view Settler::category_of(const Failure& failure) const {
  const BounceClassifier& rules = *snapshot_->bounce_categories;
  if (failure.by_receiver) return rules.classify(failure.status, failure.diag).category;
  return rules.classify_own(failure.status, failure.diag, failure.category).category;
}

void Settler::classify(journal::Event& event, const Failure& failure) {
  status_ = failure.words.empty() ? sluice::status_text(failure.status)
                                  : failure.status.text() + " (" + failure.words + ')';
  diag_ = failure.diag;
  event.dsn_status = status_;
  event.dsn_diag = diag_;
  event.bounce_cat = category_of(failure);
}

const config::BounceAction* Settler::find_action(queue::Queue& queue, const Failure& failure) {
  const BounceActions* actions = snapshot_->find_bounce_actions(*queue.settings);
  if (actions == nullptr) return nullptr;
  const config::BounceAction* found = actions->find(category_of(failure), failure.status, failure.diag);
  if (found != nullptr && (found->log_only || found->action == config::BounceActionKind::Log)) {
    queue.note_mode(reactor_.wall_now(), "bounce action " + std::string(name_of(found->action)) +
                                             " (log only): " + failure.status.text() + ';' + failure.diag);
  }
  return found;
}

/// The domain settings for mail to the sender, which is what a report is.
const config::DomainSettings& Settler::settings_of_sender(const queue::Queue& queue) {
  return settings_->settings_for(to_lower(domain_of(event_.orig)), queue.vmta);
}

bool Settler::wants_report(const queue::Queue& queue, const spool::MessageView& message, std::uint8_t kind,
                           bool by_default) {
  if (reports_ == nullptr || event_.orig.empty() || message.flags.has(spool::MessageFlags::kNoReports)) {
    return false;
  }
  const bool asked = notify_ == 0 ? by_default : (notify_ & kind) != 0;
  return asked && settings_of_sender(queue).deliver_local_dsn;
}

void Settler::report(const queue::Queue& queue, const queue::Item& item, const spool::MessageView& message) {
  reports_->add(
      {.event = event_,
       .message = message,
       .stored = *item.message,
       .plain_text = settings_of_sender(queue).dsn_format == config::DsnFormat::PlainText,
       .retry_after = queue.settings->retry_after.empty() ? Duration{0} : queue.settings->retry_after.front(),
       .bounce_after = queue.settings->bounce_after});
}

void Settler::delayed(queue::Queue& queue, const queue::Item& item, const spool::MessageView& message,
                      const Failure& last) {
  fill(event_, queue, item, message, nullptr);
  if (!wants_report(queue, message, spool::DsnNotify::kDelay, false)) return;
  event_.kind = journal::EventKind::Transient;
  event_.dsn_action = "delayed";
  classify(event_, last);
  report(queue, item, message);
}

void Settler::end(queue::Queue& queue, queue::Item& item, const spool::MessageView& message, bool reported) {
  if (reports_ != nullptr && item.message->flags().has(spool::MessageFlags::kReport))
    reports_->report_ended(event_.rcpt);
  if (reported) {
    report(queue, item, message);
  } else {
    journal_.append(event_, item.message);
  }
  leave(queue, item);
}

void Settler::leave(queue::Queue& queue, queue::Item& item) {
  first_attempts_.take(item);
  queue.ended(item);
  items_.give_back(&item);
}

void Settler::delivered(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                        const HopFacts* hop, const SmtpReply& reply) {
  diag_.assign("smtp;");
  diag_ += reply.full_text();
  end_delivered(queue, item, message, hop, "relayed");
}

void Settler::delivered(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                        const HopFacts* hop, Delivery delivery) {
  diag_ = std::move(delivery.diag);
  end_delivered(queue, item, message, hop, delivery.action);
}

void Settler::end_delivered(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                            const HopFacts* hop, std::string_view action) {
  count_attempt(item);
  fill(event_, queue, item, message, hop);
  note_attempt(event_, item, true);
  event_.kind = journal::EventKind::Delivered;
  event_.ending = journal::Ending::Delivered;
  event_.dsn_action = action;
  event_.dsn_status = "2.0.0 (success)";
  event_.dsn_diag = diag_;
  event_.bounce_cat = {};
  event_.dlv_size_bytes = message.body.size();
  ++counters_.delivered;
  counters_.delivered_bytes += message.body.size();
  ++queue.delivered;
  queue::Traffic& traffic = snapshot_->identity(queue.vmta).state->traffic;
  traffic.delivered.fetch_add(1, std::memory_order_relaxed);
  traffic.delivered_bytes.fetch_add(message.body.size(), std::memory_order_relaxed);
  if (copies_ != nullptr && !queue.settings->bcc_upon_delivery.empty()) {
    try {
      copy(queue, message, event_.orig);
    } catch (...) {  // the delivery is recorded all the same
      copies_->left_out(queue.settings->bcc_upon_delivery);
    }
  }
  // A server that knows DSN was told what the sender wants and answers for it (RFC 3461 5.2.2).
  const bool handed_on = hop != nullptr && !queue.settings->ignore_dsn && lists_extension(hop->esmtp, "DSN");
  const bool reported = (notify_ & spool::DsnNotify::kSuccess) != 0 && !handed_on &&
                        wants_report(queue, message, spool::DsnNotify::kSuccess, false);
  end(queue, item, message, reported);
}

void Settler::copy(const queue::Queue& queue, const spool::MessageView& message, std::string_view sender) {
  if (message.flags.has(spool::MessageFlags::kCopy)) return;
  Outgoing sent;
  make_outgoing(sent, message.body, message.flags, queue.vmta_name(), reactor_.wall_now(),
                queue.settings->remove_header);
  sent.front.append(reinterpret_cast<const char*>(sent.rest.data()), sent.rest.size());
  copies_->add({.to = queue.settings->bcc_upon_delivery,
                .sender = std::string(sender),
                .env_id = std::string(message.env_id),
                .vmta = std::string(queue.vmta_name()),
                .text = std::move(sent.front),
                .eight_bit = message.flags.has(spool::MessageFlags::kEightBit),
                .smtp_utf8 = message.flags.has(spool::MessageFlags::kSmtpUtf8),
                .has_dot_lines = message.flags.has(spool::MessageFlags::kDotLines)});
}

void Settler::bounced(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                      const HopFacts* hop, const Failure& failure, journal::Ending ending) {
  if (ending == journal::Ending::Bounced) {
    const config::BounceAction* action = find_action(queue, failure);
    if (decide_after_failure(action) == AfterFailure::Retry) {
      wait_again(queue, item, message, hop, failure, {.wait = action->retry_after});
      return;
    }
  }
  end_bounced(queue, item, message, hop, failure, ending, true);
}

void Settler::removed(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                      Removal how) {
  static const Failure kWhy{{5, 0, 0}, "smtp;deleted by administrator"};
  end_bounced(queue, item, message, nullptr, kWhy,
              how.account ? journal::Ending::Deleted : journal::Ending::Removed, how.report);
}

void Settler::end_bounced(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                          const HopFacts* hop, const Failure& failure, journal::Ending ending,
                          bool reported) {
  count_attempt(item);
  fill(event_, queue, item, message, hop);
  note_attempt(event_, item, hop != nullptr);
  event_.kind = journal::EventKind::Bounced;
  event_.ending = ending;
  event_.dsn_action = "failed";
  classify(event_, failure);
  if (queue.settings->replace_smtp_421_service_response && diag_.starts_with("smtp;421")) {
    diag_ = "smtp;421 service unavailable";
    event_.dsn_diag = diag_;
  }
  ++counters_.bounced;
  ++queue.bounced;
  snapshot_->identity(queue.vmta).state->traffic.bounced.fetch_add(1, std::memory_order_relaxed);
  end(queue, item, message, reported && wants_report(queue, message, spool::DsnNotify::kFailure, true));
}

void Settler::deferred(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                       const HopFacts* hop, const Failure& failure, const Deferral& how) {
  const config::BounceAction* action = find_action(queue, failure);
  Deferral asked = how;
  switch (decide_after_failure(action)) {
    case AfterFailure::AsUsual: break;
    case AfterFailure::Drop: bounced(queue, item, message, hop, failure); return;
    case AfterFailure::Retry:
      if (!asked.wait) asked.wait = action->retry_after;
      break;
  }
  wait_again(queue, item, message, hop, failure, asked);
}

void Settler::wait_again(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                         const HopFacts* hop, const Failure& failure, const Deferral& how) {
  if (!how.was_shut_off) {
    item.shut_attempts = 0;
  } else if (item.shut_attempts < std::numeric_limits<std::uint8_t>::max()) {
    ++item.shut_attempts;
  }
  WaitingRecipient recipient{.age = reactor_.lasting_now() - message.received,
                             .attempts_since_shutoff = {},
                             .asked_by_rule = how.wait};
  if (how.was_shut_off) recipient.attempts_since_shutoff = item.shut_attempts;
  RetryRules rules = retry_rules_of(*queue.settings, queue.mode.mode());
  const auto windows = items_.schedule_of(item);
  if (windows != nullptr) rules.bounce_after = kNoAgeLimit;
  RetryDecision decision = decide_recipient_retry(rules, recipient);
  if (windows != nullptr && decision.kind == RetryDecision::Kind::Wait) {
    const WallTime wall = reactor_.wall_now();
    const schedule::Standing then =
        windows->at(wall + std::chrono::ceil<std::chrono::milliseconds>(decision.wait));
    if (then.kind == schedule::Standing::Kind::Over) {
      window_over(queue, item, message, failure);
      return;
    }
    if (then.kind == schedule::Standing::Kind::Waits) decision.wait = then.until - wall;
  }
  if (decision.kind == RetryDecision::Kind::Expire) {
    expired(queue, item, message, failure, hop);
    return;
  }
  count_attempt(item);
  fill(event_, queue, item, message, hop);
  note_attempt(event_, item, true);
  first_attempts_.note(item.message, item.recipient, event_.time_first_attempt);
  event_.kind = journal::EventKind::Transient;
  event_.dsn_action = "delayed";
  event_.shut_attempts = item.shut_attempts;
  event_.next_due = reactor_.lasting_now() + std::chrono::ceil<std::chrono::milliseconds>(decision.wait);
  classify(event_, failure);
  journal_.append(event_);
  ++counters_.deferred;
  ++queue.deferred;
  queue.note_deferral(event_.time_logged, failure.diag);
  snapshot_->identity(queue.vmta).state->traffic.deferred.fetch_add(1, std::memory_order_relaxed);
  item.due = reactor_.now() + decision.wait;
  queue.wait(item, true);
}

void Settler::queue_failed(queue::Queue& queue, const HopFacts* hop, const Failure& failure) {
  event_ = journal::Event{};
  event_.kind = journal::EventKind::QueueTransient;
  event_.time_logged = reactor_.wall_now();
  event_.vmta = queue.vmta_name();
  event_.queue = queue.name();
  event_.dlv_type = dlv_type(queue);
  if (hop != nullptr) {
    event_.dsn_mta = hop->mta;
    event_.dlv_source_ip = hop->source_ip;
    event_.dlv_destination_ip = hop->destination_ip;
  }
  classify(event_, failure);
  event_.bounce_cat = {};
  journal_.append(event_);
  ++counters_.queue_failures;
  queue.note(reactor_.wall_now(), true, failure.diag);
}

void Settler::window_over(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                          const Failure& last) {
  Failure failure{{4, 4, 7}, "x-pmta;no delivery window is left"};
  if (!last.diag.empty()) failure.diag += " (" + last.diag + ')';
  bounced(queue, item, message, nullptr, failure, journal::Ending::Expired);
}

void Settler::lost(queue::Queue& queue, queue::Item& item, const Error& error) {
  if (error.code != Errc::Corrupt) {
    item.due = reactor_.now() + queue.settings->retry_recipients_after;
    queue.wait(item, true);
    return;
  }
  event_ = journal::Event{};
  event_.kind = journal::EventKind::Bounced;
  event_.ending = journal::Ending::Bounced;
  event_.time_logged = reactor_.wall_now();
  event_.time_queued = reactor_.on_calendar(item.message->received());
  event_.message = item.message->id();
  event_.recipient = item.recipient;
  event_.attempts = item.attempts;
  event_.dsn_action = "failed";
  event_.vmta = queue.vmta_name();
  event_.queue = queue.name();
  classify(event_,
           {{5, 3, 0}, "smtp;stored message is damaged; its bytes are kept in the spool's damaged folder"});
  ++counters_.bounced;
  ++queue.bounced;
  // A report to a sender counts per domain, which is all that is known of it here.
  if (reports_ != nullptr && item.message->flags().has(spool::MessageFlags::kReport))
    reports_->report_ended('@' + std::string(queue.domain()));
  SLUICE_ASSERT(lost_ != nullptr);
  lost_->add(event_, *item.message);
  leave(queue, item);
}

void Settler::expired(queue::Queue& queue, queue::Item& item, const spool::MessageView& message,
                      const Failure& last, const HopFacts* hop) {
  Failure failure{{4, 4, 7}, last.diag, last.by_receiver};
  if (failure.diag.empty()) failure.diag = "smtp;message older than bounce-after";
  bounced(queue, item, message, hop, failure, journal::Ending::Expired);
}

}  // namespace sluice::delivery
