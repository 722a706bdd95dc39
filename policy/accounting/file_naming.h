#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sluice::accounting {

/// Day and number of one accounting file, NNNN beginning anew every day.
struct FileId {
  std::chrono::local_days day{};
  std::uint32_t number = 0;
  friend auto operator<=>(const FileId&, const FileId&) = default;
};

/// The names of one `<acct-file /var/log/sluice/acct.csv>`: acct-2019-02-08-0000.csv in /var/log/sluice.
/// Pure value. Requires a path with a name behind its last slash.
class FileNaming {
 public:
  explicit FileNaming(std::string_view path);
  [[nodiscard]] const std::string& directory() const { return directory_; }  ///< "." when the path has none
  /// Four digits at least; number 10000 takes five.
  [[nodiscard]] std::string name_of(const FileId& id) const;
  [[nodiscard]] std::string path_of(const FileId& id) const { return directory_ + '/' + name_of(id); }
  /// nullopt: not a name of ours.
  [[nodiscard]] std::optional<FileId> parse(std::string_view name) const;

 private:
  std::string directory_;
  std::string stem_;       // "acct"
  std::string extension_;  // ".csv", or empty
};

}  // namespace sluice::accounting
