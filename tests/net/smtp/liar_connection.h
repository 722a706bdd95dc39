#pragma once
// One connection between the client and a lying receiver: carries bytes both ways in random pieces and checks
// every claim of the client.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/net/smtp/liar_run.h"

namespace sluice::net::test {

class LiarConnection final : public ClientEvents {
 public:
  explicit LiarConnection(LiarRun& run);
  /// Until the connection is over.
  void play();

 private:
  struct Transfer {
    TryId id;
    LiarMail mail;
    std::vector<std::uint32_t> recipients;  // index in the transaction -> number of the recipient
    std::string body;
    std::map<std::uint32_t, std::uint16_t> refused;
    bool early_excused = false;
    bool ended = false;
  };

  bool act();
  bool add();
  bool show();
  bool move_out();
  bool move_in();
  void time_out();
  void deliver(std::size_t bytes);

  void on_ready(const Capabilities& capabilities) override;
  void on_tls_wanted() override {}
  void on_recipient(TransactionTag tag, std::uint32_t index, const SmtpReply& reply) override;
  void on_finished(TransactionTag tag, Ending ending, ClientPhase phase, const SmtpReply& reply) override;
  void on_over(ClientFault fault, ClientPhase phase, const SmtpReply& reply) override;

  void check_delivered(const Transfer& transfer, std::uint32_t recipient);
  void check_refused(const Transfer& transfer, std::uint32_t recipient, std::uint16_t code);
  void check_not_taken(const Transfer& transfer, Ending ending);
  void check_body(const Transfer& transfer);
  void blame(const Transfer& transfer, const std::string& what);
  /// A command has left and its reply has not come.
  [[nodiscard]] bool waits_for_reply() const;
  [[nodiscard]] bool is_miscounted() const;
  [[nodiscard]] bool all_within(const Transfer& transfer, std::uint64_t bytes) const;
  void log(std::string_view who, std::string_view what);

  LiarRun& run_;
  Random chance_;
  LiarPeer peer_;
  std::map<std::uint64_t, std::unique_ptr<Transfer>> transfers_;  // by tag
  std::uint64_t next_tag_ = 1;
  std::string stream_;          // everything the client has shown
  std::uint64_t consumed_ = 0;  // of it: has left the client
  std::string pipe_;            // on its way to the receiver
  std::size_t pipe_room_;
  std::string logged_;
  std::uint64_t messages_left_;
  bool stray_heard_ = false;  // while it waited for a reply
  bool miscounted_ = false;  // the client has received what makes replies and commands go apart
  bool is_ready_ = false;
  bool quit_ = false;
  bool over_ = false;
  Client client_;
};

}  // namespace sluice::net::test
