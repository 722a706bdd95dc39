// Goal: a message is stored as FORMAT.md says, comes back field by field, and no bytes whatever make the decoder read
// outside them.
// How: a rich draft there and back; the worked example of FORMAT.md byte by byte; every truncation and many changes.
#include "engine/spool/message_codec.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "engine/log/format.h"

namespace sluice::spool {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

std::vector<std::byte> encoded(const MessageDraft& draft) {
  const auto sizes = measure(draft);
  EXPECT_TRUE(sizes.has_value());
  std::vector<std::byte> out(std::size_t{sizes->envelope_bytes} + sizes->body_bytes);
  encode_message(draft, *sizes, out);
  return out;
}

struct Rich {
  std::vector<Recipient> recipients = {
      {.address = "a@one.example", .orcpt = "rfc822;A@one.example", .vmta = "v2", .queue = "one.example/v2",
       .notify = {DsnNotify::kFailure | DsnNotify::kDelay}, .priority = 90},
      {.address = "", .orcpt = "", .vmta = "", .queue = "", .notify = {}, .priority = 0},
      {.address = "c@three.example", .queue = "three.example/v1"},
  };
  std::vector<HeaderField> headers = {{"Subject", "hello"}, {"X-Empty", ""}};
  std::vector<std::span<const std::byte>> body = {bytes_of("From: x\r\n"), {}, bytes_of("\r\nbody\r\n")};
  MessageDraft draft;
  Rich() {
    draft.id = MessageId(0x0123'4567'89ab'cdef);
    draft.received = WallTime(std::chrono::milliseconds(1'767'571'200'123));
    draft.orig = "sender@example.org";
    draft.env_id = "env";
    draft.ret = DsnReturn::Headers;
    draft.vmta = "v1";
    draft.vmta_pool = "pool";
    draft.job_id = "job";
    draft.src_type = "smtp";
    draft.src_mta = "app (1.2.3.4)";
    draft.rcv_smtp_user = "user";
    draft.rcv_source_ip = "192.0.2.1";
    draft.rcv_destination_ip = "192.0.2.2";
    draft.headers = headers;
    draft.recipients = recipients;
    draft.schedule = "1-2 3-4";
    draft.flags.bits = MessageFlags::kEightBit | MessageFlags::kDotLines | MessageFlags::kScheduled;
    draft.body = body;
  }
};

void touch_everything(const MessageView& view) {
  std::size_t sum = view.orig.size() + view.body.size();
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(view.recipient_count(), 1000); ++i) {
    sum += view.recipient(i).address.size() + view.recipient(i).queue.size();
  }
  view.for_each_header([&](const HeaderField& field) { sum += field.first.size() + field.second.size(); });
  EXPECT_LT(sum, std::size_t{1} << 40);
}

TEST(MessageCodec, ThereAndBack) {
  const Rich rich;
  const auto bytes = encoded(rich.draft);
  const auto view = MessageView::decode(bytes);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->id, rich.draft.id);
  EXPECT_EQ(view->received, rich.draft.received);
  EXPECT_EQ(view->orig, "sender@example.org");
  EXPECT_EQ(view->env_id, "env");
  EXPECT_EQ(view->ret, DsnReturn::Headers);
  EXPECT_EQ(view->vmta, "v1");
  EXPECT_EQ(view->vmta_pool, "pool");
  EXPECT_EQ(view->job_id, "job");
  EXPECT_EQ(view->src_type, "smtp");
  EXPECT_EQ(view->src_mta, "app (1.2.3.4)");
  EXPECT_EQ(view->rcv_smtp_user, "user");
  EXPECT_EQ(view->rcv_source_ip, "192.0.2.1");
  EXPECT_EQ(view->rcv_destination_ip, "192.0.2.2");
  EXPECT_EQ(view->schedule, "1-2 3-4");
  EXPECT_EQ(view->flags, rich.draft.flags);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(view->body.data()), view->body.size()),
            "From: x\r\n\r\nbody\r\n");
  ASSERT_EQ(view->recipient_count(), 3u);
  for (std::uint32_t i = 0; i < 3; ++i) {
    const Recipient one = view->recipient(i);
    EXPECT_EQ(one.address, rich.recipients[i].address);
    EXPECT_EQ(one.orcpt, rich.recipients[i].orcpt);
    EXPECT_EQ(one.vmta, rich.recipients[i].vmta);
    EXPECT_EQ(one.queue, rich.recipients[i].queue);
    EXPECT_EQ(one.notify, rich.recipients[i].notify);
    EXPECT_EQ(one.priority, rich.recipients[i].priority);
  }
  std::vector<HeaderField> headers;
  view->for_each_header([&](const HeaderField& field) { headers.push_back(field); });
  EXPECT_EQ(headers, rich.headers);
}

TEST(MessageCodec, DeliveryWindowsStandOnlyWhereTheirFlagSaysSo) {
  Rich rich;
  rich.draft.flags.bits &= ~MessageFlags::kScheduled;
  const auto bytes = encoded(rich.draft);
  EXPECT_LT(bytes.size(), encoded(Rich().draft).size());
  const auto view = MessageView::decode(bytes);
  ASSERT_TRUE(view.has_value());
  EXPECT_EQ(view->schedule, "");
  EXPECT_EQ(view->recipient(2).address, rich.recipients[2].address);
}

TEST(MessageCodec, TheExampleOfTheFormat) {
  log::SegmentHeader header;
  header.number = 1;
  header.incarnation = 0x168;
  header.first_sequence = 1;
  header.created = WallTime(std::chrono::milliseconds(1'767'571'200'000));
  header.bytes = 64 * kMiB;
  header.salt = 0x1122'3344'5566'7788;
  std::vector<std::byte> block(log::kBlockBytes);
  log::encode(header, std::span(block).first<log::kBlockBytes>());
  const std::uint8_t want_header_sum[] = {0x1f, 0x1a, 0x17, 0x62, 0xa9, 0x08, 0xda, 0x81};
  EXPECT_EQ(std::memcmp(block.data() + 64, want_header_sum, 8), 0);

  const Recipient recipient{.address = "c@d.example", .queue = "d.example/v1"};
  const std::span<const std::byte> body = bytes_of("Hi\r\n");
  MessageDraft draft;
  draft.id = MessageId(0x0000'0016'8000'0000);
  draft.received = header.created;
  draft.orig = "a@b.example";
  draft.vmta = "v1";
  draft.recipients = std::span(&recipient, 1);
  draft.body = std::span(&body, 1);
  const auto payload = encoded(draft);
  ASSERT_EQ(payload.size(), 0x75u);
  std::vector<std::byte> record(log::record_bytes(payload.size()));
  std::ranges::copy(payload, record.begin() + log::kRecordHeaderBytes);
  log::seal_record(record.data(), log::RecordType::Message, 0x75, log::seed_of(header));
  const std::uint8_t want[] = {0x82, 0xd2, 0xbc, 0xf9, 0x67, 0x3d, 0x0a, 0x47, 0x53, 0x52, 0x01, 0x00, 0x75, 0, 0, 0};
  EXPECT_EQ(std::memcmp(record.data(), want, sizeof want), 0);
  EXPECT_EQ(std::to_integer<int>(payload[0x4c]), 0x50);
  EXPECT_EQ(std::to_integer<int>(payload[0x51]), 50);
  EXPECT_EQ(std::to_integer<int>(payload[0x71]), 'H');
}

TEST(MessageCodec, EveryTruncationAndManyChangesAreHarmless) {
  const Rich rich;
  const auto bytes = encoded(rich.draft);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<std::byte> part(bytes.begin(), bytes.begin() + static_cast<long>(size));
    EXPECT_FALSE(MessageView::decode(part).has_value()) << size;
  }
  std::mt19937_64 random(7);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (int n = 0; n < 8; ++n) {
      auto changed = bytes;
      changed[at] = static_cast<std::byte>(random());
      if (n > 3) changed[random() % changed.size()] = static_cast<std::byte>(random());
      const auto view = MessageView::decode(changed);
      if (view) touch_everything(*view);
    }
  }
}

TEST(MessageCodec, LimitsAreKept) {
  struct Row {
    const char* name;
    void (*spoil)(Rich&);
  };
  static const std::string long_text(70'000, 'x');
  static const std::vector<HeaderField> many(300, HeaderField{"a", "b"});
  const Row rows[] = {
      {"no recipients", [](Rich& rich) { rich.draft.recipients = {}; }},
      {"long sender", [](Rich& rich) { rich.draft.orig = long_text; }},
      {"long schedule", [](Rich& rich) { rich.draft.schedule = long_text; }},
      {"long job", [](Rich& rich) { rich.draft.job_id = long_text; }},
      {"long recipient", [](Rich& rich) { rich.recipients[1].address = long_text; }},
      {"long header", [](Rich& rich) { rich.headers[0].second = long_text; }},
      {"too many headers", [](Rich& rich) { rich.draft.headers = many; }},
  };
  for (const Row& row : rows) {
    Rich rich;
    row.spoil(rich);
    const auto sizes = measure(rich.draft);
    ASSERT_FALSE(sizes.has_value()) << row.name;
    EXPECT_EQ(sizes.error().code, Errc::BadInput) << row.name;
  }
}

}  // namespace
}  // namespace sluice::spool
