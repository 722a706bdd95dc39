#pragma once
// A message as the spool takes it (MessageDraft), as it lies on disk (MessageView) and as it is remembered
// (StoredMessage). Bytes on disk: FORMAT.md.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "engine/spool/job.h"
#include "policy/base/result.h"
#include "policy/base/units.h"

namespace sluice::spool {

/// RFC 3461 RET=. Stored as numbers: never renumber.
enum class DsnReturn : std::uint8_t { Unset = 0, Full = 1, Headers = 2 };

/// RFC 3461 NOTIFY=, a set of bits. No bit: the parameter was not given. Stored: never renumber.
struct DsnNotify {
  static constexpr std::uint8_t kNever = 1, kSuccess = 2, kFailure = 4, kDelay = 8;
  std::uint8_t bits = 0;
  friend constexpr bool operator==(DsnNotify, DsnNotify) = default;
};

/// What delivery has to know of a stored body without looking at it. Stored: never renumber.
struct MessageFlags {
  static constexpr std::uint32_t kEightBit = 1;    ///< has bytes above 127 (BODY=8BITMIME)
  static constexpr std::uint32_t kDotLines = 2;    ///< has lines that begin with a dot: DATA needs stuffing
  static constexpr std::uint32_t kSmtpUtf8 = 4;    ///< RFC 6531: envelope or headers need SMTPUTF8
  static constexpr std::uint32_t kBinary = 8;      ///< BODY=BINARYMIME
  static constexpr std::uint32_t kScheduled = 16;  ///< has delivery windows (MessageDraft::schedule)
  static constexpr std::uint32_t kVerp = 32;       ///< the sender is made for each recipient (verp-default)
  static constexpr std::uint32_t kDateAtDelivery =
      64;  ///< add a Date header when it is sent (date-header-time)
  static constexpr std::uint32_t kNameVirtualMta = 128;  ///< add X-Virtual-MTA when it is sent
  static constexpr std::uint32_t kCopy = 256;            ///< for bcc-upon-delivery: makes no copy itself
  static constexpr std::uint32_t kNoReports = 512;       ///< its sender gets none (suppress-local-dsn)
  static constexpr std::uint32_t kReport = 1024;         ///< is a report to a sender
  static constexpr std::uint32_t kNotifyDelay = 2048;    ///< some recipient has NOTIFY=DELAY
  std::uint32_t bits = 0;
  [[nodiscard]] constexpr bool has(std::uint32_t bit) const { return (bits & bit) != 0; }
  friend constexpr bool operator==(MessageFlags, MessageFlags) = default;
};

/// One recipient of a draft or of a stored message.
struct Recipient {
  std::string_view address;  ///< "user@domain", without angle brackets
  std::string_view orcpt;    ///< RFC 3461 ORCPT as received, with its type ("rfc822;user@domain")
  std::string_view vmta;     ///< empty: the message's
  std::string_view queue;    ///< "domain/vmta" the recipient first enters; may be empty
  DsnNotify notify;
  std::uint8_t priority = 50;  ///< recipient-priority, 0 .. 100
};

using HeaderField = std::pair<std::string_view, std::string_view>;

/// A message to be stored. All views are borrowed until append() has answered.
/// Limits: every string at most kStringBytesMax, recipients at most kRecipientsMax, headers at most
///         kHeadersMax (append answers BadInput beyond).
struct MessageDraft {
  static constexpr std::size_t kStringBytesMax = 65'535;
  static constexpr std::size_t kRecipientsMax = 1'000'000;
  static constexpr std::size_t kHeadersMax = 256;

  MessageId id;  ///< from Spool::next_id(); it may already stand in the body's Received header
  WallTime received{};
  std::string_view orig;    ///< MAIL FROM; empty for the null sender
  std::string_view env_id;  ///< RFC 3461 ENVID
  DsnReturn ret = DsnReturn::Unset;
  std::string_view vmta, vmta_pool, job_id;
  std::string_view src_type, src_mta;
  std::string_view rcv_smtp_user, rcv_source_ip, rcv_destination_ip;
  /// schedule::Windows::encode(); kept when `flags` has kScheduled, which stands for its being there.
  std::string_view schedule;
  std::span<const HeaderField> headers;  ///< those that accounting asks for
  std::span<const Recipient> recipients;
  MessageFlags flags;
  std::span<const std::span<const std::byte>> body;  ///< the stored form, in pieces; copied once
  /// false (sync-msg-create no): answered as soon as it is in memory; a crash may lose it.
  bool wait_until_durable = true;
};

/// A stored message, decoded in place: nothing is copied.
/// Thread: any, as long as the bytes stay. Lifetime: views the bytes it was made from.
class MessageView {
 public:
  /// Reads the payload of a message record. Errors: Corrupt. Every length is checked; recipients when they
  /// are asked for (a message of a million recipients is opened a million times).
  [[nodiscard]] static Result<MessageView> decode(std::span<const std::byte> payload);

  MessageId id;
  WallTime received{};
  std::string_view orig, env_id;
  DsnReturn ret = DsnReturn::Unset;
  std::string_view vmta, vmta_pool, job_id, src_type, src_mta, rcv_smtp_user, rcv_source_ip,
      rcv_destination_ip;
  std::string_view schedule;  ///< empty without kScheduled
  MessageFlags flags;
  std::span<const std::byte> body;

  [[nodiscard]] std::uint32_t recipient_count() const { return recipient_count_; }
  /// Requires index < recipient_count(). O(1). Bytes that make no sense answer an empty address.
  [[nodiscard]] Recipient recipient(std::uint32_t index) const;
  [[nodiscard]] std::uint32_t header_count() const { return header_count_; }
  /// Calls `visit(HeaderField)` for each stored header, in order.
  template <class F>
  void for_each_header(F&& visit) const {
    std::size_t at = headers_at_;
    for (std::uint32_t i = 0; i < header_count_; ++i) {
      const std::string_view name = string_at(at);
      const std::string_view value = string_at(at);
      visit(HeaderField{name, value});
    }
  }

 private:
  [[nodiscard]] std::string_view string_at(std::size_t& at) const;
  std::span<const std::byte> payload_;
  std::size_t headers_at_ = 0;
  std::size_t recipient_table_at_ = 0;
  std::uint32_t header_count_ = 0;
  std::uint32_t recipient_count_ = 0;
};

/// Where a message record lies: what the journal remembers so that recovery needs no body.
/// `directory_shard` names the shard directory (shard-NNNN), which is the writer's number, not always the
/// home's: the directories of shards that no longer exist are adopted.
struct MessagePlace {
  std::uint32_t directory_shard = 0;
  std::uint32_t segment = 0;  ///< number in the log, never used twice in a directory
  std::uint32_t offset = 0;   ///< bytes, of the record in the segment file
  std::uint32_t envelope_bytes = 0;
  std::uint32_t body_bytes = 0;
  friend bool operator==(const MessagePlace&, const MessagePlace&) = default;
};

/// What memory keeps of a stored message: 56 bytes. Owned by its home shard's Spool, which frees it when the
/// endings of all its recipients are durable. Thread: id(), home(), received(), sizes and flags may be read
/// on any shard by whoever holds an unended recipient of
///         it; outstanding() belongs to the home shard.
class StoredMessage {
 public:
  [[nodiscard]] MessageId id() const { return id_; }
  [[nodiscard]] ShardId home() const { return ShardId(home_); }
  [[nodiscard]] WallTime received() const { return received_; }
  [[nodiscard]] std::uint32_t envelope_bytes() const { return envelope_bytes_; }
  [[nodiscard]] std::uint32_t body_bytes() const { return body_bytes_; }
  /// Those that are wanted without the stored message: kScheduled, kVerp, kReport, kNotifyDelay.
  [[nodiscard]] MessageFlags flags() const {
    return MessageFlags{(flags_ & 0x3fU) | ((flags_ & kReportKept) != 0 ? MessageFlags::kReport : 0U) |
                        ((flags_ & kDelayKept) != 0 ? MessageFlags::kNotifyDelay : 0U)};
  }
  /// Null: it belongs to none.
  [[nodiscard]] const Job* job() const { return job_; }
  [[nodiscard]] std::uint32_t outstanding() const { return outstanding_; }

 private:
  friend class Spool;
  friend class MessageReader;
  friend class MessageSlab;
  friend class SpoolCore;
  static constexpr std::uint32_t kReportKept = 0x80, kDelayKept = 0x40;
  /// Memory has a byte for flags.
  void keep(MessageFlags flags) {
    const std::uint32_t report = flags.has(MessageFlags::kReport) ? kReportKept : 0;
    const std::uint32_t delay = flags.has(MessageFlags::kNotifyDelay) ? kDelayKept : 0;
    flags_ = static_cast<std::uint8_t>((flags.bits & 0x3fU) | report | delay);
  }
  MessageId id_;
  /// Slot of the segment, offset and commit buffer in one word (place_word.h): relocation changes them
  /// together.
  std::atomic<std::uint64_t> where_{0};
  WallTime received_{};
  std::uint32_t envelope_bytes_ = 0;
  std::uint32_t body_bytes_ = 0;
  std::uint32_t outstanding_ = 0;
  std::uint16_t home_ = 0;
  std::uint8_t flags_ = 0;
  std::uint8_t state_ = 0;
  Job* job_ = nullptr;
  StoredMessage* next_free_ = nullptr;
};
static_assert(sizeof(StoredMessage) <= 56);

}  // namespace sluice::spool
