#include "engine/delivery/local/file.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "net/mime/local_form.h"

namespace sluice::delivery {
namespace {

EnhancedStatus status_of(const Error& error) {
  switch (error.code) {
    case Errc::NoSpace: return {4, 3, 1};
    case Errc::NotFound:
    case Errc::Permission: return {4, 3, 5};
    case Errc::Timeout: return {4, 2, 0};
    default: return {4, 3, 0};
  }
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

std::uint32_t mark_of(std::string_view text) {
  std::uint32_t hash = 2166136261;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619;
  return hash;
}

}  // namespace

FileWorker::FileWorker(Dispatcher& dispatcher, queue::Queue& queue)
    : LocalWorker(dispatcher, queue), per_recipient_(local::has_macro(settings_->file_destination)) {
  const auto& names = snapshot_->config->globals.host_name;
  host_mark_ =
      fmt::format("{:08x}", mark_of(names.empty() ? std::string_view() : std::string_view(names.front())));
}

std::string FileWorker::file_name(const queue::Item& item) const {
  return fmt::format("{:016x}-{}-{}", item.message->id().raw(), item.recipient, host_mark_);
}

bool FileWorker::may_go_on() {
  const bool turn_is_over = delivered_ >= kInTurn && dispatcher_.is_file_wanted();
  return !turn_is_over && LocalWorker::may_go_on();
}

runtime::Task<LocalWorker::Step> FileWorker::deliver(queue::Batch& items, const spool::MessageView& message) {
  ++delivered_;
  queue::Item*& item = items.front();
  if (settings_->file_destination.empty()) {
    trouble_.failure = {{4, 3, 5}, "type file without file-destination"};
    co_return Step::QueueFailed;
  }
  const Sent sent = sent_to(*item, message);
  const local::MacroValues values = macros_for(*item, message, sent.sender);
  std::string path = local::fill_path(settings_->file_destination, values);
  std::string text;
  Status written;
  if (settings_->file_format == config::FileFormat::AppendMbox) {
    net::append_mbox_entry(text, sent.sender, values.ctime, sent.text);
    written = co_await append(path, std::move(text));
  } else {
    if (settings_->file_format == config::FileFormat::NewfilePickup) {
      const net::PickupEnvelope envelope{.sender = sent.sender,
                                         .receiver = message.recipient(item->recipient).address,
                                         .env_id = message.env_id,
                                         .job_id = message.job_id};
      net::append_pickup_message(text, envelope, sent.text);
    } else {
      net::append_local_message(text, sent.sender, sent.text);
    }
    std::string name = file_name(*item);
    written = co_await add_file(path, std::move(name), std::move(text));
  }
  if (written) {
    dispatcher_.settler().count_message();
    delivered(item, message, "x-unix;stored in " + one_line(path, 300));
    co_return Step::Done;
  }
  const Error& error = written.error();
  Failure failure{status_of(error), "x-unix;" + error.text() + ": " + one_line(path, 300)};
  if (error.sys_errno == ENAMETOOLONG && per_recipient_) {
    failure.status = {5, 1, 3};  // no later attempt makes the address shorter
    bounced(item, message, failure);
    co_return Step::Done;
  }
  if (per_recipient_ && error.code != Errc::NoSpace) {
    deferred(item, message, failure);
    co_return Step::Done;
  }
  trouble_.failure = std::move(failure);
  co_return Step::QueueFailed;
}

runtime::Task<Status> FileWorker::add_file(std::string directory, std::string name, std::string text) {
  if (!directory.ends_with('/')) directory += '/';
  const std::string temporary = directory + name + ".tmp";
  {
    // A file of that name is left over from an attempt that a crash cut short.
    const runtime::OpenOptions options{.create = true, .truncate = true};
    Result<runtime::File> file = co_await runtime::File::open(reactor_, temporary, options);
    if (!file) co_return std::unexpected(file.error());
    Status written = co_await file->write(std::as_bytes(std::span(text)), 0);
    if (written) written = co_await file->sync();
    if (!written) {
      (void)co_await runtime::unlink_file(reactor_, temporary);
      co_return written;
    }
  }
  const Status renamed = co_await runtime::rename_file(reactor_, temporary, directory + name + ".msg");
  if (!renamed) co_return renamed;
  co_return co_await runtime::sync_directory(reactor_, directory);
}

runtime::Task<Status> FileWorker::append(std::string path, std::string entry) {
  // Where a stranger's address is part of the name, a link that somebody put there is not followed.
  const runtime::OpenOptions options{.create = true, .no_follow = per_recipient_, .mode = 0600};
  Result<runtime::File> file = co_await runtime::File::open(reactor_, path, options);
  if (!file) co_return std::unexpected(file.error());
  const Status locked = co_await file->lock(kLockMax);
  if (!locked) co_return locked;
  co_return co_await append_locked(*file, std::move(path), std::move(entry));
}

runtime::Task<Status> FileWorker::append_locked(runtime::File& file, std::string path, std::string entry) {
  const Result<std::uint64_t> size = reactor_.size_of(file.fd());
  if (!size) co_return std::unexpected(size.error());
  if (*size > 0) {
    // A crash, or another program, may have left the last entry without its end.
    std::array<std::byte, 2> end{std::byte{'\n'}, std::byte{'\n'}};
    const std::uint64_t from = *size - std::min<std::uint64_t>(*size, end.size());
    const Result<std::size_t> read = co_await file.read(end, from);
    if (!read) co_return std::unexpected(read.error());
    if (end[*read - 1] != std::byte{'\n'}) {
      entry.insert(0, "\n\n");
    } else if (end[0] != std::byte{'\n'}) {
      entry.insert(0, "\n");
    }
  }
  Status written = co_await file.write(std::as_bytes(std::span(entry)), *size);
  if (written) {
    written = co_await file.sync();
    if (!written && written.error().sys_errno == EINVAL) written = {};  // a device such as /dev/null
  }
  if (!written) {
    (void)co_await file.truncate(*size);
    co_return written;
  }
  if (*size == 0) co_return co_await runtime::sync_directory(reactor_, folder_of(path));
  co_return Status();
}

}  // namespace sluice::delivery
