// Goal: whatever a mail host answers, and when, no reply is taken for the answer to something else; and what
// says nothing about a message costs it nothing.
// How: a whole node in the simulated world; mail hosts answer each command through a function, out of step,
// early, late, twice or never; the accounting rows are held against what the host took.
#include <gtest/gtest.h>

#include "tests/sim/answering_host.h"
#include "tests/sim/one_message.h"

namespace sluice::test {
namespace {

constexpr std::string_view kPlain = "250-mx.test\r\n250 PIPELINING\r\n";
constexpr std::string_view kNoCodes = "250-mx.test\r\n250-CHUNKING\r\n250 PIPELINING\r\n";  // chunks are not used
constexpr std::string_view kChunks =
    "250-mx.test\r\n250-CHUNKING\r\n250-ENHANCEDSTATUSCODES\r\n250 PIPELINING\r\n";

/// A node whose mail for a.test goes to one host that answers as it likes.
struct Talk {
  explicit Talk(AnsweringHost::Answer answer, const std::string& extra = {}) : mail(extra) {
    mail.scenario.world.network().default_link = {.jitter = 0us, .read_cut = 0};
    host = std::make_unique<AnsweringHost>(mail.scenario.peers.reactor(1), *Endpoint::parse("10.1.0.1:2500"),
                                           std::move(answer));
  }
  ~Talk() {
    if (host && !host->idle()) mail.scenario.peers.bury(std::move(host));
  }
  void boot() { ASSERT_TRUE(mail.scenario.boot()); }
  void run(Duration time) { mail.scenario.world.run_for(time); }
  /// "d joe 250", "b bad 550": type, local part and the first word behind "smtp;" of each row.
  std::vector<std::string> rows() {
    std::vector<std::string> out;
    for (Row& row : all_rows()) {
      std::string diag = row["dsnDiag"];
      if (diag.starts_with("smtp;")) diag.erase(0, 5);
      out.push_back(row["type"] + ' ' + row["rcpt"].substr(0, row["rcpt"].find('@')) + ' ' +
                    diag.substr(0, 3));
    }
    return out;
  }
  std::vector<Row> all_rows() {
    host->stop();
    mail.scenario.close();
    mail.scenario.world.run_for(1min);
    return acct_rows(mail.scenario.world.disk(), "all");
  }
  std::size_t count(std::string_view command) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        host->heard(), [&](const std::string& one) { return one.starts_with(command); }));
  }

  OneMessage mail;
  std::unique_ptr<AnsweringHost> host;
};

using Rows = std::vector<std::string>;
bool is_message_end(const Heard& heard) { return heard.line == "." || heard.is("BDAT"); }

// --- Replies out of step.

TEST(Conversation, AReplyNobodyAskedForIsNotTheNextMessages) {
  struct Case {
    const char* name;
    std::string_view ehlo;
    const char* first;   // behind message 1
    const char* second;  // behind message 2, on whatever connection it comes
    Rows want;           // of the second, at the end
  };
  for (const Case& one :
       {Case{"two replies to BDAT", kChunks, "250 last chunk\r\n250 OK\r\n", "554 5.7.1 spam\r\n", {"b"}},
        Case{"three replies to BDAT", kChunks, "250 last\r\n250 OK\r\n250 OK\r\n", "554 spam\r\n", {"b"}},
        Case{"a late refusal behind BDAT", kChunks, "250 taken\r\n554 5.7.1 late\r\n", "250 ok\r\n", {"d"}},
        Case{"two replies to the dot", kPlain, "250 taken\r\n250 OK\r\n", "554 5.7.1 spam\r\n", {"b"}},
        Case{"a late refusal behind the dot", kPlain, "250 taken\r\n554 5.7.1 late\r\n", "250 ok\r\n", {"d"}},
        Case{"a late 354 behind the dot", kPlain, "250 taken\r\n354 go\r\n", "554 spam\r\n", {"b"}}}) {
    for (const Duration late : {Duration{0}, Duration{20us}, Duration{400us}, Duration{10ms}}) {
      SCOPED_TRACE(std::string(one.name) + " late " + std::to_string(late.count()));
      Talk talk([&](const Heard& heard) -> Said {
        if (!is_message_end(heard)) return {willing(heard, one.ehlo)};
        if (heard.messages > 0) return {one.second};
        const std::string both = one.first;
        if (late == Duration{0}) return {both};
        return {.bytes = both, .each = late / 10};
      });
      talk.boot();
      talk.mail.send("one", {"joe@a.test"}, 300);
      talk.mail.send("two", {"ann@a.test"}, 300);
      talk.run(10min);
      Rows finals;
      for (const std::string& row : talk.rows()) {
        if (row.starts_with("d joe")) continue;
        if (row[0] == 'd' || row[0] == 'b') finals.push_back(row.substr(0, 1));
      }
      EXPECT_EQ(finals, one.want);
    }
  }
}

TEST(Conversation, RefusedRecipientsKeepTheirOwnReplies) {
  // The reply to MAIL comes twice: each reply behind it would be its neighbour's.
  for (const std::string_view ehlo : {kPlain, kNoCodes, kChunks}) {
    Talk talk([&](const Heard& heard) -> Said {
      if (heard.is("MAIL") && heard.connection == 0) return {"250 ok\r\n250 ok\r\n"};
      if (heard.is("RCPT TO:<bad")) return {"550 5.1.1 no such user\r\n"};
      return {willing(heard, ehlo)};
    });
    talk.boot();
    talk.mail.send("one", {"bad@a.test", "joe@a.test", "ann@a.test"});
    talk.run(10min);
    Rows finals;
    for (const std::string& row : talk.rows()) {
      if (row[0] != 't') finals.push_back(row);
    }
    std::ranges::sort(finals);
    EXPECT_EQ(finals, (Rows{"b bad 550", "d ann 250", "d joe 250"}));
  }
}

TEST(Conversation, A250BeforeTheLastByteIsNoDelivery) {
  for (const std::string_view ehlo : {kPlain, kNoCodes, kChunks}) {
    Talk talk([&](const Heard& heard) -> Said {
      if (heard.connection > 0) return {willing(heard, ehlo)};
      if (heard.is("BDAT")) return {.bytes = "250 2.0.0 accepted\r\n", .stalls = 300ms};
      if (heard.is("DATA")) return {.bytes = "354 go\r\n250 2.0.0 accepted\r\n", .stalls = 300ms};
      return {willing(heard, ehlo)};
    });
    talk.host->answer_chunks_after(50'000);
    talk.boot();
    talk.mail.send("one", {"joe@a.test"}, 400'000);
    talk.run(10min);
    Rows rows = talk.rows();
    std::erase_if(rows, [](const std::string& row) { return row.starts_with("tq"); });
    ASSERT_EQ(rows.size(), 2u);
    EXPECT_TRUE(rows[0].starts_with("t joe")) << rows[0];
    EXPECT_TRUE(rows[1].starts_with("d joe")) << rows[1];
  }
}

TEST(Conversation, AChunkReadAsCommandsBouncesNobodyElse) {
  std::vector<std::string> taken;
  Talk talk([&](const Heard& heard) -> Said {
    static thread_local bool accepted = false;
    if (heard.is("MAIL")) accepted = false;
    if (heard.is("RCPT TO:<bad")) return {"550 5.1.1 no such user\r\n"};
    if (heard.is("RCPT")) accepted = true;
    if (heard.is("BDAT")) return {accepted ? "250 taken\r\n" : "503 5.5.1 RCPT first\r\n"};
    for (const char* verb : {"EHLO", "MAIL", "RCPT", "DATA", "RSET", "QUIT"}) {
      if (heard.line.empty() || heard.line == "." || heard.is(verb)) return {willing(heard, kChunks)};
    }
    return {"500 5.5.2 what\r\n"};
  });
  talk.host->take_no_refused_chunks();
  talk.boot();
  talk.mail.send("one", {"bad@a.test"});
  talk.mail.send("two", {"joe@a.test"});
  talk.mail.send("three", {"ann@a.test"});
  talk.run(10min);
  Rows finals;
  for (const std::string& row : talk.rows()) {
    if (row[0] != 't') finals.push_back(row);
  }
  std::ranges::sort(finals);
  EXPECT_EQ(finals, (Rows{"b bad 550", "d ann 250", "d joe 250"}));
}

TEST(Conversation, WhereBdatIsUnknownMailGoesByData) {
  for (const int code : {500, 501, 502, 503, 504}) {
    SCOPED_TRACE(code);
    Talk talk([&](const Heard& heard) -> Said {
      if (heard.is("BDAT")) return {std::to_string(code) + " 5.5.1 what\r\n"};
      return {willing(heard, kChunks)};
    });
    talk.boot();
    talk.mail.send("one", {"joe@a.test"});
    talk.run(5s);
    EXPECT_EQ(talk.rows(), (Rows{"d joe 250"})) << "at once, and not as an attempt";
  }
}

// --- Connections that end.

TEST(Conversation, AHostThatClosesBehindAMessageCostsTheNextNothing) {
  struct Case {
    const char* name;
    Said behind;
  };
  for (const std::string_view ehlo : {std::string_view("250 mx.test\r\n"), kPlain, kChunks}) {
    for (const Case& one : {Case{"FIN", {.bytes = "250 ok\r\n", .closes = true}},
                            Case{"RST", {.bytes = "250 ok\r\n", .resets = true}},
                            Case{"221", {.bytes = "250 ok\r\n221 bye\r\n", .closes = true}},
                            Case{"421", {.bytes = "250 ok\r\n421 one each\r\n", .closes = true}},
                            Case{"421 and waits", {.bytes = "250 ok\r\n421 one each\r\n"}}}) {
      SCOPED_TRACE(std::string(one.name) + ", " + std::string(ehlo));
      Talk talk(
          [&](const Heard& heard) { return is_message_end(heard) ? one.behind : Said{willing(heard, ehlo)}; },
          "<domain *>\n max-smtp-out 1\n retry-after 5m\n retry-recipients-after 5m\n</domain>\n");
      talk.boot();
      for (int i = 0; i < 6; ++i)
        talk.mail.send("m" + std::to_string(i), {"u" + std::to_string(i) + "@a.test"});
      talk.run(20s);
      const Rows rows = talk.rows();
      EXPECT_EQ(rows.size(), 6u);
      for (const std::string& row : rows) EXPECT_TRUE(row.starts_with("d ")) << row;
    }
  }
}

TEST(Conversation, AHostThatAlwaysClosesIsNotRunAfter) {
  Talk talk([](const Heard& heard) -> Said {
    if (heard.is("MAIL")) return {.closes = true};
    return {willing(heard, kPlain)};
  });
  talk.boot();
  for (int i = 0; i < 3; ++i) talk.mail.send("m" + std::to_string(i), {"u" + std::to_string(i) + "@a.test"});
  talk.run(1min);
  EXPECT_LE(talk.host->connections(), 12u);
  for (const std::string& row : talk.rows()) EXPECT_TRUE(row.starts_with("t")) << row;
}

TEST(Conversation, A421ThatEndsAnIdleConnectionIsNoPushBack) {
  Talk talk(
      [](const Heard& heard) -> Said {
        if (heard.line == "." && heard.messages == 0) {
          return {.bytes = "250 2.0.0 ok\r\n421 4.4.2 idle too long\r\n", .closes = true, .each = 30ms};
        }
        return {willing(heard, kPlain)};
      },
      "<smtp-pattern-list pl>\n reply /^421/ mode=backoff\n</smtp-pattern-list>\n"
      "<domain *>\n connection-idle-timeout 20s\n smtp-pattern-list pl\n</domain>\n");
  talk.boot();
  talk.mail.send("one", {"joe@a.test"});
  talk.run(10s);
  const std::string shown = talk.mail.scenario.ask({"show", "queues", "--mode-events"});
  EXPECT_EQ(shown.find("421"), std::string::npos) << shown;
  talk.mail.send("two", {"ann@a.test"});
  talk.run(2s);
  EXPECT_EQ(talk.rows(), (Rows{"d joe 250", "d ann 250"}));
}

TEST(Conversation, QuitFollowsAGreetingThatRefuses) {
  Talk talk([](const Heard& heard) -> Said {
    if (heard.line.empty()) return {"554 5.7.1 blocked\r\n"};
    return {willing(heard, kPlain)};
  });
  talk.boot();
  talk.mail.send("one", {"joe@a.test"});
  talk.run(1min);
  EXPECT_EQ(talk.host->heard(), (std::vector<std::string>{"QUIT"}));
  EXPECT_EQ(talk.rows(), (Rows{"b joe 554"}));
}

// --- What replies say.

TEST(Conversation, AnOverlongReplyBehindTheDotCounts) {
  for (const std::string code : {"250 2.0.0 ", "550 5.7.1 "}) {
    Talk talk([&](const Heard& heard) -> Said {
      if (heard.line == ".") return {code + std::string(100'000, 'q') + "\r\n"};
      return {willing(heard, kPlain)};
    });
    talk.boot();
    talk.mail.send("one", {"joe@a.test"});
    talk.run(5min);
    EXPECT_EQ(talk.rows(), (Rows{(code[0] == '2' ? "d joe " : "b joe ") + code.substr(0, 3)}));
    EXPECT_EQ(talk.count("DATA"), 1u);
  }
}

TEST(Conversation, TooManyRecipientsGoIntoAFurtherTransaction) {
  for (const char* words : {"552 5.5.3 too many recipients\r\n", "452 4.5.3 enough\r\n", "552 sorry\r\n"}) {
    std::size_t given = 0;
    Talk talk([&](const Heard& heard) -> Said {
      if (heard.is("MAIL")) given = 0;
      if (heard.is("RCPT") && ++given > 3) return {words};
      return {willing(heard, kPlain)};
    });
    talk.boot();
    talk.mail.send("one", {"a@a.test", "b@a.test", "c@a.test", "d@a.test", "e@a.test"});
    talk.run(5s);
    Rows rows = talk.rows();
    std::ranges::sort(rows);
    EXPECT_EQ(rows, (Rows{"d a 250", "d b 250", "d c 250", "d d 250", "d e 250"})) << words;
    EXPECT_EQ(talk.count("DATA"), 2u);
  }
}

TEST(Conversation, TheLastLineOfAGreetingDecides) {
  Talk talk([](const Heard& heard) -> Said {
    if (heard.line.empty()) return {"220-mx.test ESMTP\r\n521 5.7.1 client blocked using list.example\r\n"};
    return {willing(heard, kPlain)};
  });
  talk.boot();
  talk.mail.send("one", {"joe@a.test"});
  talk.run(1min);
  const std::vector<Row> rows = talk.all_rows();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].at("type"), "b");
  EXPECT_TRUE(matches("*client blocked using list.example*", rows[0].at("dsnDiag"))) << rows[0].at("dsnDiag");
}

TEST(Conversation, TheNextRunGoesOnWhereTheLastStopped) {
  OneMessage mail("<domain *>\n connect-timeout 1s\n retry-after 1s\n mx-connection-attempts 7\n</domain>\n");
  mail.scenario.extra_zone = [](resolver::TableTransport& dns) {
    for (int i = 0; i < 18; ++i) {
      const std::string host = "m" + std::to_string(i) + ".many.test";
      dns.add_mx("many.test", static_cast<std::uint16_t>(i), host);
      dns.add_a(host, i < 17 ? "10.1.1." + std::to_string(i + 1) : "10.1.0.9");
    }
  };
  mail.host("10.1.0.9:2500").otherwise(SmtpScript().says("220 mx").accepts_mail());
  mail.run(2min, {"x@many.test"});
  const std::vector<Row> rows = mail.stop();
  ASSERT_FALSE(rows.empty());
  EXPECT_EQ(rows.back().at("type"), "d");
  EXPECT_EQ(rows.size(), 3u) << "two runs in vain";
}

// --- Time.

TEST(Conversation, AReplyThatDripsIsGivenUp) {
  for (const char* at : {"", "EHLO", "MAIL", "."}) {
    SCOPED_TRACE(at);
    Talk talk([&](const Heard& heard) -> Said {
      if (heard.connection > 0 || heard.line.substr(0, 4) != at) return {willing(heard, kPlain)};
      return {.bytes = std::string("250-") + std::string(4000, 'x'), .each = 500ms};
    });
    talk.boot();
    talk.mail.send("one", {"joe@a.test"});
    talk.run(2min);  // the times of the configuration are 20 and 30 seconds, retries 20 and 30
    const Rows rows = talk.rows();
    ASSERT_FALSE(rows.empty());
    EXPECT_EQ(rows.back(), "d joe 250");
  }
}

TEST(Conversation, AReceiverThatStopsReadingIsGivenUp) {
  Talk talk([&](const Heard& heard) -> Said {
    if (heard.connection == 0 && heard.is("DATA")) return {.bytes = "354 go\r\n", .stalls = 1h};
    return {willing(heard, kPlain)};
  });
  talk.boot();
  talk.mail.send("one", {"joe@a.test"}, 1'000'000);
  talk.run(2min);
  const std::vector<Row> rows = talk.all_rows();
  ASSERT_FALSE(rows.empty());
  EXPECT_EQ(rows.back().at("type"), "d");
  for (const Row& row : rows) {
    if (row.at("type") == "t") EXPECT_NE(row.at("dsnDiag").find("ETIMEDOUT"), std::string::npos) << row.at("dsnDiag");
  }
}

// --- Disabled sources.

TEST(Conversation, NothingMoreLeavesADisabledSource) {
  Talk talk(
      [](const Heard& heard) -> Said {
        if (heard.is("RCPT TO:<bad")) return {"450 4.7.1 blocked for now\r\n"};
        return {willing(heard, kPlain)};
      },
      "<smtp-pattern-list pl>\n reply /blocked/ mode=backoff,disable-source-ip\n</smtp-pattern-list>\n"
      "<domain *>\n max-smtp-out 1\n smtp-pattern-list pl\n backoff-to-normal-after-delivery "
      "yes\n</domain>\n");
  talk.boot();
  // Two recipients of the first are under way when the rule speaks; the second waits behind the dot.
  talk.mail.send("one", {"bad@a.test", "joe@a.test"});
  talk.mail.send("two", {"ann@a.test"});
  talk.run(1min);
  const std::string shown = talk.mail.scenario.ask({"show", "queues", "--mode=backoff"});
  EXPECT_NE(shown.find("1 of"), std::string::npos)
      << shown << talk.mail.scenario.ask({"show", "queues", "--mode-events"});
  EXPECT_EQ(talk.count("RCPT TO:<ann"), 0u);
  EXPECT_EQ(talk.count("RCPT TO:<joe"), 1u);
}

}  // namespace
}  // namespace sluice::test
