#include "engine/injection/intake.h"

#include <algorithm>

#include "engine/runtime/boundary.h"
#include "net/mime/auth_results.h"
#include "net/mime/received.h"
#include "net/smtp/dsn.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/base/version.h"
#include "policy/identity/envelope.h"

namespace sluice::injection {
namespace {

/// Enough for 64 bits in base 32.
class IdText {
 public:
  explicit IdText(MessageId id) {
    static constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuv";
    std::uint64_t rest = id.raw();
    do {
      digits_[--at_] = kDigits[rest & 31];
      rest >>= 5;
    } while (rest != 0);
  }
  [[nodiscard]] std::string_view text() const { return {digits_ + at_, sizeof digits_ - at_}; }

 private:
  char digits_[13];
  std::size_t at_ = sizeof digits_;
};

/// A job id: one word, nothing below a blank inside.
bool is_clean(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x21 || c == 0x7f; });
}

std::string_view domain_of(std::string_view address) {
  const std::size_t at = address.rfind('@');
  return at == std::string_view::npos ? std::string_view() : address.substr(at + 1);
}

Verdict verdict_of(const Error& error) {
  switch (error.code) {
    case Errc::NoSpace: return {452, "4.3.1 insufficient system storage"};
    case Errc::NoMemory: return {452, "4.3.2 Server resources temporarily exhausted"};
    case Errc::BadInput: return {552, "5.3.4 message too large for the spool"};
    case Errc::Cancelled: return {421, "4.3.2 server is shutting down"};
    default: return {451, "4.3.0 message could not be stored"};
  }
}

}  // namespace

Intake::Intake(runtime::Reactor& reactor, spool::Spool& spool, resolver::Resolver& resolver,
               std::span<delivery::Dispatcher* const> dispatchers, std::span<ColdBook* const> cold_books,
               const accounting::TimeZone& zone, const queue::Pressure& pressure,
               std::function<void(std::string)> log)
    : reactor_(reactor),
      spool_(spool),
      dispatchers_(dispatchers),
      zone_(zone),
      pressure_(pressure),
      log_(std::move(log)),
      resolver_(resolver),
      cold_(reactor, resolver, cold_books) {}

void Intake::set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  chooser_.set_snapshot(snapshot_);
  cold_.set_snapshot(snapshot_);
}

std::optional<std::string_view> Intake::why_not_accepting() const {
  const auto why = refusing();
  return why ? std::optional(why->reply) : std::nullopt;
}

std::optional<Intake::Refusing> Intake::refusing() const {
  using Cause = Refusing::Cause;
  static constexpr std::string_view kStorage = "4.3.1 insufficient system storage, try again later";
  if (!spool_.accepting()) return Refusing{Cause::Spool, kStorage};
  if (memory_used_ >= kMemoryMax) return Refusing{Cause::MemoryOfMessages, kStorage};
  if (pressure_.memory_short.load(std::memory_order_relaxed))
    return Refusing{Cause::MemoryOfHost, "4.3.2 Server resources temporarily exhausted"};
  const std::uint64_t most = pressure_.recipients_max.load(std::memory_order_relaxed);
  std::uint64_t queued = 0;
  for (const delivery::Dispatcher* one : dispatchers_) queued += one->recipients();
  if (queued >= most)
    return Refusing{Cause::QueuedRecipients, "4.3.1 too many recipients queued, try again later"};
  return std::nullopt;
}

bool Intake::try_take_memory(std::uint64_t bytes) {
  if (memory_used_ + bytes > kMemoryMax) return false;
  memory_used_ += bytes;
  return true;
}

void Intake::give_back_memory(std::uint64_t bytes) {
  SLUICE_ASSERT(bytes <= memory_used_);
  memory_used_ -= bytes;
}

bool Intake::may_relay(const ClientRules& rules, std::string_view address, std::string_view domain) const {
  return rules.settings.always_allow_relaying || snapshot_->rules->is_relayed(address, domain);
}

Verdict Intake::refuse(Verdict why) {
  ++counters_.refused;
  return why;
}

std::optional<Verdict> Intake::judge_headers(Submission& submission) const {
  const config::SourceSettings& rules = submission.rules->settings;
  Submission::Work& work = submission.work;
  HeaderFacts& headers = work.headers;
  headers.read(submission.rules->headers, submission.text);
  if (headers.too_large) return Verdict{552, "5.3.4 header section too large"};
  // RFC 8601 5: nobody else speaks in our name.
  for (const net::HeaderField& field : headers.auth_results) {
    if (!submission.auth_host.empty() && net::is_auth_results_of(field.value, submission.auth_host)) {
      headers.cuts.push_back({field.offset, field.whole.size(), {}});
    }
  }
  if (headers.hops > rules.max_message_hops) {
    return Verdict{554, "5.4.6 too many hops, this message is looping"};
  }
  // The envelope's job is stronger than x-job, and that than another header that sets the job.
  std::string_view job = headers.job ? *headers.job : headers.job_header.value_or(std::string_view());
  if (!submission.job.empty()) job = submission.job;
  if (!is_clean(job)) return Verdict{554, "5.6.0 job id has blanks or control characters"};
  if (rules.jobid_prefix.empty()) {
    work.job.assign(job);
  } else {
    work.job = identity::job_id(rules.jobid_prefix, submission.client->user, job);
  }
  if (work.job.size() > kJobBytesMax) return Verdict{554, "5.6.0 job id is too long"};
  work.schedule.reset();
  if (rules.process_x_schedule && headers.schedule) {
    auto windows = schedule::Windows::parse(*headers.schedule, zone_);
    if (!windows) return Verdict{554, "5.6.0 x-schedule: " + windows.error()};
    work.schedule = std::make_shared<const schedule::Windows>(std::move(*windows));
  }
  if (headers.env_id) {
    const bool ready = net::is_xtext(*headers.env_id);
    submission.env_id = ready ? std::string(*headers.env_id) : net::encode_xtext(*headers.env_id);
  }
  if (submission.ret == static_cast<std::uint8_t>(spool::DsnReturn::Unset)) {
    switch (rules.dsn_return_default) {
      case config::DsnReturn::System: break;
      case config::DsnReturn::Headers:
        submission.ret = static_cast<std::uint8_t>(spool::DsnReturn::Headers);
        break;
      case config::DsnReturn::Full: submission.ret = static_cast<std::uint8_t>(spool::DsnReturn::Full); break;
    }
  }
  return std::nullopt;
}

std::optional<Verdict> Intake::fault_of(Submission& submission) {
  if (auto wrong = judge_headers(submission)) return wrong;
  return chooser_.fault_of(submission);
}

void Intake::rewrite_sender(Submission& submission, const queue::Snapshot& snapshot,
                            const Chosen& chosen) const {
  const identity::RewriteList* list = snapshot.rules->rewrite_list(chosen.vmta, chosen.pool);
  if (list == nullptr) list = submission.rules->rewrite;
  if (list == nullptr) return;
  if (auto sender = list->mail_from(submission.sender)) submission.sender = std::move(*sender);
  Submission::Work& work = submission.work;
  work.headers.rewrite_from(*list, [&work](std::string text) { return work.keep(std::move(text)); });
}

void Intake::place_recipients(Submission& submission, const queue::Snapshot& snapshot, const Chosen& chosen) {
  Submission::Work& work = submission.work;
  const identity::AliasTable& aliases = snapshot.rules->aliases();
  const std::uint8_t priority = chosen.priority.value_or(50);
  for (std::size_t i = 0; i < submission.recipient_count; ++i) {
    const SubmittedRecipient& one = submission.recipients[i];
    PlacedRecipient placed{.address = one.address,
                           .domain = one.domain,
                           .orcpt = one.orcpt,
                           .notify_bits = one.notify_bits,
                           .priority = priority,
                           .vmta = chosen.vmta,
                           .refusal = one.refusal};
    if (aliases.empty() || !one.refusal.empty()) {
      work.placed.push_back(placed);
      continue;
    }
    std::vector<std::string> instead = aliases.expand(one.address);
    if (instead.empty()) {
      work.placed.push_back(placed);
      continue;
    }
    // RFC 3461 5.2.7.1: what the sender wrote stays the original recipient.
    if (placed.orcpt.empty()) placed.orcpt = work.keep("rfc822;" + net::encode_xtext(one.address));
    for (std::string& address : instead) {
      placed.address = work.keep(std::move(address));
      placed.domain = work.keep(to_lower(domain_of(placed.address)));
      work.placed.push_back(placed);
    }
  }
  if (const std::string& archive = submission.rules->settings.bcc; !archive.empty()) {
    work.placed.push_back({.address = archive,
                           .domain = work.keep(to_lower(domain_of(archive))),
                           .orcpt = {},
                           .notify_bits = spool::DsnNotify::kNever,
                           .priority = priority,
                           .vmta = chosen.vmta,
                           .refusal = {}});
  }
  if (!chosen.pool) return;
  // The pool's turn goes on with every recipient; the first one has had its turn when the pool was chosen.
  for (std::size_t i = 1; i < work.placed.size(); ++i) {
    work.placed[i].vmta = chooser_.next_member(*chosen.pool, work.placed[i].domain);
  }
}

std::string_view Intake::date_text(WallTime time) {
  const std::int64_t second = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  if (second != date_second_) {
    date_second_ = second;
    date_text_.clear();
    net::append_rfc5322_date(date_text_, time);
  }
  return date_text_;
}

void Intake::make_front(Submission& submission, const queue::Snapshot& snapshot, const Chosen& chosen,
                        const spool::MessageDraft& draft) {
  const config::SourceSettings& rules = submission.rules->settings;
  Submission::Work& work = submission.work;
  std::string& out = work.front;
  const std::string& host = snapshot.identity(chosen.vmta).sources.front().ehlo;
  const IdText id(draft.id);
  out += submission.auth_results;
  if (rules.add_received_header) {
    const Client& client = *submission.client;
    net::append_received(out, {.helo = client.name,
                               .client = rules.hide_message_source || client.source_ip.empty()
                                             ? std::nullopt
                                             : std::optional(client.address.address),
                               .host = host,
                               .product = own_product(),
                               .id = id.text(),
                               .recipient = submission.recipient_count == 1
                                                ? std::string_view(submission.recipients[0].address)
                                                : std::string_view(),
                               .date = date_text(reactor_.wall_now()),
                               .envelope_from = submission.sender});
  }
  snapshot.rules->append_headers(out, chosen.vmta, chosen.pool);
  const bool adds_date = rules.add_date_header == config::AddDateHeader::Override ||
                         (rules.add_date_header == config::AddDateHeader::Yes && !work.headers.has_date);
  if (adds_date && rules.date_header_time == config::DateHeaderTime::Reception) {
    out += "Date: ";
    out += date_text(reactor_.wall_now());
    out += "\r\n";
  }
  if (rules.add_message_id_header && !work.headers.has_message_id) {
    // host-id keeps servers apart that say the same name.
    out += "Message-ID: <";
    out += id.text();
    out += '.';
    out += std::to_string(snapshot.config->globals.host_id);
    out += '@';
    out += host;
    out += ">\r\n";
  }
}

void Intake::fill_draft(Submission& submission, const queue::Snapshot& snapshot, const Chosen& chosen,
                        spool::MessageDraft& draft) const {
  Submission::Work& work = submission.work;
  const config::SourceSettings& rules = submission.rules->settings;
  const config::VmtaId main = work.placed.front().vmta;
  work.recipients.reserve(work.placed.size());
  for (const PlacedRecipient& one : work.placed) {
    spool::Recipient recipient{.address = one.address,
                               .orcpt = one.orcpt,
                               .vmta = {},
                               .queue = one.refusal,
                               .notify = {one.notify_bits},
                               .priority = one.priority};
    if ((one.notify_bits & spool::DsnNotify::kDelay) != 0)
      draft.flags.bits |= spool::MessageFlags::kNotifyDelay;
    if (one.vmta != main) recipient.vmta = snapshot.identity(one.vmta).name;
    work.recipients.push_back(recipient);
  }
  const Client& client = *submission.client;
  draft.orig = submission.sender;
  draft.env_id = submission.env_id;
  draft.ret = static_cast<spool::DsnReturn>(submission.ret);
  draft.vmta = snapshot.identity(main).name;
  if (chosen.pool) draft.vmta_pool = snapshot.config->pool(*chosen.pool).name;
  draft.job_id = work.job;
  draft.src_type = submission.source_type;
  draft.src_mta = client.source_mta;
  draft.rcv_smtp_user = client.user;
  draft.rcv_source_ip = client.source_ip;
  draft.rcv_destination_ip = client.local_ip;
  draft.headers = work.headers.accounted;
  draft.recipients = work.recipients;
  draft.wait_until_durable = snapshot.config->globals.sync_msg_create;
  const auto set = [&draft](bool on, std::uint32_t flag) {
    if (on) draft.flags.bits |= flag;
  };
  set(submission.eight_bit, spool::MessageFlags::kEightBit);
  set(submission.has_dot_lines, spool::MessageFlags::kDotLines);
  set(submission.smtp_utf8, spool::MessageFlags::kSmtpUtf8);
  const bool adds_date = rules.add_date_header == config::AddDateHeader::Override ||
                         (rules.add_date_header == config::AddDateHeader::Yes && !work.headers.has_date);
  set(adds_date && rules.date_header_time == config::DateHeaderTime::Delivery,
      spool::MessageFlags::kDateAtDelivery);
  set(rules.add_x_virtual_mta_header, spool::MessageFlags::kNameVirtualMta);
  set(submission.is_copy, spool::MessageFlags::kCopy);
  set(submission.is_report, spool::MessageFlags::kReport);
  set(rules.suppress_local_dsn, spool::MessageFlags::kNoReports);
  set((submission.verp || rules.verp_default) && !submission.sender.empty(), spool::MessageFlags::kVerp);
}

runtime::Task<Verdict> Intake::submit(Submission& submission) {
  SLUICE_ASSERT(submission.recipient_count > 0);
  // A reload may replace the snapshot while this waits for the disk.
  const std::shared_ptr<const queue::Snapshot> snapshot = snapshot_;
  Submission::Work& work = submission.work;
  if (auto refusal = judge_headers(submission)) co_return refuse(std::move(*refusal));
  const auto chosen = chooser_.choose(submission);
  if (!chosen) co_return refuse(chosen.error());
  rewrite_sender(submission, *snapshot, *chosen);
  place_recipients(submission, *snapshot, *chosen);
  if (work.placed.size() > spool::MessageDraft::kRecipientsMax) {
    co_return refuse({552, "5.5.3 too many recipients"});
  }
  // Only mail that comes by SMTP warms up (PowerMTA).
  if (snapshot->rules->warms_up() && submission.source_type == "smtp") {
    co_await cold_.apply(submission, snapshot, chosen->pool);
  }
  spool::MessageDraft draft;
  draft.id = spool_.next_id();
  draft.received = reactor_.lasting_now();
  make_front(submission, *snapshot, *chosen, draft);
  fill_draft(submission, *snapshot, *chosen, draft);
  if (work.headers.begins_with_text) work.front += "\r\n";
  work.pieces.push_back(std::as_bytes(std::span(work.front)));
  work.headers.append_pieces(submission.text, work.pieces);
  draft.body = work.pieces;
  std::string windows;
  if (work.schedule != nullptr) {
    windows = work.schedule->encode();
    draft.schedule = windows;
    draft.flags.bits |= spool::MessageFlags::kScheduled;
  }

  const Result<spool::StoredMessage*> stored = co_await spool_.append(draft, &submission.stop);
  if (!stored) co_return refuse(verdict_of(stored.error()));
  ++counters_.messages;
  counters_.recipients += work.placed.size();
  counters_.bytes += submission.text.size();
  queue_recipients(**stored, submission, *snapshot);
  co_return Verdict{};
}

void Intake::queue_recipients(spool::StoredMessage& message, const Submission& submission,
                              const queue::Snapshot& snapshot) noexcept {
  for (std::size_t i = 0; i < submission.work.placed.size(); ++i) {
    try {
      queue_recipient(message, static_cast<std::uint32_t>(i), submission.work.placed[i], snapshot,
                      submission.work.schedule);
    } catch (...) {  // not tried again: how far it got is not known, and nobody may be queued twice
      runtime::note_contained(
          reactor_, log_, "queueing a recipient of a stored message, which the next start does if it has to");
    }
  }
}

void Intake::queue_recipient(spool::StoredMessage& message, std::uint32_t index,
                             const PlacedRecipient& placed, const queue::Snapshot& snapshot,
                             const std::shared_ptr<const schedule::Windows>& schedule) {
  const queue::Identity& identity = snapshot.identity(placed.vmta);
  identity.state->traffic.accepted.fetch_add(1, std::memory_order_relaxed);
  const delivery::Arrival arrival{
      .message = &message, .recipient = index, .priority = placed.priority, .schedule = schedule};
  const ShardId home = snapshot.home_of(placed.vmta, placed.domain);
  delivery::Dispatcher* there = dispatchers_[home.raw()];
  if (placed.refusal.empty()) {
    if (home == reactor_.shard()) {
      there->enqueue(arrival, placed.domain, identity.name);
    } else {
      reactor_.send_to(home, [there, arrival, domain = std::string(placed.domain), name = identity.name] {
        there->enqueue(arrival, domain, name);
      });
    }
    return;
  }
  auto refusal = delivery::Refusal::parse(placed.refusal);
  SLUICE_ASSERT(refusal.has_value());
  if (home == reactor_.shard()) {
    there->refuse(arrival, placed.domain, identity.name, std::move(*refusal));
  } else {
    reactor_.send_to(home, [there, arrival, domain = std::string(placed.domain), name = identity.name,
                            why = std::move(*refusal)] { there->refuse(arrival, domain, name, why); });
  }
}

}  // namespace sluice::injection
