// Goal: every kind of broken promise is found, and nothing is found where all were kept.
// How: synthetic ledgers, one story for each kind; the sums must add up in all of them.
#include "bench/audit/audit.h"

#include <gtest/gtest.h>

namespace sluice::bench {
namespace {

/// Builds the lines of a story.
class Story {
 public:
  explicit Story(AuditOptions options = {}) : audit(options) {}
  Story& injected(int n, std::string_view reply = "250 ok", Certainty certainty = Certainty::Answered) {
    LedgerLine line;
    line.kind = LedgerKind::Injected;
    line.provider = "run";
    const std::string message = id(n);
    const std::string recipient = rcpt(n);
    line.message = message;
    line.recipients = recipient;
    line.certainty = certainty;
    line.body_hash = static_cast<std::uint64_t>(n);
    line.reply = reply;
    audit.take_injected(text_of(line));
    return *this;
  }
  Story& received(int n, std::uint64_t session = 1, std::uint64_t time_us = 1000,
                  Certainty certainty = Certainty::Answered,
                  std::optional<std::uint64_t> hash = std::nullopt) {
    LedgerLine line;
    line.kind = LedgerKind::Received;
    const std::string message = id(n);
    const std::string recipient = rcpt(n);
    line.message = message;
    line.recipients = recipient;
    line.session = session;
    line.time_us = time_us;
    line.certainty = certainty;
    line.body_hash = hash.value_or(static_cast<std::uint64_t>(n));
    line.provider = "p";
    audit.take_received(text_of(line), 0);
    return *this;
  }
  Story& ended(std::uint64_t session, Farewell farewell, std::uint64_t time_us) {
    LedgerLine line;
    line.kind = LedgerKind::Ended;
    line.session = session;
    line.farewell = farewell;
    line.time_us = time_us;
    audit.take_received(text_of(line), 0);
    return *this;
  }
  Story& record(char type, int n) {
    audit.take_record(type, rcpt(n), id(n));
    return *this;
  }
  Story& queued(int n) {
    audit.take_queued(rcpt(n), id(n));
    return *this;
  }
  const AuditFigures& finish() {
    audit.finish();
    return audit.figures();
  }
  [[nodiscard]] std::uint64_t count(Violation violation) const {
    return audit.figures().violations[static_cast<std::size_t>(violation)];
  }
  Audit audit;

 private:
  static std::string id(int n) { return "load.run." + std::to_string(n) + "@h"; }
  static std::string rcpt(int n) { return "r" + std::to_string(n) + "@D.example"; }
  static std::string text_of(const LedgerLine& line) {
    std::string text;
    append_ledger_line(line, text);
    text.pop_back();
    return text;
  }
};

AuditOptions with_accounting() {
  AuditOptions options;
  options.have_accounting = true;
  return options;
}

TEST(Audit, AllKept) {
  Story story(with_accounting());
  story.injected(1).injected(2).injected(3).injected(4, "550 no").injected(5, "", Certainty::Unknown);
  story.received(1).record('d', 1).record('t', 1).record('b', 2).queued(3);
  const AuditFigures& figures = story.finish();
  EXPECT_EQ(figures.accepted, 3U);
  EXPECT_EQ(figures.delivered, 1U);
  EXPECT_EQ(figures.bounced, 1U);
  EXPECT_EQ(figures.queued, 1U);
  EXPECT_EQ(figures.refused, 1U);
  EXPECT_EQ(figures.unknown, 1U);
  EXPECT_EQ(figures.violations_in_all(), 0U);
}

TEST(Audit, Lost) {
  Story story;
  story.injected(1).injected(2).received(1);
  EXPECT_EQ(story.finish().violations_in_all(), 1U);
  EXPECT_EQ(story.count(Violation::Lost), 1U);
  ASSERT_EQ(story.audit.findings().size(), 1U);
  EXPECT_EQ(story.audit.findings()[0].message, "load.run.2@h");
  EXPECT_EQ(story.audit.findings()[0].recipient, "r2@D.example");
}

TEST(Audit, QueuedCountStandsInForAListing) {
  AuditOptions options;
  options.queued_count = 1;
  Story enough(options);
  EXPECT_EQ(enough.injected(1).injected(2).received(1).finish().violations_in_all(), 0U);
  EXPECT_EQ(enough.audit.figures().queued, 1U);
  Story short_of(options);
  EXPECT_EQ(short_of.injected(1).injected(2).finish().violations_in_all(), 2U);
}

TEST(Audit, Duplicates) {
  struct Row {
    const char* name;
    Certainty first;
    Farewell farewell;
    std::uint64_t end_us;
    bool excused;
  };
  const Row rows[] = {
      {"answered, session went on to QUIT", Certainty::Answered, Farewell::Quit, 2000, false},
      {"answered, connection lost just after", Certainty::Answered, Farewell::Lost, 2000, true},
      {"answered, connection lost a minute later", Certainty::Answered, Farewell::Lost, 60'000'000, false},
      {"dropped on purpose", Certainty::Dropped, Farewell::Closed, 2000, true},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.name);
    Story story;
    story.injected(1)
        .received(1, 1, 1000, row.first)
        .ended(1, row.farewell, row.end_us)
        .received(1, 2, 90'000'000);
    EXPECT_EQ(story.finish().violations_in_all(), row.excused ? 0U : 1U);
    EXPECT_EQ(story.audit.figures().duplicates, 1U);
    EXPECT_EQ(story.audit.figures().delivered, 1U);
    EXPECT_EQ(story.count(Violation::DuplicateNoCause), row.excused ? 0U : 1U);
  }
}

TEST(Audit, EveryOtherKind) {
  {
    Story story(with_accounting());
    story.injected(1).received(1).record('d', 1).record('d', 1).finish();
    EXPECT_EQ(story.count(Violation::TwoEndings), 1U);
  }
  {
    Story story(with_accounting());
    story.injected(1).record('d', 1).finish();
    EXPECT_EQ(story.count(Violation::DeliveredNotReceived), 1U);
  }
  {
    Story story(with_accounting());
    story.injected(1).received(1).finish();
    EXPECT_EQ(story.count(Violation::NotAccounted), 1U);
  }
  {
    Story story(with_accounting());
    story.injected(1).received(1).record('b', 1).finish();
    EXPECT_EQ(story.count(Violation::BouncedButReceived), 1U);
  }
  {
    Story story(with_accounting());
    story.injected(1).received(1, 1, 1000, Certainty::Dropped).record('b', 1).finish();
    EXPECT_EQ(story.audit.figures().violations_in_all(), 0U);
  }
  {
    Story story(with_accounting());
    story.injected(1).received(1).record('d', 1).queued(1).finish();
    EXPECT_EQ(story.count(Violation::QueuedAfterEnd), 1U);
  }
  {
    Story story;
    story.injected(1).received(1, 1, 1000, Certainty::Answered, 99).finish();
    EXPECT_EQ(story.count(Violation::BodyChanged), 1U);
  }
  {
    Story story;
    story.injected(1, "452 full").received(1).finish();
    EXPECT_EQ(story.count(Violation::RefusedButReceived), 1U);
  }
  {
    Story story;
    story.injected(1).received(1).received(2).finish();
    EXPECT_EQ(story.count(Violation::ReceivedNotInjected), 1U);
  }
}

TEST(Audit, UnknownMayArriveOrNot) {
  Story story;
  story.injected(1, "", Certainty::Unknown).injected(2, "", Certainty::Unknown).received(1);
  EXPECT_EQ(story.finish().violations_in_all(), 0U);
  EXPECT_EQ(story.audit.figures().unknown_arrived, 1U);
}

TEST(Audit, WithoutASinkAccountingIsBelieved) {
  AuditOptions options = with_accounting();
  options.have_received = false;
  Story story(options);
  story.injected(1).injected(2).record('d', 1).record('b', 2);
  EXPECT_EQ(story.finish().violations_in_all(), 0U);
  EXPECT_EQ(story.audit.figures().delivered, 1U);
}

TEST(Audit, BadLinesAreCountedNotJudged) {
  Story story;
  story.audit.take_injected("nonsense");
  story.audit.take_received("I\t1", 0);
  EXPECT_EQ(story.finish().bad_lines, 2U);
  EXPECT_EQ(story.audit.figures().violations_in_all(), 0U);
}

}  // namespace
}  // namespace sluice::bench
