// Goal: the server says PowerMTA's words, refuses what is wrong at every phase, keeps every limit, and keeps
// replies in order while answers come late.
// How: written-down dialogues; each is fed in fragments of every size and has to give the same bytes and
// events.

#include "net/smtp/server.h"

#include <gtest/gtest.h>

#include "tests/net/smtp/server_cases.h"

namespace sluice::net::test {
namespace {

TEST(Server, TextsOfPowerMta) {
  ServerSettings settings = test_settings();
  settings.message_bytes_max = 1000;
  ServerRig rig(settings);
  rig.server.start();
  EXPECT_EQ(rig.output(), "220 mta.example (" + std::string(own_product()) + ") ESMTP service ready\r\n");
  rig.client("EHLO c.example\r\n");
  EXPECT_EQ(rig.output(),
            "250-mta.example says hello\r\n250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n250-CHUNKING\r\n"
            "250-8BITMIME\r\n250-SIZE 1000\r\n250-VERP\r\n250-SMTPUTF8\r\n250 DSN\r\n");
  rig.client(kMail + kRcpt + "DATA\r\n");
  EXPECT_EQ(rig.output(), kMailOk + kRcptOk + kGo);
  rig.client("Subject: x\r\n\r\nHi\r\n.\r\nQUIT\r\n");
  EXPECT_EQ(rig.output(), kDone + "221 2.0.0 mta.example says goodbye\r\n");
  EXPECT_TRUE(rig.server.wants_close());
  EXPECT_EQ(rig.log.bodies, std::vector<std::string>{"Subject: x\r\n\r\nHi\r\n"});
}

TEST(Server, RefusedClient) {
  ServerRig rig;
  rig.server.refuse_client();
  EXPECT_EQ(rig.output(), "521 mta.example does not accept mail from you\r\n");
  EXPECT_TRUE(rig.server.wants_close());
  rig.client("EHLO x\r\n");
  EXPECT_EQ(rig.output(), "");
}

TEST(Server, WhatIsOfferedFollowsSettings) {
  ServerSettings settings = test_settings();
  settings.offer_chunking = settings.offer_smtp_utf8 = settings.offer_verp = false;
  ServerRig rig(settings);
  rig.server.start();
  rig.output();
  rig.client("EHLO c\r\n");
  EXPECT_EQ(rig.output(),
            "250-mta.example says hello\r\n250-ENHANCEDSTATUSCODES\r\n250-PIPELINING\r\n"
            "250-8BITMIME\r\n250-SIZE\r\n250 DSN\r\n");
  rig.client("MAIL FROM:<a@x> SMTPUTF8\r\nMAIL FROM:<a@x> VERP\r\n");
  EXPECT_EQ(rig.output(), "555 5.5.4 SMTPUTF8 is not offered\r\n555 5.5.4 VERP is not offered\r\n");
  rig.client("BDAT 1 LAST\r\nx");
  EXPECT_EQ(rig.output(), "501 5.5.4 BDAT not understood, closing connection\r\n");
}

TEST(Server, SequenceBeforeHello) {
  play_all({{"MAIL first", kMail, "503 5.5.1 EHLO or HELO first\r\n", ""},
            {"HELO", "helo c\r\n", "250 mta.example says hello\r\n", "hello c smtp\n"},
            {"no name", "EHLO\r\nHELO \r\n",
             "501 5.5.4 host name required\r\n501 5.5.4 host name required\r\n", ""},
            {"refused name", "EHLO bad\r\n" + kMail, "550 5.7.1 no\r\n503 5.5.1 EHLO or HELO first\r\n",
             "hello bad esmtp\n", false, test_settings(), [](std::string_view) { return no(550); }},
            {"web request", "GET / HTTP/1.1\r\nHost: x\r\n",
             "421 4.7.0 mta.example this is no web server\r\n", "", true}},
           false);
}

TEST(Server, Sequence) {
  play_all({
      {"RCPT without MAIL", kRcpt, "503 5.5.1 MAIL first\r\n", ""},
      {"DATA without MAIL", "DATA\r\n", "503 5.5.1 MAIL first\r\n", ""},
      {"DATA without RCPT", kMail + "DATA\r\n", kMailOk + "554 5.5.1 no valid recipients\r\n",
       "mail a@x.example\n"},
      {"nested MAIL", kMail + kMail, kMailOk + "503 5.5.1 nested MAIL command\r\n", "mail a@x.example\n"},
      {"DATA with an argument", kMail + kRcpt + "DATA x\r\n",
       kMailOk + kRcptOk + "501 5.5.4 DATA takes no argument\r\n", "mail a@x.example\nrcpt b@y.example\n"},
      {"RSET", kMail + "RSET\r\n" + kRcpt, kMailOk + kOk + "503 5.5.1 MAIL first\r\n",
       "mail a@x.example\nreset\n"},
      {"EHLO resets", kMail + "HELO c\r\n" + kRcpt,
       kMailOk + "250 mta.example says hello\r\n503 5.5.1 MAIL first\r\n",
       "mail a@x.example\nreset\nhello c smtp\n"},
      {"QUIT in a transaction", kMail + "QUIT\r\n" + kRcpt,
       kMailOk + "221 2.0.0 mta.example says goodbye\r\n", "mail a@x.example\nreset\n", true},
      {"others",
       "NOOP\r\nnoop x\r\nVRFY a\r\nVRFY\r\nEXPN a\r\nHELP\r\nAUTH PLAIN x\r\nSTARTTLS\r\nFOO\r\n\r\n",
       kOk + kOk +
           "252 2.5.2 cannot verify the user, but will try to deliver\r\n501 5.5.4 VRFY needs an argument\r\n"
           "502 5.5.1 EXPN not available\r\n214 2.0.0 see RFC 5321\r\n502 5.5.1 command not offered\r\n"
           "502 5.5.1 command not offered\r\n500 5.5.2 command not recognized\r\n500 5.5.2 command not "
           "recognized\r\n",
       ""},
      {"bare LF ends a command", "NOOP\nNOOP\r\n", kOk + kOk, ""},
      {"bare CR does not", "NOOP\rNOOP\r\n", "500 5.5.2 control character in command\r\n", ""},
      {"NUL", std::string("NO\0OP\r\n", 7), "500 5.5.2 control character in command\r\n", ""},
  });
}

TEST(Server, MailAndRcptArguments) {
  const std::string syntax = "501 5.5.4 syntax error in arguments\r\n";
  const std::string unknown = "555 5.5.4 parameter not recognized\r\n";
  const std::string bad_from = "501 5.1.7 syntax error in address\r\n";
  struct Row {
    const char* command;
    std::string want;
    const char* parameters = "";
  };
  const Row mails[] = {
      {"MAIL FROM:<>", kMailOk, "size=none envid="},
      {"mail from: <a@X.Example> ", kMailOk, "size=none envid="},
      {"MAIL FROM:a@x.example SIZE=10", kMailOk, "size=10 envid="},
      {"MAIL FROM:<a@x> SIZE=0 BODY=8BITMIME RET=FULL ENVID=QQ+2B SMTPUTF8 VERP", kMailOk,
       "size=0 8bit full envid=QQ+2B utf8 verp"},
      {"MAIL FROM:<a@x> BODY=7BIT RET=hdrs AUTH=<>", kMailOk, "size=none hdrs envid="},
      {"MAIL FROM:<@r.example:a@x>", kMailOk, "size=none envid="},
      {"MAIL FROM:<\"a>b\"@x>", kMailOk, "size=none envid="},
      {"MAIL FROM:<a@x> SIZE=99999999999999999999", "552 5.3.4 message size exceeds fixed maximum\r\n"},
      {"MAIL FROM:<a@x> SIZE=-1", syntax},
      {"MAIL FROM:<a@x> SIZE=1x", syntax},
      {"MAIL FROM:<a@x> SIZE=", syntax},
      {"MAIL FROM:<a@x> SIZE=1 SIZE=2", syntax},
      {"MAIL FROM:<a@x> BODY=BINARYMIME", unknown},
      {"MAIL FROM:<a@x> RET=SOME", syntax},
      {"MAIL FROM:<a@x> ENVID=a=b", syntax},
      {"MAIL FROM:<a@x> FOO", unknown},
      {"MAIL FROM:<a@x>SIZE=1", "501 5.1.7 bad sender's mailbox address syntax\r\n"},
      {"MAIL FROM:<a@x", "501 5.1.7 bad sender's mailbox address syntax\r\n"},
      {"MAIL FROM:", "501 5.1.7 bad sender's mailbox address syntax\r\n"},
      {"MAIL", syntax},
      {"MAIL TO:<a@x>", syntax},
      {"MAIL FROM:<a@@x>", bad_from},
      {"MAIL FROM:<a b@x>", bad_from},
      {"MAIL FROM:<\xc3\xa9@x>", "501 5.1.7 address needs SMTPUTF8\r\n"},
      {"MAIL FROM:<\xc3\xa9@x> SMTPUTF8", kMailOk, "size=none envid= utf8"},
  };
  for (const Row& row : mails) {
    SCOPED_TRACE(row.command);
    ServerRig rig;
    rig.greet();
    rig.client(std::string(row.command) + "\r\n");
    EXPECT_EQ(rig.output(), row.want);
    EXPECT_EQ(rig.log.last_mail, row.parameters);
  }
  const Row rcpts[] = {
      {"RCPT TO:<b@y.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;b@y.example", kRcptOk,
       "notify=6 orcpt=rfc822;b@y.example"},
      {"RCPT TO:<b@y.example> NOTIFY=NEVER", kRcptOk, "notify=1 orcpt="},
      {"RCPT TO:<postmaster>", "250 2.1.5 <postmaster> ok\r\n", "notify=0 orcpt="},
      {"RCPT TO:<b@[192.0.2.1]>", "250 2.1.5 <b@[192.0.2.1]> ok\r\n", "notify=0 orcpt="},
      {"RCPT TO:<b@y> NOTIFY=NEVER,DELAY", syntax},
      {"RCPT TO:<b@y> NOTIFY=", syntax},
      {"RCPT TO:<b@y> ORCPT=b@y", syntax},
      {"RCPT TO:<b@y> SIZE=1", unknown},
      {"RCPT TO:<>", "501 5.1.3 null path not allowed here\r\n"},
      {"RCPT TO:<b@y..example>", "501 5.1.3 syntax error in address\r\n"},
  };
  for (const Row& row : rcpts) {
    SCOPED_TRACE(row.command);
    ServerRig rig;
    rig.greet();
    rig.client(kMail + row.command + "\r\n");
    EXPECT_EQ(rig.output(), kMailOk + row.want);
    EXPECT_EQ(rig.log.last_rcpt, row.parameters);
  }
}

TEST(Server, OwnerRefuses) {
  const auto at = [](std::string_view where, Answer answer) {
    return [where = std::string(where), answer](std::string_view what) {
      return what.starts_with(where) ? answer : Answer::accept();
    };
  };
  const std::string message = kMail + kRcpt + "DATA\r\nx\r\n.\r\n";
  play_all({
      {"MAIL", kMail + kRcpt, "550 5.7.1 no\r\n503 5.5.1 MAIL first\r\n", "mail a@x.example\n", false,
       test_settings(), at("mail", no(550))},
      {"RCPT", kMail + kRcpt + "DATA\r\n", kMailOk + "550 5.7.1 no\r\n554 5.5.1 no valid recipients\r\n",
       "mail a@x.example\nrcpt b@y.example\n", false, test_settings(), at("rcpt", no(550))},
      {"DATA keeps the transaction", kMail + kRcpt + "DATA\r\nRSET\r\n",
       kMailOk + kRcptOk + "452 5.7.1 no\r\n" + kOk, kBegun + "reset\n", false, test_settings(),
       at("data", no(452))},
      {"bytes", message + kMail, kMailOk + kRcptOk + kGo + "552 5.7.1 no\r\n" + kMailOk,
       kBegun + "dropped refused\nmail a@x.example\n", false, test_settings(), at("bytes", no(552))},
      {"end", message, kMailOk + kRcptOk + kGo + "554 5.7.1 no\r\n", kBegun + "end 1\n", false,
       test_settings(), at("end", no(554))},
      {"hang up at RCPT", kMail + kRcpt + "DATA\r\n", kMailOk + "521 bye\r\n",
       "mail a@x.example\nrcpt b@y.example\nreset\n", true, test_settings(),
       at("rcpt", Answer::hang_up(521, "bye"))},
      {"421 closes", message + kMail, kMailOk + kRcptOk + kGo + "421 4.3.2 later\r\n", kBegun + "end 1\n",
       true, test_settings(), at("end", Answer::reply(421, "4.3.2 later"))},
      {"own positive text", kMail + kRcpt, kMailOk + "251 2.1.5 forwarded\r\n",
       "mail a@x.example\nrcpt b@y.example\n", false, test_settings(),
       at("rcpt", Answer::reply(251, "2.1.5 forwarded"))},
      {"text with a line end in it", kMail, "550 a??250 b\r\n", "mail a@x.example\n", false, test_settings(),
       at("mail", Answer::reply(550, "a\r\n250 b"))},
  });
}

TEST(Server, Limits) {
  ServerSettings settings = test_settings();
  settings.recipients_max = 1;
  const std::string rcpt2 = "RCPT TO:<c@y.example>\r\n";
  ServerSettings at_data = settings;
  at_data.too_many_rcpts_fails_message = true;
  ServerSettings sized = test_settings();
  sized.message_bytes_max = 4;
  ServerSettings bad = test_settings();
  bad.bad_commands_max = 2;
  ServerSettings idle = test_settings();
  idle.idle_commands_max = 2;
  ServerSettings one = test_settings();
  one.transactions_max = 1;
  ServerSettings short_lines = test_settings();
  short_lines.command_line_bytes_max = 64;
  ServerSettings hangs_up = test_settings();
  hangs_up.disconnect_on_transient_error = true;
  ServerSettings any_recipient = test_settings();
  any_recipient.accept_invalid_recipients = true;
  const std::string too_big = "552 5.3.4 message size exceeds fixed maximum\r\n";
  play_all({
      {"recipients", kMail + kRcpt + rcpt2 + "DATA\r\n",
       kMailOk + kRcptOk + "452 4.5.3 too many recipients\r\n" + kGo, kBegun, false, settings},
      {"recipients, at DATA", kMail + kRcpt + rcpt2 + "DATA\r\n",
       kMailOk + kRcptOk + "250 2.1.5 recipient ok\r\n554 5.5.3 too many recipients\r\n",
       "mail a@x.example\nrcpt b@y.example\n", false, at_data},
      {"declared size", "MAIL FROM:<a@x> SIZE=5\r\nMAIL FROM:<a@x> SIZE=4\r\n", too_big + kMailOk,
       "mail a@x\n", false, sized},
      {"real size", kMail + kRcpt + "DATA\r\nabc\r\n.\r\n" + kMail,
       kMailOk + kRcptOk + kGo + too_big + kMailOk, kBegun + "dropped too big\nmail a@x.example\n", false,
       sized},
      {"exactly the size", kMail + kRcpt + "DATA\r\nab\r\n.\r\n", kMailOk + kRcptOk + kGo + kDone,
       kBegun + "end 1\n", false, sized},
      {"size by chunks", kMail + kRcpt + "BDAT 3\r\nabcBDAT 3\r\ndefBDAT 2 LAST\r\ngh" + kMail,
       kMailOk + kRcptOk + "250 2.6.0 chunk received\r\n" + too_big + "503 5.5.1 MAIL first\r\n" + kMailOk,
       kBegun + "dropped too big\nmail a@x.example\n", false, sized},
      {"bad commands", "FOO\r\nFOO\r\nFOO\r\nNOOP\r\n",
       "500 5.5.2 command not recognized\r\n500 5.5.2 command not recognized\r\n"
       "421 4.7.0 mta.example too many errors, closing connection\r\n",
       "", true, bad},
      {"NOOP flood", "NOOP\r\nRSET\r\nNOOP\r\nNOOP\r\n",
       kOk + kOk + "421 4.7.0 mta.example too many commands without a message, closing connection\r\n", "",
       true, idle},
      {"messages", kMail + kRcpt + "DATA\r\n.\r\n" + kMail,
       kMailOk + kRcptOk + kGo + kDone + "421 4.7.0 mta.example too many messages in this session\r\n",
       kBegun + "end 1\n", true, one},
      {"long line", std::string(100, 'x') + "\r\nNOOP\r\n", "500 5.5.2 line too long\r\n" + kOk, "", false,
       short_lines},
      {"4xx becomes a hang-up", kMail + kRcpt, kMailOk, "mail a@x.example\nrcpt b@y.example\nreset\n", true,
       hangs_up, [](std::string_view what) { return what.starts_with("rcpt") ? no(450) : Answer::accept(); }},
      {"invalid recipients", kMail + "RCPT TO:<b@@y>\r\n", kMailOk + "250 2.1.5 <> ok\r\n",
       "mail a@x.example\nbad rcpt <b@@y>\n", false, any_recipient},
  });
}

TEST(Server, LongestLineIsAccepted) {
  ServerSettings settings = test_settings();
  settings.command_line_bytes_max = 64;
  ServerRig rig(settings);
  rig.greet();
  rig.client("NOOP " + std::string(64 - 7, 'x') + "\r\nNOOP " + std::string(64 - 6, 'x') + "\r\n");
  EXPECT_EQ(rig.output(), kOk + "500 5.5.2 line too long\r\n");
}

}  // namespace
}  // namespace sluice::net::test
