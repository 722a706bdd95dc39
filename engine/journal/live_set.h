#pragma once
// What is live, computed from events. Pure: recovery and checkpoints are the same function of the logs.
//
// A recipient is live when its received event was seen and its ending was not. Both facts, and the number of
// attempts, may arrive in any order and any number of times (several journals are read one after the other; a
// checkpoint and the journal behind it may overlap), so each of them only ever moves forward: received: no ->
// yes, ended: no -> yes, attempts: the largest wins and brings its times along. The order of reading
// therefore does not matter.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/journal/event.h"
#include "engine/journal/event_codec.h"
#include "engine/journal/journal.h"
#include "engine/spool/message.h"

namespace sluice::journal {

/// Every text once. Thread: one. Lifetime: views live as long as it.
class Names {
 public:
  Names();
  [[nodiscard]] std::uint32_t intern(std::string_view text);
  /// A text that hardly comes twice: kept without looking for it.
  [[nodiscard]] std::string_view keep(std::string_view text);
  [[nodiscard]] std::string_view text(std::uint32_t id) const { return texts_[id]; }

 private:
  std::vector<std::unique_ptr<char[]>> blocks_;
  std::size_t block_left_ = 0;
  char* block_at_ = nullptr;
  std::vector<std::string_view> texts_;
  std::unordered_map<std::string_view, std::uint32_t> ids_;
};

/// The last received event a directory's messages have: everything before it in the message log has one.
struct ReceivedMark {
  std::uint32_t segment = 0;
  std::uint32_t offset = 0;
  std::uint32_t recipient = 0;
  friend auto operator<=>(const ReceivedMark&, const ReceivedMark&) = default;
};

/// Thread: one. Limits: memory for what is live, about 200 bytes a recipient, plus names; the addresses of those that
/// ended while it read stay until its end.
class LiveSet {
 public:
  static constexpr std::uint32_t kNone = 0xffff'ffff;
  /// Messages with more recipients have them found by a table instead of by a walk.
  static constexpr std::uint32_t kWalkMax = 16;

  struct Message {
    MessageId id;
    WallTime received{};
    spool::MessagePlace place;
    std::uint32_t flags = 0;
    std::uint32_t recipient_count = 0;
    std::uint32_t job = 0;        ///< Names; the empty one: none
    std::uint32_t source = 0;     ///< Names; where it came from, packed; the empty one: not known
    std::string_view orig;        ///< with a source
    std::string_view env_id;
    std::uint32_t first = kNone;  ///< first of its recipients here, or next on the free list
    std::uint32_t live = 0;       ///< recipients received and not ended
    bool used = false;
    bool known = false;  ///< a received event was seen: place and the rest are set
  };
  struct Recipient {
    std::uint32_t index = 0;
    std::uint32_t next = kNone;
    std::uint32_t prev = kNone;
    std::uint32_t domain = 0, vmta = 0, queue = 0;  ///< Names
    std::uint32_t orcpt = 0;                        ///< Names
    std::string_view rcpt;                          ///< empty: a checkpoint of an older version did not say
    std::uint32_t attempts = 0;
    WallTime next_due{};
    WallTime first_attempt{};
    std::uint8_t priority = 50;
    std::uint8_t shut_attempts = 0;
    bool received = false;
    bool ended = false;
  };

  void apply(const Event& event);
  void apply(const MovedRecord& moved);
  void apply(const StateRecord& state);
  /// The message log of `directory_shard` up to the mark has all its received events.
  void raise_mark(std::uint32_t directory_shard, ReceivedMark mark);
  [[nodiscard]] ReceivedMark mark(std::uint32_t directory_shard) const;
  [[nodiscard]] const std::map<std::uint32_t, ReceivedMark>& marks() const { return marks_; }

  /// From here on every recipient with a received event is remembered, live or not (8 bytes each): what a
  /// damaged stretch of journal has swallowed is what is in the spool and was not seen.
  void remember_received() { remember_received_ = true; }
  [[nodiscard]] bool remembers(MessageId id, std::uint32_t index) const {
    return received_.contains(fingerprint(id, index));
  }

  [[nodiscard]] const Message* find(MessageId id) const;
  /// nullptr: nothing is known of it (never received, or received and ended).
  [[nodiscard]] const Recipient* find(MessageId id, std::uint32_t index) const;
  /// Adds to `event`, which says message and recipient, what its final record names them by: rcpt, orig, jobId and the
  /// rest of what is known since reception. False: nothing is known, nothing is changed. The views are this object's.
  [[nodiscard]] bool name(Event& event) const;
  /// Endings without a received event: nobody will miss them any more. At the end of recovery.
  void drop_early_endings();
  /// The message and its recipients are gone.
  void drop(MessageId id);

  [[nodiscard]] std::span<const Message> messages() const { return messages_; }  ///< skip those not used
  [[nodiscard]] const Recipient& recipient(std::uint32_t at) const { return recipients_[at]; }
  [[nodiscard]] const Names& names() const { return names_; }
  [[nodiscard]] std::uint64_t live_messages() const { return live_messages_; }
  [[nodiscard]] std::uint64_t live_recipients() const { return live_recipients_; }
  struct State {
    WallTime time{};
    std::string value;
  };
  [[nodiscard]] const std::map<std::string, State, std::less<>>& states() const { return states_; }

  // For checkpoints.
  [[nodiscard]] static std::size_t encoded_bytes(const LiveSet& set, const Message& message);
  static void encode(const LiveSet& set, const Message& message, std::span<std::byte> out);
  [[nodiscard]] Status apply_checkpointed(std::span<const std::byte> payload);

 private:
  // Two recipients of ten million share one with a chance of about 1 in 400,000.
  [[nodiscard]] static std::uint64_t fingerprint(MessageId id, std::uint32_t index) {
    return id.raw() ^ (std::uint64_t{index} * 0x9e37'79b9'7f4a'7c15u);
  }
  Message& message_for(MessageId id);
  [[nodiscard]] std::uint32_t position_of(const Message& message, std::uint32_t index) const;
  std::uint32_t recipient_for(Message& message, std::uint32_t index);
  void settle(Message& message, std::uint32_t at);
  void unlink(Message& message, std::uint32_t at);
  [[nodiscard]] std::uint64_t table_key(const Message& message, std::uint32_t index) const;
  void learn_names(Message& message, const Event& event);
  void learn(Message& message, WallTime received, const spool::MessagePlace& place, std::uint32_t flags,
             std::uint32_t recipient_count);
  void free_message(Message& message);
  static void merge_attempts(Recipient& into, std::uint32_t attempts, std::uint8_t shut_attempts,
                             WallTime next_due, WallTime first_attempt);

  Names names_;
  std::vector<Message> messages_;
  std::vector<Recipient> recipients_;
  std::uint32_t free_messages_ = kNone;
  std::uint32_t free_recipients_ = kNone;
  std::unordered_map<std::uint64_t, std::uint32_t> by_id_;
  std::unordered_map<std::uint64_t, std::uint32_t> tables_;  // message's place in messages_ << 32 | index
  std::map<std::uint32_t, ReceivedMark> marks_;
  std::map<std::string, State, std::less<>> states_;
  std::unordered_set<std::uint64_t> received_;
  bool remember_received_ = false;
  std::uint64_t live_messages_ = 0;
  std::uint64_t live_recipients_ = 0;
};

/// The domain of an address, lower case; empty when it has none.
[[nodiscard]] std::string domain_of(std::string_view address);

}  // namespace sluice::journal
