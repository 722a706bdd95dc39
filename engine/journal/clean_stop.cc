#include "engine/journal/clean_stop.h"

#include <charconv>

#include "engine/log/format.h"
#include "engine/runtime/file.h"

namespace sluice::journal {
namespace {

constexpr std::string_view kTitle = "sluice-clean-stop 1\n";
constexpr std::size_t kBytesMax = 256 * kKiB;

std::string path_in(const std::string& root) { return root + "/clean-stop"; }

std::string sum_of(std::string_view text) {
  return std::to_string(log::checksum(std::as_bytes(std::span(text)), log::SegmentSeed{}));
}

/// The value of the next line, which has to be "KEY VALUE".
std::optional<std::string_view> take(std::string_view& text, std::string_view key) {
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos || !text.starts_with(key) || text.size() <= key.size() ||
      text[key.size()] != ' ')
    return std::nullopt;
  const std::string_view value = text.substr(key.size() + 1, end - key.size() - 1);
  text.remove_prefix(end + 1);
  return value;
}

template <class N>
bool read(std::optional<std::string_view> from, N& into) {
  if (!from) return false;
  const auto [at, error] = std::from_chars(from->data(), from->data() + from->size(), into);
  return error == std::errc() && at == from->data() + from->size();
}

bool read(std::optional<std::string_view> from, JournalCursor& into) {
  const auto cursor = from ? JournalCursor::parse(*from) : std::nullopt;
  if (cursor) into = *cursor;
  return cursor.has_value();
}

}  // namespace

std::string CleanStop::text() const {
  std::string out(kTitle);
  out += "incarnation " + std::to_string(incarnation) + "\ncheckpoint " + std::to_string(checkpoint) +
         "\nmessages " + std::to_string(messages) + "\njournals " + journals.text() + "\naccounting " +
         std::to_string(accounting) + "\naccounted " + accounted.text() + '\n';
  return out + "sum " + sum_of(out) + '\n';
}

std::optional<CleanStop> CleanStop::parse(std::string_view text) {
  const std::size_t sum = text.rfind("sum ");
  if (sum == std::string_view::npos || text.substr(sum) != "sum " + sum_of(text.substr(0, sum)) + '\n' ||
      !text.starts_with(kTitle)) {
    return std::nullopt;
  }
  text.remove_prefix(kTitle.size());
  CleanStop out;
  const bool good =
      read(take(text, "incarnation"), out.incarnation) && read(take(text, "checkpoint"), out.checkpoint) &&
      read(take(text, "messages"), out.messages) && read(take(text, "journals"), out.journals) &&
      read(take(text, "accounting"), out.accounting) && read(take(text, "accounted"), out.accounted);
  return good ? std::optional(std::move(out)) : std::nullopt;
}

runtime::Task<Result<std::optional<CleanStop>>> read_clean_stop(runtime::Reactor& reactor, std::string root) {
  const Result<std::string> text = co_await runtime::read_small_file(reactor, path_in(root), kBytesMax);
  if (text) co_return CleanStop::parse(*text);
  if (text.error().code == Errc::NotFound) co_return std::optional<CleanStop>();
  co_return std::unexpected(text.error());
}

runtime::Task<Status> write_clean_stop(runtime::Reactor& reactor, std::string root, CleanStop mark) {
  co_return co_await runtime::replace_file(reactor, path_in(root), mark.text());
}

runtime::Task<Status> remove_clean_stop(runtime::Reactor& reactor, std::string root) {
  const Status gone = co_await runtime::unlink_file(reactor, path_in(root));
  if (!gone && gone.error().code != Errc::NotFound) co_return gone;
  co_return co_await runtime::sync_directory(reactor, root);
}

}  // namespace sluice::journal
