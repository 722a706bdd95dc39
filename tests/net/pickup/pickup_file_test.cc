// Goal: both forms of pickup files are read as their writers meant them, and whatever is wrong refuses the
// file as a whole, with the line and the reason. How: tables; every beginning of a good file; what file
// delivery writes (newfile-pickup) is read back.
#include <gtest/gtest.h>

#include "net/mime/local_form.h"
#include "tests/net/pickup/read_pickup.h"

namespace sluice::net {
namespace {

std::string recipients(const PickupMessage& message) {
  std::string out;
  for (const PickupRecipient& one : message.recipients) {
    if (!out.empty()) out += ' ';
    out += one.fault ? "!" + one.raw : std::string(one.address.text());
  }
  return out;
}

TEST(PickupFile, WithSenderLines) {
  const auto file = parse_pickup(
      "X-Sender: a@b.test\r\nx-receiver: <c@d.test>\r\nx-envid: q 1+2\r\nx-receiver:e@F.test  \nx-job: j7\n"
      "Subject: hi\r\n\r\n.dot\nlast",
      {});
  ASSERT_TRUE(file) << file.error().text;
  EXPECT_FALSE(file->is_batch);
  ASSERT_EQ(file->messages.size(), 1u);
  const PickupMessage& message = file->messages[0];
  EXPECT_EQ(message.sender.text(), "a@b.test");
  EXPECT_EQ(recipients(message), "c@d.test e@f.test");
  EXPECT_EQ(message.env_id, "q 1+2");
  EXPECT_EQ(message.job, "j7");
  EXPECT_EQ(message.text, "Subject: hi\r\n\r\n.dot\r\nlast\r\n");
  EXPECT_TRUE(message.facts.has_dot_lines);
  EXPECT_FALSE(message.facts.eight_bit);
}

TEST(PickupFile, OnlyTheFirstLinesAreControlLines) {
  const auto file =
      parse_pickup("x-sender: a@b.test\nx-receiver: c@d.test\nTo: x\nx-receiver: e@f.test\n\nx-job: 1\n", {});
  ASSERT_TRUE(file);
  EXPECT_EQ(recipients(file->messages[0]), "c@d.test");
  EXPECT_EQ(file->messages[0].job, "");
  EXPECT_EQ(file->messages[0].text, "To: x\r\nx-receiver: e@f.test\r\n\r\nx-job: 1\r\n");
}

TEST(PickupFile, TheOverridingSenderWins) {
  const auto file = parse_pickup(
      "x-sender: a@b.test\nx-sender-override: bounce@b.test\nx-receiver: c@d.test\n\nbody\n", {});
  ASSERT_TRUE(file);
  EXPECT_EQ(file->messages[0].sender.text(), "bounce@b.test");
}

TEST(PickupFile, TheNullSender) {
  for (const char* sender : {"x-sender:\n", "x-sender: <>\n"}) {
    const auto file = parse_pickup(std::string(sender) + "x-receiver: c@d.test\n\nbody\n", {});
    ASSERT_TRUE(file) << sender;
    EXPECT_TRUE(file->messages[0].sender.is_null());
  }
}

TEST(PickupFile, RemovesDotsWhereAsked) {
  const char* const text = "x-sender: a@b.test\nx-receiver: c@d.test\n\n..one\n.\nend\n";
  EXPECT_EQ(parse_pickup(text, {})->messages[0].text, "\r\n..one\r\n.\r\nend\r\n");
  EXPECT_EQ(parse_pickup(text, {.remove_dot = true})->messages[0].text, "\r\n.one\r\n\r\nend\r\n");
}

TEST(PickupFile, WhatFileDeliveryWritesIsReadBack) {
  std::string text;
  const std::string_view message = "Subject: x\r\n\r\nhello\r\n.\r\n";
  append_pickup_message(text, {.sender = "a@b.test", .receiver = "c@d.test", .env_id = "e1", .job_id = "j1"},
                        std::as_bytes(std::span(message)));
  const auto file = parse_pickup(text, {});
  ASSERT_TRUE(file) << file.error().text;
  EXPECT_EQ(file->messages[0].text, message);
  EXPECT_EQ(file->messages[0].env_id, "e1");
  EXPECT_EQ(file->messages[0].job, "j1");
}

TEST(PickupFile, BatchSmtp) {
  const auto file = parse_pickup(
      "EHLO app.test\r\n"
      "MAIL FROM:<a@b.test> RET=HDRS ENVID=e1 VERP\r\n"
      "RCPT TO:<c@d.test> NOTIFY=SUCCESS ORCPT=rfc822;o@d.test\r\n"
      "RCPT TO:<e@f.test>\r\n"
      "DATA\r\n"
      "Subject: 1\r\n\r\n..stuffed\r\nMAIL FROM:<not@a.command>\r\n.\r\n"
      "mail from:<>\r\nrcpt to:<g@h.test>\r\ndata\r\n\r\nB\xc3\xbc\r\n.\r\n"
      "QUIT\r\n\r\n",
      {});
  ASSERT_TRUE(file) << file.error().line << file.error().text;
  EXPECT_TRUE(file->is_batch);
  EXPECT_EQ(file->hello, "app.test");
  ASSERT_EQ(file->messages.size(), 2u);
  const PickupMessage& first = file->messages[0];
  EXPECT_EQ(first.sender.text(), "a@b.test");
  EXPECT_EQ(first.ret, DsnReturn::Headers);
  EXPECT_EQ(first.env_id, "e1");
  EXPECT_TRUE(first.verp);
  EXPECT_EQ(recipients(first), "c@d.test e@f.test");
  EXPECT_EQ(first.recipients[0].notify.bits, DsnNotify::kSuccess);
  EXPECT_EQ(first.recipients[0].orcpt, "rfc822;o@d.test");
  EXPECT_EQ(first.text, "Subject: 1\r\n\r\n.stuffed\r\nMAIL FROM:<not@a.command>\r\n");
  EXPECT_TRUE(first.facts.has_dot_lines);
  const PickupMessage& second = file->messages[1];
  EXPECT_TRUE(second.sender.is_null());
  EXPECT_EQ(second.text, "\r\nB\xc3\xbc\r\n");
  EXPECT_TRUE(second.facts.eight_bit);
}

TEST(PickupFile, XackOffLetsBadRecipientsIn) {
  const char* const rest = "MAIL FROM:<a@b.test>\nRCPT TO:<no good>\nRCPT TO:<c@d.test>\nDATA\nx\n.\n";
  EXPECT_FALSE(parse_pickup(rest, {}));
  EXPECT_FALSE(parse_pickup("XACK ON\n" + std::string(rest), {}));
  const auto file = parse_pickup("XACK OFF\n" + std::string(rest), {});
  ASSERT_TRUE(file) << file.error().text;
  EXPECT_TRUE(file->messages[0].lenient);
  EXPECT_EQ(recipients(file->messages[0]), "!<no good> c@d.test");
  const auto back = parse_pickup("XACK OFF\nXACK ON\n" + std::string(rest), {});
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().line, 4u);
  EXPECT_TRUE(parse_pickup(rest, {.accept_invalid = true}));
}

struct BadFile {
  std::string text;
  std::size_t line;
  std::string why;  // a part of it
};

TEST(PickupFile, WhatIsWrongRefusesTheFile) {
  const std::string front = "x-sender: a@b.test\nx-receiver: c@d.test\n";
  const std::string mail = "MAIL FROM:<a@b.test>\nRCPT TO:<c@d.test>\n";
  const BadFile rows[] = {
      {"", 1, "empty"},
      {"Subject: x\n\nhello\n", 1, "no x-sender"},
      {"\n", 1, "no x-sender"},
      {"x-sender: a@b.test\nSubject: x\n", 2, "no x-receiver"},
      {"x-receiver: a@b.test\nSubject: x\n", 2, "no x-sender"},
      {front, 2, "no message"},
      {"x-sender: a@b.test\nx-sender: a@b.test\n", 2, "a second x-sender"},
      {front + "x-job: 1\nx-job: 2\n", 4, "a second x-job"},
      {"x-sender: a b@c\nx-receiver: c@d.test\n\nx\n", 1, "x-sender: "},
      {"x-sender: a@b.test\nx-receiver: c@@d\n\nx\n", 2, "recipient: "},
      {"x-sender: a@b.test\nx-receiver:\n\nx\n", 2, "recipient: "},
      {front + "\na\rb\n", 4, "carriage return"},
      {front + "x-envid: a\x01\n\nx\n", 3, "control characters"},
      {front + "x-envid: " + std::string(101, 'e') + "\n\nx\n", 3, "longer than 100"},
      {"XACK OFF\nMAIL FROM:<a@b.test>\nRCPT TO:<" + std::string(2000, 'x') + ">\n", 3,
       "longer than any address"},
      {"XMRG FROM:<a@b.test>\n", 1, "mail merge"},
      {"HELO x\nXDFN a=b\n", 2, "mail merge"},
      {mail + "XPRT 1 LAST\n", 3, "mail merge"},
      {"HELO x\n", 1, "no message"},
      {"HELO x\nQUIT\n", 2, "no message"},
      {"XACK MAYBE\n", 1, "ON or OFF"},
      {"HELO x\nRCPT TO:<c@d.test>\n", 2, "RCPT without MAIL"},
      {"HELO x\nDATA\n", 2, "DATA without MAIL"},
      {"MAIL FROM:<a@b.test>\nDATA\n", 2, "DATA without RCPT"},
      {"MAIL FROM:<a@b.test>\nMAIL FROM:<a@b.test>\n", 2, "inside a transaction"},
      {"MAIL FROM:<a@b.test> WHAT=1\n", 1, "MAIL: "},
      {"MAIL FROM:<a@@b>\n", 1, "MAIL: "},
      {mail, 2, "ends before the message"},
      {mail + "DATA\nx\n", 4, "single dot"},
      {mail + "DATA\nx\n..\n", 5, "single dot"},
      {mail + "DATA\na\rb\n.\n", 4, "carriage return"},
      {mail + "DATA\nx\n.\nSTARTTLS\n", 6, "not a command"},
      {mail + "DATA\nx\n.\nQUIT\nMAIL FROM:<a@b.test>\n", 7, "behind QUIT"},
      {mail + "DATA\nx\n.\n" + mail, 7, "ends before the message"},
  };
  for (const BadFile& row : rows) {
    SCOPED_TRACE(row.text);
    const auto got = parse_pickup(row.text, {});
    ASSERT_FALSE(got);
    EXPECT_EQ(got.error().line, row.line) << got.error().text;
    EXPECT_NE(got.error().text.find(row.why), std::string::npos) << got.error().text;
  }
}

TEST(PickupFile, TakesFiveThousandRecipients) {
  for (const bool batch : {false, true}) {
    std::string text = batch ? "MAIL FROM:<a@b.test>\n" : "x-sender: a@b.test\n";
    for (std::size_t i = 0; i < PickupReader::kRecipientsMax; ++i) {
      const std::string address = "u" + std::to_string(i) + "@d.test";
      text += batch ? "RCPT TO:<" + address + ">\n" : "x-receiver: " + address + "\n";
    }
    const std::string one_more = batch ? "RCPT TO:<z@d.test>\n" : "x-receiver: z@d.test\n";
    const std::string rest = batch ? "DATA\nx\n.\n" : "\nx\n";
    const auto file = parse_pickup(text + rest, {});
    ASSERT_TRUE(file) << file.error().text;
    EXPECT_EQ(file->messages[0].recipients.size(), PickupReader::kRecipientsMax);
    const auto over = parse_pickup(text + one_more + rest, {});
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().line, PickupReader::kRecipientsMax + 2);
  }
}

TEST(PickupFile, TheRestOfABatchIsABatch) {
  const std::string text =
      "EHLO app.test\nXACK OFF\nMAIL FROM:<a@b.test>\nRCPT TO:<c@d.test>\nDATA\n1\n.\n\nRSET\nMAIL "
      "FROM:<>\nRCPT TO:<no good>\nDATA\n..2\n.\nMAIL FROM:<>\nRCPT TO:<e@f.test>\nDATA\n3\n.\nQUIT\n";
  PickupReader reader(text, {});
  ASSERT_EQ(*reader.step(), PickupReader::Step::Message);
  EXPECT_EQ(reader.take_message().text, "1\r\n");
  const std::string rest = reader.rest();
  const auto file = parse_pickup(rest, {});
  ASSERT_TRUE(file) << file.error().text;
  EXPECT_EQ(file->hello, "app.test");
  ASSERT_EQ(file->messages.size(), 2u);
  EXPECT_EQ(recipients(file->messages[0]), "!<no good>");
  EXPECT_EQ(file->messages[0].text, ".2\r\n");
  EXPECT_EQ(file->messages[1].text, "3\r\n");
  EXPECT_TRUE(PickupReader("MAIL FROM:<>\n", {}).rest().starts_with("XACK ON\r\nMAIL"));
}

TEST(PickupFile, ALargeFileIsReadInSteps) {
  const std::string line = std::string(99, 'x') + '\n';
  for (const bool batch : {false, true}) {
    std::string text = batch ? "MAIL FROM:<a@b.test>\nRCPT TO:<c@d.test>\nDATA\n"
                             : "x-sender: a@b.test\nx-receiver: c@d.test\n\n";
    for (int i = 0; i < 100'000; ++i) text += line;
    if (batch) text += ".\n";
    PickupReader reader(text, {});
    std::size_t steps = 1;
    for (auto step = reader.step(); step && *step == PickupReader::Step::More; step = reader.step()) ++steps;
    EXPECT_GE(steps, text.size() / PickupReader::kStepBytes);
    EXPECT_EQ(reader.take_message().facts.bytes, 10'100'000u + (batch ? 0 : 2));
    EXPECT_EQ(*reader.step(), PickupReader::Step::End);
  }
}

TEST(PickupFile, ABeginningOfABatchIsNeverTakenForTheWhole) {
  const std::string text =
      "HELO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nSubject: 1\r\n\r\nbody\r\n.\r\n";
  // The line end behind the dot is not needed: the dot stands alone.
  for (std::size_t size = 0; size + 2 < text.size(); ++size) {
    EXPECT_FALSE(parse_pickup(text.substr(0, size), {})) << size;
  }
  EXPECT_TRUE(parse_pickup(text, {}));
}

TEST(PickupFile, AnyChangedByteIsReadOrRefused) {
  const std::string text =
      "XACK OFF\nMAIL FROM:<a@b.test>\nRCPT TO:<c@d.test>\nDATA\nx\n.\nMAIL FROM:<>\nRCPT "
      "TO:<e@f>\nDATA\n.\nQUIT\n";
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (int byte = 0; byte < 256; ++byte) {
      std::string changed = text;
      changed[at] = static_cast<char>(byte);
      const auto got = parse_pickup(changed, {});
      if (!got) {
        EXPECT_GE(got.error().line, 1u);
        EXPECT_FALSE(got.error().text.empty());
        continue;
      }
      for (const PickupMessage& message : got->messages) EXPECT_FALSE(message.recipients.empty());
    }
  }
}

}  // namespace
}  // namespace sluice::net
