// One file of `pickup` on its way: taken, stored, removed or set aside.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include "engine/injection/pickup.h"
#include "policy/base/assert.h"

namespace sluice::injection {

using net::PickupReader;
using runtime::File;
using runtime::Task;

namespace {

constexpr std::size_t kNameBytesMax = 255;
constexpr runtime::OpenOptions kToRead{.read_only = true, .no_follow = true, .plain_only = true};
constexpr runtime::OpenOptions kToMake{.create = true, .exclusive = true, .mode = 0600};

/// A name among those of files under way, while it lives.
class OwnName {
 public:
  OwnName(std::set<std::string>& names, const std::string& name)
      : names_(names), at_(names.insert(name).first) {}
  OwnName(const OwnName&) = delete;
  OwnName& operator=(const OwnName&) = delete;
  ~OwnName() { names_.erase(at_); }

 private:
  std::set<std::string>& names_;
  std::set<std::string>::iterator at_;
};

/// Of the exception being handled, as far as there is memory for them.
std::string exception_words() noexcept {
  try {
    return "internal error: " + runtime::current_exception_text();
  } catch (...) {
    return "internal error";
  }
}

bool is_same(const runtime::FileState& a, const runtime::FileState& b) {
  return a.identity == b.identity && a.size_bytes == b.size_bytes && a.modified == b.modified;
}

}  // namespace

Task<void> Pickup::take_file(const Entry& entry) {
  // Told from the first moment on, as the directory is being read meanwhile.
  const std::string own = entry.name.starts_with(kTaken) ? entry.name : own_name(kTaken, entry.name);
  const OwnName told(own_names_, own);
  if (std::optional<Taken> file = co_await get(entry, own)) co_await take_messages(*file);
}

Task<std::optional<File>> Pickup::open_at_rest(const std::string& path, const Entry& entry) {
  Result<File> opened = co_await File::open(reactor_, path, kToRead);
  if (!opened) {
    const Error error = opened.error();
    // Its owner took it back, or put something else in its place.
    const bool is_gone =
        error.code == Errc::NotFound || error.code == Errc::BadInput || error.sys_errno == ELOOP;
    if (error.code == Errc::Permission) {
      co_await reject(path, original_name(entry.name), "cannot be read: " + error.text());
    } else if (!is_gone) {
      trouble("cannot open " + path + ": " + error.text());
    }
    co_return std::nullopt;
  }
  const Result<runtime::FileState> now = reactor_.state_of(opened->fd());
  if (!now || !is_same(*now, entry.state)) co_return std::nullopt;  // still being written
  // Where the file system knows no locks (an error), nobody can hold one.
  const Result<bool> locked = reactor_.try_lock(opened->fd());
  if (locked && !*locked) co_return std::nullopt;
  co_return std::optional<File>(std::move(*opened));
}

Task<std::optional<Pickup::Taken>> Pickup::get(const Entry& entry, const std::string& own) {
  Taken out;
  out.name = original_name(entry.name);
  out.path = path_of(entry.name);
  out.state = entry.state;
  std::optional<File> file = co_await open_at_rest(out.path, entry);
  if (!file) co_return std::nullopt;
  out.file = std::move(*file);
  if (entry.state.size_bytes > kFileBytesMax) {
    co_await reject(out.path, out.name, fmt::format("larger than {} bytes", kFileBytesMax));
    co_return std::nullopt;
  }
  if (entry.name != own && !co_await rename_to(out, own)) co_return std::nullopt;
  out.bytes.resize(static_cast<std::size_t>(entry.state.size_bytes));
  const Result<std::size_t> read = co_await out.file.read(std::as_writable_bytes(std::span(out.bytes)), 0);
  const Result<runtime::FileState> now = reactor_.state_of(out.file.fd());
  if (!read || !now) {
    trouble("cannot read " + out.path + ": " + (read ? now.error() : read.error()).text());
    co_return std::nullopt;
  }
  // Written to after all: the next pass's.
  if (*read != out.bytes.size() || !is_same(*now, out.state)) co_return std::nullopt;
  co_return std::optional<Taken>(std::move(out));
}

Task<bool> Pickup::rename_to(Taken& file, const std::string& own) {
  // A name of its own: another file that comes under the same name meanwhile is not removed in its place.
  const std::string to = path_of(own);
  const Status renamed = co_await runtime::rename_file(reactor_, file.path, to);
  bool ours = false;
  if (renamed) {
    changed_ = true;
    file.path = to;
    // What was renamed may be another that was put in the place of the one that is open: the next pass's.
    Result<File> again = co_await File::open(reactor_, to, kToRead);
    const Result<runtime::FileState> state =
        again ? reactor_.state_of(again->fd()) : std::unexpected(again.error());
    ours = state && is_same(*state, file.state);
  } else if (renamed.error().code != Errc::NotFound) {
    trouble("cannot rename files in " + dirs_->dir +
            ", which needs write permission for it: " + renamed.error().text());
  }
  co_return ours;
}

Task<std::expected<std::size_t, std::string>> Pickup::check(const Taken& file, const PickupMail& mail,
                                                            std::optional<net::PickupMessage>& only) {
  PickupReader reader(file.bytes, mail.reader_rules());
  Submission submission;
  std::size_t messages = 0;
  for (;;) {
    const auto step = reader.step();
    if (!step) co_return std::unexpected(fmt::format("line {}: {}", step.error().line, step.error().text));
    if (*step == PickupReader::Step::End) co_return messages;
    if (*step == PickupReader::Step::Message) {
      net::PickupMessage message = reader.take_message();
      ++messages;
      std::optional<std::string> wrong = co_await mail.fault_of(message);
      if (!wrong && reader.is_batch()) {
        // All or nothing: what only storing it would find wrong is looked for before any is stored.
        mail.fill(submission, message);
        submission.text = std::move(message.text);
        if (const auto verdict = intake_.fault_of(submission))
          wrong = fmt::format("{} {}", verdict->code, verdict->text);
        submission.reset();
      }
      if (wrong && reader.is_batch()) wrong = fmt::format("message {}: {}", messages, *wrong);
      if (wrong) co_return std::unexpected(std::move(*wrong));
      if (!reader.is_batch()) only = std::move(message);
    }
    if (reader.is_batch() || *step == PickupReader::Step::More) co_await runtime::yield(reactor_);
  }
}

Task<void> Pickup::take_messages(Taken& file) {
  Fate fate;
  try {
    fate = co_await store_all(file);
  } catch (const std::bad_alloc&) {
    note_exception(file.path);
    full_ = true;
  } catch (...) {  // a library's: the file is one that it cannot read
    note_exception(file.path);
    fate = {Fate::Kind::Refused, exception_words()};
  }
  // What is stored may not be sent again.
  for (;;) {
    try {
      co_await end_file(file, fate);
      co_return;
    } catch (...) {
      note_exception(file.path);
    }
    if (stopping_) co_return;
    co_await runtime::sleep_for(reactor_, kAgain);
  }
}

Task<Pickup::Fate> Pickup::store_all(Taken& file) {
  const PickupMail mail(reactor_, intake_, rules_);
  std::optional<net::PickupMessage> only;  // of a file that is no batch
  const auto checked = co_await check(file, mail, only);
  if (!checked) co_return Fate{Fate::Kind::Refused, checked.error()};
  file.messages = *checked;
  if (only) file.bytes = {};
  PickupReader reader(file.bytes, mail.reader_rules());
  Submission submission;
  while (file.stored < file.messages) {
    if (file.stored > 0 && stopping_) co_return Fate{};
    net::PickupMessage message;
    if (only) {
      message = std::move(*only);
    } else {
      auto step = reader.step();
      for (; step && *step == PickupReader::Step::More; step = reader.step())
        co_await runtime::yield(reactor_);
      SLUICE_ASSERT(step && *step == PickupReader::Step::Message);  // as it was read before
      message = reader.take_message();
    }
    submission.reset();
    submission.text = std::move(message.text);
    PickupReader behind = reader;  // now: once the message is stored nothing may fail
    const Verdict verdict = co_await store(submission, mail, message, file.stored == 0);
    if (verdict.accepted()) {
      ++file.stored;
      file.rest = std::move(behind);
      continue;
    }
    if (verdict.code / 100 == 4) co_return Fate{};  // a later pass's, or the next start's
    std::string why = fmt::format("{} {}", verdict.code, verdict.text);
    if (file.stored > 0)
      why = fmt::format("message {} of {}: {}; those before it were taken", file.stored + 1, file.messages,
                        why);
    co_return Fate{Fate::Kind::Refused, std::move(why)};
  }
  co_return Fate{Fate::Kind::Done};
}

Task<void> Pickup::end_file(Taken& file, const Fate& fate) {
  // An exception may come behind the last one, too.
  if (file.messages > 0 && file.stored == file.messages) co_return co_await finish(file);
  if (file.stored > 0) co_await keep_rest(file, file.rest->rest());
  if (fate.kind == Fate::Kind::Refused) co_await reject(file.path, file.name, fate.why);
}

Task<Verdict> Pickup::store(Submission& submission, const PickupMail& mail, const net::PickupMessage& message,
                            bool is_first) {
  for (;;) {
    mail.fill(submission, message);
    Verdict verdict = co_await intake_.submit(submission);
    if (verdict.accepted() || verdict.code / 100 != 4) co_return verdict;
    trouble(fmt::format("files wait: {} {}", verdict.code, verdict.text));
    full_ = true;
    // Nothing of the file is stored: it can wait like those that nobody has looked at yet.
    if (is_first || stopping_) co_return verdict;
    co_await runtime::sleep_for(reactor_, kAgain);
  }
}

Task<void> Pickup::keep_rest(Taken& file, std::string rest) {
  const std::string own = own_name(kRestOf, file.name);
  const std::string temporary = path_of(own);
  const OwnName told(own_names_, own);
  Status done;
  {
    Result<File> place = co_await File::open(reactor_, temporary, kToMake);
    if (place) {
      done = co_await place->write(std::as_bytes(std::span(rest)), 0);
      if (done) done = co_await place->sync();
    } else {
      done = std::unexpected(place.error());
    }
  }
  if (done) done = co_await runtime::rename_file(reactor_, temporary, file.path);
  const std::size_t stored = file.stored;
  if (done) {
    file.stored = 0;
    done = co_await runtime::sync_directory(reactor_, dirs_->dir);
  } else {
    static_cast<void>(co_await runtime::unlink_file(reactor_, temporary));
  }
  if (!done)
    trouble(fmt::format("{}: its first {} messages are stored and will be sent again: {}", file.path, stored,
                        done.error().text()));
}

Task<void> Pickup::finish(Taken& file) {
  const auto is_changed = [this, &file] {
    const Result<runtime::FileState> now = reactor_.state_of(file.file.fd());
    return now && !is_same(*now, file.state);
  };
  const char* const why = "was written to after it was read: what it held then is sent";
  if (is_changed()) {
    co_await reject(file.path, file.name, why);
    co_return;
  }
  co_await remove(file.path);
  // Whoever has it open may have written between the look and the end of its name.
  if (is_changed() && !stored_.contains(file.path)) co_await reject(file.path, file.name, why, &file.file);
}

Task<void> Pickup::remove(std::string path) {
  const Status gone = co_await runtime::unlink_file(reactor_, path);
  if (gone || gone.error().code == Errc::NotFound) {
    stored_.erase(path);
    changed_ = true;
    co_return;
  }
  // Nothing more is taken before it is gone: a start would send it again.
  trouble(fmt::format("cannot remove {}, whose messages are stored: {}", path, gone.error().text()));
  stored_.insert(std::move(path));
}

Task<void> Pickup::reject(const std::string& path, std::string name, std::string why, File* nameless) {
  std::string to;
  const Status moved = co_await move_away(path, name, to, nameless);
  if (moved) {
    changed_ = true;
    log_(fmt::format("Pickup: {}/{} moved to {}: {}", dirs_->dir, name, to, why));
    co_return;
  }
  trouble(fmt::format("{} cannot be taken ({}) nor be moved to {}: {}", path, why, dirs_->bad,
                      moved.error().text()));
}

Task<Status> Pickup::move_away(const std::string& from, std::string name, std::string& to, File* nameless) {
  if (name.size() > kNameBytesMax - 17) name.resize(kNameBytesMax - 17);
  to = dirs_->bad + '/' + name;
  for (int tries = 0; tries < 3; ++tries) {
    // The name is reserved by an empty file first, so that nothing of somebody else is replaced.
    Result<File> place = co_await File::open(reactor_, to, kToMake);
    if (!place && place.error().code == Errc::Exists) {
      to = dirs_->bad + '/' + name + '.' + random_text();
      continue;
    }
    if (!place) co_return std::unexpected(place.error());
    Status moved;
    if (nameless != nullptr) {
      moved = co_await copy_away(*nameless, *place);
      if (moved) co_return moved;
    } else {
      moved = co_await runtime::rename_file(reactor_, from, to);
      if (moved) co_return co_await runtime::sync_directory(reactor_, dirs_->bad);
    }
    if (nameless == nullptr && moved.error().sys_errno == EXDEV) {
      Result<File> source = co_await File::open(reactor_, from, kToRead);
      if (source) {
        moved = co_await copy_away(*source, *place);
      } else {
        moved = std::unexpected(source.error());
      }
      if (moved) moved = co_await runtime::unlink_file(reactor_, from);
    }
    // Also where only the last step failed: otherwise every pass would add a copy.
    if (!moved) static_cast<void>(co_await runtime::unlink_file(reactor_, to));
    co_return moved;
  }
  co_return fail(Errc::Exists, "open");
}

Task<Status> Pickup::copy_away(File& source, File& place) {
  std::string bytes(256 * kKiB, '\0');
  for (std::uint64_t at = 0;;) {
    const Result<std::size_t> read = co_await source.read(std::as_writable_bytes(std::span(bytes)), at);
    if (!read) co_return std::unexpected(read.error());
    if (*read == 0) break;
    const Status written = co_await place.write(std::as_bytes(std::span(bytes)).first(*read), at);
    if (!written) co_return written;
    at += *read;
  }
  if (const Status synced = co_await place.sync(); !synced) co_return synced;
  // Before the other name goes away: on another file system nothing orders the two.
  co_return co_await runtime::sync_directory(reactor_, dirs_->bad);
}

std::string Pickup::own_name(std::string_view front, std::string_view name) {
  std::string out = std::string(front) + random_text() + '-' + std::string(name);
  if (out.size() > kNameBytesMax) out.resize(kNameBytesMax);
  return out;
}

std::string Pickup::random_text() const { return fmt::format("{:016x}", reactor_.random()); }

std::string Pickup::original_name(const std::string& name) {
  const std::size_t front = kTaken.size() + 17;  // 16 digits and '-'
  return name.starts_with(kTaken) && name.size() > front ? name.substr(front) : name;
}

}  // namespace sluice::injection
