#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "policy/base/ip_address.h"
#include "policy/settings/source_settings.h"

namespace sluice::injection {

/// Takes a line of the main log. Thread: the shard's.
using LogLine = std::function<void(std::string)>;

/// What `log-connections`, `log-commands` and `log-data` of a `<source>` say about one session, each line
/// with the session's number in front: "( 20) >>> MAIL FROM:<a@b>". `>>>` came from the client, `<<<` went to
/// it; data as hex and ASCII. Thread: one shard. Limits: kDataBytesMax of a piece of data are shown,
/// kTextBytesMax of a line.
class SessionLog {
 public:
  static constexpr std::size_t kDataBytesMax = 64 * 1024;
  static constexpr std::size_t kTextBytesMax = 1000;

  SessionLog(const LogLine& line, std::uint64_t number, const config::SourceSettings& rules);
  [[nodiscard]] bool wants_input() const { return commands_ || data_; }
  void connected(const Endpoint& client) const;
  void closed(const Endpoint& client) const;
  void received(std::span<const std::byte> bytes, bool is_data);
  void sent(std::span<const std::byte> bytes);

 private:
  void say(std::string_view text) const;
  void say_lines(std::string_view arrow, std::string_view text, std::string& rest) const;
  void dump(std::span<const std::byte> bytes) const;
  const LogLine& line_;
  std::string prefix_;
  bool connections_;
  bool commands_;
  bool data_;
  std::uint64_t in_bytes_ = 0;
  std::uint64_t out_bytes_ = 0;
  std::string in_rest_;  // a line whose end has not come yet
  std::string out_rest_;
};

}  // namespace sluice::injection
