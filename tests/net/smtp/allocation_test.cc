// Goal: once warm, neither machine allocates memory per message.
// How: the global operator new counts; a hundred messages warm the buffers up, a hundred more must not change
//      the count.

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <new>
#include <string>

#include "net/smtp/client.h"
#include "net/smtp/server.h"

namespace {
std::size_t allocations = 0;
}  // namespace

void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace sluice::net::test {
namespace {

constexpr int kWarmUp = 100;
constexpr int kMeasured = 100;

Bytes bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

class NoEvents final : public ClientEvents {
 public:
  int delivered = 0;
  void on_ready(const Capabilities&) override {}
  void on_tls_wanted() override {}
  void on_recipient(TransactionTag, std::uint32_t, const SmtpReply&) override {}
  void on_finished(TransactionTag, Ending, ClientPhase, const SmtpReply& reply) override {
    if (reply.code == 250) ++delivered;
  }
  void on_over(ClientFault, ClientPhase, const SmtpReply&) override {}
};

TEST(Allocation, Client) {
  for (const std::string_view ehlo :
       {"250 x\r\n", "250-x\r\n250 PIPELINING\r\n", "250-x\r\n250-CHUNKING\r\n250 PIPELINING\r\n"}) {
    NoEvents events;
    Client client({.helo_name = "c.example"}, events);
    std::array<Bytes, 16> room;
    const auto send = [&] {
      while (const std::size_t count = client.output(room)) {
        std::size_t size = 0;
        for (std::size_t i = 0; i < count; ++i) size += room[i].size();
        client.consumed(size);
      }
    };
    client.on_bytes(bytes_of("220 x\r\n"));
    send();
    client.on_bytes(bytes_of(ehlo));
    const std::string body = ".a line of some length that begins with a dot\r\nand another one\r\n";
    const Bytes span = bytes_of(body);
    const std::array<OutgoingRecipient, 2> recipients{
        {{.address = "somebody.with.a.long.name@destination.example"},
         {.address = "another.one@destination.example"}}};
    const auto one = [&] {
      ASSERT_EQ(client.add({.tag = TransactionTag(1),
                            .sender = "bounces-1234567890@sender.example",
                            .recipients = recipients,
                            .body = {&span, 1},
                            .has_dot_lines = true}),
                Client::Add::Accepted);
      while (client.in_flight() > 0) {
        send();
        client.on_bytes(bytes_of(client.phase() == ClientPhase::Data
                                     ? "354 go ahead, and end it with a dot on a line by itself\r\n"
                                     : "250 2.1.5 a reply that is too long for the small string\r\n"));
      }
    };
    for (int i = 0; i < kWarmUp; ++i) one();
    const std::size_t before = allocations;
    for (int i = 0; i < kMeasured; ++i) one();
    EXPECT_EQ(allocations, before) << ehlo;
    EXPECT_EQ(events.delivered, kWarmUp + kMeasured);
  }
}

class Taker final : public ServerOwner {
 public:
  int messages = 0;
  Answer on_hello(std::string_view, bool) override { return {}; }
  Answer on_mail(const MailCommand&) override { return {}; }
  Answer on_rcpt(const RcptCommand&) override { return {}; }
  Answer on_data(std::uint32_t) override { return {}; }
  Answer on_message_bytes(std::span<const std::byte>) override { return {}; }
  Answer on_message_end(MessageSeq seq, const BodyFacts&) override {
    ++messages;
    last = seq;
    return Answer::later();
  }
  void on_message_dropped(Dropped) override {}
  void on_reset() override {}
  MessageSeq last;
};

TEST(Allocation, Server) {
  Taker taker;
  ServerSettings settings;
  settings.host = "mta.example";
  Server server(settings, taker);
  server.start();
  const std::string message =
      "MAIL FROM:<bounces-1234567890@sender.example> SIZE=100\r\n"
      "RCPT TO:<somebody.with.a.long.name@destination.example>\r\nDATA\r\nfirst\r\n..second\r\n.\r\n";
  const auto one = [&] {
    // In two pieces, so that a command line is kept over a fragment.
    server.feed(bytes_of(std::string_view(message).substr(0, 20)));
    server.feed(bytes_of(std::string_view(message).substr(20)));
    server.answer_message(taker.last, Answer::accept());
    server.consumed(server.output().size());
  };
  server.feed(bytes_of("EHLO c\r\n"));
  for (int i = 0; i < kWarmUp; ++i) one();
  const std::size_t before = allocations;
  for (int i = 0; i < kMeasured; ++i) one();
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(taker.messages, kWarmUp + kMeasured);
}

}  // namespace
}  // namespace sluice::net::test
