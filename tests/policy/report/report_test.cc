// Goal: reports have the layout PowerMTA's readers and RFC 3464's know, whatever strangers said. How: whole
// reports compared byte by byte, and tables of hostile values and templates.
#include "policy/report/report.h"

#include <gtest/gtest.h>

#include <vector>

#include "policy/base/version.h"

namespace sluice::report {
namespace {

Facts usual() {
  return {.host = "mta.example.com",
          .vmta = "v1",
          .from = "postmaster@example.com",
          .to = "news@sender.example",
          .date = "Sun, 04 Jan 2026 15:04:05 +0000",
          .arrival_date = "Sun, 04 Jan 2026 15:00:00 +0000",
          .envelope_id = {},
          .subject = "Hello",
          .id = "7.1",
          .retry_after = "10m",
          .bounce_after = "4d12h",
          .content = "From: news@sender.example\r\nSubject: Hello\r\n",
          .templates = {}};
}

Fate refused() {
  return {.action = Action::Failed,
          .recipient = "joe@example.net",
          .original = {},
          .status = "5.1.1 (bad destination mailbox address)",
          .diagnostic = "smtp;550 5.1.1 unknown user",
          .remote_mta = "mx.example.net (192.0.2.1)",
          .category = "bad-mailbox",
          .retried_until = {}};
}

std::string report(const Facts& facts, std::vector<Fate> fates) { return text(facts, fates); }

/// The field with its folds, up to its line end; empty: there is none.
std::string field(const std::string& text, const std::string& name) {
  const std::size_t at = text.find("\r\n" + name + ":");
  if (at == std::string::npos) return {};
  std::size_t end = text.find("\r\n", at + 2);
  while (end != std::string::npos && text.compare(end + 2, 1, " ") == 0) end = text.find("\r\n", end + 2);
  return text.substr(at + 2, end - at - 2);
}

TEST(Report, OfAFailureWithHeaders) {
  EXPECT_EQ(
      report(usual(), {refused()}),
      "From: postmaster@example.com\r\n"
      "To: news@sender.example\r\n"
      "Subject: Delivery report\r\n"
      "Date: Sun, 04 Jan 2026 15:04:05 +0000\r\n"
      "Message-ID: <7.1.report@mta.example.com>\r\n"
      "Auto-Submitted: auto-replied\r\n"
      "MIME-Version: 1.0\r\n"
      "Content-Type: multipart/report; report-type=delivery-status;\r\n"
      "   boundary=\"report.7.1\"\r\n"
      "\r\n"
      "--report.7.1\r\n"
      "Content-Type: text/plain; charset=us-ascii\r\n"
      "\r\n"
      "This is the mail server at mta.example.com (" +
          std::string(own_product()) +
          ").\r\n"
          "\r\n"
          "It reports on a message from <news@sender.example> that it took on\r\n"
          "Sun, 04 Jan 2026 15:00:00 +0000. What became of it:\r\n"
          "\r\n"
          "  <joe@example.net>  delivery failed; will not continue trying\r\n"
          "    550 5.1.1 unknown user\r\n"
          "\r\n"
          "The part that follows says the same for programs; the last one is the header of the message.\r\n"
          "\r\n"
          "--report.7.1\r\n"
          "Content-Type: message/delivery-status\r\n"
          "\r\n"
          "Reporting-MTA: dns;mta.example.com\r\n"
          "X-PowerMTA-VirtualMTA: v1\r\n"
          "Arrival-Date: Sun, 04 Jan 2026 15:00:00 +0000\r\n"
          "\r\n"
          "Final-Recipient: rfc822;joe@example.net\r\n"
          "Action: failed\r\n"
          "Status: 5.1.1 (bad destination mailbox address)\r\n"
          "Remote-MTA: dns;mx.example.net (192.0.2.1)\r\n"
          "Diagnostic-Code: smtp; 550 5.1.1 unknown user\r\n"
          "X-PowerMTA-BounceCategory: bad-mailbox\r\n"
          "\r\n"
          "--report.7.1\r\n"
          "Content-Type: text/rfc822-headers\r\n"
          "\r\n"
          "From: news@sender.example\r\nSubject: Hello\r\n"
          "\r\n"
          "--report.7.1--\r\n");
}

TEST(Report, GroupsRecipientsAndSaysWhatEachAsked) {
  Facts facts = usual();
  facts.envelope_id = "order 7";
  facts.plain_text = true;
  facts.returned = Returned::Nothing;
  const Fate late{.action = Action::Delayed,
                  .recipient = "amy@example.org",
                  .original = "rfc822;a+b@old.example",
                  .status = "4.4.1 (no answer from host)",
                  .diagnostic = "no answer",
                  .remote_mta = {},
                  .category = {},
                  .retried_until = "Thu, 08 Jan 2026 15:00:00 +0000"};
  const std::string out = report(facts, {refused(), late});
  EXPECT_NE(out.find("Content-Type: text/plain\r\n\r\nReporting-MTA: dns;mta.example.com\r\n"
                     "X-PowerMTA-VirtualMTA: v1\r\nOriginal-Envelope-Id: order 7\r\n"),
            std::string::npos)
      << out;
  EXPECT_NE(out.find("BounceCategory: bad-mailbox\r\n\r\nOriginal-Recipient: rfc822;a+b@old.example\r\n"
                     "Final-Recipient: rfc822;amy@example.org\r\nAction: delayed\r\n"
                     "Status: 4.4.1 (no answer from host)\r\nDiagnostic-Code: x-pmta; no answer\r\n"
                     "Will-Retry-Until: Thu, 08 Jan 2026 15:00:00 +0000\r\n\r\n--report.7.1--\r\n"),
            std::string::npos)
      << out;
  EXPECT_NE(out.find("  <amy@example.org>  not delivered yet; will continue trying\r\n"
                     "    until Thu, 08 Jan 2026 15:00:00 +0000\r\n    no answer\r\n"),
            std::string::npos)
      << out;
}

TEST(Report, WordsOfStrangersStayInTheirPlace) {
  Facts facts = usual();
  facts.content = "Subject: x\r\n\r\n--report.7.1--\r\n--report.7.1.x\r\ncaf\xc3\xa9\r\n";
  facts.returned = Returned::Full;
  Fate fate = refused();
  const std::string words =
      "smtp;550 no\r\nBcc: all@example.net\r\n\r\n--report.7.1--" + std::string(5000, 'a');
  fate.diagnostic = words;
  fate.remote_mta = "mx\r\nX: y (\xff)";
  const std::string out = report(facts, {fate});
  EXPECT_EQ(field(out, "Bcc"), "");
  EXPECT_EQ(field(out, "X"), "");
  EXPECT_EQ(field(out, "Remote-MTA"), "Remote-MTA: dns;mx X: y (?)");
  const std::string code = field(out, "Diagnostic-Code");
  EXPECT_TRUE(code.starts_with("Diagnostic-Code: smtp; 550 no Bcc: all@example.net")) << code;
  EXPECT_LT(code.size(), kDiagnosticBytesMax + 100);
  // Neither what they said nor what is returned has a line that ends a part.
  EXPECT_NE(out.find("boundary=\"report.7.1.x.x\""), std::string::npos) << out;
  EXPECT_NE(out.find("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: x\r\n"),
            std::string::npos);
  for (std::size_t at = 0, end = 0; (end = out.find("\r\n", at)) != std::string::npos; at = end + 2) {
    EXPECT_LE(end - at, 998u);
    EXPECT_EQ(out.substr(at, end - at).find_first_of("\r\n"), std::string::npos);
  }
}

TEST(Report, Utf8Addresses) {
  Facts facts = usual();
  facts.utf8 = true;
  facts.to = "j\xc3\xbcrgen@sender.example";
  Fate fate = refused();
  fate.recipient = "\xe5\xb1\xb1@example.net";
  const std::string out = report(facts, {fate});
  EXPECT_EQ(field(out, "To"), "To: j\xc3\xbcrgen@sender.example");
  EXPECT_EQ(field(out, "Final-Recipient"), "Final-Recipient: utf-8;\xe5\xb1\xb1@example.net");
  EXPECT_NE(
      out.find("\r\nContent-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n"),
      std::string::npos);
  EXPECT_NE(out.find("\r\nContent-Type: message/global-headers\r\n"), std::string::npos);
  facts.utf8 = false;
  EXPECT_EQ(field(report(facts, {fate}), "Final-Recipient"), "Final-Recipient: rfc822;???@example.net");
}

TEST(Report, TemplatesOfFailures) {
  Facts facts = usual();
  facts.templates = {.from = "Bounces of ${hostName} <b@${hostName}>",
                     .subject =
                         "Zur\xc3\xbc"
                         "ck: ${subject} an ${recipient}",
                     .body =
                         "${originator} -> ${recipient}\n${date} ${timeQueued} ${retryAfter} "
                         "${bounceAfter}\r\n${response}${nothing}$\n"};
  const std::string out = report(facts, {refused()});
  EXPECT_TRUE(out.starts_with("From: Bounces of mta.example.com <b@mta.example.com>\r\n")) << out;
  EXPECT_EQ(field(out, "Subject"), "Subject: =?utf-8?B?WnVyw7xjazogSGVsbG8gYW4gam9lQGV4YW1wbGUubmV0?=");
  EXPECT_NE(out.find("charset=us-ascii\r\n\r\nnews@sender.example -> joe@example.net\r\n"
                     "Sun, 04 Jan 2026 15:04:05 +0000 Sun, 04 Jan 2026 15:00:00 +0000 10m 4d12h\r\n"
                     "550 5.1.1 unknown user${nothing}$\r\n"),
            std::string::npos)
      << out;
  Fate relayed = refused();
  relayed.action = Action::Relayed;
  EXPECT_EQ(field(report(facts, {relayed}), "Subject"), "Subject: Delivery report");
}

TEST(Report, UnknownVariables) {
  EXPECT_EQ(unknown_variable("${hostName} ${date"), "");
  EXPECT_EQ(unknown_variable("${hostName} ${hostname}"), "hostname");
}

}  // namespace
}  // namespace sluice::report
