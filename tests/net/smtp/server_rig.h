#pragma once
// A server machine with an owner that writes down what it is told, and answers what the test wants.

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/smtp/server.h"

namespace sluice::net::test {

/// Events as lines: "hello c esmtp", "mail a@x", "rcpt b@y", "data 1", "end 1 <body>", "dropped too big",
/// "reset".
class ServerLog final : public ServerOwner {
 public:
  std::string lines;
  std::string body;  // of the message under way
  std::vector<std::string> bodies;
  std::vector<BodyFacts> facts;
  std::string last_mail;  // parameters of the last MAIL
  std::string last_rcpt;
  // What to answer; unset: accept.
  std::function<Answer(std::string_view what)> decide;

  std::function<Answer(const SaslClaim&, std::string_view challenge)> judge;
  Answer on_auth(const SaslClaim& claim, std::string_view challenge) override {
    return judge ? judge(claim, challenge) : ServerOwner::on_auth(claim, challenge);
  }
  Answer on_hello(std::string_view name, bool esmtp) override {
    return told("hello " + std::string(name) + (esmtp ? " esmtp" : " smtp"));
  }
  Answer on_mail(const MailCommand& mail) override {
    last_mail = "size=" + (mail.size_bytes ? std::to_string(*mail.size_bytes) : "none") +
                (mail.body == BodyType::EightBitMime ? " 8bit" : "") +
                (mail.ret == DsnReturn::Full      ? " full"
                 : mail.ret == DsnReturn::Headers ? " hdrs"
                                                  : "") +
                " envid=" + std::string(mail.envid) + (mail.smtp_utf8 ? " utf8" : "") +
                (mail.verp ? " verp" : "");
    return told("mail " + std::string(mail.sender.text()));
  }
  Answer on_rcpt(const RcptCommand& rcpt) override {
    last_rcpt = "notify=" + std::to_string(rcpt.notify.bits) + " orcpt=" + std::string(rcpt.orcpt);
    if (rcpt.fault) return told("bad rcpt " + std::string(rcpt.raw));
    return told("rcpt " + std::string(rcpt.recipient.text()));
  }
  Answer on_data(std::uint32_t recipients) override {
    body.clear();
    return told("data " + std::to_string(recipients));
  }
  Answer on_message_bytes(std::span<const std::byte> bytes) override {
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return decide ? decide("bytes") : Answer::accept();
  }
  Answer on_message_end(MessageSeq seq, const BodyFacts& seen) override {
    bodies.push_back(body);
    facts.push_back(seen);
    return told("end " + std::to_string(seq.raw()));
  }
  void on_message_dropped(Dropped why) override {
    const char* words[] = {"closed", "too big", "bare line end", "refused"};
    lines += std::string("dropped ") + words[static_cast<int>(why)] + "\n";
  }
  void on_reset() override { lines += "reset\n"; }
  std::string take() { return std::exchange(lines, {}); }

 private:
  Answer told(const std::string& line) {
    lines += line + "\n";
    return decide ? decide(line) : Answer::accept();
  }
};

inline ServerSettings test_settings() {
  ServerSettings settings;
  settings.host = "mta.example";
  return settings;
}

class ServerRig {
 public:
  explicit ServerRig(ServerSettings settings = test_settings(), std::size_t fragment = SIZE_MAX)
      : server(std::move(settings), log), fragment_(fragment) {}

  /// Greeting and EHLO done, output and log emptied.
  void greet() {
    server.start();
    client("EHLO c.example\r\n");
    output();
    log.take();
  }
  void client(std::string_view text) {
    while (!text.empty()) {
      const std::size_t size = std::min(fragment_, text.size());
      server.feed(std::as_bytes(std::span(text.substr(0, size))));
      text.remove_prefix(size);
    }
  }
  std::string output() {
    std::string all;
    for (auto bytes = server.output(); !bytes.empty(); bytes = server.output()) {
      all.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
      server.consumed(bytes.size());
    }
    return all;
  }

  ServerLog log;
  Server server;

 private:
  std::size_t fragment_;
};

}  // namespace sluice::net::test
