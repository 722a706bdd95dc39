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
