#pragma once
// A client machine played against a written-down server: what it sends and reports is text to compare with.

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/smtp/client.h"

namespace sluice::net::test {

inline Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/// Events as lines: "ready", "tls", "rcpt 1.0 250", "end 1 replied at end of message 250", "over refused at
/// MAIL 421".
class EventLog final : public ClientEvents {
 public:
  void on_ready(const Capabilities&) override { add("ready"); }
  void on_tls_wanted() override { add("tls"); }
  void on_recipient(TransactionTag tag, std::uint32_t index, const SmtpReply& reply) override {
    add("rcpt " + std::to_string(tag.raw()) + "." + std::to_string(index) + " " + std::to_string(reply.code));
  }
  void on_finished(TransactionTag tag, Ending ending, ClientPhase phase, const SmtpReply& reply) override {
    add("end " + std::to_string(tag.raw()) + " " + std::string(name_of(ending)) + " at " +
        std::string(name_of(phase)) + " " + std::to_string(reply.code));
  }
  void on_over(ClientFault fault, ClientPhase phase, const SmtpReply& reply) override {
    add("over " + std::string(name_of(fault)) + " at " + std::string(name_of(phase)) + " " +
        std::to_string(reply.code));
    over_text = reply.text;
  }
  std::string take() { return std::exchange(lines_, {}); }
  std::string over_text;

 private:
  void add(const std::string& line) { lines_ += line + "\n"; }
  std::string lines_;
};

/// A message to be sent, with everything it owns.
struct Mail {
  std::uint64_t tag = 1;
  std::string sender = "a@x.example";
  std::vector<std::string> recipients = {"b@y.example"};
  std::vector<std::string> body = {"Hi\r\n"};
  bool dots = false;
  bool eight_bit = false;
  bool utf8 = false;
};

/// How a client is driven: how many bytes of the server arrive at once, how many of ours leave at once.
struct Fragments {
  std::size_t in = SIZE_MAX;
  std::size_t out = SIZE_MAX;
};

class ClientScript {
 public:
  explicit ClientScript(ClientSettings settings = {}, Fragments fragments = {}, ClientAuth* auth = nullptr)
      : fragments_(fragments) {
    if (settings.helo_name.empty()) settings.helo_name = "me.example";
    client_ = std::make_unique<Client>(std::move(settings), log, auth);
  }

  Client::Add add(const Mail& mail) {
    const Mail& kept = mails_.emplace_back(mail);  // bodies stay where they are
    std::vector<OutgoingRecipient> recipients;
    for (const std::string& address : kept.recipients) recipients.push_back({.address = address});
    std::vector<Bytes> body;
    for (const std::string& part : kept.body) body.push_back(bytes_of(part));
    return client_->add({.tag = TransactionTag(kept.tag),
                         .sender = kept.sender,
                         .recipients = recipients,
                         .body = body,
                         .eight_bit = kept.eight_bit,
                         .smtp_utf8 = kept.utf8,
                         .has_dot_lines = kept.dots});
  }

  /// Bytes from the server; output is collected after each fragment.
  void server(std::string_view text) {
    while (!text.empty()) {
      const std::size_t size = std::min(fragments_.in, text.size());
      client_->on_bytes(bytes_of(text.substr(0, size)));
      text.remove_prefix(size);
      pull();
    }
  }

  /// Everything the client wants to send up to now.
  std::string sent() {
    pull();
    return std::exchange(sent_, {});
  }
  std::string events() { return log.take(); }
  Client& client() { return *client_; }
  EventLog log;

 private:
  void pull() {
    std::vector<Bytes> room(3);
    while (const std::size_t count = client_->output(room)) {
      std::string shown;
      for (std::size_t i = 0; i < count; ++i) {
        shown.append(reinterpret_cast<const char*>(room[i].data()), room[i].size());
      }
      const std::size_t size = std::min(fragments_.out, shown.size());
      sent_ += shown.substr(0, size);
      client_->consumed(size);
    }
  }

  Fragments fragments_;
  std::deque<Mail> mails_;
  std::unique_ptr<Client> client_;
  std::string sent_;
};

inline constexpr std::string_view kGreeting = "220 mx.example ESMTP\r\n";
inline constexpr std::string_view kLockstep = "250-mx.example\r\n250 8BITMIME\r\n";
inline constexpr std::string_view kPipelining = "250-mx.example\r\n250-8BITMIME\r\n250 PIPELINING\r\n";
inline constexpr std::string_view kChunking =
    "250-mx.example\r\n250-8BITMIME\r\n250-CHUNKING\r\n250-ENHANCEDSTATUSCODES\r\n250 PIPELINING\r\n";

}  // namespace sluice::net::test
