#pragma once
// What queues do about replies that push back: modes, disabled source addresses, adaptive pace.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/delivery/settler.h"
#include "engine/queue/queue.h"
#include "engine/queue/snapshot.h"
#include "policy/backoff/reply_verdict.h"

namespace sluice::delivery {

class Dispatcher;

/// A refusal, and where it was heard.
struct Heard {
  RefusalPhase phase;
  const SmtpReply& reply;
  const HopFacts& hop;
  std::string_view source_host;     ///< what we said in EHLO
  std::optional<IpAddress> source;  ///< bound address; empty: the system chose one
};

/// A message for people an operator named (`backoff-notify`, `disabled-source-ip-notify`).
struct Notice {
  std::vector<std::string> to;
  std::string subject;
  std::string text;  ///< lines, without the last line end
};

/// Applies what replies, commands and time do to the mode and the source addresses of queues. Decisions are
/// those of policy/backoff; this remembers them for the next start, notes them for operators and tells the
/// Dispatcher. Thread:   one shard. Lifetime: the dispatcher outlives it. Durable:  changes are in the
/// journal like outcomes: the last 2 ms before a crash may be forgotten.
class QueueModes {
 public:
  /// Stands for "the system chooses" among disabled addresses.
  static const IpAddress kAnyAddress;

  explicit QueueModes(Dispatcher& dispatcher) : dispatcher_(dispatcher) {}
  QueueModes(const QueueModes&) = delete;
  QueueModes& operator=(const QueueModes&) = delete;

  using Notify = std::function<void(Notice)>;
  using Log = std::function<void(std::string)>;
  void set_listeners(Notify notify, Log log);

  /// A queue has come to be: what the last process left behind about it.
  void recall(queue::Queue& queue, queue::Remembered& remembered);
  /// A configuration has come into force, for this queue too.
  void forget_rules() { inline_rules_.clear(); }
  void apply_settings(queue::Queue& queue);

  /// The receiver refused something. Applies the rules to the queue and answers what is left for the
  /// connection.
  ReplyVerdict on_refusal(queue::Queue& queue, const Heard& heard);
  void on_delivered(queue::Queue& queue, const SmtpReply& reply);
  /// Recipients are about to be attempted.
  static void count(queue::Queue& queue, MonoTime now, std::size_t recipients) {
    if (queue.pacing) queue.pacing->count(now, static_cast<std::uint32_t>(recipients));
  }
  /// Ends what has had its time. Asked at every look at the queue.
  void on_time(queue::Queue& queue);
  [[nodiscard]] static std::optional<MonoTime> next_time(const queue::Queue& queue);
  /// A queue that is not as new must not be forgotten while it is empty.
  [[nodiscard]] static bool must_stay(const queue::Queue& queue) {
    return queue.mode.in_backoff() || !queue.shut.empty() || (queue.pacing && queue.pacing->limit());
  }
  /// Recipients have a limited number of attempts now (smtp-retries-after-shutoff).
  [[nodiscard]] static bool is_shut_off(const queue::Queue& queue) {
    return queue.mode.in_backoff() || queue.all_shut;
  }
  [[nodiscard]] static bool is_shut(const queue::Queue& queue, const std::optional<IpAddress>& source) {
    return !queue.shut.empty() && queue.shut.contains(source.value_or(kAnyAddress));
  }
  /// Where the mail of this queue goes instead: a virtual MTA or a pool; empty: nowhere.
  [[nodiscard]] static std::string_view reroute_target(const queue::Queue& queue);

  /// Writes a line to the server's log.
  void log(std::string line) const {
    if (log_) log_(std::move(line));
  }

  // --- Commands.
  void set_mode(queue::Queue& queue, config::QueueMode mode);
  /// False: the address is not one of the queue's virtual MTA, or there are too many.
  bool disable_source(queue::Queue& queue, const IpAddress& source, std::optional<Duration> reenable_after);
  bool enable_source(queue::Queue& queue, const IpAddress& source);

  /// `source` cannot be bound: it is not an address of this host. It is disabled for kGoneFor, after which it is
  /// tried again. False: too many are disabled already.
  static constexpr Duration kGoneFor = std::chrono::minutes{1};
  bool source_is_gone(queue::Queue& queue, const IpAddress& source);

 private:
  [[nodiscard]] ReplyActions find_actions(const queue::Queue& queue, std::string_view reply);
  [[nodiscard]] const ReplyRules& inline_rules(const queue::Queue& queue);
  void enter_backoff(queue::Queue& queue, ModeState::Entry entry);
  void mode_changed(queue::Queue& queue);
  void shut_changed(queue::Queue& queue, std::string event);
  void pace_changed(queue::Queue& queue);
  void recheck_sources(queue::Queue& queue);
  void disable(queue::Queue& queue, const IpAddress& source, std::optional<Duration> time,
               std::string_view why);
  void notify(const std::vector<std::string>& to, std::string subject, std::string text);

  Dispatcher& dispatcher_;
  Notify notify_;
  Log log_;
  std::vector<std::pair<IpAddress, MonoTime>> gone_;  // source addresses the log has been told of, until when
  // Compiled when first asked for: few queues have any, and settings exist once per distinct chain of blocks.
  std::unordered_map<const config::DomainSettings*, std::unique_ptr<const ReplyRules>> inline_rules_;
};

}  // namespace sluice::delivery
