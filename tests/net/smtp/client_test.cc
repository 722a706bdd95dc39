// Goal: the client says the right bytes and reports the right ends in every mode, for every refusal at every
// phase.
// How: written-down conversations. Each is played with the server's bytes arriving and our bytes leaving in
// fragments of many sizes; bytes and events have to be the same every time.

#include "net/smtp/client.h"

#include <gtest/gtest.h>

#include "tests/net/smtp/client_cases.h"

namespace sluice::net::test {
namespace {

TEST(Client, BeginningOfASession) {
  play_all({
      {"greeting refused",
       {server("554 go away\r\n"), events("over refused at greeting 554\n"), sent("QUIT\r\n"),
        server("221 bye\r\n"), events("")}},
      {"greeting refused, and the server hangs up",
       {server("554 go away\r\n"), events("over refused at greeting 554\n"), sent("QUIT\r\n"), closed(),
        events("")}},
      {"greeting refused in its last line",
       {server("220-mx\r\n521 5.7.1 blocked\r\n"), events("over refused at greeting 521\n"),
        sent("QUIT\r\n")}},
      {"greeting 421", {server("421 busy\r\n"), events("over refused at greeting 421\n"), sent("")}},
      {"greeting of many lines",
       {server("220-mx\r\n220-no spam\r\n220 ESMTP\r\n"), sent("EHLO me.example\r\n")}},
      {"greeting is garbage", {server("hello\r\n"), events("over protocol error at greeting 0\n")}},
      {"354 as greeting", {server("354 go\r\n"), events("over protocol error at greeting 0\n")}},
      {"HELO fallback",
       {server(kGreeting), sent("EHLO me.example\r\n"), server("502 what\r\n"), sent("HELO me.example\r\n"),
        server("250 mx\r\n"), events("ready\n"), add(1), sent(kMail1)}},
      {"EHLO 4xx",
       {server(kGreeting), sent("EHLO me.example\r\n"), server("450 later\r\n"),
        events("over refused at EHLO 450\n"), sent("QUIT\r\n")}},
      {"EHLO is answered twice",
       {server(kGreeting), sent("EHLO me.example\r\n"), server("502 what\r\n"), sent("HELO me.example\r\n"),
        server(kPipelining), events("over protocol error at EHLO 0\n")}},
      {"HELO refused",
       {server(kGreeting), sent("EHLO me.example\r\n"), server("500 no\r\n"), sent("HELO me.example\r\n"),
        server("550 no\r\n"), events("over refused at EHLO 550\n")}},
      {"code changes inside the reply",
       {server(kGreeting), sent("EHLO me.example\r\n"), server("250-mx\r\n450 SIZE\r\n"),
        events("over refused at EHLO 450\n")}},
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
  twice.insert(twice.end(),
               {add(2), sent(kMail1), server("450 no\r\n"), events(""), sent("RSET\r\n"),
                server("250 ok\r\n"), events("end 2 replied at MAIL 450\n"), add(3), sent(kMail1)});
  std::vector<Step> then_refused = ok;
  then_refused.insert(then_refused.end(), {add(2), sent(kMail1), server("250 ok\r\n"), sent(kRcpt1),
                                           server("550 no\r\n"), events(""), sent(kHello), server(kLockstep),
                                           events("rcpt 2.0 550\nend 2 all recipients refused at RCPT 0\n"),
                                           sent(""), add(3), sent(kMail1)});
  play_all({
      {"one, then MAIL refused", after_hello(kLockstep, twice)},
      {"all refused: no DATA, told behind RSET", after_hello(kLockstep, then_refused)},
      {"DATA refused",
       after_hello(kLockstep, {add(1), sent(kMail1), server("250 ok\r\n"), sent(kRcpt1), server("250 ok\r\n"),
                               sent("DATA\r\n"), server("451 no\r\n"), sent("RSET\r\n"), server("250 ok\r\n"),
                               events("rcpt 1.0 250\nend 1 replied at DATA 451\n"), add(2), sent(kMail1)})},
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
      {"RSET refused", after_hello(kLockstep, {add(1), sent(kMail1), server("250 ok\r\n"), sent(kRcpt1),
                                               server("550 no\r\n"), sent(kHello), server("500 what\r\n"),
                                               events("rcpt 1.0 550\nend 1 all recipients refused at RCPT 0\n"
                                                      "over refused at RSET 500\n")})},
  });
}

// A refusal that answers nothing pushes every later reply back by one: the next "yes" may be what was due before.
TEST(Client, AStrayRefusalGivesNobodyUp) {
  const std::string over_at_reset = "over protocol error at RSET 0\n";
  play_all({
      {"in front of the reply to MAIL",
       after_hello(kLockstep,
                   {add(1), sent(kMail1), server("554 stray\r\n"), sent(kHello), server("250 ok\r\n"),
                    events("end 1 partly sent at RSET 0\n" + over_at_reset)})},
      {"in front of the reply to RCPT",
       after_hello(kLockstep, {add(1), sent(kMail1), server("250 ok\r\n"), sent(kRcpt1),
                               server("550 5.1.1 stray\r\n"), sent(kHello), server("250 2.1.5 ok\r\n"),
                               events("end 1 partly sent at RSET 0\n" + over_at_reset)})},
      {"in front of 354",
       after_hello(kLockstep, {add(1), sent(kMail1), server("250 ok\r\n"), sent(kRcpt1), server("250 ok\r\n"),
                               sent("DATA\r\n"), server("554 stray\r\n"), sent(kHello), server("354 go\r\n"),
                               events("rcpt 1.0 250\nend 1 partly sent at RSET 0\n" + over_at_reset)})},
      {"in front of the reply to the message",
       after_hello(kLockstep, {add(1), sent(kMail1), server("250 ok\r\n"), sent(kRcpt1), server("250 ok\r\n"),
                               sent("DATA\r\n"), server("354 go\r\n"), sent("Hi\r\n.\r\n"),
                               server("554 stray\r\n"), sent(kHello), server("250 taken\r\n"),
                               events("rcpt 1.0 250\nend 1 outcome unknown at RSET 0\n" + over_at_reset)})},
      {"a real one is proved by the list",
       after_hello(kLockstep,
                   {add(1), sent(kMail1), server("250 ok\r\n"), sent(kRcpt1), server("250 ok\r\n"),
                    sent("DATA\r\n"), server("354 go\r\n"), sent("Hi\r\n.\r\n"), server("554 no\r\n"),
                    events("rcpt 1.0 250\n"), sent(kHello), server(kLockstep),
                    events("end 1 replied at end of message 554\n"), add(2), sent(kMail1)})},
      {"pipelined, its code fits",
       after_hello(kPipelining,
                   {add(1), sent(kGroup), server("250 2.1.0 ok\r\n550 5.1.1 stray\r\n250 2.1.5 ok\r\n"),
                    events("end 1 partly sent at DATA 0\nover protocol error at DATA 0\n")})},
  });
}

TEST(Client, TwoRecipients) {
  Case item{
      "one of two refused",
      after_hello(kLockstep, {add(1), sent(kMail1), server("250 ok\r\n"), sent(kRcpt1), server("550 no\r\n"),
                              sent(kRcpt2), server("250 ok\r\n"), events("rcpt 1.1 250\n"), sent("DATA\r\n"),
                              server("354 go\r\n"), sent("Hi\r\n.\r\n"), server("451 later\r\n"),
                              events("rcpt 1.0 550\nend 1 replied at end of message 451\n")})};
  item.mails = {kTwo};
  play_all({item});
}

TEST(Client, Pipelining) {
  const std::string all_ok = "250 ok\r\n250 ok\r\n354 go\r\n";
  play_all({
      {"the next group waits for the final reply",
       after_hello(kPipelining,
                   {add(1), sent(kGroup), add(2), sent(""), server(all_ok), sent("Hi\r\n.\r\n"),
                    server("250 one\r\n"), events("rcpt 1.0 250\nend 1 replied at end of message 250\n"),
                    sent(kGroup), server(all_ok), sent("Hi\r\n.\r\n"), server("250 two\r\n"),
                    events("rcpt 2.0 250\nend 2 replied at end of message 250\n")})},
      {"a late refusal behind the final reply",
       after_hello(kPipelining,
                   {add(1), sent(kGroup), add(2), server(all_ok), sent("Hi\r\n.\r\n"), server("250 one\r\n"),
                    sent(kGroup), server("554 late\r\n250 ok\r\n250 ok\r\n"),
                    events("rcpt 1.0 250\nend 1 replied at end of message 250\n"
                           "end 2 partly sent at DATA 0\nover protocol error at DATA 0\n")})},
      {"the server says good-bye",
       after_hello(kPipelining, {add(1), sent(kGroup), server("221 bye\r\n"),
                                 events("end 1 partly sent at MAIL 0\nover connection lost at MAIL 0\n")})},
      {"MAIL refused, the rest refused behind it",
       after_hello(kPipelining,
                   {add(1), sent(kGroup), server("550 5.7.1 no\r\n503 no\r\n503 no\r\n"), events(""), add(2),
                    sent(kHello), server(kPipelining), events("end 1 replied at MAIL 550\n"), sent(kGroup)})},
      {"MAIL refused, yet RCPT and DATA accepted",
       after_hello(kPipelining, {add(1), sent(kGroup), server("450 no\r\n250 ok\r\n354 go\r\n"), sent(""),
                                 events("end 1 replied at MAIL 450\nover protocol error at DATA 0\n")})},
      {"all refused, DATA refused",
       after_hello(kPipelining, {add(1), sent(kGroup), server("250 ok\r\n550 no\r\n554 no\r\n"), events(""),
                                 sent(kHello), add(2), sent(""), server(kPipelining),
                                 events("rcpt 1.0 550\nend 1 all recipients refused at RCPT 0\n"),
                                 sent(kGroup), server(all_ok), events("rcpt 2.0 250\n")})},
      {"all refused, DATA accepted: a lone dot, no RSET",
       after_hello(kPipelining,
                   {add(1), sent(kGroup), add(2), server("250 ok\r\n550 no\r\n354 go\r\n"), sent(".\r\n"),
                    events("rcpt 1.0 550\n"), server("554 no valid recipients\r\n"),
                    events("end 1 all recipients refused at RCPT 0\n"), sent(kGroup), server(all_ok),
                    sent("Hi\r\n.\r\n")})},
      {"DATA refused with a recipient accepted; the next was queued",
       after_hello(kPipelining, {add(1), sent(kGroup), add(2), server("250 ok\r\n250 ok\r\n451 no\r\n"),
                                 sent("RSET\r\n"), server("250 ok\r\n"), sent(kGroup),
                                 events("rcpt 1.0 250\nend 1 replied at DATA 451\n")})},
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

// Behind eight clean transactions and two whose RSET is answered alike, four leave together.
TEST(Client, ChunksAheadOfTheirReplies) {
  const std::string reset = "250 2.0.0 reset\r\n";
  const std::string mail = "250 2.1.0 a\r\n";
  const std::string taken = mail + "250 2.1.5 b\r\n250 2.0.0 c\r\n";
  const std::string clean = reset + taken;
  const std::string led = "RSET\r\n" + kBdat;
  const auto told = [](std::uint64_t tag, const std::string& code) {
    return "rcpt " + std::to_string(tag) + ".0 250\nend " + std::to_string(tag) +
           " replied at end of message " + code + '\n';
  };
  const auto end = [](std::uint64_t tag) {
    return "end " + std::to_string(tag) + " replied at end of message 250\n";
  };
  const auto lost = [](std::uint64_t tag) { return "end " + std::to_string(tag) + " outcome unknown at "; };
  const auto ahead = [&](std::vector<Step> rest) {
    std::vector<Step> steps;
    for (std::uint64_t tag = 1; tag <= 10; ++tag) {
      const std::vector<Step> one{add(tag), sent(tag <= 8 ? kBdat : led), server(tag <= 8 ? taken : clean),
                                  events(told(tag, "250"))};
      steps.insert(steps.end(), one.begin(), one.end());
    }
    for (std::uint64_t tag = 11; tag <= 14; ++tag) steps.push_back(add(tag));
    steps.push_back(sent(led + led + led + led));
    steps.insert(steps.end(), rest.begin(), rest.end());
    return after_hello(kChunking, steps);
  };
  const std::string later = reset + "450 4.7.1 later\r\n503 5.5.1 no\r\n503 5.5.1 no\r\n";
  const auto later_told = [](std::uint64_t tag) {
    return "end " + std::to_string(tag) + " replied at MAIL 450\n";
  };
  // All from `tag` on, because of a reply out of step to the command `at` of the first.
  const auto unheard = [&lost](std::uint64_t tag, const std::string& at) {
    std::string out = lost(tag) + at + " 0\n";
    while (++tag <= 14) out += lost(tag) + "MAIL 0\n";
    return out + "over protocol error at " + at + " 0\n";
  };
  const std::string what = "500 5.5.2 what\r\n";
  std::vector<Case> cases{
      {"all are taken",
       ahead({server(clean + clean), events(told(11, "250") + "rcpt 12.0 250\n"), add(15), sent(led),
              server(clean + clean), events(end(12) + told(13, "250") + "rcpt 14.0 250\n"), server(clean),
              events(end(14) + told(15, "250"))})},
      {"one is refused: the reply to the next RSET proves it, and what follows goes by DATA",
       ahead({server(reset + mail + "250 2.1.5 b\r\n554 5.7.1 spam\r\n"), events("rcpt 11.0 250\n"),
              server(reset), events("end 11 replied at end of message 554\n"), server(taken + clean + clean),
              events(told(12, "250") + told(13, "250") + told(14, "250")), add(15), sent(kGroup)})},
      {"a recipient is refused", ahead({server(clean + reset + mail + "550 5.1.1 no\r\n503 5.5.1 no\r\n"),
                                        events(told(11, "250")), server(clean + clean),
                                        events("rcpt 12.0 550\nend 12 all recipients refused at RCPT 0\n" +
                                               told(13, "250") + told(14, "250"))})},
      {"the server takes no more: behind the last, the list of extensions proves it",
       ahead({server(clean), events("rcpt 11.0 250\n"), server(later + later + later),
              events(end(11) + later_told(12) + later_told(13)), sent("EHLO me.example\r\n"),
              server(kChunking), events(later_told(14)), add(15), sent(kGroup)})},
      {"one yes too many",
       ahead({server(clean + "250 2.0.0 c\r\n" + clean),
              events("rcpt 11.0 250\n" + lost(11) + "end of message 0\n" + unheard(12, "RCPT"))})},
      {"a line too many", ahead({server(clean + what), events("rcpt 11.0 250\n" + lost(11) +
                                                              "end of message 0\n" + unheard(12, "MAIL"))})},
      {"as many too many as a transaction has replies",
       ahead({server(clean + clean + what + what + what + what),
              events(told(11, "250") + "rcpt 12.0 250\n" + lost(12) + "end of message 0\n" +
                     unheard(13, "MAIL"))})},
      {"the reply to RSET reads otherwise: the list of extensions proves it",
       ahead({server(clean + "250 2.0.0 otherwise\r\n" + taken), events("rcpt 11.0 250\nrcpt 12.0 250\n"),
              server(clean + clean), events("rcpt 13.0 250\nrcpt 14.0 250\n"), sent("EHLO me.example\r\n"),
              server(kChunking), events(end(11) + end(12) + end(13) + end(14))})},
      {"the same, and one reply too many",
       ahead({server(clean + "250 2.0.0 otherwise\r\n" + taken + clean + clean), sent("EHLO me.example\r\n"),
              events("rcpt 11.0 250\nrcpt 12.0 250\nrcpt 13.0 250\nrcpt 14.0 250\n"),
              server("250 2.0.0 c\r\n"),
              events(lost(11) + "end of message 0\n" + lost(12) + "end of message 0\n" + lost(13) +
                     "end of message 0\n" + lost(14) + "RSET 0\nover protocol error at RSET 0\n")})},
      {"the reply to the message is missing: RSET's does not pass for it",
       ahead({server(reset + mail + "250 2.1.5 b\r\n" + reset),
              events("rcpt 11.0 250\n" + unheard(11, "end of message"))})},
      {"the same, and RSET's reads otherwise",
       ahead({server(reset + mail + "250 2.1.5 b\r\n250 2.0.0 otherwise\r\n" + taken + clean + clean),
              events("rcpt 11.0 250\n" + lost(11) + "end of message 0\n" + unheard(12, "end of message"))})},
      {"the connection is lost: a refusal is not yet sure, and nobody has answered the others",
       ahead({server(clean + reset + mail + "250 2.1.5 b\r\n554 5.7.1 spam\r\n"), closed(),
              events(told(11, "250") + "rcpt 12.0 250\n" + lost(12) + "end of message 0\n" + lost(13) +
                     "MAIL 0\n" + lost(14) + "MAIL 0\nover connection lost at MAIL 0\n")})},
      {"the connection is lost behind a message that was taken",
       ahead({server(clean), closed(),
              events("rcpt 11.0 250\n" + end(11) + lost(12) + "MAIL 0\n" + lost(13) + "MAIL 0\n" + lost(14) +
                     "MAIL 0\nover connection lost at MAIL 0\n")})},
      {"the server says good-bye behind a message that was taken",
       ahead({server(clean + "421 4.7.0 enough\r\n"),
              events("rcpt 11.0 250\n" + end(11) + lost(12) + "MAIL 421\n" + lost(13) + "MAIL 0\n" +
                     lost(14) + "MAIL 0\nover refused at MAIL 421\n")})},
  };
  for (Case& one : cases) {
    one.mails.clear();
    for (std::uint64_t tag = 1; tag <= 15; ++tag) one.mails.push_back({.tag = tag});
  }
  play_all(cases);
}

TEST(Client, Chunking) {
  const std::string ok = "250 ok\r\n250 ok\r\n250 done\r\n";
  const std::string all_ok = "250 ok\r\n250 ok\r\n354 go\r\n";
  const auto done = [](int tag) {
    return "rcpt " + std::to_string(tag) + ".0 250\nend " + std::to_string(tag) +
           " replied at end of message 250\n";
  };
  Case several{
      "several recipients go by DATA",
      after_hello(kChunking, {add(1), sent(kMail1 + kRcpt1 + kRcpt2 + "DATA\r\n"),
                              server("250 ok\r\n250 ok\r\n550 no\r\n"), events("rcpt 1.0 250\n"),
                              server("354 go\r\n"), sent("Hi\r\n.\r\n"), events("rcpt 1.1 550\n"),
                              server("250 done\r\n"), events("end 1 replied at end of message 250\n")})};
  several.mails = {kTwo};
  play_all({
      several,
      {"without codes EHLO proves, and the next goes by DATA",
       after_hello(kChunking,
                   {add(1), add(2), sent(kBdat), server("250 ok\r\n250 ok\r\n"), sent(""),
                    server("250 done\r\n"), events("rcpt 1.0 250\n"), sent("EHLO me.example\r\n" + kGroup),
                    server(kChunking), events("end 1 replied at end of message 250\n"), server(all_ok),
                    sent("Hi\r\n.\r\n"), server("250 done\r\n"), events(done(2)), add(3), sent(kGroup)})},
      {"a second yes: either was the message's",
       after_hello(kChunking,
                   {add(1), sent(kBdat), server("250 2.1.0 a\r\n250 2.1.5 b\r\n250 last\r\n250 done\r\n"),
                    events(done(1) + "over protocol error at RSET 0\n")})},
      {"enhanced codes prove",
       after_hello(kChunking,
                   {add(1), add(2), sent(kBdat), server("250 2.1.0 a\r\n250 2.1.5 b\r\n250 2.0.0 c\r\n"),
                    events(done(1)), sent(kBdat)})},
      {"the same code twice proves nothing",
       after_hello(kChunking, {add(1), sent(kBdat), server("250 2.1.0 a\r\n250 2.1.0 a\r\n250 2.6.0 c\r\n"),
                               events("rcpt 1.0 250\n"), sent("EHLO me.example\r\n"), server("552 no\r\n"),
                               events("end 1 outcome unknown at RSET 0\nover protocol error at RSET 0\n")})},
      {"a recipient's code is not the message's",
       after_hello(kChunking, {add(1), sent(kBdat), server("250 2.1.0 a\r\n250 2.1.5 b\r\n250 2.1.5 b\r\n"),
                               events("rcpt 1.0 250\nend 1 outcome unknown at end of message 0\n"
                                      "over protocol error at end of message 0\n")})},
      {"one reply too many in front, the message refused",
       after_hello(kChunking, {add(1), sent(kBdat), server("250 stray\r\n250 ok\r\n250 ok\r\n"),
                               sent("EHLO me.example\r\n"), server("552 full\r\n"),
                               events("rcpt 1.0 250\nend 1 outcome unknown at RSET 0\n"
                                      "over protocol error at RSET 0\n")})},
      {"a refusal too many in front",
       after_hello(kChunking, {add(1), sent(kBdat), server("554 stray\r\n250 ok\r\n"),
                               events("end 1 outcome unknown at end of message 0\n"
                                      "over protocol error at end of message 0\n")})},
      {"MAIL refused: told behind EHLO, the next by DATA",
       after_hello(kChunking, {add(1), add(2), sent(kBdat), server("451 no\r\n503 no\r\n503 no\r\n"),
                               events(""), sent("EHLO me.example\r\n"), server(kChunking),
                               events("end 1 replied at MAIL 451\n"), sent(kGroup), server(all_ok), add(3),
                               sent("Hi\r\n.\r\n"), server("250 done\r\n"), sent(kBdat), server(ok),
                               sent("EHLO me.example\r\n"), server(kChunking), events(done(2) + done(3))})},
      {"recipient refused",
       after_hello(kChunking,
                   {add(1), add(2), sent(kBdat), server("250 ok\r\n550 no\r\n554 no\r\n"),
                    sent("EHLO me.example\r\n"), server(kChunking),
                    events("rcpt 1.0 550\nend 1 all recipients refused at RCPT 0\n"), sent(kGroup)})},
      {"recipient refused, and the chunk is read as commands",
       after_hello(kChunking, {add(1), add(2), sent(kBdat), server("250 ok\r\n550 no\r\n503 no\r\n"),
                               sent("EHLO me.example\r\n"), server("500 what\r\n"),
                               events("end 1 outcome unknown at RSET 0\nend 2 never started at MAIL 0\n"
                                      "over protocol error at RSET 0\n")})},
      {"the same, but its code says whom the refusal means",
       after_hello(kChunking,
                   {add(1), add(2), sent(kBdat), server("250 2.1.0 a\r\n550 5.1.1 no\r\n503 5.5.1 no\r\n"),
                    sent("EHLO me.example\r\n"), server("500 what\r\n"),
                    events("rcpt 1.0 550\nend 1 all recipients refused at RCPT 0\nend 2 never started at "
                           "MAIL 0\nover protocol error at RSET 0\n")})},
      {"BDAT refused",
       after_hello(kChunking,
                   {add(1), sent(kBdat), server("250 ok\r\n250 ok\r\n552 full\r\n"), events("rcpt 1.0 250\n"),
                    add(2), sent("EHLO me.example\r\n"), server(kChunking),
                    events("end 1 no chunking at end of message 552\n"), sent(kGroup)})},
      {"BDAT refused, proved by codes",
       after_hello(kChunking,
                   {add(1), sent(kBdat), server("250 2.1.0 a\r\n250 2.1.5 b\r\n552 5.2.2 full\r\n"),
                    events("rcpt 1.0 250\n"), add(2), sent("EHLO me.example\r\n"), server(kChunking),
                    events("end 1 replied at end of message 552\n"), sent(kGroup)})},
      {"BDAT is unknown: DATA from there on",
       after_hello(kChunking, {add(1), sent(kBdat), server("250 ok\r\n250 ok\r\n502 what\r\n"),
                               sent("EHLO me.example\r\n"), server(kChunking),
                               events("rcpt 1.0 250\nend 1 no chunking at end of message 502\n"), add(2),
                               sent(kGroup), server(all_ok), sent("Hi\r\n.\r\n"), server("250 done\r\n"),
                               events(done(2)), add(3), sent(kGroup)})},
      {"BDAT is unknown, and its chunk is read as commands",
       after_hello(kChunking, {add(1), sent(kBdat), server("250 ok\r\n250 ok\r\n502 what\r\n"),
                               sent("EHLO me.example\r\n"), server("500 what\r\n"),
                               events("rcpt 1.0 250\nend 1 no chunking at end of message 502\n"
                                      "over protocol error at RSET 0\n")})},
      {"closed behind the last reply: it stands",
       after_hello(kChunking, {add(1), sent(kBdat), server(ok), sent("EHLO me.example\r\n"), closed(),
                               events(done(1) + "over connection lost at RSET 0\n")})},
      {"a code that answers no message",
       after_hello(kChunking, {add(1), sent(kBdat), server("250 2.1.0 a\r\n250 2.1.5 b\r\n220 2.0.0 c\r\n"),
                               events("rcpt 1.0 250\nend 1 outcome unknown at end of message 0\n"
                                      "over protocol error at end of message 0\n")})},
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
      {"MAIL, go on", after_hello(kLockstep, {add(1), sent(kMail1), server("421 no\r\n"), sent("RSET\r\n"),
                                              server("250 ok\r\n"), events("end 1 replied at MAIL 421\n"),
                                              add(2), sent(kMail1)})},
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
  play_all({{"BDAT, close",
             after_hello(kChunking, {add(1), add(2), sent(kBdat), server("250 ok\r\n421 no\r\n"),
                                     events("rcpt 1.0 421\nend 1 all recipients refused at RCPT 0\n"
                                            "end 2 never started at MAIL 0\nover refused at RCPT 421\n")}),
             closes}});
}

}  // namespace
}  // namespace sluice::net::test
