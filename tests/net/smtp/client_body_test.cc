// Goal: bodies go out as they have to, windows and limits hold, and STARTTLS, AUTH and middleboxes are lived with.
// How: as client_test.cc: written-down conversations, played in fragments of many sizes.

#include "net/smtp/client.h"

#include <gtest/gtest.h>

#include "tests/net/smtp/client_cases.h"

namespace sluice::net::test {
namespace {

TEST(Client, DotStuffing) {
  struct Row {
    std::vector<std::string> body;
    const char* want;
  };
  const Row rows[] = {
      {{".\r\n"}, "..\r\n.\r\n"},
      {{".a\r\n..b\r\nc.\r\n"}, "..a\r\n...b\r\nc.\r\n.\r\n"},
      {{"a\r\n", ".b\r\n"}, "a\r\n..b\r\n.\r\n"},  // the line begins at the seam
      {{"a\r", "\n.b\r\n"}, "a\r\n..b\r\n.\r\n"},
      {{"a", ".b\r\n"}, "a.b\r\n.\r\n"},  // the dot is in the middle of a line
      {{"a\r\n", "", ".\r\n", ".\r\n"}, "a\r\n..\r\n..\r\n.\r\n"},
      {{""}, ".\r\n"},
      {{"no line end"}, "no line end\r\n.\r\n"},  // the dot must not become part of it
      {{"a\r\n.", ""}, "a\r\n..\r\n.\r\n"},
      {{"x\r\n\r\n...\r\n.\r\nend\r\n"}, "x\r\n\r\n....\r\n..\r\nend\r\n.\r\n"},
  };
  for (const Row& row : rows) {
    for (const std::size_t out : {SIZE_MAX, std::size_t{1}, std::size_t{2}, std::size_t{3}}) {
      SCOPED_TRACE(std::string(row.want) + " out=" + std::to_string(out));
      ClientScript script({}, {.out = out});
      script.server(kGreeting);
      script.sent();
      script.server(kPipelining);
      ASSERT_EQ(script.add({.body = row.body, .dots = true}), Client::Add::Accepted);
      script.sent();
      script.server("250 ok\r\n250 ok\r\n354 go\r\n");
      EXPECT_EQ(script.sent(), row.want);
      script.server("250 ok\r\n");
      EXPECT_EQ(script.events(), "ready\nrcpt 1.0 250\nend 1 replied at end of message 250\n");
    }
  }
}

TEST(Client, ChunkingNeedsNoStuffing) {
  ClientScript script;
  script.server(kGreeting);
  script.sent();
  script.server(kChunking);
  ASSERT_EQ(script.add({.body = {".\r\n", ".x\r\n"}, .dots = true}), Client::Add::Accepted);
  EXPECT_EQ(script.sent(), kMail1 + kRcpt1 + "BDAT 7 LAST\r\n.\r\n.x\r\n");
}

TEST(Client, BodiesAreNotCopied) {
  ClientScript script;
  script.server(kGreeting);
  script.sent();
  script.server(kChunking);
  const std::string body = "Hello\r\n";
  const Bytes span = bytes_of(body);
  const OutgoingRecipient recipient{.address = "b@y.example"};
  ASSERT_EQ(script.client().add(
                {.tag = TransactionTag(1), .sender = {}, .recipients = {&recipient, 1}, .body = {&span, 1}}),
            Client::Add::Accepted);
  std::vector<Bytes> room(8);
  const std::size_t count = script.client().output(room);
  ASSERT_EQ(count, 2U);
  EXPECT_EQ(room[1].data(), span.data());
  EXPECT_EQ(room[1].size(), span.size());
}

TEST(Client, Parameters) {
  ClientScript script;
  script.server(kGreeting);
  script.sent();
  script.server("250-mx\r\n250-SIZE 1000\r\n250-8bitmime\r\n250-SMTPUTF8\r\n250 DSN\r\n");
  const OutgoingRecipient recipient{.address = "b@y.example",
                                    .notify = {DsnNotify::kSuccess | DsnNotify::kDelay},
                                    .orcpt = "rfc822;b+2Bc@y"};
  const Bytes span = bytes_of("Hi\r\n");
  Transaction mail{.tag = TransactionTag(1),
                   .sender = "a@x.example",
                   .ret = DsnReturn::Headers,
                   .envid = "QQ",
                   .recipients = {&recipient, 1},
                   .body = {&span, 1},
                   .eight_bit = true,
                   .smtp_utf8 = true};
  ASSERT_EQ(script.client().add(mail), Client::Add::Accepted);
  EXPECT_EQ(script.sent(), "MAIL FROM:<a@x.example> SIZE=4 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ\r\n");
  script.server("250 ok\r\n");
  EXPECT_EQ(script.sent(), "RCPT TO:<b@y.example> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;b+2Bc@y\r\n");
}

TEST(Client, WhatAddRefuses) {
  const auto ready = [](std::string_view ehlo, ClientSettings settings = {}) {
    auto script = std::make_unique<ClientScript>(settings);
    script->server(kGreeting);
    script->sent();
    script->server(ehlo);
    script->events();
    return script;
  };
  using Add = Client::Add;
  EXPECT_EQ(ClientScript().add({}), Add::NoSlot);
  EXPECT_EQ(ready("250-mx\r\n250 SIZE 3\r\n")->add({}), Add::MessageTooBig);
  EXPECT_EQ(ready("250-mx\r\n250 SIZE 4\r\n")->add({}), Add::Accepted);
  EXPECT_EQ(ready("250-mx\r\n250 SIZE 0\r\n")->add({}), Add::Accepted);
  EXPECT_EQ(ready("250 mx\r\n")->add({.eight_bit = true}), Add::Needs8BitMime);
  EXPECT_EQ(ready(kLockstep)->add({.eight_bit = true}), Add::Accepted);
  EXPECT_EQ(ready(kLockstep, {.ignore = {.eight_bit_mime = true}})->add({.eight_bit = true}),
            Add::Needs8BitMime);
  EXPECT_EQ(ready(kLockstep)->add({.utf8 = true}), Add::NeedsSmtpUtf8);
  EXPECT_EQ(ready("250-mx\r\n250 LIMITS RCPTMAX=1 MAILMAX=5\r\n")->add(kTwo), Add::TooManyRecipients);
  EXPECT_EQ(ready(kLockstep)->add({.recipients = {}}), Add::BadInput);
  for (const char* bad :
       {"a\r\nRCPT TO:<z@z>@x", "a>b@x", "a b@x", "\"a@x", "a\x7f@x", "\xc3\xa9@x", "\"a\\\r\"@x"}) {
    EXPECT_EQ(ready(kLockstep)->add({.sender = bad}), Add::BadInput) << bad;
    EXPECT_EQ(ready(kLockstep)->add({.recipients = {bad}}), Add::BadInput) << bad;
  }
  EXPECT_EQ(ready(kLockstep)->add({.sender = "\"a b\\\">\"@x.example"}), Add::Accepted);
  EXPECT_EQ(ready(kLockstep)->add({.sender = ""}), Add::Accepted);
  EXPECT_EQ(ready(kLockstep)->add({.recipients = {""}}), Add::BadInput);
}

TEST(Client, Windows) {
  struct Row {
    const char* name;
    std::string_view ehlo;
    ClientSettings settings;
    std::uint32_t want;
  };
  const Row rows[] = {
      {"lockstep", kLockstep, {}, 1},
      {"pipelining", kPipelining, {}, 2},
      {"chunking", kChunking, {}, 2},
      {"chunking ignored", kChunking, {.ignore = {.chunking = true}}, 2},
      {"pipelining ignored", kChunking, {.ignore = {.pipelining = true}}, 1},
      {"chunking alone is lockstep", "250-mx\r\n250 CHUNKING\r\n", {}, 1},
      {"MAILMAX", "250-mx\r\n250-CHUNKING\r\n250-PIPELINING\r\n250 LIMITS MAILMAX=1\r\n", {}, 1},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    ClientScript script(row.settings);
    EXPECT_EQ(script.client().free_slots(), 0U);
    script.server(kGreeting);
    script.sent();
    script.server(row.ehlo);
    EXPECT_EQ(script.client().free_slots(), row.want);
    for (std::uint32_t i = 0; i < row.want; ++i) ASSERT_EQ(script.add({.tag = i + 1}), Client::Add::Accepted);
    EXPECT_EQ(script.client().free_slots(), 0U);
    EXPECT_EQ(script.add({}), Client::Add::NoSlot);
    EXPECT_EQ(script.client().used_up(), std::string_view(row.name) == "MAILMAX");
  }
}

TEST(Client, StartTls) {
  using Tls = ClientSettings::Tls;
  const std::string offers = "250-mx\r\n250-PIPELINING\r\n250 STARTTLS\r\n";
  const std::vector<Step> asks = {server(kGreeting), sent("EHLO me.example\r\n"), server(offers),
                                  sent("STARTTLS\r\n")};
  const auto then = [&](std::vector<Step> rest) {
    std::vector<Step> steps = asks;
    steps.insert(steps.end(), rest.begin(), rest.end());
    return steps;
  };
  play_all({
      {"done; EHLO again, and what was offered in plain is forgotten",
       then({server("220 go\r\n"), events("tls\n"), tls_ready(), sent("EHLO me.example\r\n"),
             server(kLockstep), events("ready\n"), add(1), sent(kMail1)}),
       {.tls = Tls::IfOffered}},
      {"refused, if offered",
       then({server("454 no\r\n"), events("ready\n"), add(1), sent(kGroup)}),
       {.tls = Tls::IfOffered}},
      {"refused, required",
       then({server("454 no\r\n"), events("over refused at STARTTLS 454\n")}),
       {.tls = Tls::Required}},
      {"handshake fails",
       then({server("220 go\r\n"), closed(), events("tls\nover connection lost at STARTTLS 0\n")}),
       {.tls = Tls::Required}},
      {"not offered, required",
       {server(kGreeting), sent("EHLO me.example\r\n"), server(kPipelining),
        events("over TLS not offered at STARTTLS 0\n")},
       {.tls = Tls::Required}},
      {"not wanted", after_hello(offers, {add(1), sent(kGroup)})},
  });
  for (const char* injected : {"220 go\r\n250 injected\r\n", "220 go\r\nx"}) {
    ClientScript script({.tls = Tls::IfOffered});
    script.server(kGreeting);
    script.sent();
    script.server(offers);
    script.sent();
    script.server(injected);
    EXPECT_EQ(script.events(), "over plain text behind STARTTLS at STARTTLS 0\n");
    EXPECT_EQ(script.sent(), "");
  }
}

class FixedAuth final : public ClientAuth {
 public:
  std::string_view begin(const Capabilities& capabilities) override {
    return capabilities.auth.has(AuthMechanisms::kLogin) ? "AUTH LOGIN" : "";
  }
  std::string_view answer(std::string_view challenge) override {
    return challenge == "VXNlcm5hbWU6" ? "dXNlcg==" : "cGFzcw==";
  }
};

TEST(Client, Auth) {
  FixedAuth auth;
  for (const std::size_t in : {SIZE_MAX, std::size_t{1}}) {
    ClientScript script({}, {.in = in}, &auth);
    script.server(kGreeting);
    script.sent();
    script.server("250-mx\r\n250 AUTH PLAIN LOGIN\r\n");
    EXPECT_EQ(script.sent(), "AUTH LOGIN\r\n");
    EXPECT_EQ(script.client().phase(), ClientPhase::Auth);
    script.server("334 VXNlcm5hbWU6\r\n");
    EXPECT_EQ(script.sent(), "dXNlcg==\r\n");
    script.server("334 UGFzc3dvcmQ6\r\n");
    EXPECT_EQ(script.sent(), "cGFzcw==\r\n");
    script.server("235 ok\r\n");
    EXPECT_EQ(script.events(), "ready\n");
  }
  ClientScript refused({}, {}, &auth);
  refused.server(kGreeting);
  refused.sent();
  refused.server("250-mx\r\n250 AUTH LOGIN\r\n");
  refused.sent();
  refused.server("535 no\r\n");
  EXPECT_EQ(refused.events(), "over refused at AUTH 535\n");
}

TEST(Client, PixGetsItsDotAlone) {
  ClientScript script;
  script.server("220 ************************\r\n");
  script.sent();
  script.server(kPipelining);
  EXPECT_TRUE(script.client().is_pix());
  ASSERT_EQ(script.add({}), Client::Add::Accepted);
  EXPECT_EQ(script.sent(), kMail1);  // and it is not trusted with PIPELINING
  script.server("250 ok\r\n");
  script.server("250 ok\r\n");
  script.sent();
  script.client().on_bytes(bytes_of("354 go\r\n"));
  std::vector<Bytes> room(8);
  ASSERT_EQ(script.client().output(room), 1U);
  script.client().consumed(room[0].size());
  ASSERT_EQ(script.client().output(room), 1U);
  EXPECT_EQ(room[0].size(), 3U);
}

TEST(Client, PhasesForTimeouts) {
  ClientScript script;
  Client& client = script.client();
  EXPECT_EQ(client.phase(), ClientPhase::Greeting);
  script.server(kGreeting);
  EXPECT_EQ(client.phase(), ClientPhase::Ehlo);
  script.sent();
  script.server(kPipelining);
  EXPECT_EQ(client.phase(), ClientPhase::Idle);
  ASSERT_EQ(script.add({.tag = 7}), Client::Add::Accepted);
  script.sent();
  EXPECT_EQ(client.phase(), ClientPhase::Mail);
  EXPECT_EQ(client.current(), TransactionTag(7));
  script.server("250 ok\r\n");
  EXPECT_EQ(client.phase(), ClientPhase::Rcpt);
  script.server("250 ok\r\n");
  EXPECT_EQ(client.phase(), ClientPhase::Data);
  client.on_bytes(bytes_of("354 go\r\n"));
  EXPECT_EQ(client.phase(), ClientPhase::BodyTransfer);
  script.sent();
  EXPECT_EQ(client.phase(), ClientPhase::FinalReply);
  script.server("250 ok\r\n");
  EXPECT_EQ(client.phase(), ClientPhase::Idle);
  EXPECT_EQ(client.current(), std::nullopt);
  client.quit();
  EXPECT_EQ(client.phase(), ClientPhase::Quit);
  script.sent();
  script.server("221 bye\r\n");
  EXPECT_EQ(client.phase(), ClientPhase::Closed);
  EXPECT_TRUE(client.is_over());
}

// Sockets take a large message as a whole long before the server has it: what had not arrived was not answered.
TEST(Client, YesToWhatHasNotArrived) {
  const std::string large(Client::kArrivesAtOnce + 1, 'x');
  for (const bool arrived : {false, true}) {
    ClientScript script;
    script.server(kGreeting);
    script.sent();
    script.server(kPipelining);
    ASSERT_EQ(script.add({.body = {large}}), Client::Add::Accepted);
    script.sent();
    EXPECT_FALSE(script.client().asks_what_arrived());
    script.server("250 ok\r\n250 ok\r\n354 go\r\n");
    script.sent();
    script.events();
    EXPECT_TRUE(script.client().asks_what_arrived());
    script.client().on_bytes(bytes_of("250 done\r\n"), arrived ? 0 : 1);
    EXPECT_EQ(script.events(), arrived ? "end 1 replied at end of message 250\n"
                                       : "end 1 outcome unknown at end of message 0\n"
                                         "over protocol error at end of message 0\n");
  }
}

// An early refusal of BDAT while its body is still going out: the body has to be finished, and its memory
// stays in use.
TEST(Client, EarlyBdatRefusalWaitsForItsBytes) {
  ClientScript script;
  script.server(kGreeting);
  script.sent();
  script.server(kChunking);
  ASSERT_EQ(script.add({.body = {"first\r\n", "second\r\n"}}), Client::Add::Accepted);
  script.events();
  std::vector<Bytes> room(2);  // the commands and the first part
  ASSERT_EQ(script.client().output(room), 2U);
  script.client().consumed(room[0].size() + room[1].size());
  script.client().on_bytes(bytes_of("250 ok\r\n250 ok\r\n552 full\r\n"));
  EXPECT_EQ(script.events(), "rcpt 1.0 250\n");
  EXPECT_EQ(script.sent(), "second\r\nEHLO me.example\r\n");
  EXPECT_EQ(script.events(), "");
  script.server(kChunking);
  EXPECT_EQ(script.events(), "end 1 no chunking at body transfer 552\n");
  EXPECT_FALSE(script.client().is_over());
}

}  // namespace
}  // namespace sluice::net::test
