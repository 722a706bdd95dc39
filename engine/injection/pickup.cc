// The directory of `pickup`: which files are taken, and when. What becomes of one: pickup_file.cc.
#include "engine/injection/pickup.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/runtime/boundary.h"
#include "engine/runtime/mailbox.h"
#include "policy/base/assert.h"

namespace sluice::injection {

using runtime::File;
using runtime::Task;

Pickup::LookTimer::LookTimer(Pickup& pickup)
    : Timer([](Timer& timer) { static_cast<LookTimer&>(timer).owner.wakeup_.set(); }), owner(pickup) {}

Pickup::Pickup(runtime::Reactor& reactor, Intake& intake, ShardId control,
               std::function<void(std::string)> log)
    : reactor_(reactor),
      intake_(intake),
      control_(control),
      log_(std::move(log)),
      slots_(reactor, kAtOnce),
      wakeup_(reactor),
      look_(*this) {}

Pickup::~Pickup() { SLUICE_ASSERT(group_.running() == 0 && files_.running() == 0); }

void Pickup::configure() {
  const auto& wanted = intake_.snapshot()->config->globals.pickup;
  wanted_.reset();
  if (wanted) {
    wanted_ = Dirs{wanted->dir, wanted->bad_dir};
    for (std::string* dir : {&wanted_->dir, &wanted_->bad}) {
      while (dir->size() > 1 && dir->ends_with('/')) dir->pop_back();
    }
  }
  wakeup_.set();
  if (started_) return;
  started_ = true;
  group_.spawn(run());
}

Task<void> Pickup::stop() {
  stopping_ = true;
  wakeup_.set();
  co_await group_.join();
}

Task<void> Pickup::run() {
  while (!stopping_) {
    std::optional<Duration> rest = kTroubleAgain;
    try {
      rest = co_await look();
    } catch (...) {
      note_exception("looking for files");
    }
    co_await files_.join();  // an exception may have left them behind
    co_await syncs_.join();
    if (stopping_) break;
    if (dirs_ != wanted_) continue;
    if (rest) reactor_.arm_in(look_, *rest);
    co_await wakeup_.wait();
  }
  reactor_.disarm(look_);
}

Task<std::optional<Duration>> Pickup::look() {
  if (dirs_ != wanted_) {
    dirs_ = wanted_;
    troubles_.clear();
    troubles_before_.clear();
  }
  if (!dirs_) co_return std::nullopt;
  looking_ = Duration{0};
  full_ = false;
  const bool works = co_await pass();
  if (!stopping_ && dirs_ == wanted_) end_troubles();
  // Where looking takes long, it takes at most a quarter of the time.
  co_return works ? std::clamp<Duration>(3 * looking_, kLook, kTroubleAgain) : kTroubleAgain;
}

void Pickup::note_rules() {
  const auto& snapshot = intake_.snapshot();
  if (rules_ && rules_->snapshot == snapshot) return;
  rules_ =
      std::make_shared<const ClientRules>(snapshot, snapshot->config->resolve_named_source("{pickup}"), "");
}

Task<bool> Pickup::pass() {
  if (const auto why = intake_.why_not_accepting()) {
    trouble("files wait: " + std::string(*why));
    co_return true;
  }
  const std::set<std::string> stored = stored_;
  for (const std::string& path : stored) co_await remove(path);
  if (!stored_.empty()) co_return false;
  if (!co_await are_folders_good()) co_return false;
  std::unique_ptr<runtime::DirectoryCursor> cursor = co_await open_directory();
  if (!cursor) co_return false;
  for (bool more = true; more;) {
    const MonoTime asked = reactor_.now();
    auto part = co_await runtime::call_on(reactor_, control_, [&cursor] { return cursor->next(kPartMax); });
    looking_ += reactor_.now() - asked;
    if (!part) trouble("cannot read the directory " + dirs_->dir + ": " + part.error().text());
    if (!part || part->empty()) break;
    more = co_await take_part(std::move(*part));
    // Beside the taking: on a busy disk it may need the time of hundreds of files.
    if (syncs_.running() == 0 && reactor_.now() - synced_ >= kSyncEvery) syncs_.spawn(sync_names());
  }
  co_await runtime::call_on(reactor_, control_, [&cursor] { cursor.reset(); });
  co_await files_.join();
  co_await syncs_.join();
  co_await sync_names();
  co_return !full_;
}

Task<bool> Pickup::are_folders_good() {
  std::optional<runtime::FileState::Identity> first;
  for (const std::string* path : {&dirs_->dir, &dirs_->bad}) {
    Result<File> opened = co_await File::open(reactor_, *path, {.read_only = true});
    const Result<runtime::FileState> state =
        opened ? reactor_.state_of(opened->fd()) : std::unexpected(opened.error());
    if (!state || !state->is_directory) {
      trouble(
          fmt::format("cannot use the folder {}: {}", *path, state ? "it is none" : state.error().text()));
      // Without a place for what is wrong, the rest can be taken still.
      if (!first) co_return false;
    } else if (first == state->identity) {
      trouble(dirs_->dir + " and " + dirs_->bad + " are the same folder");
      co_return false;
    }
    if (state) first = state->identity;
  }
  co_return true;
}

Task<std::unique_ptr<runtime::DirectoryCursor>> Pickup::open_directory() {
  // Looking at names may take a moment, which is not to be this shard's.
  runtime::Mailboxes* const boxes = reactor_.mailboxes();
  const ShardId control = control_;
  const std::string& dir = dirs_->dir;
  auto opened = co_await runtime::call_on(reactor_, control, [&dir, boxes, control] {
    return runtime::reactor_at(*boxes, control).open_directory(dir);
  });
  if (opened) co_return std::move(*opened);
  trouble("cannot read the directory " + dir + ": " + opened.error().text());
  co_return nullptr;
}

bool Pickup::is_candidate(const Entry& entry) {
  const std::string& name = entry.name;
  const bool is_own = name.starts_with(kTaken);
  if (entry.state.is_directory || (!is_own && (name.starts_with('.') || name.ends_with(".tmp"))))
    return false;
  if (!entry.state.is_plain) {
    trouble(path_of(name) + " is a link, a pipe or the like: left alone");
    return false;
  }
  if (entry.state.size_bytes == 0 || own_names_.contains(name)) return false;
  // A time to come is a clock's fault, and no reason to wait for it.
  const auto age = reactor_.wall_now() - entry.state.modified;
  return age >= kRest || age <= -kRest;
}

Task<bool> Pickup::take_part(std::vector<Entry> part) {
  note_rules();
  for (Entry& entry : part) {
    if (entry.name.starts_with(kRestOf) && !own_names_.contains(entry.name)) {
      // A crash came while it was written; the file it was to replace is still there.
      static_cast<void>(co_await runtime::unlink_file(reactor_, path_of(entry.name)));
      continue;
    }
    if (!is_candidate(entry)) continue;
    co_await slots_.take(1);
    if (!goes_on()) {
      slots_.give(1);
      co_return false;
    }
    try {
      files_.spawn(take(std::move(entry)));
    } catch (...) {
      slots_.give(1);
      throw;
    }
  }
  co_return true;
}

Task<void> Pickup::take(Entry entry) {
  // One that is too large is not read.
  const std::uint64_t size = entry.state.size_bytes;
  const std::uint64_t memory = size > kFileBytesMax ? 0 : kMemoryPerByte * size;
  // A later pass finds room.
  if (memory_ + memory <= kMemoryMax && intake_.try_take_memory(memory)) {
    memory_ += memory;
    try {
      co_await take_file(entry);
    } catch (...) {  // nothing of it is stored: it is still there
      note_exception(entry.name);
      full_ = true;
    }
    memory_ -= memory;
    intake_.give_back_memory(memory);
  }
  slots_.give(1);
}

Task<void> Pickup::sync_names() {
  if (!std::exchange(changed_, false)) co_return;
  synced_ = reactor_.now();
  try {
    const Status synced = co_await runtime::sync_directory(reactor_, dirs_->dir);
    if (!synced) trouble("cannot sync the directory " + dirs_->dir + ": " + synced.error().text());
  } catch (...) {
    note_exception("syncing the directory");
    changed_ = true;
  }
}

void Pickup::note_exception(std::string_view what) noexcept {
  runtime::note_contained(reactor_, [this](std::string text) { trouble(std::move(text)); }, what);
}

void Pickup::trouble(std::string text) {
  // A thousand files with the same trouble are not a thousand lines, nor are they again in the next pass.
  if (troubles_.size() >= kTroublesMax) return;
  const auto [at, is_new] = troubles_.insert(std::move(text));
  if (is_new && troubles_before_.size() < kTroublesMax && !troubles_before_.contains(*at))
    log_("Pickup: " + *at);
}

void Pickup::end_troubles() {
  for (const std::string& one : troubles_before_) {
    if (troubles_.size() < kTroublesMax && !troubles_.contains(one)) log_("Pickup: no longer: " + one);
  }
  troubles_before_ = std::exchange(troubles_, {});
}

}  // namespace sluice::injection
