#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/injection/intake.h"
#include "net/pickup/pickup_file.h"

namespace sluice::injection {

/// What a message of a pickup file is as a submission, under the rules of `<source {pickup}>`: what
/// SmtpSession does at MAIL, RCPT and DATA. One for each file.
/// Thread: one shard. Lifetime: `intake` outlives it.
class PickupMail {
 public:
  static constexpr std::size_t kRecipientsPerTurn = 256;

  PickupMail(runtime::Reactor& reactor, Intake& intake, std::shared_ptr<const ClientRules> rules);

  [[nodiscard]] net::PickupRules reader_rules() const;
  /// Why the file that holds `message` is refused: sizes and counts, and recipients on a suppression list
  /// (unless XACK OFF). Lets others have their turn. `message` outlives the task.
  [[nodiscard]] runtime::Task<std::optional<std::string>> fault_of(const net::PickupMessage& message) const;
  /// Puts the envelope of `message` into `submission`, again before each try to submit it; the text is the
  /// caller's.
  void fill(Submission& submission, const net::PickupMessage& message) const;

 private:
  [[nodiscard]] MailAddress qualified(MailAddress address) const;
  [[nodiscard]] const identity::AddressSet* suppressing(std::string_view address) const;
  void fill_invalid(SubmittedRecipient& to, const net::PickupRecipient& one) const;

  runtime::Reactor& reactor_;
  Intake& intake_;
  std::shared_ptr<const ClientRules> rules_;
  std::shared_ptr<const Client> client_;
};

}  // namespace sluice::injection
