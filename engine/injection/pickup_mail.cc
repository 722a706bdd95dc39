#include "engine/injection/pickup_mail.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/delivery/refusal.h"
#include "policy/base/ascii.h"

namespace sluice::injection {
namespace {

/// No client of the network.
std::shared_ptr<const Client> nobody() {
  auto out = std::make_shared<Client>("", Endpoint{}, Endpoint{}, "");
  out->source_mta.clear();
  out->source_ip.clear();
  out->local_ip.clear();
  return out;
}

spool::DsnReturn to_spool(net::DsnReturn ret) {
  switch (ret) {
    case net::DsnReturn::Unset: return spool::DsnReturn::Unset;
    case net::DsnReturn::Headers: return spool::DsnReturn::Headers;
    case net::DsnReturn::Full: return spool::DsnReturn::Full;
  }
  return spool::DsnReturn::Unset;
}

std::string suppressed_text(const identity::AddressSet& set, std::string_view address) {
  return fmt::format("550 5.7.1 recipient is in suppression list \"{}\": <{}>", set.name(), address);
}

}  // namespace

PickupMail::PickupMail(runtime::Reactor& reactor, Intake& intake, std::shared_ptr<const ClientRules> rules)
    : reactor_(reactor), intake_(intake), rules_(std::move(rules)), client_(nobody()) {}

net::PickupRules PickupMail::reader_rules() const {
  return {.remove_dot = rules_->snapshot->config->globals.pickup_remove_dot,
          .allow_no_domain = rules_->settings.auto_qualify_domain,
          .allow_loose_dots = rules_->settings.allow_loose_dots,
          .accept_invalid = rules_->settings.accept_invalid_recipients};
}

runtime::Task<std::optional<std::string>> PickupMail::fault_of(const net::PickupMessage& message) const {
  const config::SourceSettings& rules = rules_->settings;
  if (rules.max_message_size && message.text.size() > rules.max_message_size->raw()) {
    co_return fmt::format("552 5.3.4 message larger than max-message-size ({} bytes)",
                          rules.max_message_size->raw());
  }
  if (rules.max_rcpt_per_message && message.recipients.size() > *rules.max_rcpt_per_message) {
    co_return fmt::format("552 5.5.3 more recipients than max-rcpt-per-message ({})",
                          *rules.max_rcpt_per_message);
  }
  if (message.lenient || rules_->suppression.empty()) co_return std::nullopt;
  std::size_t looked_at = 0;
  for (const net::PickupRecipient& one : message.recipients) {
    if (++looked_at % kRecipientsPerTurn == 0) co_await runtime::yield(reactor_);
    const MailAddress address = qualified(one.address);
    if (const identity::AddressSet* set = suppressing(address.text()))
      co_return suppressed_text(*set, address.text());
  }
  co_return std::nullopt;
}

MailAddress PickupMail::qualified(MailAddress address) const {
  if (!address.is_null() && !address.has_domain()) address.qualify(intake_.snapshot()->domain_suffix);
  return address;
}

const identity::AddressSet* PickupMail::suppressing(std::string_view address) const {
  const auto found =
      std::ranges::find_if(rules_->suppression, [address](const auto* set) { return set->holds(address); });
  return found == rules_->suppression.end() ? nullptr : *found;
}

void PickupMail::fill(Submission& submission, const net::PickupMessage& message) const {
  submission.work.reset();
  submission.recipient_count = 0;
  submission.rules = rules_;
  submission.client = client_;
  submission.source_type = "pickup";
  submission.sender = qualified(message.sender).text();
  submission.env_id = net::is_xtext(message.env_id) ? message.env_id : net::encode_xtext(message.env_id);
  submission.job = message.job;
  submission.ret = static_cast<std::uint8_t>(to_spool(message.ret));
  submission.smtp_utf8 = message.smtp_utf8;
  submission.verp = message.verp;
  submission.eight_bit = message.facts.eight_bit;
  submission.has_dot_lines = message.facts.has_dot_lines;
  for (const net::PickupRecipient& one : message.recipients) {
    SubmittedRecipient& to = submission.add_recipient();
    to.notify_bits = one.notify.bits;
    to.orcpt = one.orcpt;
    if (one.fault) {
      fill_invalid(to, one);
      continue;
    }
    const MailAddress address = qualified(one.address);
    to.address = address.text();
    to.domain = address.domain();
    if (const identity::AddressSet* set = suppressing(to.address)) {
      const std::string why = "smtp;" + suppressed_text(*set, to.address);
      to.refusal = delivery::Refusal{{{5, 7, 1}, why}, journal::Ending::Suppressed}.text();
    }
  }
}

void PickupMail::fill_invalid(SubmittedRecipient& to, const net::PickupRecipient& one) const {
  std::string_view path = one.raw;
  if (path.starts_with('<')) path.remove_prefix(1);
  if (path.ends_with('>')) path.remove_suffix(1);
  const std::size_t at = path.rfind('@');
  to.address = path;
  to.domain = at == std::string_view::npos ? std::string() : to_lower(path.substr(at + 1));
  if (!is_mail_domain(to.domain)) to.domain = intake_.snapshot()->domain_suffix;
  const std::string why = "smtp;501 5.1.3 " + std::string(name_of(*one.fault)) + ": " + one.raw;
  to.refusal = delivery::Refusal{{{5, 1, 3}, why}, journal::Ending::Bounced}.text();
}

}  // namespace sluice::injection
