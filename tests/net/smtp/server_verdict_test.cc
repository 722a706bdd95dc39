// Goal: while a verdict on MAIL is looked for (SPF asks DNS), whatever a client has pipelined behind it
// waits, and is answered in order once the verdict is there. How: a whole pipelined session, its bytes come
// in any two pieces and byte by byte.
#include <gtest/gtest.h>

#include "tests/net/smtp/server_rig.h"

namespace sluice::net::test {
namespace {

const std::string kFirst = "MAIL FROM:<a@x.test>\r\n";
const std::string kSession = kFirst + "RCPT TO:<b@y.test>\r\nDATA\r\nHi\r\n.\r\nMAIL FROM:<c@x.test>\r\n";

void check(bool refused, std::size_t cut, std::size_t fragment) {
  SCOPED_TRACE("cut " + std::to_string(cut) + (refused ? " refused" : ""));
  ServerRig rig(test_settings(), fragment);
  rig.greet();
  rig.log.decide = [](std::string_view what) {
    return what.starts_with("mail") ? Answer::later() : Answer::accept();
  };
  rig.client(kSession.substr(0, cut));
  EXPECT_EQ(rig.output(), "");
  if (cut >= kFirst.size()) EXPECT_EQ(rig.server.phase(), Server::Phase::Answer);
  rig.client(kSession.substr(cut));
  EXPECT_EQ(rig.log.take(), "mail a@x.test\n") << "nothing behind it is worked on";
  EXPECT_EQ(rig.output(), "");
  if (refused) {
    rig.server.answer(Answer::reply(550, "5.7.23 SPF fail"));
    EXPECT_EQ(rig.output(),
              "550 5.7.23 SPF fail\r\n503 5.5.1 MAIL first\r\n503 5.5.1 MAIL first\r\n"
              "500 5.5.2 command not recognized\r\n500 5.5.2 command not recognized\r\n");
    EXPECT_EQ(rig.log.take(), "mail c@x.test\n");
  } else {
    rig.server.answer(Answer::accept());
    EXPECT_EQ(
        rig.output(),
        "250 2.1.0 MAIL ok\r\n250 2.1.5 <b@y.test> ok\r\n354 send message\r\n250 2.6.0 message received\r\n");
    EXPECT_EQ(rig.log.bodies, std::vector<std::string>{"Hi\r\n"});
  }
  EXPECT_EQ(rig.server.phase(), Server::Phase::Answer);
  rig.server.answer(Answer::accept());
  EXPECT_EQ(rig.output(), "250 2.1.0 MAIL ok\r\n");
}

TEST(ServerVerdict, WhatIsPipelinedBehindMailWaitsForIt) {
  for (const bool refused : {false, true}) {
    for (std::size_t cut = 0; cut <= kSession.size() - 1; ++cut) {
      check(refused, cut, SIZE_MAX);
      check(refused, cut, 1);
    }
  }
}

TEST(ServerVerdict, AVerdictForNobodyIsForgotten) {
  ServerRig rig;
  rig.greet();
  rig.log.decide = [](std::string_view) { return Answer::later(); };
  rig.client(kFirst);
  rig.server.hang_up(Answer::hang_up(421, "4.3.2 server is shutting down"));
  rig.server.answer(Answer::accept());
  EXPECT_EQ(rig.output(), "421 4.3.2 server is shutting down\r\n");
  EXPECT_TRUE(rig.server.wants_close());
}

}  // namespace
}  // namespace sluice::net::test
