// Goal: BDAT works, replies stay in order while answers come late, every backlog is bounded, and a connection
// may end anywhere. How: as server_test.cc: written-down dialogues, in fragments of every size.

#include "net/smtp/server.h"

#include <gtest/gtest.h>

#include "tests/net/smtp/server_cases.h"

namespace sluice::net::test {
namespace {

TEST(Server, Chunks) {
  const std::string chunk_ok = "250 2.6.0 chunk received\r\n";
  play_all({
      {"one", kMail + kRcpt + "BDAT 4 LAST\r\nHi\r\n", kMailOk + kRcptOk + kDone, kBegun + "end 1\n"},
      {"several, the next transaction behind them",
       kMail + kRcpt + "BDAT 2\r\nHiBDAT 0\r\nBDAT 2 LAST\r\n\r\n" + kMail,
       kMailOk + kRcptOk + chunk_ok + chunk_ok + kDone + kMailOk, kBegun + "end 1\nmail a@x.example\n"},
      {"empty LAST", kMail + kRcpt + "BDAT 4\r\nHi\r\nBDAT 0 LAST\r\n", kMailOk + kRcptOk + chunk_ok + kDone,
       kBegun + "end 1\n"},
      {"empty message", kMail + kRcpt + "BDAT 0 LAST\r\n", kMailOk + kRcptOk + kDone, kBegun + "end 1\n"},
      {"bytes that look like commands and ends",
       kMail + kRcpt + "BDAT 16 LAST\r\n\r\n.\r\nQUIT\r\n.\r\n\r\nNOOP\r\n", kMailOk + kRcptOk + kDone + kOk,
       kBegun + "end 1\n"},
      {"without MAIL", "BDAT 4 LAST\r\nQUITNOOP\r\n", "503 5.5.1 MAIL first\r\n" + kOk, ""},
      {"without recipients: the transaction ends", kMail + "BDAT 4\r\nHi\r\n" + kRcpt,
       kMailOk + "554 5.5.1 no valid recipients\r\n503 5.5.1 MAIL first\r\n", "mail a@x.example\nreset\n"},
      {"DATA behind BDAT", kMail + kRcpt + "BDAT 4\r\nHi\r\nDATA\r\n" + kRcpt,
       kMailOk + kRcptOk + chunk_ok + "503 5.5.1 BDAT has begun\r\n503 5.5.1 BDAT has begun\r\n", kBegun},
      {"RSET between chunks", kMail + kRcpt + "BDAT 4\r\nHi\r\nRSET\r\nBDAT 2 LAST\r\nxx",
       kMailOk + kRcptOk + chunk_ok + kOk + "503 5.5.1 MAIL first\r\n", kBegun + "dropped refused\n"},
      {"no size", kMail + kRcpt + "BDAT LAST\r\nHi",
       kMailOk + kRcptOk + "501 5.5.4 BDAT not understood, closing connection\r\n",
       "mail a@x.example\nrcpt b@y.example\nreset\n", true},
      {"size beyond 64 bits", kMail + kRcpt + "BDAT 99999999999999999999 LAST\r\nHi",
       kMailOk + kRcptOk + "501 5.5.4 BDAT not understood, closing connection\r\n",
       "mail a@x.example\nrcpt b@y.example\nreset\n", true},
      {"owner refuses the message", kMail + kRcpt + "BDAT 4\r\nHi\r\nBDAT 4 LAST\r\nHo\r\n",
       kMailOk + kRcptOk + "452 5.7.1 no\r\n503 5.5.1 MAIL first\r\n", kBegun + "reset\n", false,
       test_settings(),
       [](std::string_view what) { return what.starts_with("data") ? no(452) : Answer::accept(); }},
  });
}

TEST(Server, ChunksWithoutFinalLineEnd) {
  for (const auto& [chunks, want] : {std::pair<std::string, std::string>{"BDAT 2 LAST\r\nHi", "Hi\r\n"},
                                     {"BDAT 3\r\na\r\nBDAT 1 LAST\r\nb", "a\r\nb\r\n"},
                                     {"BDAT 3\r\na\r\nBDAT 0 LAST\r\n", "a\r\n"}}) {
    ServerRig rig;
    rig.greet();
    rig.client(kMail + kRcpt + chunks);
    ASSERT_EQ(rig.log.bodies.size(), 1U) << chunks;
    EXPECT_EQ(rig.log.bodies[0], want);
    EXPECT_EQ(rig.log.facts[0].bytes, want.size());
  }
}

TEST(Server, ChunkThatIsTooBigIsKnownBeforeItsBytes) {
  ServerSettings settings = test_settings();
  settings.message_bytes_max = 4;
  for (const char* size : {"5", "18446744073709551615"}) {
    ServerRig rig(settings);
    rig.greet();
    rig.client(kMail + kRcpt + "BDAT " + size + " LAST\r\nx");
    EXPECT_EQ(rig.log.take(), kBegun + "dropped too big\n");
    EXPECT_EQ(rig.log.body, "");
  }
}

TEST(Server, RepliesWaitForTheMessageBefore) {
  for (const std::size_t fragment : {std::size_t{1}, std::size_t{7}, SIZE_MAX}) {
    ServerRig rig(test_settings(), fragment);
    rig.greet();
    rig.log.decide = [](std::string_view what) {
      return what.starts_with("end") ? Answer::later() : Answer::accept();
    };
    const std::string group = kMail + kRcpt + "DATA\r\n";
    rig.client(group + "one\r\n.\r\n" + group);
    EXPECT_EQ(rig.output(), kMailOk + kRcptOk + kGo);
    EXPECT_EQ(rig.server.phase(), Server::Phase::Body);
    rig.client("two\r\n.\r\n" + group);
    EXPECT_EQ(rig.output(), "");
    EXPECT_EQ(rig.server.unanswered(), 2U);
    rig.server.answer_message(MessageSeq(2), Answer::accept());  // not in order: it has to wait
    EXPECT_EQ(rig.output(), "");
    rig.server.answer_message(MessageSeq(1), Answer::reply(250, "2.6.0 stored"));
    // One send for all of it.
    const auto bytes = rig.server.output();
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()),
              "250 2.6.0 stored\r\n" + kMailOk + kRcptOk + kGo + kDone + kMailOk + kRcptOk + kGo);
    rig.server.consumed(bytes.size());
    EXPECT_EQ(rig.log.bodies, (std::vector<std::string>{"one\r\n", "two\r\n"}));
  }
}

TEST(Server, UnansweredMessagesHoldBackInput) {
  ServerSettings settings = test_settings();
  settings.unanswered_max = 0;
  ServerRig rig(settings);
  rig.greet();
  rig.log.decide = [](std::string_view what) {
    return what.starts_with("end") ? Answer::later() : Answer::accept();
  };
  const std::string message = kMail + kRcpt + "BDAT 4 LAST\r\nHi\r\n";
  rig.client(message + message + "QUIT\r\n");
  EXPECT_EQ(rig.output(), kMailOk + kRcptOk);
  EXPECT_FALSE(rig.server.wants_input());
  EXPECT_EQ(rig.server.phase(), Server::Phase::Answer);
  EXPECT_EQ(rig.log.take(), kBegun + "end 1\n");
  rig.server.answer_message(MessageSeq(1), Answer::accept());
  EXPECT_EQ(rig.output(), kDone + kMailOk + kRcptOk);
  rig.server.answer_message(MessageSeq(2), Answer::reply(452, "4.3.1 disk full"));
  EXPECT_EQ(rig.output(), "452 4.3.1 disk full\r\n221 2.0.0 mta.example says goodbye\r\n");
  EXPECT_TRUE(rig.server.wants_close());
}

TEST(Server, BacklogIsBounded) {
  ServerSettings settings = test_settings();
  settings.unanswered_max = 0;
  ServerRig rig(settings);
  rig.greet();
  rig.log.decide = [](std::string_view what) {
    return what.starts_with("end") ? Answer::later() : Answer::accept();
  };
  rig.client(kMail + kRcpt + "BDAT 0 LAST\r\n");
  rig.output();
  const std::string rest(Server::kBacklogBytesMax, 'x');
  rig.client(rest);
  EXPECT_EQ(rig.server.phase(), Server::Phase::Answer);
  rig.client("x");
  EXPECT_EQ(rig.server.phase(), Server::Phase::Closing);
  EXPECT_FALSE(rig.server.wants_close());  // the message still gets its answer
  rig.server.answer_message(MessageSeq(1), Answer::accept());
  EXPECT_EQ(rig.output(), kDone + "421 4.3.2 mta.example too much sent ahead, closing connection\r\n");
  EXPECT_TRUE(rig.server.wants_close());
}

TEST(Server, OutputIsBounded) {
  ServerSettings settings = test_settings();
  settings.idle_commands_max = 1'000'000;
  ServerRig rig(settings);
  rig.greet();
  std::string noops;
  for (int i = 0; i < 50'000; ++i) noops += "NOOP\r\n";
  rig.client(noops);  // 16 bytes of reply for 6 of command
  EXPECT_FALSE(rig.server.wants_input());
  EXPECT_EQ(rig.output().size(), 50'000U * kOk.size());
  EXPECT_TRUE(rig.server.wants_input());
}

TEST(Server, LateAnswersToCommands) {
  for (const std::size_t fragment : {std::size_t{1}, SIZE_MAX}) {
    ServerRig rig(test_settings(), fragment);
    rig.server.start();
    rig.output();
    rig.log.decide = [](std::string_view what) {
      return what == "bytes" || what.starts_with("end") ? Answer::accept() : Answer::later();
    };
    rig.client("HELO c\r\n" + kMail + kRcpt + "DATA\r\n");
    EXPECT_EQ(rig.log.take(), "hello c smtp\n");
    EXPECT_EQ(rig.output(), "");
    rig.server.answer(Answer::accept());
    EXPECT_EQ(rig.output(), "250 mta.example says hello\r\n");
    rig.server.answer(Answer::reply(550, "5.7.23 SPF fail"));
    EXPECT_EQ(rig.output(), "550 5.7.23 SPF fail\r\n503 5.5.1 MAIL first\r\n503 5.5.1 MAIL first\r\n");
    rig.client(kMail + kRcpt + "BDAT 2 LAST\r\nHi");
    rig.server.answer(Answer::accept());
    rig.server.answer(Answer::accept());
    EXPECT_EQ(rig.output(), kMailOk + kRcptOk);
    rig.server.answer(Answer::accept());
    EXPECT_EQ(rig.output(), kDone);
  }
}

TEST(Server, ClosedAtEveryByte) {
  // Whatever the client did when it went away, the owner gets exactly one end for what it began.
  const std::string input =
      kMail + kRcpt + "DATA\r\nHi\r\n..x\r\n.\r\n" + kMail + kRcpt + "BDAT 3\r\nabcBDAT 4 LAST\r\nHi\r\n";
  for (std::size_t cut = 0; cut <= input.size(); ++cut) {
    SCOPED_TRACE(cut);
    ServerRig rig;
    rig.greet();
    rig.client(input.substr(0, cut));
    rig.server.on_closed();
    const std::string events = rig.log.take();
    const auto count = [&](std::string_view word) {
      std::size_t found = 0;
      for (std::size_t at = events.find(word); at != std::string::npos; at = events.find(word, at + 1))
        ++found;
      return found;
    };
    EXPECT_EQ(count("mail "), count("end ") + count("dropped closed") + count("reset"));
    EXPECT_EQ(count("data "), count("end ") + count("dropped closed"));
    EXPECT_TRUE(rig.server.wants_close());
    EXPECT_EQ(rig.output(), "");
  }
}

TEST(Server, HangUpAndTimeout) {
  ServerRig rig;
  rig.greet();
  rig.client(kMail + kRcpt + "DATA\r\nhalf");
  rig.output();
  rig.server.on_timeout();
  EXPECT_EQ(rig.output(), "421 4.4.2 mta.example timeout, closing connection\r\n");
  EXPECT_EQ(rig.log.take(), kBegun + "dropped closed\n");
  EXPECT_TRUE(rig.server.wants_close());

  ServerRig other;
  other.greet();
  other.server.hang_up(Answer::reply(421, "4.3.2 shutting down"));
  EXPECT_EQ(other.output(), "421 4.3.2 shutting down\r\n");
}

TEST(Server, EarlyTalkAndImproperPipelining) {
  ServerSettings strict = test_settings();
  strict.refuse_unauthorised_pipelining = true;
  ServerRig early(strict);
  early.client("EHLO c\r\n");
  early.server.start();
  EXPECT_EQ(early.output(), "554 5.5.0 mta.example you talk before the greeting\r\n");

  ServerRig tolerant;
  tolerant.client("EHLO c\r\n");
  tolerant.server.start();
  EXPECT_TRUE(tolerant.output().starts_with("220 mta.example (" + std::string(own_product()) +
                                            ") ESMTP service ready\r\n250-"));

  ServerRig hello(strict);
  hello.server.start();
  hello.output();
  hello.client("EHLO c\r\n" + kMail);
  EXPECT_EQ(hello.output(), "554 5.5.0 mta.example improper pipelining, closing connection\r\n");

  ServerRig data(strict);
  data.greet();
  data.client(kMail + kRcpt + "DATA\r\nSubject: x\r\n");
  EXPECT_EQ(data.output(),
            kMailOk + kRcptOk + "554 5.5.0 mta.example improper pipelining, closing connection\r\n");
}

TEST(Server, OutputStaysWhileRepliesAreAdded) {
  ServerRig rig;
  rig.greet();
  rig.client("NOOP\r\n");
  const auto shown = rig.server.output();
  const std::string before(reinterpret_cast<const char*>(shown.data()), shown.size());
  for (int i = 0; i < 50; ++i) rig.client("NOOP\r\n");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(shown.data()), shown.size()), before);
  EXPECT_EQ(rig.output().size(), 51 * kOk.size());
}

}  // namespace
}  // namespace sluice::net::test
