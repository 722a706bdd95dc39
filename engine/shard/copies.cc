#include "engine/shard/copies.h"

#include "engine/runtime/boundary.h"
#include "policy/base/ascii.h"
#include "policy/base/mail_address.h"

namespace sluice::shard {

void Copies::add(delivery::Copy copy) noexcept {
  try {
    // First: without it nothing would ever take what waits.
    if (at_once_ < kAtOnceMax) tasks_.spawn(store_all());
    const std::size_t bytes = copy.text.size();
    waiting_.push_back(std::move(copy));
    bytes_ += bytes;
  } catch (...) {
    left_out(copy.to);
  }
}

void Copies::left_out(const std::string& to) noexcept {
  runtime::note_contained(reactor_, log_, "Copy for bcc-upon-delivery is left out:", to);
}

runtime::Task<void> Copies::stop() {
  stopping_ = true;
  co_await tasks_.join();
}

runtime::Task<void> Copies::store_all() {
  ++at_once_;
  // Whoever delivered is in the middle of something, and storing looks at queues.
  co_await runtime::yield(reactor_);
  while (!waiting_.empty()) {
    const delivery::Copy copy = std::move(waiting_.front());
    waiting_.pop_front();
    try {
      co_await store(copy);
    } catch (...) {
      left_out(copy.to);
    }
    bytes_ -= copy.text.size();
  }
  --at_once_;
}

runtime::Task<void> Copies::store(const delivery::Copy& copy) {
  for (;;) {
    const injection::Verdict verdict = co_await submit(copy);
    if (verdict.accepted()) co_return;
    if (verdict.code / 100 != 4 || stopping_) {
      log_("Copy for bcc-upon-delivery " + copy.to + " is left out: " + std::to_string(verdict.code) + ' ' +
           verdict.text);
      co_return;
    }
    co_await runtime::sleep_for(reactor_, kAgain);
  }
}

runtime::Task<injection::Verdict> Copies::submit(const delivery::Copy& copy) {
  const std::shared_ptr<const queue::Snapshot> snapshot = intake_.snapshot();
  const auto& names = snapshot->config->globals.host_name;
  const std::string host = names.empty() ? "localhost" : names.front();
  config::SourceSettings rules;
  rules.add_received_header = false;  // a copy looks as what was delivered
  // Gone with a reload: by {default}.
  const bool known = snapshot->config->find_vmta(copy.vmta).has_value();
  injection::Submission submission;
  submission.rules = std::make_shared<const injection::ClientRules>(
      snapshot, rules, known ? std::string_view(copy.vmta) : std::string_view());
  submission.client = std::make_shared<const injection::Client>(host, Endpoint{}, Endpoint{}, "");
  submission.source_type = "local";
  submission.sender = copy.sender;
  submission.env_id = copy.env_id;
  submission.eight_bit = copy.eight_bit;
  submission.smtp_utf8 = copy.smtp_utf8;
  submission.has_dot_lines = copy.has_dot_lines;
  submission.is_copy = true;
  submission.text = copy.text;
  const auto address = MailAddress::parse(copy.to, {.bare = true, .allow_loose_dots = true});
  if (!address) co_return injection::Verdict{553, "5.1.3 this is no mail address"};
  injection::SubmittedRecipient& recipient = submission.add_recipient();
  recipient.address = address->text();
  recipient.domain = to_lower(address->domain());
  recipient.notify_bits = spool::DsnNotify::kNever;
  co_return co_await intake_.submit(submission);
}

}  // namespace sluice::shard
