#include "engine/shard/spool_places.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace sluice::shard {
namespace {

using runtime::Task;
template <class T>
using Answer = std::expected<T, std::string>;

constexpr std::size_t kSmallFileMax = 256 * kKiB;
constexpr std::uint32_t kDirectoryMode = 0750;
constexpr Duration kLockWait = 5s;  // a process that was killed gives its files back a moment later
constexpr std::string_view kMainPlace = "0";

std::string id_path(const std::string& spool) { return spool + "/spool-id"; }
std::string list_path(const std::string& spool) { return spool + "/spools"; }

/// What a spool says of itself.
struct SpoolId {
  std::string server;  ///< of all spools of one server
  std::string place;   ///< of this spool alone; kMainPlace in the one with the journals
};

/// "FIRST REST"
std::pair<std::string, std::string> in_two(std::string_view line) {
  const std::size_t blank = std::min(line.find(' '), line.size());
  return {std::string(line.substr(0, blank)), std::string(line.substr(std::min(blank + 1, line.size())))};
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) out.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

struct Holds {
  bool messages = false;
  bool journals = false;
};
/// What cannot be looked into may hold anything; what does not exist holds nothing.
Holds look_into(runtime::Reactor& reactor, const std::string& spool) {
  const auto shards = reactor.list_directory(spool);
  if (!shards) return {.messages = shards.error().code != Errc::NotFound, .journals = false};
  Holds out;
  for (const runtime::DirectoryEntry& shard : *shards) {
    if (!shard.is_directory || !shard.name.starts_with("shard-")) continue;
    const auto files = reactor.list_directory(spool + '/' + shard.name);
    if (!files) {
      out.messages = true;
      continue;
    }
    for (const runtime::DirectoryEntry& file : *files) {
      out.messages = out.messages || log::segment_file_number(log::Role::Messages, file.name).has_value();
      out.journals = out.journals || log::segment_file_number(log::Role::Events, file.name).has_value();
    }
  }
  return out;
}

class Settling {
 public:
  Settling(runtime::Reactor& reactor, std::vector<config::Spool> spools, std::uint64_t usual_min_free_bytes)
      : reactor_(reactor), spools_(std::move(spools)), usual_min_free_bytes_(usual_min_free_bytes) {}

  Task<Answer<SpoolPlaces>> run() {
    if (spools_.empty()) co_return std::unexpected(std::string("no spool directory is configured"));
    Answer<void> done = co_await find_main();
    if (done) done = co_await settle_main();
    for (const config::Spool& one : spools_) {
      if (done && one.dir != out_.main) done = co_await settle_other(one.dir);
    }
    for (const auto& [place, dir] : listed_) {
      if (done && !seen_.contains(place)) done = co_await settle_left_out(place, dir);
    }
    // Before a segment can be made in any of them.
    if (done) done = co_await write_list();
    if (!done) co_return std::unexpected(done.error());
    for (const config::Spool& one : spools_) {
      log::SegmentPlace& place = out_.places.emplace_back();
      place.directory = one.dir;
      place.priority = one.priority;
      place.min_free_disk_bytes = one.min_free_space ? one.min_free_space->raw() : usual_min_free_bytes_;
      place.closed = one.deliver_only;
      place.keep_none = one.delete_file_holders;
    }
    co_return std::move(out_);
  }

 private:
  /// nullopt: there is none.
  Task<Answer<std::optional<std::string>>> read(std::string path) {
    Result<std::string> text = co_await runtime::read_small_file(reactor_, path, kSmallFileMax);
    if (text) co_return std::optional(std::move(*text));
    if (text.error().code == Errc::NotFound) co_return std::optional<std::string>();
    co_return std::unexpected("cannot read " + path + ": " + text.error().text());
  }

  Task<Answer<std::optional<SpoolId>>> read_id(std::string dir) {
    const Answer<std::optional<std::string>> text = co_await read(id_path(dir));
    if (!text) co_return std::unexpected(text.error());
    if (!*text) co_return std::optional<SpoolId>();
    const std::vector<std::string> lines = lines_of(**text);
    const auto [server, place] = in_two(lines.empty() ? std::string_view() : std::string_view(lines.front()));
    if (server.empty() || place.empty()) {
      co_return std::unexpected(id_path(dir) +
                                " is damaged. Put it back from a copy, or remove it: the next start makes a new "
                                "one, or says which spool it misses");
    }
    co_return std::optional(SpoolId{server, place});
  }

  Task<Answer<void>> write(std::string path, std::string text) {
    const Status written = co_await runtime::replace_file(reactor_, path, std::move(text));
    if (!written) co_return std::unexpected("cannot write " + path + ": " + written.error().text());
    co_return Answer<void>();
  }

  Task<Answer<void>> write_id(std::string dir, SpoolId id) {
    const Status made = reactor_.make_directories(dir, kDirectoryMode);
    if (!made)
      co_return std::unexpected("cannot make the spool directory " + dir + ": " + made.error().text());
    // Its name has to last too. Where it was there before, its parents may be closed to us: no matter.
    for (std::size_t slash = dir.rfind('/'); slash != std::string::npos && slash != 0;
         slash = dir.rfind('/', slash - 1)) {
      std::string parent = dir.substr(0, slash);
      (void)co_await runtime::sync_directory(reactor_, std::move(parent));
    }
    co_return co_await write(id_path(dir), id.server + ' ' + id.place + '\n');
  }

  Task<Answer<void>> lock(std::string dir) {
    Result<runtime::File> file = co_await runtime::File::open(reactor_, id_path(dir), {.read_only = true});
    if (!file) co_return std::unexpected("cannot open " + id_path(dir) + ": " + file.error().text());
    const Status locked = co_await file->lock(kLockWait);
    if (!locked && locked.error().code == Errc::Timeout) {
      co_return std::unexpected("another sluiced is running with the spool " + dir);
    }
    if (!locked) co_return std::unexpected("cannot lock " + id_path(dir) + ": " + locked.error().text());
    out_.locks.push_back(std::move(*file));
    co_return Answer<void>();
  }

  /// The spool that was the main one before, else the first that may take mail.
  Task<Answer<void>> find_main() {
    std::vector<std::string> mains;
    std::vector<std::string> servers;
    for (const config::Spool& one : spools_) {
      const Answer<std::optional<SpoolId>> id = co_await read_id(one.dir);
      if (!id) co_return std::unexpected(id.error());
      // A spool that was used before there were ids has none.
      const bool is_main = *id ? (*id)->place == kMainPlace : look_into(reactor_, one.dir).journals;
      if (!is_main) continue;
      mains.push_back(one.dir);
      servers.push_back(*id ? (*id)->server : std::string());
    }
    if (mains.size() > 1) {
      const bool same = !servers[0].empty() && servers[0] == servers[1];
      co_return std::unexpected(
          "the spools " + mains[0] + " and " + mains[1] +
          (same ? " are the same directory, or one is a copy of the other"
                : " both hold the journal of a server, so one of them is another server's; "
                  "run a sluiced for each"));
    }
    const auto open = std::ranges::find(spools_, false, &config::Spool::deliver_only);
    out_.main = !mains.empty() ? mains.front() : open != spools_.end() ? open->dir : spools_.front().dir;
    co_return Answer<void>();
  }

  Task<Answer<void>> settle_main() {
    const Answer<std::optional<SpoolId>> id = co_await read_id(out_.main);
    if (!id) co_return std::unexpected(id.error());
    if (*id && (*id)->place != kMainPlace) {
      co_return std::unexpected("the spool " + out_.main +
                                " holds mail of a server whose journal is in another spool, "
                                "which is not in the configuration or not mounted; put it back");
    }
    if (*id) {
      server_ = (*id)->server;
    } else {
      // A spool that was used before without its journal would be begun anew, and its mail lost.
      for (const config::Spool& one : spools_) {
        const Answer<std::optional<SpoolId>> other = co_await read_id(one.dir);
        if (!other) co_return std::unexpected(other.error());
        if (!*other) continue;
        co_return std::unexpected("the spool " + one.dir +
                                  " holds mail of a server whose journal is in another "
                                  "spool; is the disk of " +
                                  out_.main + " mounted?");
      }
      server_ = fmt::format("{:016x}{:016x}", reactor_.random(), reactor_.random());
      SpoolId made{server_, std::string(kMainPlace)};
      Answer<void> written = co_await write_id(out_.main, std::move(made));
      if (!written) co_return written;
    }
    seen_.emplace(kMainPlace, out_.main);
    Answer<void> locked = co_await lock(out_.main);
    if (!locked) co_return locked;
    const Answer<std::optional<std::string>> list = co_await read(list_path(out_.main));
    if (!list) co_return std::unexpected(list.error());
    list_before_ = list->value_or("");
    for (const std::string& line : lines_of(list_before_)) listed_.push_back(in_two(line));
    co_return Answer<void>();
  }

  /// Another spool than the main one: ours, or empty and to be ours.
  Task<Answer<void>> settle_other(std::string dir) {
    const Answer<std::optional<SpoolId>> found = co_await read_id(dir);
    if (!found) co_return std::unexpected(found.error());
    std::string place;
    if (*found) {
      place = (*found)->place;
      if ((*found)->server != server_) {
        co_return std::unexpected("the spool " + dir + " belongs to another server than " + out_.main +
                                  " does; run a sluiced of its own for it");
      }
      const auto before = seen_.find(place);
      if (before != seen_.end()) {
        co_return std::unexpected("the spools " + before->second + " and " + dir +
                                  " are the same directory, or one is a copy of the other");
      }
    } else {
      const auto listed = std::ranges::find(listed_, dir, &std::pair<std::string, std::string>::second);
      if (listed != listed_.end()) {
        co_return std::unexpected("the spool " + dir +
                                  " was in use and is empty now: is its disk mounted? To give up "
                                  "the mail in it, take its line out of " +
                                  list_path(out_.main));
      }
      if (look_into(reactor_, dir).messages) {
        co_return std::unexpected("the spool " + dir +
                                  " holds mail, but not of the server whose journal is in " + out_.main);
      }
      place = fmt::format("{:016x}", reactor_.random() | 1);  // never the main one's
      SpoolId made{server_, place};
      Answer<void> written = co_await write_id(dir, std::move(made));
      if (!written) co_return written;
    }
    out_.others.push_back(dir);
    list_ += place + ' ' + dir + '\n';
    seen_.emplace(std::move(place), dir);
    co_return co_await lock(dir);
  }

  /// One that was used before and is not in the configuration.
  Task<Answer<void>> settle_left_out(std::string place, std::string dir) {
    const Answer<std::optional<SpoolId>> found = co_await read_id(dir);
    if (!found) co_return std::unexpected(found.error());
    const bool is_there = *found && (*found)->server == server_ && (*found)->place == place;
    if (is_there && !look_into(reactor_, dir).messages) {
      out_.notes.push_back("The spool " + dir + " is empty and used no more");
      co_return Answer<void>();
    }
    co_return std::unexpected("the spool " + dir + (is_there ? " still holds mail" : " may still hold mail") +
                              " and is not in the configuration; put back\n  <spool " + dir +
                              ">\n    deliver-only yes\n  </spool>\n" +
                              (is_there ? "until it is empty" : "and mount its disk") +
                              ", or take its line out of " + list_path(out_.main) + " to give that mail up");
  }

  Task<Answer<void>> write_list() {
    if (list_ == list_before_) co_return Answer<void>();
    co_return co_await write(list_path(out_.main), list_);
  }

  runtime::Reactor& reactor_;
  const std::vector<config::Spool> spools_;
  const std::uint64_t usual_min_free_bytes_;
  std::string server_;
  std::string list_before_;
  std::vector<std::pair<std::string, std::string>> listed_;  // place, directory at the last start
  std::map<std::string, std::string> seen_;                  // place, directory now
  std::string list_;
  SpoolPlaces out_;
};

}  // namespace

Task<Answer<SpoolPlaces>> settle_spools(runtime::Reactor& reactor, std::vector<config::Spool> spools,
                                        std::uint64_t usual_min_free_bytes) {
  Settling settling(reactor, std::move(spools), usual_min_free_bytes);
  co_return co_await settling.run();
}

std::optional<std::string> mail_left_behind(runtime::Reactor& reactor, const SpoolPlaces& now,
                                            const std::vector<config::Spool>& next) {
  for (const log::SegmentPlace& one : now.places) {
    const std::string& dir = one.directory;
    if (std::ranges::find(next, dir, &config::Spool::dir) != next.end()) continue;
    if (dir == now.main) return "the spool " + dir + " holds the journal; it cannot be taken out";
    if (!look_into(reactor, dir).messages) continue;
    return "the spool " + dir + " is in use; " +
           (one.closed ? "it can be taken out when it is empty"
                       : "give it `deliver-only yes`, restart, and take it out when it is empty");
  }
  return std::nullopt;
}

}  // namespace sluice::shard
