#include "engine/journal/recovery_files.h"

#include <algorithm>
#include <charconv>

#include "engine/journal/recovered_impl.h"
#include "engine/runtime/file.h"

namespace sluice::journal {
namespace {

constexpr std::string_view kShardPrefix = "shard-";
constexpr std::uint32_t kDirectoryMode = 0750;

std::optional<std::uint32_t> shard_directory_number(std::string_view name) {
  if (!name.starts_with(kShardPrefix)) return std::nullopt;
  name.remove_prefix(kShardPrefix.size());
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || end != name.data() + name.size() || number > kDirectoryShardMax)
    return std::nullopt;
  return number;
}

}  // namespace

std::string shard_directory_name(std::uint32_t directory_shard) {
  const std::string digits = std::to_string(directory_shard);
  return std::string(kShardPrefix) + std::string(4 - std::min<std::size_t>(digits.size(), 4), '0') + digits;
}

Status FileSearch::prepare_directories() {
  if (options_.read_only) return {};
  Status status = reactor_.make_directories(options_.directory, kDirectoryMode);
  if (status) status = reactor_.make_directories(options_.directory + "/damaged", kDirectoryMode);
  for (std::uint32_t shard = 0; status && shard < options_.shards; ++shard) {
    status =
        reactor_.make_directories(options_.directory + "/" + shard_directory_name(shard), kDirectoryMode);
    for (const std::string& more : options_.more_directories) {
      if (status)
        status = reactor_.make_directories(more + "/" + shard_directory_name(shard), kDirectoryMode);
    }
  }
  return status;
}

runtime::Task<Status> FileSearch::run() {
  Status status = prepare_directories();
  if (status) status = co_await look_at_spool(options_.directory, true);
  for (const std::string& more : options_.more_directories) {
    if (status) status = co_await look_at_spool(more, false);
  }
  co_return status;
}

runtime::Task<Status> FileSearch::look_at_spool(const std::string& root, bool is_main) {
  if (!options_.read_only) {
    // The shards' directories, which may be new: what is written into them has to be found again.
    const Status synced = co_await runtime::sync_directory(reactor_, root);
    if (!synced) co_return synced;
  }
  const auto listed = reactor_.list_directory(root);
  if (!listed) co_return std::unexpected(listed.error());
  for (const auto& entry : *listed) {
    const auto shard = shard_directory_number(entry.name);
    if (!shard || !entry.is_directory) continue;
    const bool is_new = !found_.contains(*shard);
    Found& found = found_[*shard];
    found.shard = *shard;
    found.path = options_.directory + "/" + entry.name;
    // A shard that is gone may have left messages there only; its journal is looked for here all the same.
    if (!is_main && is_new && !options_.read_only) {
      const Status made = reactor_.make_directories(found.path, kDirectoryMode);
      if (!made) co_return made;
    }
    const Status status = co_await look_at(found, root, is_main);
    if (!status) co_return status;
    if (is_new && *shard >= options_.shards) ++report_.adopted_directories;
  }
  co_return Status();
}

runtime::Task<Status> FileSearch::look_at(Found& found, const std::string& root, bool is_main) {
  const std::string directory = root + "/" + shard_directory_name(found.shard);
  // Names too: what is found now has to be found next time (log/scan_file.h, sync_first).
  if (!options_.read_only) {
    const Status synced = co_await runtime::sync_directory(reactor_, directory);
    if (!synced) co_return synced;
  }
  const auto listed = reactor_.list_directory(directory);
  if (!listed) co_return std::unexpected(listed.error());
  for (const auto& entry : *listed) {
    for (const log::Role role : {log::Role::Messages, log::Role::Events}) {
      const auto number = log::segment_file_number(role, entry.name);
      if (!number || (role == log::Role::Events && !is_main)) continue;
      const Status status = co_await look_at_segment(found, root, role, *number, entry);
      if (!status) co_return status;
    }
  }
  co_return Status();
}

runtime::Task<Status> FileSearch::look_at_segment(Found& found, const std::string& root, log::Role role,
                                                  std::uint32_t number,
                                                  const runtime::DirectoryEntry& entry) {
  const std::string directory = root + "/" + shard_directory_name(found.shard);
  const bool is_message = role == log::Role::Messages;
  std::uint32_t& number_max = is_message ? found.number_max_messages : found.number_max_events;
  auto& unused = is_message ? found.unused_messages : found.unused_events;
  auto& segments = is_message ? found.messages : found.events;
  const std::string path = directory + "/" + entry.name;
  number_max = std::max(number_max, number);
  const auto head = co_await log::read_segment_head(reactor_, path, role);
  if (!head) co_return std::unexpected(head.error());
  // A spare keeps groups of its earlier use behind a blank header; their number is not the one in its name.
  // The same number means that the header of a live segment was lost.
  const bool live = head->header && head->header->role == role && head->header->shard == found.shard &&
                    (!head->salvaged || head->header->number == number);
  if (!live) {
    if (head->blank) {
      unused.push_back({path, head->file_bytes, false});
    } else {
      mark_aside(found, root, entry, path, head->file_bytes);
    }
    co_return Status();
  }
  // A blank header in front of groups is what a crash in the segment's very first write leaves.
  if (head->salvaged && (!head->blank || head->front_lost))
    co_await report(path, {0, log::kBlockBytes, 0, "segment header lost", 0});
  const log::SegmentHeader& header = *head->header;
  number_max = std::max(number_max, header.number);
  found.incarnation_max = std::max(found.incarnation_max, header.incarnation);
  std::uint64_t& sequence = is_message ? found.message_sequence : found.event_sequence;
  sequence = std::max(sequence, header.first_sequence + 1);
  if (!segments.emplace(header.number, SegmentFile{path, header, head->file_bytes}).second) {
    mark_aside(found, root, entry, path, head->file_bytes);
    co_return Status();
  }
  // It has its full size before anything is written into it.
  if (head->file_bytes < header.bytes)
    add_damage({path, head->file_bytes, header.bytes - head->file_bytes, "the file is cut", ""});
  // A power cut may have kept the header of a new use and the name of the old one.
  if (header.number != number && !options_.read_only) {
    std::string named = directory + "/" + log::segment_file_name(role, header.number);
    if (co_await runtime::rename_file(reactor_, path, named))
      segments.at(header.number).path = std::move(named);
  }
  co_return Status();
}

// A file that says nothing we understand is moved out of the way as a whole, never deleted; but only when the start
// goes on: until then the files are as they were found.
void FileSearch::mark_aside(const Found& found, const std::string& root, const runtime::DirectoryEntry& entry,
                            std::string path, std::uint64_t bytes) {
  Damage damage{path, 0, bytes, "not a segment", ""};
  std::string to = root + "/damaged/" + shard_directory_name(found.shard) + "-" + entry.name;
  if (!options_.delete_damaged && !options_.read_only) damage.kept_as = to;
  aside_.push_back({std::move(path), root + "/damaged", std::move(to)});
  add_damage(std::move(damage));
}

runtime::Task<void> FileSearch::set_aside() {
  if (options_.read_only) co_return;
  for (const Aside& one : aside_) {
    if (options_.delete_damaged) {
      (void)co_await runtime::unlink_file(reactor_, one.path);  // worst case it is found again
      continue;
    }
    // In the same file system: it is renamed. A folder that cannot be made shows in what the rename says.
    (void)reactor_.make_directories(one.folder, kDirectoryMode);
    const Status moved = co_await runtime::rename_file(reactor_, one.path, one.to);
    if (!moved) add_damage({one.path, 0, 0, "cannot be moved away", ""});
  }
}

void FileSearch::add_damage(Damage damage) {
  ++report_.damage_count;
  if (report_.damage.size() < RecoveryReport::kDamageMax) report_.damage.push_back(std::move(damage));
}

void FileSearch::add_torn(std::string path, const log::DamagedStretch& stretch) {
  ++report_.torn_tails;
  if (report_.torn.size() == RecoveryReport::kDamageMax) return;
  report_.torn.push_back({std::move(path), stretch.offset, stretch.bytes, stretch.why, ""});
}

runtime::Task<void> FileSearch::report(std::string path, log::DamagedStretch stretch) {
  Damage damage{path, stretch.offset, stretch.bytes, stretch.why, ""};
  const bool keep = !options_.read_only && !options_.delete_damaged;
  if (keep && report_.damage.size() < RecoveryReport::kDamageMax) {
    const bool in_main = path.starts_with(options_.directory + "/");
    std::string flat = path.substr(in_main ? options_.directory.size() + 1 : 1);
    std::ranges::replace(flat, '/', '-');
    const std::string to =
        options_.directory + "/damaged/" + flat + "-" + std::to_string(stretch.offset) + ".bin";
    if (co_await log::keep_aside(reactor_, path, stretch.offset, stretch.bytes, to)) damage.kept_as = to;
  }
  add_damage(std::move(damage));
}

}  // namespace sluice::journal
