#include "bench/lib/ledger.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "policy/base/assert.h"

namespace sluice::bench {
namespace {

void append_number(std::uint64_t number, int base, std::string& to) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof(digits), number, base).ptr;
  to.append(digits, static_cast<std::size_t>(end - digits));
  to += '\t';
}

void append_text(std::string_view text, std::string& to) {
  if (text.empty()) to += '-';
  const std::size_t start = to.size();
  to += text;
  for (std::size_t i = start; i < to.size(); ++i) {
    const auto c = static_cast<unsigned char>(to[i]);
    if (c < 0x20 || c == 0x7f) to[i] = '?';
  }
  to += '\t';
}

bool read_number(std::string_view text, int base, std::uint64_t& into) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), into, base);
  return error == std::errc() && stop == text.data() + text.size();
}

// Fields of a line by place. Every kind has the same number, so that awk and cut need to know one layout.
constexpr std::size_t kFields = 11;

}  // namespace

void append_ledger_line(const LedgerLine& line, std::string& to) {
  to += static_cast<char>(line.kind);
  to += '\t';
  append_number(line.time_us, 10, to);
  append_number(line.session, 10, to);
  append_text(line.provider, to);
  append_text(line.source, to);
  append_text(line.message, to);
  append_text(line.recipients, to);
  const bool ended = line.kind == LedgerKind::Ended;
  to += ended ? static_cast<char>(line.farewell) : static_cast<char>(line.certainty);
  to += '\t';
  append_number(line.body_bytes, 10, to);
  append_number(line.body_hash, 16, to);
  append_text(line.reply, to);
  to.back() = '\n';
}

std::optional<LedgerLine> parse_ledger_line(std::string_view text) {
  std::array<std::string_view, kFields> fields;
  for (std::size_t i = 0; i < kFields; ++i) {
    const std::size_t tab = text.find('\t');
    if ((tab == std::string_view::npos) != (i + 1 == kFields)) return std::nullopt;
    fields[i] = text.substr(0, tab);
    if (i + 1 < kFields) text.remove_prefix(tab + 1);
  }
  if (fields[0].size() != 1 || fields[7].size() != 1) return std::nullopt;
  LedgerLine line;
  line.kind = static_cast<LedgerKind>(fields[0].front());
  if (std::string_view("IARCE").find(fields[0].front()) == std::string_view::npos) return std::nullopt;
  const bool ended = line.kind == LedgerKind::Ended;
  const std::string_view marks = ended ? "qlcs" : "adu";
  if (marks.find(fields[7].front()) == std::string_view::npos) return std::nullopt;
  if (ended) {
    line.farewell = static_cast<Farewell>(fields[7].front());
  } else {
    line.certainty = static_cast<Certainty>(fields[7].front());
  }
  if (!read_number(fields[1], 10, line.time_us) || !read_number(fields[2], 10, line.session) ||
      !read_number(fields[8], 10, line.body_bytes) || !read_number(fields[9], 16, line.body_hash)) {
    return std::nullopt;
  }
  line.provider = fields[3];
  line.source = fields[4];
  line.message = fields[5];
  line.recipients = fields[6];
  line.reply = fields[10];
  return line;
}

Result<std::unique_ptr<LedgerFile>> LedgerFile::create(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return fail_errno(errno, "ledger.create");
  std::unique_ptr<LedgerFile> file(new LedgerFile(fd));
  const Status mapped = file->map_next();
  if (!mapped) return std::unexpected(mapped.error());
  return file;
}

LedgerFile::~LedgerFile() {
  const std::uint64_t length = chunk_start_ + used_;
  if (chunk_ != nullptr) ::munmap(chunk_, kChunkBytes);
  // Should this fail, the file only keeps NUL bytes at its end.
  [[maybe_unused]] const int cut = ::ftruncate(fd_, static_cast<off_t>(length));
  ::close(fd_);
}

Status LedgerFile::map_next() {
  const std::uint64_t start = chunk_ == nullptr ? chunk_start_ : chunk_start_ + kChunkBytes;
  const int error = ::posix_fallocate(fd_, static_cast<off_t>(start), static_cast<off_t>(kChunkBytes));
  if (error != 0) return fail_errno(error, "ledger.allocate");
  void* memory =
      ::mmap(nullptr, kChunkBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, static_cast<off_t>(start));
  if (memory == MAP_FAILED) return fail_errno(errno, "ledger.map");
  if (chunk_ != nullptr) ::munmap(chunk_, kChunkBytes);
  chunk_ = static_cast<char*>(memory);
  chunk_start_ = start;
  used_ = 0;
  return {};
}

void LedgerFile::append(std::string_view text) {
  SLUICE_ASSERT(text.size() <= kLineBytesMax);
  while (!text.empty()) {
    if (used_ == kChunkBytes && !map_next()) {
      ++lost_;
      return;
    }
    const std::size_t part = std::min(text.size(), kChunkBytes - used_);
    std::memcpy(chunk_ + used_, text.data(), part);
    used_ += part;
    text.remove_prefix(part);
  }
}

}  // namespace sluice::bench
