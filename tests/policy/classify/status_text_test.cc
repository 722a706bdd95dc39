// Goal: the status of every kind of reply, and PowerMTA's words for it, which tools parse.
// How: tables.
#include "policy/classify/status_text.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

SmtpReply reply(std::uint16_t code, std::string text) {
  SmtpReply out;
  out.code = code;
  out.enhanced = EnhancedStatus::parse_front(text);
  out.text = std::move(text);
  return out;
}

TEST(StatusText, WordsThatToolsKnow) {
  const struct {
    EnhancedStatus status;
    const char* want;
  } rows[] = {
      {{2, 0, 0}, "2.0.0 (success)"},
      {{2, 6, 0}, "2.6.0 (success)"},
      {{2, 1, 5}, "2.1.5 (destination address valid)"},
      {{4, 0, 0}, "4.0.0 (transient failure)"},
      {{4, 3, 0}, "4.3.0 (mail system-related failure)"},
      {{4, 4, 1}, "4.4.1 (no answer from host)"},
      {{4, 7, 0}, "4.7.0 (other or undefined security status)"},
      {{5, 0, 0}, "5.0.0 (undefined status)"},
      {{5, 1, 1}, "5.1.1 (bad destination mailbox address)"},
      {{5, 1, 2}, "5.1.2 (bad destination system address)"},
      {{5, 2, 0}, "5.2.0 (mailbox-related failure)"},
      {{5, 3, 0}, "5.3.0 (mail system-related failure)"},
      {{5, 3, 5}, "5.3.5 (system incorrectly configured)"},
      {{5, 5, 0}, "5.5.0 (protocol-related failure)"},
      {{5, 5, 2}, "5.5.2 (syntax error)"},
      {{5, 5, 4}, "5.5.4 (invalid command arguments)"},
      {{5, 7, 1}, "5.7.1 (delivery not authorized)"},
      {{5, 7, 606}, "5.7.606 (other or undefined security status)"},
      {{5, 7, 26}, "5.7.26 (multiple authentication checks failed)"},
      {{5, 9, 9}, "5.9.9 (undefined status)"},
      {{4, 8, 0}, "4.8.0 (transient failure)"},
  };
  for (const auto& row : rows) EXPECT_EQ(status_text(row.status), row.want);
}

TEST(StatusText, OfReplies) {
  using enum ReplyPhase;
  const struct {
    SmtpReply reply;
    ReplyPhase phase;
    bool means_mailbox;
    EnhancedStatus want;
  } rows[] = {
      {reply(250, "ok"), Other, true, {2, 0, 0}},
      {reply(250, "2.6.0 queued"), Other, true, {2, 6, 0}},
      {reply(550, "5.1.1 no such user"), Rcpt, true, {5, 1, 1}},
      {reply(550, "no such user"), Rcpt, true, {5, 0, 0}},
      {reply(550, "4.2.2 classes disagree"), Rcpt, true, {5, 0, 0}},
      {reply(452, "5.2.2 classes disagree"), Rcpt, true, {4, 0, 0}},
      {reply(250, "5.1.1 classes disagree"), Other, true, {2, 0, 0}},
      {reply(450, "later"), Rcpt, true, {4, 0, 0}},
      {reply(553, "sorry"), Rcpt, true, {5, 1, 1}},
      {reply(553, "sorry"), Rcpt, false, {5, 0, 0}},
      {reply(553, "sorry"), Other, true, {5, 0, 0}},
      {reply(553, "5.1.8 sorry"), Rcpt, true, {5, 1, 8}},
      {reply(354, "go ahead"), Other, true, {4, 0, 0}},
      {reply(0, ""), Other, true, {4, 0, 0}},
  };
  for (const auto& row : rows) {
    SCOPED_TRACE(row.reply.full_text());
    EXPECT_EQ(status_of_reply(row.reply, row.phase, {row.means_mailbox}), row.want);
  }
}

TEST(StatusText, OfLocalFailures) {
  EXPECT_EQ(status_of(LocalFailure::NoSuchDomain).text(), "5.1.2 (bad destination system: no such domain)");
  EXPECT_EQ(status_of(LocalFailure::NoAnswer).text(), "4.4.1 (no answer from host)");
  EXPECT_EQ(status_of(LocalFailure::Expired).text(), "4.4.7 (delivery time expired)");
  EXPECT_EQ(status_of(LocalFailure::NullMx).text(), "5.1.10 (recipient address has null MX)");
}

}  // namespace
}  // namespace sluice
