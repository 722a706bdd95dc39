#include "engine/shard/reports.h"

#include <algorithm>

#include "engine/journal/event_codec.h"
#include "engine/runtime/boundary.h"
#include "net/mime/header_scan.h"
#include "net/mime/received.h"
#include "net/smtp/dsn.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/base/mail_address.h"
#include "policy/config/value.h"

namespace sluice::shard {
namespace {

std::string_view domain_of(std::string_view address) {
  const std::size_t at = address.rfind('@');
  return at == std::string_view::npos ? std::string_view() : address.substr(at + 1);
}

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) > 0x7f; });
}

std::string decoded(std::string_view xtext) { return net::decode_xtext(xtext).value_or(std::string(xtext)); }

/// "rfc822;a+2Bb@c" without its encoding.
std::string original(std::string_view orcpt) {
  const std::size_t colon = orcpt.find(';');
  if (colon == std::string_view::npos) return {};
  return std::string(orcpt.substr(0, colon + 1)) + decoded(orcpt.substr(colon + 1));
}

report::Action action_of(std::string_view dsn_action) {
  if (dsn_action == "delivered") return report::Action::Delivered;
  if (dsn_action == "delayed") return report::Action::Delayed;
  return dsn_action == "relayed" ? report::Action::Relayed : report::Action::Failed;
}

/// The header section without its empty line, whole lines of it up to `most` bytes.
std::string_view header_of(std::string_view message, std::size_t most) {
  const std::size_t end = message.starts_with("\r\n") ? 0 : message.find("\r\n\r\n");
  std::string_view header = end == std::string_view::npos ? message : message.substr(0, end + 2);
  if (end == 0) header = {};
  if (header.size() <= most) return header;
  const std::size_t last = header.rfind("\r\n", most - 2);
  return last == std::string_view::npos ? std::string_view() : header.substr(0, last + 2);
}

std::string subject_of(std::string_view message) {
  net::HeaderScan scan(message);
  net::HeaderField field;
  std::string out;
  while (scan.next(field)) {
    if (!iequals(field.name, "subject")) continue;
    net::append_unfolded(out, field.value);
    break;
  }
  return out;
}

report::Templates templates_of(const config::Config& config) {
  const config::GlobalSettings& globals = config.globals;
  report::Templates out{
      .from = globals.dsn_failed_from_template, .subject = globals.dsn_failed_subject_template, .body = {}};
  const auto body = config.texts.find(globals.dsn_failed_body_template_from);
  if (body != config.texts.end()) out.body = body->second;
  return out;
}

}  // namespace

void Reports::add(const delivery::Reported& one) {
  if (stopped_) {
    // A delivery is not to be repeated; a failure is found again by the next start.
    if (one.event.kind == journal::EventKind::Delivered) journal_.append(one.event, &one.stored);
    return;
  }
  const bool full = bytes_ >= 2 * kWaitingBytesMax;
  if (full || budget_.full(domain_of(one.event.orig))) {
    end_without(one, full ? "the spool does not take them as fast as they come" : "too many are queued");
    return;
  }
  try {
    gather(one);
  } catch (...) {
    runtime::note_contained(reactor_, log_, "a report to a sender");
    end_without(one, "internal error");
  }
}

/// Whole, or not at all.
void Reports::gather(const delivery::Reported& one) {
  std::vector<std::byte> ending(journal::encoded_bytes(one.event));
  journal::encode(one.event, ending);
  Group& group = group_for(one);
  const std::size_t bytes = ending.size();
  group.endings.push_back(std::move(ending));
  group.bytes += bytes;
  bytes_ += bytes;
}

void Reports::end_without(const delivery::Reported& one, std::string_view why) {
  leave_out(why);
  if (one.event.kind != journal::EventKind::Transient) journal_.append(one.event, &one.stored);
}

Reports::Group& Reports::group_for(const delivery::Reported& one) {
  const journal::EventKind kind = one.event.kind;
  const auto known = open_.find(one.message.id.raw());
  Group* const open = known == open_.end() ? nullptr : known->second;
  const bool apart = kind == journal::EventKind::Bounced && templates_of(*intake_.snapshot()->config).any();
  if (open != nullptr && !apart && open->sender == one.event.orig && open->vmta == one.event.vmta &&
      open->kind == kind && open->endings.size() < kRecipientsMax) {
    return *open;
  }
  auto made = std::make_unique<Group>();
  made->kind = kind;
  made->due = reactor_.now() + kGather;
  fill(*made, one);
  if (at_once_ < kAtOnceMax)
    tasks_.spawn(store_all());  // first: without it nothing would ever take what waits
  Group& group = *waiting_.emplace_back(std::move(made));
  bytes_ += group.bytes;
  open_.insert_or_assign(one.message.id.raw(), &group);
  return group;
}

void Reports::fill(Group& group, const delivery::Reported& one) const {
  const spool::MessageView& message = one.message;
  group.message = message.id;
  group.stored = &one.stored;
  group.sender = one.event.orig;
  group.vmta = one.event.vmta;
  group.env_id = message.env_id;
  group.arrival = reactor_.on_calendar(message.received);
  group.plain_text = one.plain_text;
  group.retry_after = one.retry_after;
  group.bounce_after = one.bounce_after;
  const std::string_view body(reinterpret_cast<const char*>(message.body.data()), message.body.size());
  // RFC 3461 4.3: RET=FULL is about failures only.
  const bool whole = message.ret == spool::DsnReturn::Full && group.kind == journal::EventKind::Bounced &&
                     body.size() <= kFullMax && !message.flags.has(spool::MessageFlags::kBinary);
  group.returned = whole ? report::Returned::Full : report::Returned::Headers;
  group.content = whole ? body : header_of(body, kHeadersMax);
  if (!intake_.snapshot()->config->globals.dsn_failed_subject_template.empty() ||
      !intake_.snapshot()->config->globals.dsn_failed_body_template_from.empty()) {
    group.subject = subject_of(body);
  }
  group.bytes = sizeof(Group) + group.content.size() + group.subject.size();
}

void Reports::report_ended(std::string_view address) { budget_.remove(domain_of(address)); }

void Reports::leave_out(std::string_view why) noexcept {
  ++left_out_;
  if (said_ != MonoTime{} && reactor_.now() - said_ < 1min) return;
  said_ = reactor_.now();
  try {
    log_("Reports to senders left out: " + std::to_string(left_out_) + ": " + std::string(why));
    left_out_ = 0;
  } catch (...) {  // the next line has them, too
  }
}

runtime::Task<void> Reports::stop() {
  stopping_ = true;
  co_await tasks_.join();
  stopped_ = true;
}

runtime::Task<void> Reports::store_all() {
  ++at_once_;
  // Whoever settled is in the middle of something, and storing looks at queues.
  co_await runtime::yield(reactor_);
  while (!waiting_.empty()) {
    const std::unique_ptr<Group> group = std::move(waiting_.front());
    waiting_.pop_front();
    if (!stopping_ && group->due > reactor_.now()) co_await runtime::sleep_until(reactor_, group->due);
    const auto open = open_.find(group->message.raw());
    if (open != open_.end() && open->second == group.get()) open_.erase(open);
    const MonoTime end = reactor_.now() + 2 * kPatience;
    for (bool again = true; again;) {  // what is done by then is not done twice
      again = false;
      try {
        co_await store(*group);
      } catch (...) {
        runtime::note_contained(reactor_, log_, "a report to a sender");
        again = reactor_.now() < end;
      }
      if (again) co_await runtime::sleep_for(reactor_, kAgain);
    }
    bytes_ -= group->bytes;
  }
  --at_once_;
}

runtime::Task<void> Reports::store(Group& group) {
  if (group.endings.empty()) co_return;  // an exception came before the first
  const MonoTime end = reactor_.now() + kPatience;
  while (!group.settled) {
    injection::Verdict verdict{451, "internal error"};
    try {
      verdict = co_await submit(group);
    } catch (...) {
      runtime::note_contained(reactor_, log_, "a report to a sender");
    }
    group.settled = verdict.accepted();
    if (group.settled) {
      no_space_ = false;
      break;
    }
    const bool may_come = verdict.code / 100 == 4;
    // Failures are found again by the next start, and reported then.
    if (may_come && stopping_ && group.kind != journal::EventKind::Delivered) co_return;
    if (!may_come || stopping_ || reactor_.now() >= end) {
      group.settled = true;
      leave_out(std::to_string(verdict.code) + ' ' + verdict.text);
      break;
    }
    no_space_ = true;
    co_await runtime::sleep_for(reactor_, kAgain);
  }
  if (group.kind == journal::EventKind::Transient) co_return;  // they go on waiting
  for (; group.ended < group.endings.size(); ++group.ended) {
    const Result<journal::Event> event = journal::decode_event(group.endings[group.ended]);
    SLUICE_ASSERT(event.has_value());
    journal_.append(*event, group.stored);
  }
}

runtime::Task<injection::Verdict> Reports::submit(const Group& group) {
  const std::shared_ptr<const queue::Snapshot> snapshot = intake_.snapshot();
  const auto& names = snapshot->config->globals.host_name;
  const std::string host = names.empty() ? "localhost" : names.front();
  config::SourceSettings rules;
  rules.add_received_header = false;
  // Gone with a reload: by {default}.
  const bool known = snapshot->config->find_vmta(group.vmta).has_value();
  injection::Submission submission;
  submission.rules = std::make_shared<const injection::ClientRules>(
      snapshot, rules, known ? std::string_view(group.vmta) : std::string_view());
  submission.client = std::make_shared<const injection::Client>(host, Endpoint{}, Endpoint{}, "");
  submission.source_type = "local";
  submission.is_report = true;
  const auto address = MailAddress::parse(group.sender, {.bare = true, .allow_loose_dots = true});
  if (!address) co_return injection::Verdict{553, "5.1.3 the sender is no mail address"};
  injection::SubmittedRecipient& recipient = submission.add_recipient();
  recipient.address = address->text();
  recipient.domain = to_lower(address->domain());
  recipient.notify_bits = spool::DsnNotify::kNever;  // RFC 3461 6.2
  submission.smtp_utf8 = !is_ascii(group.sender);
  for (const std::vector<std::byte>& ending : group.endings) {
    const Result<journal::Event> event = journal::decode_event(ending);
    SLUICE_ASSERT(event.has_value());
    submission.smtp_utf8 = submission.smtp_utf8 || !is_ascii(event->rcpt);
  }
  submission.text = text_of(group, *snapshot, submission.smtp_utf8);
  submission.eight_bit = !is_ascii(submission.text);
  submission.has_dot_lines = submission.text.find("\r\n.") != std::string::npos;
  injection::Verdict verdict = co_await intake_.submit(submission);
  if (verdict.accepted()) count(submission);
  co_return verdict;
}

/// It is stored: what fails here may not have it stored again.
void Reports::count(const injection::Submission& submission) noexcept {
  try {
    for (const injection::PlacedRecipient& placed : submission.work.placed) budget_.add(placed.domain);
  } catch (...) {
    runtime::note_contained(reactor_, log_, "counting a report to a sender");
  }
}

std::string Reports::text_of(const Group& group, const queue::Snapshot& snapshot, bool utf8) {
  const config::GlobalSettings& globals = snapshot.config->globals;
  const std::string host = globals.host_name.empty() ? "localhost" : globals.host_name.front();
  std::string from = globals.custom_dsn_from_header;
  if (from.empty()) from = globals.postmaster.empty() ? "postmaster@" + host : globals.postmaster.front();
  const WallTime now = reactor_.wall_now();
  const std::string date = net::rfc5322_date(now), arrival = net::rfc5322_date(group.arrival);
  const std::string env_id = decoded(group.env_id);
  const std::string id = std::to_string(now.time_since_epoch().count()) + '.' +
                         std::to_string(reactor_.shard().raw()) + '.' + std::to_string(++number_);
  const std::string retry_after = config::format_duration(group.retry_after),
                    bounce_after = config::format_duration(group.bounce_after);
  const bool delayed = group.kind == journal::EventKind::Transient;
  const WallTime end = group.arrival + std::chrono::ceil<std::chrono::milliseconds>(group.bounce_after);
  const std::string until = delayed ? net::rfc5322_date(end) : std::string();
  std::vector<std::string> originals(group.endings.size());
  std::vector<report::Fate> fates;
  for (std::size_t i = 0; i < group.endings.size(); ++i) {
    const Result<journal::Event> event = journal::decode_event(group.endings[i]);
    SLUICE_ASSERT(event.has_value());
    originals[i] = original(event->orcpt);
    fates.push_back({.action = action_of(event->dsn_action),
                     .recipient = event->rcpt,
                     .original = originals[i],
                     .status = event->dsn_status,
                     .diagnostic = event->dsn_diag,
                     .remote_mta = event->dsn_mta,
                     .category = event->bounce_cat,
                     .retried_until = until});
  }
  return report::text({.host = host,
                       .vmta = group.vmta,
                       .from = from,
                       .to = group.sender,
                       .date = date,
                       .arrival_date = arrival,
                       .envelope_id = env_id,
                       .subject = group.subject,
                       .id = id,
                       .retry_after = retry_after,
                       .bounce_after = bounce_after,
                       .plain_text = group.plain_text,
                       .utf8 = utf8,
                       .returned = group.returned,
                       .content = group.content,
                       .templates = templates_of(*snapshot.config)},
                      fates);
}

}  // namespace sluice::shard
