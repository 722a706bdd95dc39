#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "policy/base/ip_address.h"

namespace sluice::delivery {

/// Takes a line of the main log. Thread: the shard's.
using LogLine = std::function<void(std::string)>;

/// What `log-connections`, `log-commands` and `log-data` of a `<source>` or a `<domain>` say about one
/// session, each line with the session's number in front: "( 20) >>> MAIL FROM:<a@b>". `>>>` came from the
/// other side, `<<<` went to it, in both directions of mail; data as hex and ASCII. Thread:   one shard.
/// Lifetime: `line` outlives it; an empty one turns everything off. Limits:   kDataBytesMax of a piece of
/// data are shown, kTextBytesMax of a line. What it costs while nothing is
///           asked for: adding up the bytes of each read and write.
class SessionLog {
 public:
  static constexpr std::size_t kDataBytesMax = 64 * 1024;
  static constexpr std::size_t kTextBytesMax = 1000;

  struct Wishes {
    bool connections = false;
    bool commands = false;
    bool data = false;
  };
  SessionLog(const LogLine& line, std::uint64_t number, Wishes wishes);

  [[nodiscard]] bool connections() const { return connections_; }
  /// What comes in, or goes out, has to be told apart into commands and data.
  [[nodiscard]] bool wants_parts() const { return commands_ || data_; }
  /// A line whatever was asked for; without a log nothing.
  void say(std::string_view text) const;
  void connected(const Endpoint& from) const;
  /// `with`: what was connected to; the counts begin anew.
  void closed(std::string_view with);
  void received(std::span<const std::byte> bytes, bool is_data);
  void sent(std::span<const std::byte> bytes, bool is_data);

  /// "[192.0.2.1]:25".
  [[nodiscard]] static std::string bracketed(const Endpoint& endpoint);

 private:
  void say_lines(std::string_view arrow, std::string_view text, std::string& rest) const;
  void dump(std::span<const std::byte> bytes) const;
  const LogLine& line_;
  std::uint64_t number_;
  bool connections_;
  bool commands_;
  bool data_;
  std::uint64_t in_bytes_ = 0;
  std::uint64_t out_bytes_ = 0;
  std::string in_rest_;  // a line whose end has not come yet
  std::string out_rest_;
};

}  // namespace sluice::delivery
