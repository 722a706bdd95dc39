// Goal: every action in every phase, alone and with the classes of replies, does what the manual says;
// push-backs are told from refusals of one mailbox or message. How:  one row per action: the verdicts of all
// phases as words, for 4xx and for 5xx.
#include "policy/backoff/reply_verdict.h"

#include <gtest/gtest.h>

#include <string>

#include "policy/backoff/too_many_recipients.h"

namespace sluice {
namespace {

using config::QueueMode;

SmtpReply reply_of(std::string_view line) {
  SmtpReply reply;
  reply.code = static_cast<std::uint16_t>(std::stoi(std::string(line.substr(0, 3))));
  reply.text = line.substr(4);
  reply.enhanced = EnhancedStatus::parse_front(reply.text);
  return reply;
}

/// "bounce next defer": recipients, connection, queue. "wait", "go" and "-" when nothing is asked.
std::string words(const ReplyVerdict& verdict, bool session) {
  std::string out;
  if (!session) {
    switch (verdict.recipients) {
      case ReplyVerdict::Recipients::Wait: out += "wait "; break;
      case ReplyVerdict::Recipients::Bounce: out += "bounce "; break;
      case ReplyVerdict::Recipients::NextHost: out += "keep "; break;
    }
  }
  switch (verdict.connection) {
    case ReplyVerdict::Connection::GoOn: out += "go"; break;
    case ReplyVerdict::Connection::NextHost: out += "next"; break;
    case ReplyVerdict::Connection::Stop: out += "stop"; break;
  }
  if (verdict.bounce_queue) out += " bounce-queue";
  if (verdict.defer_queue) out += " defer";
  return out;
}

struct Row {
  const char* action;
  void (*set)(ReplyActions&);
  // Greeting, Session, Mail, Rcpt, Data, Final.
  const char* transient[6];
  const char* permanent[6];
};

TEST(ReplyVerdict, EveryActionInEveryPhase) {
  const Row rows[] = {
      {"none",
       [](ReplyActions&) {},
       {"next", "next", "wait go", "wait go", "wait go", "wait go"},
       {"stop bounce-queue", "next", "bounce go", "bounce go", "bounce go", "bounce go"}},
      {"mode=backoff",
       [](ReplyActions& a) { a.mode = QueueMode::Backoff; },
       {"next", "next", "wait go", "wait go", "wait go", "wait go"},
       {"stop bounce-queue", "next", "bounce go", "bounce go", "bounce go", "bounce go"}},
      {"mode=normal",
       [](ReplyActions& a) { a.mode = QueueMode::Normal; },
       {"next", "next", "wait go", "wait go", "wait go", "wait go"},
       {"stop bounce-queue", "next", "bounce go", "bounce go", "bounce go", "bounce go"}},
      {"skip-mx",
       [](ReplyActions& a) { a.skip_mx = true; },
       {"next", "next", "keep next", "keep next", "keep next", "keep next"},
       {"next", "next", "keep next", "keep next", "keep next", "keep next"}},
      {"bounce-queue",
       [](ReplyActions& a) { a.bounce_queue = true; },
       {"stop bounce-queue", "stop bounce-queue", "bounce stop bounce-queue", "bounce stop bounce-queue",
        "bounce stop bounce-queue", "bounce stop bounce-queue"},
       {"stop bounce-queue", "stop bounce-queue", "bounce stop bounce-queue", "bounce stop bounce-queue",
        "bounce stop bounce-queue", "bounce stop bounce-queue"}},
      {"bounce-rcpt",
       [](ReplyActions& a) { a.bounce_recipient = true; },
       {"next", "next", "wait go", "bounce go", "wait go", "wait go"},
       {"stop bounce-queue", "next", "bounce go", "bounce go", "bounce go", "bounce go"}},
      {"defer-queue",
       [](ReplyActions& a) { a.defer_queue = true; },
       {"stop defer", "stop defer", "wait stop defer", "wait stop defer", "wait stop defer",
        "wait stop defer"},
       {"stop bounce-queue defer", "stop defer", "bounce stop defer", "bounce stop defer",
        "bounce stop defer", "bounce stop defer"}},
      {"disable-source-ip",
       [](ReplyActions& a) { a.disable_source_ip = true; },
       {"stop", "stop", "wait stop", "wait stop", "wait stop", "wait stop"},
       {"stop bounce-queue", "stop", "bounce stop", "bounce stop", "bounce stop", "bounce stop"}},
      {"skip-mx,defer-queue",
       [](ReplyActions& a) { a.skip_mx = a.defer_queue = true; },
       {"stop defer", "stop defer", "wait stop defer", "wait stop defer", "wait stop defer",
        "wait stop defer"},
       {"stop defer", "stop defer", "wait stop defer", "wait stop defer", "wait stop defer",
        "wait stop defer"}},
      {"skip-mx,disable-source-ip",
       [](ReplyActions& a) { a.skip_mx = a.disable_source_ip = true; },
       {"stop", "stop", "wait stop", "wait stop", "wait stop", "wait stop"},
       {"stop", "stop", "wait stop", "wait stop", "wait stop", "wait stop"}},
      {"skip-mx,bounce-rcpt",
       [](ReplyActions& a) { a.skip_mx = a.bounce_recipient = true; },
       {"next", "next", "keep next", "bounce next", "keep next", "keep next"},
       {"next", "next", "keep next", "keep next", "keep next", "keep next"}},
      {"bounce-queue,defer-queue",
       [](ReplyActions& a) { a.bounce_queue = a.defer_queue = true; },
       {"stop bounce-queue defer", "stop bounce-queue defer", "bounce stop bounce-queue defer",
        "bounce stop bounce-queue defer", "bounce stop bounce-queue defer", "bounce stop bounce-queue defer"},
       {"stop bounce-queue defer", "stop bounce-queue defer", "bounce stop bounce-queue defer",
        "bounce stop bounce-queue defer", "bounce stop bounce-queue defer",
        "bounce stop bounce-queue defer"}},
  };
  constexpr RefusalPhase kPhases[] = {RefusalPhase::Greeting, RefusalPhase::Session, RefusalPhase::Mail,
                                      RefusalPhase::Rcpt,     RefusalPhase::Data,    RefusalPhase::Final};
  for (const Row& row : rows) {
    ReplyActions actions;
    row.set(actions);
    for (std::size_t i = 0; i < std::size(kPhases); ++i) {
      SCOPED_TRACE(std::string(row.action) + " in phase " + std::to_string(i));
      const bool session = i < 2;
      EXPECT_EQ(words(judge_reply(kPhases[i], reply_of("450 4.2.1 later"), actions, {}), session),
                row.transient[i]);
      EXPECT_EQ(words(judge_reply(kPhases[i], reply_of("550 5.7.1 never"), actions, {}), session),
                row.permanent[i]);
    }
  }
}

TEST(ReplyVerdict, A5xxGreetingIsFinalUnlessTheOperatorSaysOtherwise) {
  config::DomainSettings settings;
  settings.bounce_upon_5xx_greeting = false;
  const SmtpReply reply = reply_of("554 no mail here");
  EXPECT_FALSE(judge_reply(RefusalPhase::Greeting, reply, {}, settings).bounce_queue);
  EXPECT_EQ(judge_reply(RefusalPhase::Greeting, reply, {}, settings).connection,
            ReplyVerdict::Connection::NextHost);
}

TEST(ReplyVerdict, A421MeansTheHostWhenConfigured) {
  config::DomainSettings settings;
  const SmtpReply reply = reply_of("421 4.7.0 closing");
  EXPECT_EQ(words(judge_reply(RefusalPhase::Rcpt, reply, {}, settings), false), "wait go");
  settings.smtp_421_means_mx_unavailable = true;
  EXPECT_EQ(words(judge_reply(RefusalPhase::Rcpt, reply, {}, settings), false), "wait next");
  EXPECT_EQ(words(judge_reply(RefusalPhase::Rcpt, reply_of("450 later"), {}, settings), false), "wait go");
}

TEST(ReplyVerdict, ARulesIntervalReplacesBothWaits) {
  ReplyActions actions;
  actions.retry_after = 4h;
  const ReplyVerdict verdict = judge_reply(RefusalPhase::Rcpt, reply_of("421 4.7.0 slow"), actions, {});
  EXPECT_EQ(verdict.queue_wait, Duration{4h});
  EXPECT_EQ(verdict.recipient_wait, Duration{4h});
  EXPECT_FALSE(verdict.defer_queue) << "an interval alone stops nothing";
}

TEST(PushBack, IsAboutRatesNotAboutMailboxes) {
  struct Case {
    bool want;
    const char* line;
  };
  const Case cases[] = {
      {true, "421 4.7.0 Connection from this address deferred, too much mail was reported as unwanted"},
      {true, "421 Service not available, closing transmission channel"},
      {true, "450 4.7.28 Our systems see an unusual rate of mail from your network"},
      {true, "451 4.7.500 Server busy, please come back later"},
      {true, "452 4.3.2 System not accepting messages for now"},
      {true, "451 Throttled: sender exceeded its share"},
      {true, "550 5.7.1 blocked because of low reputation of the sending address"},
      {true, "452 Too many messages on one connection"},
      {false, "450 4.2.1 The mailbox is busy, try later"},
      {false, "452 4.2.2 The mailbox is full"},
      {false, "550 5.1.1 No such user"},
      {false, "451 4.3.0 Local error in processing"},
      {false, "450 4.1.8 Sender domain was not found"},
      {false, "550 5.6.0 Content not wanted"},
  };
  for (const Case& one : cases) {
    EXPECT_EQ(is_push_back(RefusalPhase::Rcpt, reply_of(one.line), {}), one.want) << one.line;
  }
  EXPECT_TRUE(is_push_back(RefusalPhase::Greeting, reply_of("554 go away"), {}));
  ReplyActions backoff;
  backoff.mode = QueueMode::Backoff;
  EXPECT_TRUE(is_push_back(RefusalPhase::Rcpt, reply_of("450 whatever"), backoff));
  ReplyActions normal;
  normal.mode = QueueMode::Normal;
  EXPECT_FALSE(is_push_back(RefusalPhase::Rcpt, reply_of("421 whatever"), normal));
}

TEST(ReplyVerdict, TooManyRecipients) {
  struct Case {
    const char* line;
    bool alone;   // nobody accepted before
    bool behind;  // behind an accepted one
  };
  for (const Case& one : {Case{"552 5.5.3 too many recipients", true, true},
                          {"552 4.5.3 enough", true, true},
                          {"452 4.5.3 enough", true, true},
                          {"452 Too Many Recipients", true, true},
                          {"552 5.0.0 sorry, too many recipients", true, true},
                          {"552 sorry", false, true},
                          {"552 Requested action aborted", false, true},
                          {"552 Requested mail action aborted: exceeded storage allocation", false, false},
                          {"552 mailbox full", false, false},
                          {"552 5.2.2 too many recipients have no room", false, false},
                          {"452 insufficient system storage", false, false},
                          {"452 sorry", false, false},
                          {"550 too many recipients", false, false},
                          {"552 5.3.4 message too big", false, false}}) {
    SCOPED_TRACE(one.line);
    EXPECT_EQ(means_too_many_recipients(reply_of(one.line), false), one.alone);
    EXPECT_EQ(means_too_many_recipients(reply_of(one.line), true), one.behind);
  }
}

}  // namespace
}  // namespace sluice
