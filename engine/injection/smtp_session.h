#pragma once

#include <array>
#include <memory>
#include <vector>

#include "engine/delivery/session_log.h"
#include "engine/injection/client_clock.h"
#include "engine/injection/intake.h"
#include "engine/injection/sender_verdict.h"
#include "engine/injection/submission.h"
#include "engine/runtime/stream.h"
#include "engine/runtime/sync.h"
#include "engine/wire/wire.h"
#include "net/smtp/server.h"

namespace sluice::injection {

/// One injecting client over SMTP.
/// Thread:   one shard. Lifetime: run() has ended before destruction; `intake` outlives it.
/// Limits:   net::ServerSettings; `unanswered_max` messages wait for the disk at once; time-outs of the
/// <source>.
class SmtpSession final : public net::ServerOwner {
 public:
  SmtpSession(runtime::Reactor& reactor, Intake& intake, runtime::Stream stream, Endpoint client,
              Endpoint local, std::shared_ptr<const ClientRules> rules, std::string host,
              delivery::SessionLog log);
  SmtpSession(const SmtpSession&) = delete;
  SmtpSession& operator=(const SmtpSession&) = delete;
  ~SmtpSession();

  /// `refusal`: said instead of the greeting, then the connection is closed. Answers the words of an
  /// exception that ended the session, or a part of it.
  [[nodiscard]] runtime::Task<std::optional<std::string>> run(std::optional<net::Answer> refusal);
  /// 421 after what is under way, then close.
  void hang_up();
  /// Ends the connection now.
  void cut() {
    if (wire_) wire_.abort();
  }

 private:
  static constexpr std::uint32_t kUnansweredMax = 8;

  // net::ServerOwner
  net::Answer on_hello(std::string_view name, bool esmtp) override;
  net::Answer on_mail(const net::MailCommand& mail) override;
  net::Answer on_rcpt(const net::RcptCommand& rcpt) override;
  net::Answer on_data(std::uint32_t recipients) override;
  net::Answer on_message_bytes(std::span<const std::byte> bytes) override;
  net::Answer on_message_end(net::MessageSeq seq, const net::BodyFacts& facts) override;
  void on_message_dropped(net::Dropped why) override;
  void on_reset() override;

  runtime::Task<void> converse(std::optional<net::Answer> refusal);
  runtime::Task<void> check_sender(std::string sender);
  runtime::Task<void> find_verdict(const std::string& sender);
  runtime::Task<void> check_address();
  void stop_checks();
  runtime::Task<void> submit(Submission* submission, net::MessageSeq seq);
  runtime::Task<net::Answer> store(Submission& submission);
  void recycle(std::unique_ptr<Submission> submission);
  void feed_input();
  void feed_logged(std::span<const std::byte> bytes);
  net::Answer add_invalid(const net::RcptCommand& rcpt);
  static net::ServerSettings server_settings(const config::SourceSettings& rules, std::string host);

  runtime::Reactor& reactor_;
  Intake& intake_;
  wire::Wire wire_;
  Endpoint client_;
  Endpoint local_;
  std::shared_ptr<const ClientRules> rules_;
  std::string host_;
  std::optional<IprevFound> iprev_;  // asked once in a session
  resolver::LookupStop stop_spf_;
  resolver::LookupStop stop_iprev_;
  delivery::SessionLog log_;
  runtime::Wakeup wakeup_;
  runtime::TaskGroup submissions_;  // and checks of senders
  ClientClock clock_;
  net::Server server_;
  std::shared_ptr<const Client> who_;  // made when it greets
  std::unique_ptr<Submission> current_;
  std::vector<Submission*> under_way_;  // have no answer yet
  std::vector<std::unique_ptr<Submission>> spare_;
  std::optional<std::string> trouble_;  // words of the last exception
  bool gone_ = false;                   // the client is
  bool over_ = false;                   // run() only waits for what is under way
};

}  // namespace sluice::injection
