#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/load_plan.h"
#include "policy/base/units.h"

namespace sluice::bench {

/// One message to inject. The shared part of its body is not copied: it lies in the maker.
struct LoadMessage {
  std::uint64_t number = 0;
  std::string id;  ///< without angle brackets
  std::vector<std::string> recipients;
  std::string head;         ///< header, empty line and the body's first line, which is this message's own
  std::string_view middle;  ///< into the maker
  std::string_view tail;    ///< into the maker; fills up to the size
  std::uint64_t body_bytes = 0;  ///< behind the empty line
  std::uint64_t body_hash = 0;
  [[nodiscard]] std::size_t bytes() const { return head.size() + middle.size() + tail.size(); }
};

/// Makes messages that look like newsletters and whose every property follows from the plan, its seed and a number.
/// No line begins with a dot, none is longer than 78 bytes, every one ends with CR LF.
/// Thread: one. Lifetime: borrows the plan; messages borrow the maker.
class MessageMaker {
 public:
  explicit MessageMaker(const LoadPlan& plan);
  [[nodiscard]] LoadMessage make(std::uint64_t number, WallTime now);

 private:
  void add_recipients(LoadMessage& message, std::uint64_t draw) const;
  void fill_body(LoadMessage& message, std::uint64_t bytes) const;
  [[nodiscard]] const std::string& date_of(WallTime now);

  const LoadPlan& plan_;
  std::string text_;    // whole lines of kLineBytes
  std::string filler_;  // one line's end
  std::string date_;
  std::int64_t date_second_ = -1;
};

}  // namespace sluice::bench
