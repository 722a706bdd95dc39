// Goal: the client says the right bytes and reports the right ends in every mode, for every refusal at every
// phase.
// How: written-down conversations. Each is played with the server's bytes arriving and our bytes leaving in
// fragments of many sizes; bytes and events have to be the same every time.

#include "net/smtp/client.h"

#include <gtest/gtest.h>

#include "tests/net/smtp/client_script.h"

namespace sluice::net::test {
namespace {

/// One step: exactly one of the texts is used. `add`: tags of mails to add, from the case's list.
struct Step {
  enum class Do { Server, Sent, Events, Add, Quit, TlsReady, Close } what;
  std::string text;
  std::uint64_t tag = 0;
};
Step server(std::string_view text) { return {Step::Do::Server, std::string(text)}; }
Step sent(std::string_view text) { return {Step::Do::Sent, std::string(text)}; }
Step events(std::string_view text) { return {Step::Do::Events, std::string(text)}; }
Step add(std::uint64_t tag) { return {Step::Do::Add, {}, tag}; }
Step quit() { return {Step::Do::Quit, {}}; }
Step tls_ready() { return {Step::Do::TlsReady, {}}; }
Step closed() { return {Step::Do::Close, {}}; }

struct Case {
  const char* name;
  std::vector<Step> steps;
  ClientSettings settings = {};
  std::vector<Mail> mails = {{.tag = 1}, {.tag = 2}, {.tag = 3}};
};

void play(const Case& item, Fragments fragments) {
  SCOPED_TRACE(std::string(item.name) + " in=" + std::to_string(fragments.in) +
               " out=" + std::to_string(fragments.out));
  ClientScript script(item.settings, fragments);
  for (std::size_t i = 0; i < item.steps.size(); ++i) {
    SCOPED_TRACE("step " + std::to_string(i));
    const Step& step = item.steps[i];
    switch (step.what) {
      case Step::Do::Server: script.server(step.text); break;
      case Step::Do::Sent: ASSERT_EQ(script.sent(), step.text); break;
      case Step::Do::Events: ASSERT_EQ(script.events(), step.text); break;
      case Step::Do::Add: ASSERT_EQ(script.add(item.mails[step.tag - 1]), Client::Add::Accepted); break;
      case Step::Do::Quit: script.client().quit(); break;
      case Step::Do::TlsReady: script.client().on_tls_ready(); break;
      case Step::Do::Close: script.client().on_closed(Client::Unconsumed::NotSent); break;
    }
  }
}

void play_all(const std::vector<Case>& cases) {
  for (const Case& item : cases) {
    for (const std::size_t in :
         {SIZE_MAX, std::size_t{1}, std::size_t{2}, std::size_t{3}, std::size_t{7}, std::size_t{16}}) {
      for (const std::size_t out : {SIZE_MAX, std::size_t{1}, std::size_t{5}}) {
        play(item, {in, out});
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

std::vector<Step> after_hello(std::string_view ehlo, std::vector<Step> rest) {
  std::vector<Step> steps = {server(kGreeting), sent("EHLO me.example\r\n"), server(ehlo), events("ready\n")};
  steps.insert(steps.end(), rest.begin(), rest.end());
  return steps;
}

const std::string kMail1 = "MAIL FROM:<a@x.example>\r\n";
const std::string kRcpt1 = "RCPT TO:<b@y.example>\r\n";
const std::string kGroup = kMail1 + kRcpt1 + "DATA\r\n";
const std::string kBdat = kMail1 + kRcpt1 + "BDAT 4 LAST\r\nHi\r\n";
const Mail kTwo{.tag = 1, .recipients = {"b@y.example", "c@y.example"}};
const std::string kRcpt2 = "RCPT TO:<c@y.example>\r\n";

TEST(Client, BeginningOfASession) {
  play_all({
      {"greeting refused", {server("554 go away\r\n"), events("over refused at greeting 554\n"), sent("")}},
      {"greeting 421", {server("421 busy\r\n"), events("over refused at greeting 421\n")}},
      {"greeting of many lines",
       {server("220-mx\r\n220-no spam\r\n220 ESMTP\r\n"), sent("EHLO me.example\r\n")}},
      {"greeting is garbage", {server("hello\r\n"), events("over protocol error at greeting 0\n")}},
      {"354 as greeting", {server("354 go\r\n"), events("over protocol error at greeting 0\n")}},
      {"HELO fallback",
       {server(kGreeting), sent("EHLO me.example\r\n"), server("502 what\r\n"), sent("HELO me.example\r\n"),
        server("250 mx\r\n"), events("ready\n"), add(1), sent(kMail1)}},
      {"EHLO 4xx",
       {server(kGreeting), sent("EHLO me.example\r\n"), server("450 later\r\n"),
        events("over refused at EHLO 450\n")}},
      {"HELO refused",
       {server(kGreeting), sent("EHLO me.example\r\n"), server("500 no\r\n"), sent("HELO me.example\r\n"),
        server("550 no\r\n"), events("over refused at EHLO 550\n")}},
      {"code changes inside the reply",
       {server(kGreeting), sent("EHLO me.example\r\n"), server("250-mx\r\n251 SIZE\r\n"),
        events("over protocol error at EHLO 0\n")}},
      {"connection lost at EHLO",
       {server(kGreeting), sent("EHLO me.example\r\n"), closed(),
        events("over connection lost at EHLO 0\n")}},
      {"quit at once",
       {server(kGreeting), sent("EHLO me.example\r\n"), quit(), server(kPipelining), sent("QUIT\r\n"),
        server("221 bye\r\n"), events("ready\nover none at QUIT 221\n")}},
      {"server hangs up on QUIT",
       {server(kGreeting), sent("EHLO me.example\r\n"), quit(), server(kPipelining), sent("QUIT\r\n"),
        closed(), events("ready\nover none at QUIT 0\n")}},
      {"idle 421", after_hello(kPipelining, {server("421 idle\r\n"), events("over refused at idle 421\n")})},
      {"unasked reply",
       after_hello(kPipelining, {server("250 ok\r\n"), events("over protocol error at idle 0\n")})},
  });
}

TEST(Client, EarlyReplies) {
  // The server answers what it has not been asked yet.
  ClientScript both;
  both.server("220 hi\r\n250 mx\r\n");
  EXPECT_EQ(both.events(), "over protocol error at EHLO 0\n");
  ClientScript script;
  script.server(kGreeting);
  script.sent();
  script.server(kPipelining);
  script.events();
  ASSERT_EQ(script.add({}), Client::Add::Accepted);
  // MAIL was queued but never shown to anybody.
  script.client().on_bytes(bytes_of("250 ok\r\n"));
  EXPECT_EQ(script.events(), "end 1 never started at MAIL 0\nover protocol error at MAIL 0\n");
  EXPECT_EQ(script.log.over_text, "protocol error: reply without a command");
}

TEST(Client, Lockstep) {
  const std::vector<Step> ok = {add(1),
                                sent(kMail1),
                                server("250 ok\r\n"),
                                sent(kRcpt1),
                                server("250 ok\r\n"),
                                sent("DATA\r\n"),
                                server("354 go\r\n"),
                                sent("Hi\r\n.\r\n"),
                                server("250 2.0.0 queued\r\n"),
                                events("rcpt 1.0 250\nend 1 replied at end of message 250\n")};
  std::vector<Step> twice = ok;
  twice.insert(twice.end(), {add(2), sent(kMail1), server("450 no\r\n"),
                             events("end 2 replied at MAIL 450\n"), add(3), sent(kMail1)});
  std::vector<Step> then_refused = ok;
  then_refused.insert(then_refused.end(),
                      {add(2), sent(kMail1), server("250 ok\r\n"), sent(kRcpt1), server("550 no\r\n"),
                       events("rcpt 2.0 550\nend 2 all recipients refused at RCPT 0\n"), sent(""), add(3),
                       sent("RSET\r\n"), server("250 ok\r\n"), sent(kMail1)});
  play_all({
      {"one, then MAIL refused", after_hello(kLockstep, twice)},
      {"all refused: no DATA, RSET before the next", after_hello(kLockstep, then_refused)},
      {"DATA refused", after_hello(kLockstep, {add(1), sent(kMail1), server("250 ok\r\n"), sent(kRcpt1),
                                               server("250 ok\r\n"), sent("DATA\r\n"), server("451 no\r\n"),
                                               events("rcpt 1.0 250\nend 1 replied at DATA 451\n"), add(2),
                                               sent("RSET\r\n"), server("250 ok\r\n"), sent(kMail1)})},
      {"2xx to DATA", after_hello(kLockstep, {add(1), sent(kMail1), server("250 ok\r\n"), sent(kRcpt1),
                                              server("250 ok\r\n"), sent("DATA\r\n"), server("250 ok\r\n"),
                                              events("rcpt 1.0 250\nend 1 partly sent at DATA 0\n"
                                                     "over protocol error at DATA 0\n")})},
      {"354 to MAIL",
       after_hello(kLockstep, {add(1), sent(kMail1), server("354 ok\r\n"),
                               events("end 1 partly sent at MAIL 0\nover protocol error at MAIL 0\n")})},
      {"354 to RCPT",
       after_hello(kLockstep, {add(1), sent(kMail1), server("250 ok\r\n"), sent(kRcpt1), server("354 ok\r\n"),
                               events("end 1 partly sent at RCPT 0\nover protocol error at RCPT 0\n")})},
      {"RSET refused",
       after_hello(kLockstep, {add(1), sent(kMail1), server("250 ok\r\n"), sent(kRcpt1), server("550 no\r\n"),
                               add(2), sent("RSET\r\n"), server("500 what\r\n"),
                               events("rcpt 1.0 550\nend 1 all recipients refused at RCPT 0\n"
                                      "end 2 partly sent at RSET 500\nover refused at RSET 500\n")})},
  });
}

TEST(Client, TwoRecipients) {
  Case item{
      "one of two refused",
      after_hello(kLockstep, {add(1), sent(kMail1), server("250 ok\r\n"), sent(kRcpt1), server("550 no\r\n"),
                              sent(kRcpt2), server("250 ok\r\n"), sent("DATA\r\n"), server("354 go\r\n"),
                              sent("Hi\r\n.\r\n"), server("451 later\r\n"),
                              events("rcpt 1.0 550\nrcpt 1.1 250\nend 1 replied at end of message 451\n")})};
  item.mails = {kTwo};
  play_all({item});
}

TEST(Client, Pipelining) {
  const std::string all_ok = "250 ok\r\n250 ok\r\n354 go\r\n";
  play_all({
      {"body, dot and the next group in one write",
       after_hello(kPipelining, {add(1), sent(kGroup), add(2), sent(""), server(all_ok),
                                 sent("Hi\r\n.\r\n" + kGroup), server("250 one\r\n" + all_ok),
                                 events("rcpt 1.0 250\nend 1 replied at end of message 250\n"
                                        "rcpt 2.0 250\n"),
                                 sent("Hi\r\n.\r\n"), server("250 two\r\n"),
                                 events("end 2 replied at end of message 250\n")})},
      {"next one comes while the first waits for its final reply",
       after_hello(kPipelining,
                   {add(1), sent(kGroup), server(all_ok), sent("Hi\r\n.\r\n"), add(2), sent(kGroup),
                    server("250 one\r\n"), events("rcpt 1.0 250\nend 1 replied at end of message 250\n")})},
      {"MAIL refused, the rest refused behind it",
       after_hello(kPipelining, {add(1), sent(kGroup), server("550 5.7.1 no\r\n503 no\r\n503 no\r\n"),
                                 events("end 1 replied at MAIL 550\n"), add(2), sent(kGroup)})},
      {"MAIL refused, yet RCPT and DATA accepted",
       after_hello(kPipelining,
                   {add(1), sent(kGroup), server("450 no\r\n250 ok\r\n354 go\r\n"), sent(".\r\n"),
                    server("250 what\r\n"), events("end 1 replied at MAIL 450\n")})},
      {"all refused, DATA refused: RSET first",
       after_hello(kPipelining,
                   {add(1), sent(kGroup), server("250 ok\r\n550 no\r\n554 no\r\n"),
                    events("rcpt 1.0 550\nend 1 all recipients refused at RCPT 0\n"), add(2),
                    sent("RSET\r\n" + kGroup), server("250 ok\r\n" + all_ok), events("rcpt 2.0 250\n")})},
      {"all refused, DATA accepted: a lone dot, no RSET",
       after_hello(kPipelining, {add(1), sent(kGroup), add(2), server("250 ok\r\n550 no\r\n354 go\r\n"),
                                 sent(".\r\n" + kGroup), server("554 no valid recipients\r\n"),
                                 events("rcpt 1.0 550\nend 1 all recipients refused at RCPT 0\n"),
                                 server(all_ok), sent("Hi\r\n.\r\n")})},
      {"DATA refused with a recipient accepted; the next was queued",
       after_hello(kPipelining,
                   {add(1), sent(kGroup), add(2), server("250 ok\r\n250 ok\r\n451 no\r\n"),
                    sent("RSET\r\n" + kGroup), events("rcpt 1.0 250\nend 1 replied at DATA 451\n")})},
      {"2xx to DATA", after_hello(kPipelining, {add(1), sent(kGroup), server("250 a\r\n250 b\r\n250 c\r\n"),
                                                events("rcpt 1.0 250\nend 1 partly sent at DATA 0\n"
                                                       "over protocol error at DATA 0\n")})},
      {"one reply too many",
       after_hello(kPipelining,
                   {add(1), sent(kGroup), server(all_ok), sent("Hi\r\n.\r\n"), server("250 ok\r\n"),
                    events("rcpt 1.0 250\nend 1 replied at end of message 250\n"), server("250 again\r\n"),
                    events("over protocol error at idle 0\n")})},
  });
}

TEST(Client, ReplyDuringTheBody) {
  // Only the first byte of the body was taken from us when the server speaks.
  for (const auto& [reply, want] :
       {std::pair<const char*, const char*>{
            "552 too big\r\n", "end 1 replied at body transfer 552\nover refused at body transfer 552\n"},
        {"250 ok\r\n",
         "end 1 partly sent at body transfer 0\n"
         "over protocol error at body transfer 0\n"},
        {"421 bye\r\n", "end 1 replied at body transfer 421\nover refused at body transfer 421\n"}}) {
    SCOPED_TRACE(reply);
    ClientScript script({}, {.out = SIZE_MAX});
    script.server(kGreeting);
    script.sent();
    script.server(kPipelining);
    ASSERT_EQ(script.add({.body = {"first\r\n", "second\r\n"}}), Client::Add::Accepted);
    script.sent();
    script.events();
    script.client().on_bytes(bytes_of("250 ok\r\n250 ok\r\n354 go\r\n"));
    std::vector<Bytes> room(1);  // the second part and the dot are never shown
    ASSERT_EQ(script.client().output(room), 1U);
    script.client().consumed(room[0].size());
    EXPECT_EQ(script.client().phase(), ClientPhase::BodyTransfer);
    script.events();
    script.client().on_bytes(bytes_of(reply));
    EXPECT_EQ(script.events(), want);
  }
}

TEST(Client, Chunking) {
  const std::string ok = "250 ok\r\n250 ok\r\n250 done\r\n";
  const auto done = [](int tag) {
    return "rcpt " + std::to_string(tag) + ".0 250\nend " + std::to_string(tag) +
           " replied at end of message 250\n";
  };
  play_all({
      {"three in flight",
       after_hello(kChunking, {add(1), add(2), add(3), sent(kBdat + kBdat + kBdat), server(ok + ok + ok),
                               events(done(1) + done(2) + done(3))})},
      {"MAIL refused: the rest is answered and forgotten",
       after_hello(kChunking,
                   {add(1), add(2), sent(kBdat + kBdat), server("451 no\r\n503 no\r\n503 no\r\n" + ok),
                    events("end 1 replied at MAIL 451\n" + done(2))})},
      {"all refused; server closed the transaction by itself",
       after_hello(kChunking,
                   {add(1), add(2), sent(kBdat + kBdat), server("250 ok\r\n550 no\r\n554 no\r\n" + ok),
                    events("rcpt 1.0 550\nend 1 all recipients refused at RCPT 0\n" + done(2)), add(3),
                    sent("RSET\r\n" + kBdat)})},
      {"all refused, server accepts the chunk all the same",
       after_hello(kChunking, {add(1), sent(kBdat), server("250 ok\r\n550 no\r\n250 what\r\n"),
                               events("rcpt 1.0 550\nend 1 all recipients refused at RCPT 0\n")})},
      {"BDAT refused",
       after_hello(kChunking, {add(1), sent(kBdat), server("250 ok\r\n250 ok\r\n552 full\r\n"),
                               events("rcpt 1.0 250\nend 1 replied at end of message 552\n"), add(2),
                               sent("RSET\r\n" + kBdat), server("250 ok\r\n" + ok), events(done(2))})},
      {"server loses step: the next are safe to retry, then one at a time behind RSET",
       after_hello(kChunking, {add(1), add(2), add(3), sent(kBdat + kBdat + kBdat),
                               server("250 ok\r\n550 no\r\n554 no\r\n503 nested\r\n503 no\r\n503 no\r\n503 "
                                      "nested\r\n503 a\r\n503 b\r\n"),
                               events("rcpt 1.0 550\nend 1 all recipients refused at RCPT 0\n"
                                      "end 2 partly sent at MAIL 503\nend 3 partly sent at MAIL 503\n"),
                               add(2), sent("RSET\r\n" + kBdat), server("250 ok\r\n" + ok), events(done(2)),
                               add(3), sent(kBdat)})},
      {"354 to BDAT",
       after_hello(kChunking, {add(1), sent(kBdat), server("250 ok\r\n250 ok\r\n354 what\r\n"),
                               events("rcpt 1.0 250\nend 1 outcome unknown at end of message 0\n"
                                      "over protocol error at end of message 0\n")})},
  });
}

TEST(Client, Code421) {
  ClientSettings closes;
  closes.close_on_421 = true;
  const std::string ok = "250 ok\r\n";
  play_all({
      {"MAIL, go on",
       after_hello(kLockstep, {add(1), sent(kMail1), server("421 no\r\n"),
                               events("end 1 replied at MAIL 421\n"), add(2), sent("RSET\r\n")})},
      {"MAIL, close",
       after_hello(kLockstep, {add(1), sent(kMail1), server("421 no\r\n"),
                               events("end 1 replied at MAIL 421\nover refused at MAIL 421\n")}),
       closes},
      {"RCPT, close",
       after_hello(kPipelining, {add(1), sent(kGroup), server(ok + "421 no\r\n"),
                                 events("rcpt 1.0 421\nend 1 all recipients refused at RCPT 0\n"
                                        "over refused at RCPT 421\n")}),
       closes},
      {"DATA, close",
       after_hello(kPipelining,
                   {add(1), sent(kGroup), server(ok + ok + "421 no\r\n"),
                    events("rcpt 1.0 250\nend 1 replied at DATA 421\nover refused at DATA 421\n")}),
       closes},
      {"end, close",
       after_hello(kPipelining, {add(1), sent(kGroup), server(ok + ok + "354 go\r\n"), sent("Hi\r\n.\r\n"),
                                 server("421 no\r\n"),
                                 events("rcpt 1.0 250\nend 1 replied at end of message 421\n"
                                        "over refused at end of message 421\n")}),
       closes},
      {"final reply and 421 in one",
       after_hello(kPipelining, {add(1), sent(kGroup), server(ok + ok + "354 go\r\n"), sent("Hi\r\n.\r\n"),
                                 server("250 ok\r\n421 bye\r\n"),
                                 events("rcpt 1.0 250\nend 1 replied at end of message 250\n"
                                        "over refused at idle 421\n")})},
  });
  // With bytes of several transactions in flight: the one behind is unknown, because it was sent whole.
  play_all({{"BDAT window, close",
             after_hello(kChunking,
                         {add(1), add(2), sent(kBdat + kBdat), server("250 ok\r\n421 no\r\n"),
                          events("rcpt 1.0 421\nend 1 all recipients refused at RCPT 0\n"
                                 "end 2 outcome unknown at end of message 0\nover refused at RCPT 421\n")}),
             closes}});
}

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
      {"chunking", kChunking, {}, 4},
      {"chunking, larger window", kChunking, {.chunking_window = 8}, 8},
      {"chunking ignored", kChunking, {.ignore = {.chunking = true}}, 2},
      {"pipelining ignored", kChunking, {.ignore = {.pipelining = true}}, 1},
      {"chunking alone is lockstep", "250-mx\r\n250 CHUNKING\r\n", {}, 1},
      {"MAILMAX", "250-mx\r\n250-CHUNKING\r\n250-PIPELINING\r\n250 LIMITS MAILMAX=3\r\n", {}, 3},
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
    EXPECT_EQ(script.client().used_up(), row.want == 3);
  }
}

TEST(Client, WindowIsBoundedInBytes) {
  ClientScript script({.chunking_window_bytes = 10});
  script.server(kGreeting);
  script.sent();
  script.server(kChunking);
  ASSERT_EQ(script.add({.tag = 1, .body = {"123\r\n"}}), Client::Add::Accepted);
  EXPECT_EQ(script.client().free_slots(), 3U);
  ASSERT_EQ(script.add({.tag = 2, .body = {"456\r\n"}}), Client::Add::Accepted);
  EXPECT_EQ(script.client().free_slots(), 0U);
  script.sent();
  script.server("250 ok\r\n250 ok\r\n250 ok\r\n");
  EXPECT_EQ(script.client().free_slots(), 3U);
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
  EXPECT_EQ(script.sent(), "second\r\n");
  EXPECT_EQ(script.events(), "end 1 replied at body transfer 552\n");
  EXPECT_FALSE(script.client().is_over());
}

}  // namespace
}  // namespace sluice::net::test
