#pragma once
// Source addresses a queue does not use for now.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/base/ip_address.h"
#include "policy/base/units.h"

namespace sluice {

/// The disabled source addresses of one queue: by a reply rule or by command, until a time or for ever.
/// A value: no clock, no I/O. Limits: kSourcesMax; more are not taken (a queue has as many as its virtual
/// MTA). Cost: linear in the number of disabled addresses, which is 0 nearly always.
class ShutSources {
 public:
  static constexpr std::size_t kSourcesMax = 256;
  static constexpr std::size_t kReasonBytesMax = 160;
  struct Entry {
    IpAddress address;
    std::optional<MonoTime> until;  ///< empty: until a command enables it
    std::string reason;
  };

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  [[nodiscard]] bool contains(const IpAddress& address) const;

  /// True when it was not disabled before. Disabled already: the later end counts.
  bool disable(const IpAddress& address, std::optional<MonoTime> until, std::string_view reason);
  /// True when it was disabled.
  bool enable(const IpAddress& address);
  /// Takes out and answers the addresses whose time has come.
  [[nodiscard]] std::vector<IpAddress> take_due(MonoTime now);
  [[nodiscard]] std::optional<MonoTime> next_time() const;

  /// Lines for the next start, empty when nothing is disabled; and back. Damaged lines are left out.
  [[nodiscard]] std::string encode(MonoTime now, WallTime wall_now) const;
  [[nodiscard]] static ShutSources decode(std::string_view text, MonoTime now, WallTime wall_now);

 private:
  std::vector<Entry> entries_;
};

}  // namespace sluice
