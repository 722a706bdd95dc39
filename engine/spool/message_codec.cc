#include "engine/spool/message_codec.h"

#include <limits>

#include "engine/log/bytes.h"
#include "policy/base/assert.h"

namespace sluice::spool {
namespace {

// Fixed part: id 0, received 8, envelope bytes 16, body bytes 20, flags 24, recipients 28, headers 32, ret
// 34, zero 35, place of the recipient table 36.
constexpr std::size_t kFixedBytes = 40;
constexpr std::size_t kRecipientFixedBytes = 2;
constexpr std::size_t kTableEntryBytes = 4;

template <class Draft, class F>
bool each_string(Draft& draft, F&& visit) {
  for (auto* one : {&draft.orig, &draft.env_id, &draft.vmta, &draft.vmta_pool, &draft.job_id, &draft.src_type,
                    &draft.src_mta, &draft.rcv_smtp_user, &draft.rcv_source_ip, &draft.rcv_destination_ip}) {
    if (!visit(*one)) return false;
  }
  return true;
}

}  // namespace

Result<MessageSizes> measure(const MessageDraft& draft) {
  std::uint64_t bytes = kFixedBytes;
  const auto add = [&bytes](std::string_view text) {
    bytes += 2 + text.size();
    return text.size() <= MessageDraft::kStringBytesMax;
  };
  bool sound = draft.recipients.size() <= MessageDraft::kRecipientsMax && !draft.recipients.empty() &&
               draft.headers.size() <= MessageDraft::kHeadersMax && each_string(draft, add);
  if (draft.flags.has(MessageFlags::kScheduled)) sound = add(draft.schedule) && sound;
  for (const HeaderField& field : draft.headers) sound = add(field.first) && add(field.second) && sound;
  bytes = log::round_up(bytes, kTableEntryBytes) + kTableEntryBytes * draft.recipients.size();
  for (const Recipient& one : draft.recipients) {
    bytes += kRecipientFixedBytes;
    sound = add(one.address) && add(one.orcpt) && add(one.vmta) && add(one.queue) && sound;
  }
  std::uint64_t body = 0;
  for (const auto& part : draft.body) body += part.size();
  if (!sound || bytes + body > std::numeric_limits<std::uint32_t>::max()) {
    return fail(Errc::BadInput, "spool: message exceeds a limit");
  }
  return MessageSizes{static_cast<std::uint32_t>(bytes), static_cast<std::uint32_t>(body)};
}

void encode_message(const MessageDraft& draft, MessageSizes sizes, std::span<std::byte> payload) {
  SLUICE_ASSERT(payload.size() == std::size_t{sizes.envelope_bytes} + sizes.body_bytes);
  std::byte* const start = payload.data();
  log::Encoder out(start);
  out.number(draft.id.raw());
  out.number(static_cast<std::uint64_t>(draft.received.time_since_epoch().count()));
  out.number(sizes.envelope_bytes);
  out.number(sizes.body_bytes);
  out.number(draft.flags.bits);
  out.number(static_cast<std::uint32_t>(draft.recipients.size()));
  out.number(static_cast<std::uint16_t>(draft.headers.size()));
  out.number(static_cast<std::uint8_t>(draft.ret));
  out.number(std::uint8_t{0});
  out.number(std::uint32_t{0});  // place of the table, below
  each_string(draft, [&out](std::string_view text) {
    out.text16(text);
    return true;
  });
  if (draft.flags.has(MessageFlags::kScheduled)) out.text16(draft.schedule);
  for (const HeaderField& field : draft.headers) {
    out.text16(field.first);
    out.text16(field.second);
  }
  while (static_cast<std::size_t>(out.at() - start) % kTableEntryBytes != 0) out.number(std::uint8_t{0});
  const auto table = static_cast<std::size_t>(out.at() - start);
  log::store(start + 36, static_cast<std::uint32_t>(table));
  log::Encoder entries(out.at());
  log::Encoder recipients(out.at() + kTableEntryBytes * draft.recipients.size());
  for (const Recipient& one : draft.recipients) {
    entries.number(static_cast<std::uint32_t>(recipients.at() - start));
    recipients.number(one.notify.bits);
    recipients.number(one.priority);
    recipients.text16(one.address);
    recipients.text16(one.orcpt);
    recipients.text16(one.vmta);
    recipients.text16(one.queue);
  }
  SLUICE_ASSERT(recipients.at() == start + sizes.envelope_bytes);
  for (const auto& part : draft.body) recipients.bytes(part);
}

Result<MessageView> MessageView::decode(std::span<const std::byte> payload) {
  log::Decoder in(payload);
  MessageView view;
  view.payload_ = payload;
  view.id = MessageId(in.number<std::uint64_t>());
  view.received = log::stored_time(in.number<std::int64_t>());
  const auto envelope_bytes = in.number<std::uint32_t>();
  const auto body_bytes = in.number<std::uint32_t>();
  view.flags.bits = in.number<std::uint32_t>();
  view.recipient_count_ = in.number<std::uint32_t>();
  view.header_count_ = in.number<std::uint16_t>();
  const auto ret = in.number<std::uint8_t>();
  (void)in.number<std::uint8_t>();
  view.recipient_table_at_ = in.number<std::uint32_t>();
  each_string(view, [&in](std::string_view& text) {
    text = in.text16();
    return true;
  });
  if (view.flags.has(MessageFlags::kScheduled)) view.schedule = in.text16();
  view.headers_at_ = in.at();
  for (std::uint32_t i = 0; in.ok() && i < view.header_count_ * 2; ++i) (void)in.text16();
  const std::size_t table_end =
      view.recipient_table_at_ + kTableEntryBytes * std::size_t{view.recipient_count_};
  const bool sound = in.ok() && ret <= 2 && in.at() <= view.recipient_table_at_ &&
                     table_end <= envelope_bytes &&
                     std::size_t{envelope_bytes} + body_bytes == payload.size();
  if (!sound) return fail(Errc::Corrupt, "message record");
  view.ret = static_cast<DsnReturn>(ret);
  view.body = payload.subspan(envelope_bytes);
  return view;
}

Recipient MessageView::recipient(std::uint32_t index) const {
  SLUICE_ASSERT(index < recipient_count_);
  const auto at = log::load<std::uint32_t>(payload_.data() + recipient_table_at_ + kTableEntryBytes * index);
  const std::size_t envelope_bytes = payload_.size() - body.size();
  if (at > envelope_bytes) return {};
  log::Decoder in(payload_.first(envelope_bytes).subspan(at));
  Recipient out;
  out.notify.bits = in.number<std::uint8_t>();
  out.priority = in.number<std::uint8_t>();
  out.address = in.text16();
  out.orcpt = in.text16();
  out.vmta = in.text16();
  out.queue = in.text16();
  return in.ok() ? out : Recipient{};
}

std::string_view MessageView::string_at(std::size_t& at) const {
  const auto size = log::load<std::uint16_t>(payload_.data() + at);
  const std::string_view text(reinterpret_cast<const char*>(payload_.data() + at + 2), size);
  at += 2u + size;
  return text;
}

}  // namespace sluice::spool
