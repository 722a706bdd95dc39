#include "engine/journal/recovery_doubts.h"

#include <algorithm>

#include "engine/journal/recovered_impl.h"
#include "engine/log/segment_store.h"

namespace sluice::journal {
namespace {

constexpr std::size_t kHolesBytesMax = 60'000;  // of a state's value

std::string text_of(JournalPosition position) {
  if (position.segment == 0) return "its beginning";
  return log::segment_file_name(log::Role::Events, position.segment) + ", offset " +
         std::to_string(position.offset);
}

}  // namespace

void Doubts::seen(std::uint32_t directory_shard, JournalPosition end, std::string_view who) {
  Seen& kept = seen_[directory_shard];
  if (kept.end < end) kept = {end, std::string(who)};
}

void Doubts::seen(const JournalCursor& ends, std::string_view who) {
  for (const auto& [directory_shard, end] : ends.positions) seen(directory_shard, end, who);
}

JournalPosition Doubts::seen_end(std::uint32_t directory_shard) const {
  const auto found = seen_.find(directory_shard);
  return found == seen_.end() ? JournalPosition{} : found->second.end;
}

void Doubts::check_directories(const std::map<std::uint32_t, Found>& found) {
  for (const auto& [directory_shard, known] : seen_) {
    if (known.end.segment == 0 || found.contains(directory_shard)) continue;
    report_.doubts.push_back("the directory " + shard_directory_name(directory_shard) +
                             " with its journal is missing, " + known.who + " knows it");
  }
}

void Doubts::check_end(const Found& found, JournalPosition from) {
  const auto known = seen_.find(found.shard);
  JournalPosition end = found.events_end;
  // Reading begins behind what is cut.
  const auto last = found.events.find(end.segment);
  if (last != found.events.end() && last->second.file_bytes < end.offset)
    end.offset = static_cast<std::uint32_t>(last->second.file_bytes);
  if (known != seen_.end() && end < known->second.end) {
    report_.doubts.push_back("the journal of " + shard_directory_name(found.shard) + " ends at " +
                             text_of(end) + ", but " + known->second.who + " knows it up to " +
                             text_of(known->second.end));
    return;
  }
  if (from.segment != 0 && !found.events.contains(from.segment)) {
    report_.doubts.push_back("of the journal of " + shard_directory_name(found.shard) + " " +
                             log::segment_file_name(log::Role::Events, from.segment) +
                             " is missing, in which the checkpoint ends");
  }
}

void Doubts::know_holes(std::string_view list) {
  while (!list.empty()) {
    const std::size_t end = std::min(list.find(' '), list.size());
    known_holes_.emplace(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
}

std::string Doubts::holes() const {
  std::string out;
  for (const std::string& one : holes_) {
    if (out.size() + one.size() >= kHolesBytesMax) break;
    out += (out.empty() ? "" : " ") + one;
  }
  return out;
}

void Doubts::hole(std::uint32_t directory_shard, std::uint32_t segment, const log::DamagedStretch& stretch,
                  bool was_durable) {
  const std::string name =
      std::to_string(directory_shard) + ':' + std::to_string(segment) + ':' + std::to_string(stretch.offset);
  holes_.insert(name);
  if (!was_durable || known_holes_.contains(name)) return;
  if (stretch.records) {
    lost_records_ += *stretch.records;
  } else {
    lost_unknown_ = true;
  }
}

void Doubts::conclude(bool stopped_cleanly) {
  const std::uint64_t received = stopped_cleanly ? report_.received_completed : report_.received_found_again;
  const std::string again =
      std::to_string(received) + " receptions among them were found again in the messages";
  if (lost_unknown_) {
    report_.doubts.push_back("events of the journals are lost, nothing tells how many; " + again);
  } else if (lost_records_ > received) {
    report_.doubts.push_back(std::to_string(lost_records_) + " events of the journals are lost; " + again);
  }
  if (!checkpoint_.empty() && report_.received_completed > 0) {
    report_.doubts.push_back(checkpoint_ + "; " + std::to_string(report_.received_completed) +
                             " recipients are in the messages of whom nothing tells whether they have ended");
  }
}

}  // namespace sluice::journal
