#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::bench {

/// Reads SMTP replies that come in any pieces.
/// Thread: one. Limits: kTextMax bytes of a reply's last line are kept; a line of more than kLineMax breaks the reader.
class ReplyReader {
 public:
  static constexpr std::size_t kTextMax = 512;
  static constexpr std::size_t kLineMax = 16384;

  /// Calls `take(code, text)` for every reply `bytes` complete; `text` is the last line. False: this is not SMTP.
  template <class Take>
  [[nodiscard]] bool feed(std::string_view bytes, Take&& take) {
    while (!bytes.empty()) {
      const std::size_t lf = bytes.find('\n');
      if (lf == std::string_view::npos || !line_.empty()) {
        const std::size_t part = lf == std::string_view::npos ? bytes.size() : lf + 1;
        if (line_.size() + part > kLineMax) return false;
        line_ += bytes.substr(0, part);
        bytes.remove_prefix(part);
        if (lf == std::string_view::npos) return true;
        std::string line;
        line.swap(line_);
        if (!one_line(line, take)) return false;
      } else {
        if (!one_line(bytes.substr(0, lf + 1), take)) return false;
        bytes.remove_prefix(lf + 1);
      }
    }
    return true;
  }

 private:
  template <class Take>
  bool one_line(std::string_view line, Take& take) {
    while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() < 3) return false;
    unsigned code = 0;
    for (std::size_t i = 0; i < 3; ++i) {
      if (line[i] < '0' || line[i] > '9') return false;
      code = code * 10 + static_cast<unsigned>(line[i] - '0');
    }
    if (line.size() > 3 && line[3] == '-') return true;
    take(code, line.substr(0, kTextMax));
    return true;
  }
  std::string line_;
};

}  // namespace sluice::bench
