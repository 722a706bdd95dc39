#include "bench/audit/ledger_reader.h"

#include <cerrno>

namespace sluice::bench {

namespace {
constexpr std::size_t kPieceBytes = 1024 * 1024;
}

Result<LineReader> LineReader::open(const std::string& path) {
  LineReader out;
  out.file_.reset(std::fopen(path.c_str(), "re"));
  if (!out.file_) return fail_errno(errno, "open");
  return out;
}

bool LineReader::fill() {
  buffer_.erase(0, used_);
  used_ = 0;
  const std::size_t before = buffer_.size();
  buffer_.resize(before + kPieceBytes);
  const std::size_t got = std::fread(buffer_.data() + before, 1, kPieceBytes, file_.get());
  buffer_.resize(before + got);
  if (got == 0 && std::ferror(file_.get()) != 0) failed_ = true;
  return got > 0;
}

std::optional<std::string_view> LineReader::next() {
  for (;;) {
    const std::size_t end = buffer_.find('\n', used_);
    if (end != std::string::npos) {
      const std::string_view line = std::string_view(buffer_).substr(used_, end - used_);
      used_ = end + 1;
      return line;
    }
    if (used_ < buffer_.size() && buffer_[used_] == '\0') return std::nullopt;
    if (!fill()) return std::nullopt;
  }
}

std::string_view LineReader::next_piece() {
  used_ = buffer_.size();
  if (!fill()) return {};
  return buffer_;
}

}  // namespace sluice::bench
