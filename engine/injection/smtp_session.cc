#include "engine/injection/smtp_session.h"

#include <algorithm>
#include <new>

#include "engine/delivery/refusal.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::injection {
namespace {

// A spare submission keeps its buffer for the next message, unless a giant passed through it.
constexpr std::size_t kSpareTextMax = 256 * kKiB;

std::uint8_t to_spool(net::DsnReturn ret) {
  switch (ret) {
    case net::DsnReturn::Unset: return static_cast<std::uint8_t>(spool::DsnReturn::Unset);
    case net::DsnReturn::Headers: return static_cast<std::uint8_t>(spool::DsnReturn::Headers);
    case net::DsnReturn::Full: return static_cast<std::uint8_t>(spool::DsnReturn::Full);
  }
  return 0;
}

}  // namespace

SmtpSession::SmtpSession(runtime::Reactor& reactor, Intake& intake, runtime::Stream stream, Endpoint client,
                         Endpoint local, std::shared_ptr<const ClientRules> rules, std::string host,
                         delivery::SessionLog log)
    : reactor_(reactor),
      intake_(intake),
      wire_(reactor, std::move(stream)),
      client_(client),
      local_(local),
      rules_(std::move(rules)),
      host_(host),
      log_(std::move(log)),
      wakeup_(reactor),
      clock_({.command = rules_->settings.smtp_command_timeout, .data = rules_->settings.smtp_data_timeout}),
      server_(server_settings(rules_->settings, std::move(host)), *this) {
  who_ = std::make_shared<const Client>("", client_, local_, "");
  spare_.reserve(kUnansweredMax);
}

SmtpSession::~SmtpSession() {
  if (current_) recycle(std::move(current_));
}

net::ServerSettings SmtpSession::server_settings(const config::SourceSettings& rules, std::string host) {
  net::ServerSettings out;
  out.host = std::move(host);
  out.offer_chunking = rules.allow_chunking;
  out.offer_smtp_utf8 = rules.allow_smtputf8;
  out.message_bytes_max = Intake::kMessageBytesMax;
  if (rules.max_message_size) {
    out.message_bytes_max = std::min(Intake::kMessageBytesMax, rules.max_message_size->raw());
  }
  out.recipients_max = rules.max_rcpt_per_message;
  out.too_many_rcpts_fails_message = rules.too_many_rcpts_fails_message;
  out.disconnect_on_transient_error = rules.disconnect_on_transient_error;
  out.accept_invalid_recipients = rules.accept_invalid_recipients;
  out.accept_no_domain = rules.auto_qualify_domain;
  out.accept_loose_dots = rules.allow_loose_dots;
  out.unanswered_max = kUnansweredMax;
  return out;
}

runtime::Task<std::optional<std::string>> SmtpSession::run(std::optional<net::Answer> refusal) {
  try {
    co_await converse(std::move(refusal));
  } catch (...) {
    trouble_ = runtime::current_exception_text();
  }
  wire_.notify(nullptr);
  wire_.close();
  server_.on_closed();
  over_ = true;
  stop_checks();
  for (Submission* one : under_way_) one->stop.stop();  // those that wait for room wait for nobody now
  log_.closed(delivery::SessionLog::bracketed(client_));
  co_await submissions_.join();  // they refer to this session; what they store stays stored
  co_return std::move(trouble_);
}

runtime::Task<void> SmtpSession::converse(std::optional<net::Answer> refusal) {
  log_.connected(client_);
  if (refusal) {
    server_.refuse_client(*refusal);
  } else {
    server_.start();
  }
  wire_.notify(&wakeup_);
  for (;;) {
    if (!server_.output().empty()) {
      const std::span<const std::byte> output = server_.output();
      wire_.set_deadline(reactor_.now() + rules_->settings.smtp_command_timeout);
      if (!co_await wire_.send(output)) break;
      log_.sent(output, false);
      server_.consumed(output.size());
      continue;
    }
    if (server_.wants_close() || gone_) break;
    if (server_.wants_input()) feed_input();
    if (!server_.output().empty() || server_.wants_close() || gone_) continue;
    if (const auto until = clock_.deadline(server_, reactor_.now())) {
      wire_.set_deadline(*until);
    } else {
      wire_.clear_deadline();
    }
    if (!server_.wants_input()) wire_.pause();  // a check may take long: what comes stays with the kernel
    co_await wakeup_.wait();
  }
}

void SmtpSession::feed_input() {
  while (server_.wants_input() && !server_.wants_close()) {
    std::optional<Result<runtime::ReceivedBytes>> input = wire_.try_receive();
    if (!input) return;
    if (!*input) {
      if (input->error().code == Errc::Timeout) server_.on_timeout();
      gone_ = true;
      return;
    }
    if ((*input)->bytes().empty()) {
      gone_ = true;
      return;
    }
    if (log_.wants_parts()) {
      feed_logged((*input)->bytes());
    } else {
      log_.received((*input)->bytes(), false);
      server_.feed((*input)->bytes());
    }
  }
}

void SmtpSession::feed_logged(std::span<const std::byte> bytes) {
  // Line by line, so that what is a command and what is data is known of each.
  while (!bytes.empty()) {
    const auto end = std::ranges::find(bytes, std::byte{'\n'});
    const auto size = end == bytes.end() ? bytes.size() : static_cast<std::size_t>(end - bytes.begin()) + 1;
    log_.received(bytes.first(size), server_.phase() == net::Server::Phase::Body);
    server_.feed(bytes.first(size));
    bytes = bytes.subspan(size);
  }
}

void SmtpSession::hang_up() {
  server_.hang_up(net::Answer::hang_up(421, "4.3.2 server is shutting down"));
  stop_checks();
  wakeup_.set();
}

net::Answer SmtpSession::on_hello(std::string_view name, bool) {
  who_ = std::make_shared<const Client>(name, client_, local_, "");
  return net::Answer::accept();
}

net::Answer SmtpSession::on_mail(const net::MailCommand& mail) {
  if (const auto why = intake_.why_not_accepting()) return net::Answer::reply(452, std::string(*why));
  if (rules_->settings.require_auth) return net::Answer::reply(530, "5.7.0 authentication required");
  if (!current_) {
    if (spare_.empty()) {
      current_ = std::make_unique<Submission>();
    } else {
      current_ = std::move(spare_.back());
      spare_.pop_back();
    }
  }
  current_->reset();
  current_->sender = mail.sender.text();
  if (!mail.sender.is_null() && !mail.sender.has_domain()) {
    const std::string& suffix = intake_.snapshot()->domain_suffix;
    current_->sender += '@';
    current_->sender += suffix;
  }
  current_->env_id = mail.envid;
  current_->ret = to_spool(mail.ret);
  current_->smtp_utf8 = mail.smtp_utf8;
  current_->verp = mail.verp;
  if (!rules_->checks_sender) return net::Answer::accept();
  submissions_.spawn(check_sender(current_->sender));
  return net::Answer::later();
}

/// Answers MAIL; what is pipelined behind it waits in the machine. A slow name server delays this client
/// only.
runtime::Task<void> SmtpSession::check_sender(std::string sender) {
  // Not in the turn of on_mail: the machine is in the middle of its input there.
  co_await runtime::yield(reactor_);
  try {
    co_await find_verdict(sender);
  } catch (...) {
    trouble_ = runtime::current_exception_text();
    cut();
  }
  wakeup_.set();
}

runtime::Task<void> SmtpSession::find_verdict(const std::string& sender) {
  const config::SourceSettings& settings = rules_->settings;
  runtime::TaskGroup beside;  // both have their 20 s: together, not one after the other
  if (settings.check_iprev_inbound && !iprev_) beside.spawn(check_address());
  bool broke = false;
  std::optional<SpfFound> spf;
  if (settings.check_spf_inbound) {
    try {
      const authentication::Asking asking{reactor_, intake_.resolver(), &stop_spf_};
      spf::Identity identity = spf::identity_of(who_->name, sender);
      spf = co_await find_spf(asking, client_.address, std::move(identity), settings, host_);
    } catch (...) {
      trouble_ = runtime::current_exception_text();
      broke = true;
    }
  }
  co_await beside.join();
  if (over_ || server_.phase() == net::Server::Phase::Closing) co_return;
  if (broke || (settings.check_iprev_inbound && !iprev_))
    co_return server_.answer(net::Answer::reply(451, "4.3.0 internal error, try again later"));
  const SenderVerdict verdict = judge_sender(settings, client_.address, host_, sender, iprev_, spf);
  // What DNS could not say now it may say at the next message.
  if (iprev_ && iprev_->outcome.result == spf::Result::TempError) iprev_.reset();
  if (verdict.refusal.accepted()) {
    current_->auth_results = verdict.header;
    current_->auth_host = host_;
    server_.answer(net::Answer::accept());
  } else {
    server_.answer(net::Answer::reply(verdict.refusal.code, verdict.refusal.text));
  }
}

runtime::Task<void> SmtpSession::check_address() {
  try {
    const authentication::Asking asking{reactor_, intake_.resolver(), &stop_iprev_};
    iprev_ = co_await find_iprev(asking, client_.address, rules_->settings);
  } catch (...) {
    trouble_ = runtime::current_exception_text();
  }
}

/// Nobody waits for the answer to MAIL any more.
void SmtpSession::stop_checks() {
  stop_spf_.stop();
  stop_iprev_.stop();
}

net::Answer SmtpSession::add_invalid(const net::RcptCommand& rcpt) {
  std::string_view path = rcpt.raw;
  if (path.starts_with('<')) path.remove_prefix(1);
  if (path.ends_with('>')) path.remove_suffix(1);
  const std::size_t at = path.rfind('@');
  std::string domain = at == std::string_view::npos ? std::string() : to_lower(path.substr(at + 1));
  if (!is_mail_domain(domain)) domain = intake_.snapshot()->domain_suffix;
  const std::string why = "5.1.3 " + std::string(name_of(*rcpt.fault)) + ": " + std::string(rcpt.raw);
  SubmittedRecipient& one = current_->add_recipient();
  one.address.assign(path);
  one.domain = std::move(domain);
  one.orcpt.clear();
  one.notify_bits = rcpt.notify.bits;
  one.refusal = delivery::Refusal{{{5, 1, 3}, "smtp;501 " + why}, journal::Ending::Bounced}.text();
  return net::Answer::reply(250, "2.1.5 recipient ok");
}

net::Answer SmtpSession::on_rcpt(const net::RcptCommand& rcpt) {
  if (rcpt.fault) return add_invalid(rcpt);
  std::string_view address = rcpt.recipient.text();
  std::string_view domain = rcpt.recipient.domain();
  std::string qualified;
  if (!rcpt.recipient.has_domain()) {
    domain = intake_.snapshot()->domain_suffix;
    qualified = std::string(address) + '@' + std::string(domain);
    address = qualified;
  }
  if (!intake_.may_relay(*rules_, address, domain)) {
    const bool debug = intake_.snapshot()->config->globals.relay_debug;
    return net::Answer::reply(debug ? 450 : 550, debug ? "4.7.1 relaying denied" : "5.7.1 relaying denied");
  }
  std::string refusal;
  for (const identity::AddressSet* set : rules_->suppression) {
    if (!set->holds(address)) continue;
    const std::string why =
        "5.7.1 recipient is in suppression list \"" + set->name() + "\": <" + std::string(address) + '>';
    if (!rules_->settings.accept_invalid_recipients) return net::Answer::reply(550, why);
    refusal = delivery::Refusal{{{5, 7, 1}, "smtp;550 " + why}, journal::Ending::Suppressed}.text();
    break;
  }
  SubmittedRecipient& one = current_->add_recipient();
  one.refusal = std::move(refusal);
  one.address.assign(address);
  one.domain.assign(domain);
  one.orcpt.assign(rcpt.orcpt);
  one.notify_bits = rcpt.notify.bits;
  return net::Answer::accept();
}

net::Answer SmtpSession::on_data(std::uint32_t) { return net::Answer::accept(); }

net::Answer SmtpSession::on_message_bytes(std::span<const std::byte> bytes) {
  if (!intake_.try_take_memory(bytes.size())) {
    return net::Answer::reply(452, "4.3.2 Server resources temporarily exhausted");
  }
  try {
    current_->text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  } catch (const std::bad_alloc&) {
    intake_.give_back_memory(bytes.size());
    return net::Answer::reply(452, "4.3.2 Server resources temporarily exhausted");
  }
  return net::Answer::accept();
}

net::Answer SmtpSession::on_message_end(net::MessageSeq seq, const net::BodyFacts& facts) {
  current_->rules = rules_;
  current_->client = who_;
  current_->eight_bit = facts.eight_bit;
  current_->has_dot_lines = facts.has_dot_lines;
  // Its memory is counted: until the task has begun, it is still ours.
  submissions_.spawn(submit(current_.get(), seq));
  static_cast<void>(current_.release());
  return net::Answer::later();
}

void SmtpSession::on_message_dropped(net::Dropped) {
  if (current_) recycle(std::move(current_));
}

void SmtpSession::on_reset() {
  if (current_) recycle(std::move(current_));
}

runtime::Task<net::Answer> SmtpSession::store(Submission& submission) {
  try {
    const Verdict verdict = co_await intake_.submit(submission);
    co_return verdict.accepted() ? net::Answer::accept() : net::Answer::reply(verdict.code, verdict.text);
  } catch (...) {
    trouble_ = runtime::current_exception_text();
  }
  co_return net::Answer::reply(451, "4.3.0 internal error, try again later");
}

runtime::Task<void> SmtpSession::submit(Submission* submission, net::MessageSeq seq) {
  // Not in the turn of on_message_end: the machine is in the middle of its input there and expects no answer
  // yet.
  co_await runtime::yield(reactor_);
  try {
    under_way_.push_back(submission);
    const net::Answer answer = co_await store(*submission);
    std::erase(under_way_, submission);
    recycle(std::unique_ptr<Submission>(std::exchange(submission, nullptr)));
    server_.answer_message(seq, answer);
  } catch (...) {
    trouble_ = runtime::current_exception_text();
    std::erase(under_way_, submission);
    if (submission != nullptr) recycle(std::unique_ptr<Submission>(submission));
    cut();
  }
  wakeup_.set();
}

void SmtpSession::recycle(std::unique_ptr<Submission> submission) {
  intake_.give_back_memory(submission->text.size());
  submission->reset();
  if (submission->text.capacity() > kSpareTextMax) submission->text = {};
  if (spare_.size() < kUnansweredMax) spare_.push_back(std::move(submission));
}

}  // namespace sluice::injection
