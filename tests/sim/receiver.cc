#include "tests/sim/receiver.h"

#include "net/mime/header_scan.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::test {

class Receiver::Session final : public net::ServerOwner {
 public:
  Session(Receiver& receiver, runtime::Stream stream)
      : receiver_(receiver),
        stream_(std::move(stream)),
        server_({.host = "mx.test", .accept_loose_dots = true}, *this) {
    if (const auto peer = receiver_.reactor_.peer_endpoint(stream_.fd())) client_ = peer->address;
  }

  runtime::Task<void> run() {
    co_await converse();
    for (const std::string& key : counted_) --receiver_.ledger_.open[key];
    // Replies may lie unsent, or be lost to the reset that follows unread bytes: none of them counts as read.
    if (!dropped_) co_return;
    for (const std::string& key : taken_) ++receiver_.ledger_.lost_replies[key];
  }

 private:
  runtime::Task<void> converse() {
    server_.start();
    for (;;) {
      const bool mute = receiver_.mood_.stalls && !recipients_.empty();
      while (!server_.output().empty() && !mute) {
        const auto output = server_.output();
        if (!co_await stream_.send(output)) co_return;
        server_.consumed(output.size());
      }
      if (server_.wants_close() || dropped_) co_return;
      while (in_body_ && receiver_.mood_.reads_no_body) co_await runtime::sleep_for(receiver_.reactor_, 1s);
      const auto input = co_await stream_.receive();
      if (!input || input->bytes().empty()) co_return;
      if (mute) continue;
      server_.feed(input->bytes());
      if (dropped_) co_return;
    }
  }
  bool chance(double probability) { return receiver_.world_.random().chance(probability); }
  net::Answer on_hello(std::string_view name, bool) override {
    Ledger& ledger = receiver_.ledger_;
    from_ = name;
    const std::string host = '>' + std::to_string(receiver_.host_);
    if (!counted_.empty()) return net::Answer::accept();  // EHLO once more only ends a transaction
    counted_ = {from_, host, from_ + host};
    for (const std::string& key : counted_) ledger.top[key] = std::max(ledger.top[key], ++ledger.open[key]);
    ledger.hellos.push_back(seen());
    return net::Answer::accept();
  }
  [[nodiscard]] Seen seen(std::uint64_t bytes = 0) const {
    return {receiver_.world_.now(), from_, receiver_.host_, bytes};
  }
  std::optional<net::Answer> refusal(Asked::At at, std::string recipient = {}) {
    if (!receiver_.mood_.judge) return std::nullopt;
    const std::string said = receiver_.mood_.judge({.at = at,
                                                    .client = client_,
                                                    .host = receiver_.at_.address,
                                                    .recipient = std::move(recipient),
                                                    .now = receiver_.world_.now()});
    if (said.empty()) return std::nullopt;
    return net::Answer::reply(static_cast<std::uint16_t>(std::stoi(said.substr(0, 3))), said.substr(4));
  }
  net::Answer on_mail(const net::MailCommand& mail) override {
    if (auto said = refusal(Asked::At::Mail)) return *said;
    recipients_.clear();
    sender_ = mail.sender.text();
    text_.clear();
    if (chance(receiver_.mood_.drop_anywhere)) dropped_ = true;
    return net::Answer::accept();
  }
  net::Answer on_rcpt(const net::RcptCommand& rcpt) override {
    receiver_.ledger_.attempts.push_back(receiver_.world_.now());
    receiver_.ledger_.rcpts.push_back(seen());
    const std::string address(rcpt.recipient.text());
    const auto said = refusal(Asked::At::Rcpt, address);
    receiver_.ledger_.tried.push_back(
        {receiver_.world_.now(), client_, receiver_.at_.address, address, said.has_value()});
    if (said) return *said;
    if (receiver_.ledger_.refused.contains(address)) return net::Answer::reply(550, "5.1.1 no such user");
    if (receiver_.mood_.refuse_rcpt > 0 &&
        static_cast<double>(std::hash<std::string>{}(address) % 1000) < receiver_.mood_.refuse_rcpt * 1000) {
      receiver_.ledger_.refused.insert(address);
      return net::Answer::reply(550, "5.1.1 no such user");
    }
    if (chance(receiver_.mood_.defer_rcpt)) return net::Answer::reply(450, "4.2.1 try again");
    recipients_.push_back(address);
    return net::Answer::accept();
  }
  net::Answer on_data(std::uint32_t) override {
    in_body_ = true;
    return net::Answer::accept();
  }
  net::Answer on_message_bytes(std::span<const std::byte> bytes) override {
    text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return net::Answer::accept();
  }
  net::Answer on_message_end(net::MessageSeq, const net::BodyFacts&) override {
    in_body_ = false;
    if (auto said = refusal(Asked::At::Final)) return *said;
    if (chance(receiver_.mood_.defer_data)) return net::Answer::reply(451, "4.3.0 not now");
    const std::string id = message_id();
    Ledger& ledger = receiver_.ledger_;
    const auto [first, is_new] = ledger.bodies.try_emplace(id, text_);
    if (!is_new && first->second != text_) ledger.corrupt.push_back(id);
    ledger.messages.push_back(seen(text_.size()));
    const bool lose_reply = chance(receiver_.mood_.drop_after_dot);
    for (const std::string& recipient : recipients_) {
      ++ledger.delivered[id + ' ' + recipient];
      ledger.senders[id + ' ' + recipient] = sender_;
      ledger.helos[id + ' ' + recipient] = server_.hello_name();
      ledger.order.push_back(id + ' ' + recipient);
      taken_.push_back(id + ' ' + recipient);
    }
    dropped_ |= lose_reply;
    return net::Answer::accept();
  }
  void on_message_dropped(net::Dropped) override {}
  void on_reset() override {}

  [[nodiscard]] std::string message_id() const {
    net::HeaderScan scan(text_);
    net::HeaderField field;
    while (scan.next(field)) {
      if (iequals(field.name, "message-id")) return std::string(field.value);
    }
    return "(none)";
  }

  Receiver& receiver_;
  runtime::Stream stream_;
  net::Server server_;
  IpAddress client_;
  std::vector<std::string> recipients_;
  std::vector<std::string> taken_;  // "message-id rcpt" accepted on this connection
  std::string sender_;
  std::string text_;
  std::string from_;
  std::vector<std::string> counted_;  // keys this connection is counted under
  bool in_body_ = false;
  bool dropped_ = false;
};

Receiver::Receiver(runtime::sim::World& world, runtime::Reactor& reactor, Endpoint at, Mood mood,
                   Ledger& ledger)
    : world_(world), reactor_(reactor), at_(at), mood_(mood), ledger_(ledger), host_(at.address.octets()[3]) {
  Result<runtime::Listener> opened = runtime::Listener::open(reactor, at);
  SLUICE_ASSERT(opened.has_value());
  listener_ = std::move(*opened);
  tasks_.spawn(accept_all());
}

runtime::Task<void> Receiver::accept_all() {
  for (;;) {
    Result<runtime::Stream> stream = co_await listener_.accept();
    if (!stream) {
      if (stream.error().code == Errc::Cancelled) co_return;
      continue;
    }
    tasks_.spawn(serve(std::move(*stream)));
  }
}

runtime::Task<void> Receiver::serve(runtime::Stream stream) {
  ++ledger_.connections;
  ledger_.opened.push_back(world_.now());
  ledger_.connections_top = std::max(ledger_.connections_top, ledger_.connections);
  if (mood_.takes_nothing) {
    while (true) {
      const auto input = co_await stream.receive();
      if (!input || input->bytes().empty()) break;
    }
  } else {
    Session session(*this, std::move(stream));
    co_await session.run();
  }
  --ledger_.connections;
}

}  // namespace sluice::test
