#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bench/lib/ledger.h"
#include "bench/lib/values.h"

namespace sluice::bench {

/// What counts as one thing that was injected and has to end once.
enum class AuditKey : std::uint8_t {
  MessageAndRecipient,  ///< needs message ids in accounting (header_Message-ID in record-fields)
  Recipient,            ///< enough when addresses are unique, as sluice-load's are
};

struct AuditOptions {
  AuditKey key = AuditKey::Recipient;
  /// A second copy is excused when the first one's connection was lost so soon after it: the reply may not have been
  /// seen, or its record not been written (kill -9).
  Duration excuse_window = 5s;
  bool have_received = true;  ///< sink ledgers are there; otherwise accounting's word is taken for delivery
  bool have_accounting = false;
  /// How many recipients are queued when nobody can list them: so many that are nowhere else are taken as queued.
  std::optional<std::uint64_t> queued_count;
};

/// A kind of broken promise.
enum class Violation : std::uint8_t {
  Lost,                  ///< accepted, and now nowhere
  DuplicateNoCause,      ///< received twice though the first reply reached the sender
  TwoEndings,            ///< more than one final record in accounting
  DeliveredNotReceived,  ///< accounting says delivered, the sink knows nothing
  NotAccounted,          ///< received or gone, without a final record and not queued
  BouncedButReceived,    ///< both a bounce and an answered delivery
  QueuedAfterEnd,        ///< still queued though it has a final record
  BodyChanged,           ///< the body received is not the body injected
  RefusedButReceived,    ///< refused at injection and delivered all the same
  ReceivedNotInjected,   ///< an id of one of the injected runs that was never injected
};
inline constexpr std::size_t kViolations = 10;
[[nodiscard]] std::string_view name_of(Violation violation);

struct AuditFigures {
  std::uint64_t accepted = 0;  ///< recipients with a 250
  std::uint64_t unknown = 0;   ///< recipients whose injection's reply never came
  std::uint64_t refused = 0;
  std::uint64_t delivered =
      0;                      ///< of the accepted: received (or accounted as delivered, without sink ledgers)
  std::uint64_t bounced = 0;  ///< of the accepted: final record b and not received
  std::uint64_t queued = 0;   ///< of the accepted: neither, but in the queue listing
  std::uint64_t unknown_arrived = 0;     ///< of the unknown: received, bounced or queued
  std::uint64_t duplicates = 0;          ///< copies beyond the first
  std::uint64_t duplicates_dropped = 0;  ///< of those: the sink had closed without a reply
  std::uint64_t duplicates_lost = 0;     ///< of those: the connection was lost just after
  std::uint64_t foreign = 0;             ///< received, of no injected run
  std::uint64_t records_delivered = 0;   ///< d records in accounting
  std::uint64_t records_bounced = 0;
  std::uint64_t records_transient = 0;
  std::uint64_t records_received = 0;
  std::uint64_t bad_lines = 0;  ///< of ledgers, not readable
  std::uint64_t ambiguous = 0;  ///< keys that more than one injection has
  std::uint64_t violations[kViolations] = {};
  [[nodiscard]] std::uint64_t violations_in_all() const;
};

/// One broken promise, for the list.
struct Finding {
  Violation violation = Violation::Lost;
  std::string message;
  std::string recipient;
  std::string detail;
};

/// Holds what was promised against what happened.
/// Use: take_injected() for all ledgers of sluice-load, then the others in any order, then finish() once.
/// Thread: one. Limits: about 150 bytes of memory for each recipient and name; of kFindingsMax findings the text is
///         kept, all are counted.
class Audit {
 public:
  static constexpr std::size_t kFindingsMax = 100;
  explicit Audit(AuditOptions options) : options_(options) {}

  /// One line without LF of a ledger of sluice-load.
  void take_injected(std::string_view line);
  /// One line of the sink's ledger number `ledger` (session numbers are unique in one sink's run).
  void take_received(std::string_view line, std::uint32_t run);
  /// One accounting record: its type (d, b, t, r), recipient, and message id if there is one.
  void take_record(char type, std::string_view recipient, std::string_view message);
  /// One queued recipient.
  void take_queued(std::string_view recipient, std::string_view message);
  void finish();

  [[nodiscard]] const AuditFigures& figures() const { return figures_; }
  [[nodiscard]] const std::vector<Finding>& findings() const { return findings_; }

 private:
  enum class Promise : std::uint8_t { None, Accepted, Unknown, Refused };
  struct Copy {
    std::uint64_t time_us = 0;
    std::uint64_t session = 0;  // with the sink's run in its upper bits
    Certainty certainty = Certainty::Answered;
  };
  struct Entry {
    std::uint64_t body_hash = 0;
    std::uint32_t name = 0;  // place of the text in names_
    Promise promise = Promise::None;
    std::uint8_t copies = 0;
    std::uint8_t delivered = 0;  // d records
    std::uint8_t bounced = 0;    // b records
    bool queued = false;
    bool body_changed = false;
    bool doubled = false;  // more than one injection
    Copy first;
  };
  [[nodiscard]] std::uint64_t key_of(std::string_view message, std::string_view recipient) const;
  Entry& entry(std::string_view message, std::string_view recipient);
  [[nodiscard]] std::uint32_t keep_name(std::string_view message, std::string_view recipient);
  void judge(const Entry& entry);
  void judge_promised(const Entry& entry);
  void judge_accounting(const Entry& entry);
  void take_queued_count();
  [[nodiscard]] bool seen(const Entry& entry) const {
    return options_.have_received ? entry.copies > 0 : entry.delivered > 0;
  }
  void judge_extra_copies(std::uint64_t key, const Entry& entry);
  [[nodiscard]] bool excused(const Copy& earlier, bool& by_drop) const;
  void find(Violation violation, const Entry& entry, std::string detail);

  AuditOptions options_;
  AuditFigures figures_;
  std::vector<Finding> findings_;
  std::unordered_map<std::uint64_t, Entry> entries_;
  std::unordered_map<std::uint64_t, std::vector<Copy>> more_copies_;  // beyond the first, by key
  std::unordered_map<std::uint64_t, std::uint64_t> lost_sessions_;    // session -> end in us
  std::unordered_map<std::string, bool> runs_;                        // names of injected runs
  std::string names_;
};

}  // namespace sluice::bench
