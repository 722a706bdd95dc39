#pragma once

#include <chrono>
#include <string_view>

#include "engine/journal/event.h"
#include "engine/spool/message.h"
#include "policy/base/units.h"

namespace sluice::delivery {

/// An ending, or a delay, that its sender is told of by mail.
struct Reported {
  const journal::Event& event;  ///< Delivered, Bounced, or Transient for a delay; complete
  const spool::MessageView& message;
  spool::StoredMessage& stored;            ///< whose recipient it is
  bool plain_text = false;                 ///< `dsn-format plain-text`
  Duration retry_after{}, bounce_after{};  ///< of the queue, for the templates
};

/// Takes over endings that are reported: the event is appended to the journal, and the recipient released
/// with it, when the report is stored. So a crash in between finds the recipient unended: its attempt is
/// repeated, and no report is lost. Delays are in nobody's journal: a crash can take their report away.
/// Thread: one shard.
class ReportSink {
 public:
  /// False: nothing more is to be delivered for now. What is under way may still be added.
  [[nodiscard]] virtual bool has_room() const = 0;
  /// Everything in `one` but `stored` is borrowed during the call. An exception of what makes the report is not the
  /// caller's: the recipient ends without one.
  virtual void add(const Reported& one) = 0;
  /// A report to `address` has ended itself.
  virtual void report_ended(std::string_view address) = 0;

 protected:
  ~ReportSink() = default;
};

}  // namespace sluice::delivery
