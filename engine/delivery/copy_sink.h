#pragma once

#include <string>

namespace sluice::delivery {

/// A delivered message on its way to `bcc-upon-delivery`.
struct Copy {
  std::string to;
  std::string sender;  ///< of the delivery
  std::string env_id;
  std::string vmta;  ///< that it went by
  std::string text;  ///< what was sent, CRLF line ends
  bool eight_bit = false;
  bool smtp_utf8 = false;
  bool has_dot_lines = false;
};

/// Takes copies of what was delivered. Thread: one shard.
class CopySink {
 public:
  /// False: nothing more is to be delivered from queues with `bcc-upon-delivery` for now. What is under way
  /// may still be added.
  [[nodiscard]] virtual bool has_room() const = 0;
  /// Throws nothing: the delivery counts whatever becomes of the copy.
  virtual void add(Copy copy) noexcept = 0;
  /// Catches for a copy to `to` that could not be made.
  virtual void left_out(const std::string& to) noexcept = 0;

 protected:
  ~CopySink() = default;
};

}  // namespace sluice::delivery
