// What the SMTP machines cost per message in user space, without sockets. bench/README says what the figures
// are for.

#include <benchmark/benchmark.h>

#include <array>
#include <string>
#include <vector>

#include "net/smtp/body_scan.h"
#include "net/smtp/client.h"
#include "net/smtp/server.h"
#include "policy/base/assert.h"
#include "policy/base/mail_address.h"

namespace {

using namespace sluice;
using namespace sluice::net;

std::string make_body(std::size_t size) {
  std::string body = "Subject: bench\r\n\r\n";
  while (body.size() + 78 < size) body += std::string(76, 'x') + "\r\n";
  return body;
}

void body_scan(benchmark::State& state) {
  const std::string body = make_body(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    BodyScan scan;
    benchmark::DoNotOptimize(
        scan.scan(reinterpret_cast<const std::byte*>(body.data()), body.size(), {.dot_line = true}));
    auto bytes = scan.facts().bytes;
    benchmark::DoNotOptimize(bytes);
  }
  state.SetBytesProcessed(
      static_cast<std::int64_t>(static_cast<std::size_t>(state.iterations()) * body.size()));
}
BENCHMARK(body_scan)->Arg(1024)->Arg(10 * 1024)->Arg(100 * 1024);

void address(benchmark::State& state) {
  MailAddress address;
  for (auto _ : state) {
    benchmark::DoNotOptimize(address.assign("<firstname.lastname@mail.example.com>"));
  }
}
BENCHMARK(address);

class Sink final : public ServerOwner {
 public:
  std::uint64_t bytes = 0;
  Answer on_hello(std::string_view, bool) override { return {}; }
  Answer on_mail(const MailCommand&) override { return {}; }
  Answer on_rcpt(const RcptCommand&) override { return {}; }
  Answer on_data(std::uint32_t) override { return {}; }
  Answer on_message_bytes(std::span<const std::byte> part) override {
    bytes += part.size();
    return {};
  }
  Answer on_message_end(MessageSeq, const BodyFacts&) override { return {}; }
  void on_message_dropped(Dropped) override {}
  void on_reset() override {}
};

/// One pipelined 10 KB message: body and dot of this one, MAIL RCPT DATA of the next.
void server_message(benchmark::State& state) {
  Sink sink;
  ServerSettings settings;
  settings.host = "mta.example";
  Server server(settings, sink);
  server.start();
  const std::string group = "MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n";
  const std::string message = make_body(10 * 1024) + ".\r\n" + group;
  const auto feed = [&](const std::string& text) {
    server.feed(std::as_bytes(std::span(text)));
    server.consumed(server.output().size());
  };
  feed("EHLO c\r\n" + group);
  for (auto _ : state) feed(message);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(server_message);

class Ends final : public ClientEvents {
 public:
  std::uint64_t ends = 0;
  void on_ready(const Capabilities&) override {}
  void on_tls_wanted() override {}
  void on_recipient(TransactionTag, std::uint32_t, const SmtpReply&) override {}
  void on_finished(TransactionTag, Ending ending, ClientPhase, const SmtpReply& reply) override {
    SLUICE_ASSERT(ending == Ending::Replied && reply.code == 250);
    ++ends;
  }
  void on_over(ClientFault, ClientPhase, const SmtpReply&) override {}
};

/// One message through the client: add, output, consumed, the replies. range(0): 0 pipelining, 1 chunking.
void client_message(benchmark::State& state) {
  const bool chunking = state.range(0) == 1;
  Ends ends;
  Client client({.helo_name = "me.example"}, ends);
  std::array<Bytes, 16> room;
  const auto send_all = [&] {
    while (const std::size_t count = client.output(room)) {
      std::size_t size = 0;
      for (std::size_t i = 0; i < count; ++i) size += room[i].size();
      client.consumed(size);
    }
  };
  const auto reply = [&](std::string_view text) { client.on_bytes(std::as_bytes(std::span(text))); };
  reply("220 mx.example ESMTP\r\n");
  send_all();
  reply(chunking ? "250-mx\r\n250-SIZE\r\n250-CHUNKING\r\n250 PIPELINING\r\n"
                 : "250-mx\r\n250-SIZE\r\n250 PIPELINING\r\n");
  const std::string body = make_body(10 * 1024);
  const Bytes span = std::as_bytes(std::span(body));
  const OutgoingRecipient recipient{.address = "firstname.lastname@mail.example.com"};
  std::uint64_t tag = 0;
  for (auto _ : state) {
    SLUICE_ASSERT(client.add({.tag = TransactionTag(++tag),
                              .sender = "bounce-12345@x.example",
                              .recipients = {&recipient, 1},
                              .body = {&span, 1}}) == Client::Add::Accepted);
    send_all();
    reply("250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n");
    if (!chunking) {
      reply("354 End data with <CR><LF>.<CR><LF>\r\n");
      send_all();
    }
    reply("250 2.0.0 Ok: queued as 4bXyZ12345\r\n");
  }
  SLUICE_ASSERT(ends.ends == tag);
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(client_message)->Arg(0)->Arg(1);

}  // namespace

BENCHMARK_MAIN();
