#include "engine/shard/command_texts.h"

#include <fmt/format.h>

#include <charconv>
#include <ctime>

namespace sluice::shard {

std::string local_time(WallTime time) {
  const std::time_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
  std::tm local{};
  ::localtime_r(&seconds, &local);
  char buffer[32];
  return {buffer, std::strftime(buffer, sizeof buffer, "%Y-%m-%d %H:%M:%S", &local)};
}

std::uint64_t kilobytes(std::uint64_t bytes) { return (bytes + 1023) / 1024; }

std::string kbytes_text(std::uint64_t bytes) {
  return fmt::format("{:.1f}", static_cast<double>(bytes) / 1024);
}

std::string one_line(std::string_view text) {
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    if (c == '\n') {
      out += " | ";
    } else {
      out += c < 0x20 || c == 0x7f ? ' ' : text[i];
    }
  }
  return out;
}

std::size_t max_items(const control::Command& command, std::size_t usual) {
  const auto given = command.option("maxitems");
  std::size_t value = usual;
  if (given) std::from_chars(given->data(), given->data() + given->size(), value);
  return value;
}

std::string clock_text(Duration time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time).count();
  return fmt::format("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

}  // namespace sluice::shard
