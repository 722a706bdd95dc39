#include "engine/injection/intake.h"

#include <algorithm>
#include <array>

#include "net/mime/header_scan.h"
#include "net/mime/received.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::injection {
namespace {

constexpr std::string_view kProduct = "PowerMTA v5.0r1";  // what tools around PowerMTA look for

std::string id_text(MessageId id) {
  static constexpr std::string_view kDigits = "0123456789abcdefghijklmnopqrstuv";
  std::string out;
  for (std::uint64_t rest = id.raw(); rest != 0; rest >>= 5) out.push_back(kDigits[rest & 31]);
  std::reverse(out.begin(), out.end());
  return out.empty() ? "0" : out;
}

/// A job id or VMTA name from a header: one line, no blanks at the ends, nothing below a blank inside.
bool is_clean(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x21 || c == 0x7f; });
}

}  // namespace

/// What the pass over the headers found, and the pieces that make the stored form.
struct Intake::Prepared {
  std::string_view vmta_header;
  bool has_vmta_header = false;
  std::string_view job_id;
  std::vector<std::span<const std::byte>> pieces;  // [0] is the trace header, filled in later
  std::vector<spool::HeaderField> captured;
};

Intake::Intake(runtime::Reactor& reactor, spool::Spool& spool,
               std::span<delivery::Dispatcher* const> dispatchers)
    : reactor_(reactor), spool_(spool), dispatchers_(dispatchers) {}

void Intake::set_snapshot(std::shared_ptr<const queue::Snapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  pool_turns_.assign(snapshot_->config->pools.size(), 0);
}

bool Intake::accepting() const { return spool_.accepting() && memory_used_ < kMemoryMax; }

bool Intake::try_take_memory(std::uint64_t bytes) {
  if (memory_used_ + bytes > kMemoryMax) return false;
  memory_used_ += bytes;
  return true;
}

void Intake::give_back_memory(std::uint64_t bytes) {
  SLUICE_ASSERT(bytes <= memory_used_);
  memory_used_ -= bytes;
}

bool Intake::may_relay(const config::SourceSettings& rules, std::string_view address,
                       std::string_view domain) const {
  const config::GlobalSettings& global = snapshot_->config->globals;
  if (rules.always_allow_relaying || global.always_allow_relaying) return true;
  const auto equals_domain = [domain](const std::string& host) { return iequals(host, domain); };
  if (std::any_of(global.host_name.begin(), global.host_name.end(), equals_domain)) return true;
  const auto holds_domain = [domain](const config::DomainPattern& pattern) {
    return pattern.matches(domain);
  };
  if (std::any_of(global.relay_domain.begin(), global.relay_domain.end(), holds_domain)) return true;
  return std::any_of(
      global.relay_address.begin(), global.relay_address.end(),
      [address](const config::NameOrRegex& one) { return !one.is_regex && iequals(one.text, address); });
}

bool Intake::scan_headers(const Submission& submission, Prepared& out, Verdict& refusal) const {
  const config::SourceSettings& rules = *submission.rules;
  const std::string_view text = submission.text;
  const auto bytes_of = [](std::string_view part) { return std::as_bytes(std::span(part)); };
  const std::string_view job_header =
      rules.jobid_header.empty() ? "x-job" : std::string_view(rules.jobid_header);
  std::size_t kept_from = 0;
  std::uint32_t hops = 0;
  net::HeaderScan scan(text);
  net::HeaderField field;
  out.pieces.emplace_back();
  while (scan.next(field)) {
    bool strip = false;
    switch (field.name.empty() ? '\0' : to_lower(field.name.front())) {
      case 'x':
        if (iequals(field.name, "x-virtual-mta")) {
          if (rules.process_x_virtual_mta) {
            out.vmta_header = field.value;
            out.has_vmta_header = true;
            strip = !rules.retain_x_virtual_mta;
          }
        } else if (iequals(field.name, "x-job")) {
          strip = rules.process_x_job && !rules.retain_x_job;
        }
        break;
      case 'r':
        if (iequals(field.name, "received")) {
          ++hops;
          strip = rules.remove_received_headers;
        }
        break;
      default: break;
    }
    if (iequals(field.name, job_header) && (rules.process_x_job || !rules.jobid_header.empty())) {
      out.job_id = field.value;
    }
    for (const std::string& name : snapshot_->accounted_headers) {
      if (iequals(name, field.name)) out.captured.emplace_back(name, field.value);
    }
    if (strip) {
      if (field.offset > kept_from)
        out.pieces.push_back(bytes_of(text.substr(kept_from, field.offset - kept_from)));
      kept_from = field.offset + field.whole.size();
    }
  }
  if (scan.ended() == net::HeaderScan::Ended::TooLarge) {
    refusal = {552, "5.3.4 header section too large"};
    return false;
  }
  if (hops > rules.max_message_hops) {
    refusal = {554, "5.4.6 too many hops, this message is looping"};
    return false;
  }
  if (!is_clean(out.job_id)) {
    refusal = {554, "5.6.0 job id has blanks or control characters"};
    return false;
  }
  if (kept_from < text.size()) out.pieces.push_back(bytes_of(text.substr(kept_from)));
  return true;
}

std::optional<Intake::Choice> Intake::find_identity(std::string_view name) {
  const config::Config& config = *snapshot_->config;
  if (const auto vmta = config.find_vmta(name)) return Choice{*vmta, {}};
  const auto pool_id = config.find_pool(name);
  if (!pool_id) return std::nullopt;
  const config::Pool& pool = config.pools[pool_id->raw()];
  const auto& members = pool.settings.members;
  if (members.empty()) return std::nullopt;
  // Every shard goes round on its own; over many messages the shares come out the same.
  std::uint32_t& turn = pool_turns_[pool_id->raw()];
  std::uint64_t total = 0;
  for (const config::PoolMember& member : members) total += member.weight;
  std::uint64_t at = turn++ % std::max<std::uint64_t>(total, 1);
  for (const config::PoolMember& member : members) {
    if (at < member.weight) return Choice{member.id, pool.name};
    at -= member.weight;
  }
  return Choice{members.front().id, pool.name};
}

std::optional<config::VmtaId> Intake::identity_of_address(const IpAddress& local) const {
  for (std::size_t i = 0; i < snapshot_->identities.size(); ++i) {
    for (const queue::SourceAddress& source : snapshot_->identities[i].sources) {
      if (source.address == local) return config::VmtaId{static_cast<std::uint32_t>(i)};
    }
  }
  return std::nullopt;
}

std::expected<Intake::Choice, Verdict> Intake::choose(const Submission& submission,
                                                      std::string_view from_header, bool has_header) {
  const config::SourceSettings& rules = *submission.rules;
  std::string_view name;
  if (has_header) {
    if (!from_header.empty()) {
      name = from_header;
    } else if (!rules.allow_empty_x_virtual_mta) {
      return std::unexpected(Verdict{554, "5.5.0 x-virtual-mta header is empty"});
    } else {
      name = config::kDefaultVmtaName;
    }
  } else if (!submission.listener_virtual_mta.empty()) {
    name = submission.listener_virtual_mta;
  } else {
    name = rules.default_virtual_mta;
    if (iequals(name, "by-smtp-source-ip")) {
      return Choice{identity_of_address(submission.local.address).value_or(config::kDefaultVmta), {}};
    }
  }
  if (auto found = find_identity(name)) return *found;
  if (rules.reject_invalid_virtual_mta) {
    return std::unexpected(
        Verdict{554, "5.5.0 specified Virtual MTA '" + std::string(name) + "' does not exist"});
  }
  const std::string& fallback = snapshot_->config->globals.invalid_virtual_mta_fallback;
  if (!fallback.empty()) {
    if (auto found = find_identity(fallback)) return *found;
  }
  return Choice{config::kDefaultVmta, {}};
}

runtime::Task<Verdict> Intake::submit(Submission& submission) {
  SLUICE_ASSERT(submission.recipient_count > 0);
  // A reload may replace the snapshot while this waits for the disk.
  const std::shared_ptr<const queue::Snapshot> snapshot = snapshot_;
  Prepared prepared;
  Verdict refusal;
  if (!scan_headers(submission, prepared, refusal)) {
    ++counters_.refused;
    co_return refusal;
  }
  const auto choice = choose(submission, prepared.vmta_header, prepared.has_vmta_header);
  if (!choice) {
    ++counters_.refused;
    co_return choice.error();
  }
  const config::SourceSettings& rules = *submission.rules;
  const queue::Identity& identity = snapshot->identity(choice->vmta);

  spool::MessageDraft draft;
  draft.id = spool_.next_id();
  draft.received = reactor_.wall_now();
  std::string trace;
  if (rules.add_received_header) {
    const std::string date = net::rfc5322_date(draft.received);
    const std::string id = id_text(draft.id);
    net::append_received(
        trace,
        {.helo = submission.client_name,
         .client = rules.hide_message_source ? std::nullopt : std::optional(submission.client.address),
         .host = identity.sources.front().ehlo,
         .product = kProduct,
         .id = id,
         .recipient = submission.recipient_count == 1 ? std::string_view(submission.recipients[0].address)
                                                      : std::string_view(),
         .date = date,
         .envelope_from = submission.sender});
  }
  prepared.pieces.front() = std::as_bytes(std::span(trace));

  std::string job_id = rules.jobid_prefix;
  job_id += prepared.job_id;
  const std::string source_mta = submission.client_name + " (" + submission.client.address.text() + ')';
  const std::string client_ip = submission.client.address.text();
  const std::string local_ip = submission.local.address.text();
  std::vector<spool::Recipient> recipients;
  recipients.reserve(submission.recipient_count);
  for (std::size_t i = 0; i < submission.recipient_count; ++i) {
    const SubmittedRecipient& one = submission.recipients[i];
    recipients.push_back(
        {.address = one.address, .orcpt = one.orcpt, .vmta = {}, .queue = {}, .notify = {one.notify_bits}});
  }
  draft.orig = submission.sender;
  draft.env_id = submission.env_id;
  draft.ret = static_cast<spool::DsnReturn>(submission.ret);
  draft.vmta = identity.name;
  draft.vmta_pool = choice->pool;
  draft.job_id = job_id;
  draft.src_type = submission.source_type;
  draft.src_mta = source_mta;
  draft.rcv_smtp_user = submission.user;
  draft.rcv_source_ip = client_ip;
  draft.rcv_destination_ip = local_ip;
  draft.headers = prepared.captured;
  draft.recipients = recipients;
  draft.body = prepared.pieces;
  draft.wait_until_durable = snapshot->config->globals.sync_msg_create;
  if (submission.eight_bit) draft.flags.bits |= spool::MessageFlags::kEightBit;
  if (submission.has_dot_lines) draft.flags.bits |= spool::MessageFlags::kDotLines;
  if (submission.smtp_utf8) draft.flags.bits |= spool::MessageFlags::kSmtpUtf8;

  const Result<spool::StoredMessage*> stored = co_await spool_.append(draft);
  if (!stored) {
    ++counters_.refused;
    switch (stored.error().code) {
      case Errc::NoSpace: co_return Verdict{452, "4.3.1 insufficient system storage"};
      case Errc::NoMemory: co_return Verdict{452, "4.3.2 Server resources temporarily exhausted"};
      case Errc::BadInput: co_return Verdict{552, "5.3.4 message too large for the spool"};
      case Errc::Cancelled: co_return Verdict{421, "4.3.2 server is shutting down"};
      default: co_return Verdict{451, "4.3.0 message could not be stored"};
    }
  }
  ++counters_.messages;
  counters_.recipients += submission.recipient_count;
  counters_.bytes += submission.text.size();
  identity.state->traffic.accepted.fetch_add(submission.recipient_count, std::memory_order_relaxed);
  queue_recipients(**stored, submission, *snapshot, choice->vmta);
  co_return Verdict{};
}

void Intake::queue_recipients(spool::StoredMessage& message, const Submission& submission,
                              const queue::Snapshot& snapshot, config::VmtaId vmta) {
  const std::string& name = snapshot.identity(vmta).name;
  for (std::size_t i = 0; i < submission.recipient_count; ++i) {
    const SubmittedRecipient& one = submission.recipients[i];
    const delivery::Arrival arrival{.message = &message, .recipient = static_cast<std::uint32_t>(i)};
    const ShardId home = snapshot.home_of(vmta, one.domain);
    delivery::Dispatcher* there = dispatchers_[home.raw()];
    if (home == reactor_.shard()) {
      there->enqueue(arrival, one.domain, name);
    } else {
      reactor_.send_to(
          home, [there, arrival, domain = one.domain, name] { there->enqueue(arrival, domain, name); });
    }
  }
}

}  // namespace sluice::injection
