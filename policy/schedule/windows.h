#pragma once
// Delivery windows: the `x-schedule` header and the `*schedule` variable of mail merge.

#include <cstddef>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/accounting/time_zone.h"
#include "policy/base/units.h"

namespace sluice::schedule {

/// When a recipient may be attempted: from `start` on, before `end`.
struct Window {
  WallTime start{};
  WallTime end{};
  friend bool operator==(const Window&, const Window&) = default;
};

/// What a moment means for a scheduled recipient.
struct Standing {
  enum class Kind : std::uint8_t {
    Open,   ///< attempts are allowed until `until`
    Waits,  ///< the next window opens at `until`
    Over,   ///< no window is left: the recipient bounces, whatever `bounce-after` says
  };
  Kind kind = Kind::Open;
  WallTime until{};
};

/// A list of windows, in order, without overlaps; never empty.
/// Thread: immutable value. Limits: kWindowsMax, kTextBytesMax; times before 1970 and after 2248 become
/// these: "9999-12-31" means for ever, and differences of times have to fit into nanoseconds.
class Windows {
 public:
  static constexpr std::size_t kWindowsMax = 100;
  static constexpr std::size_t kTextBytesMax = 8192;

  /// `START/END, START/END` with times `YYYY-MM-DD HH:MM:SS` as clocks in `zone` show them; blanks (and folds
  /// of a header) may stand around `/` and `,`. Windows that touch or overlap become one; their order is
  /// free. Errors: in words that follow "x-schedule: ", for the injecting client.
  [[nodiscard]] static std::expected<Windows, std::string> parse(std::string_view text,
                                                                 const accounting::TimeZone& zone);
  /// The stored form: "1767600000-1767603600 ..." in seconds since 1970 UTC. A later change of the zone's
  /// rules does not move windows that were accepted.
  [[nodiscard]] std::string encode() const;
  /// nullopt: not what encode() makes.
  [[nodiscard]] static std::optional<Windows> decode(std::string_view stored);

  [[nodiscard]] Standing at(WallTime now) const;
  [[nodiscard]] const std::vector<Window>& list() const { return windows_; }
  friend bool operator==(const Windows&, const Windows&) = default;

 private:
  explicit Windows(std::vector<Window> windows);
  std::vector<Window> windows_;
};

}  // namespace sluice::schedule
