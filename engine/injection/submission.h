#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/injection/client_rules.h"
#include "engine/injection/header_facts.h"
#include "engine/spool/spool.h"
#include "policy/base/ip_address.h"
#include "policy/base/units.h"
#include "policy/schedule/windows.h"
#include "policy/settings/values.h"

namespace sluice::injection {

/// Why a submission was refused, or that it was accepted: an SMTP code with its enhanced code and text; other
/// ways of injection translate.
struct Verdict {
  std::uint16_t code = 250;
  std::string text;
  [[nodiscard]] bool accepted() const { return code == 250; }
};

/// Who hands mail over, as trace header and accounting show it. Immutable: messages under way share it.
struct Client {
  Client(std::string_view name, const Endpoint& client, const Endpoint& local, std::string_view user);
  std::string name;  ///< what it called itself
  Endpoint address;
  Endpoint local_address;
  std::string user;        ///< authenticated; empty: not
  std::string source_mta;  ///< "helo-name (192.0.2.1)"
  std::string source_ip;   ///< empty: no client of the network (pickup)
  std::string local_ip;
};

/// A recipient a client named and policy let in.
struct SubmittedRecipient {
  std::string address;  ///< local@domain
  std::string domain;   ///< lower case
  std::string orcpt;
  std::uint8_t notify_bits = 0;
  std::string refusal;  ///< not empty: accepted to be bounced at once (delivery/refusal.h)
};

/// A recipient as it will be stored and queued: after aliases, with its virtual MTA. Views the submission.
struct PlacedRecipient {
  std::string_view address;
  std::string_view domain;
  std::string_view orcpt;
  std::uint8_t notify_bits = 0;
  std::uint8_t priority = 50;
  config::VmtaId vmta;
  std::string_view refusal;
};

/// One message as a client handed it over, whatever the way (SMTP, files, later HTTP). Reused: reset()
/// keeps memory.
struct Submission {
  // The session's.
  std::shared_ptr<const ClientRules> rules;
  std::shared_ptr<const Client> client;
  std::string_view source_type = "smtp";
  // The envelope.
  std::string sender;          ///< empty: null path
  std::string auth_results;    ///< header with what checks of the sender found; empty: there were none
  std::string_view auth_host;  ///< who says so in it; the session's
  std::string env_id;
  std::string job;       ///< named by the envelope (x-job of a pickup file); empty: a header may name it
  std::uint8_t ret = 0;  ///< spool::DsnReturn
  bool smtp_utf8 = false;
  bool verp = false;       ///< asked for by the client
  bool is_copy = false;    ///< for `bcc-upon-delivery`
  bool is_report = false;  ///< to the sender of another message
  std::vector<SubmittedRecipient> recipients;
  std::size_t recipient_count = 0;  ///< entries in use; the others keep their memory
  // The message, CRLF line ends, unstuffed.
  std::string text;
  bool eight_bit = false;
  bool has_dot_lines = false;

  /// What Intake::submit works with while the message is under way.
  struct Work {
    HeaderFacts headers;
    std::string front;  ///< our header fields
    std::string job;
    std::shared_ptr<const schedule::Windows> schedule;
    std::vector<std::span<const std::byte>> pieces;
    std::vector<PlacedRecipient> placed;
    std::vector<spool::Recipient> recipients;
    std::vector<std::string_view> addresses;
    std::vector<std::unique_ptr<std::string>> texts;  ///< what views refer to that is in nobody else's hands

    std::string_view keep(std::string one) {
      return *texts.emplace_back(std::make_unique<std::string>(std::move(one)));
    }
    void reset();
  } work;

  SubmittedRecipient& add_recipient() {
    if (recipient_count == recipients.size()) recipients.emplace_back();
    SubmittedRecipient& out = recipients[recipient_count++];
    out.refusal.clear();
    return out;
  }
  /// Stopped: nobody wants to know what became of it. It need not be stored any more.
  spool::AppendStop stop;
  void reset();
};

}  // namespace sluice::injection
