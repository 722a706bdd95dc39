// A start of accounting: is the stored state the one that belongs to these journals?
#include <algorithm>

#include "engine/accounting/accounting_writer.h"

namespace sluice::accounting {

using runtime::Task;

Task<std::expected<AcctState, std::string>> AccountingWriter::take_up_state() {
  const KnownOfAccounting& known = options_.known;
  const std::string& path = options_.state_path;
  Result<SlotStore> store = co_await SlotStore::open(reactor_, path);
  const bool corrupt = !store && store.error().code == Errc::Corrupt;
  if (!store && !corrupt) {
    co_return std::unexpected("cannot read how far accounting has come from " + path + ": " +
                              store.error().text());
  }
  std::optional<AcctState> stored;
  if (store && store->text()) {
    stored = AcctState::parse(*store->text());
    if (!stored) co_return std::unexpected(path + " was written by another version");
  }
  const std::string later = stored && store->has_lost_slot() ? later_file(*stored) : std::string();
  std::string wrong;
  if (corrupt) {
    wrong = path + " is damaged";
  } else if (known.has_events && !store->text()) {
    wrong =
        path + " was missing or holds nothing that can be read, though the journals have been accounted for";
  } else if (store->text() && known.saves && store->sequence() < *known.saves) {
    wrong = path + " is older than the last stop of Sluice, or its newest part is damaged";
  } else if (!later.empty()) {
    wrong = path + " is damaged in its newest part: it knows nothing of " + later;
  } else if (stored && store->has_lost_slot()) {
    note("the newer part of " + path +
         " cannot be read, as after a crash that cut it short; the older one counts");
  }
  if (!wrong.empty() && !known.accept_damage) {
    const std::string spool = path.substr(0, path.rfind('/'));
    co_return std::unexpected(
        wrong +
        ". Going on would write records into the accounting files a second time: those of all events that "
        "are "
        "still in the journals. Put the file back if there is a copy. To go on all the same, make the file " +
        spool + "/accept-damage and start again" +
        (known.saves ? "; records are then written from the last stop on, into new files" : ""));
  }
  if (!wrong.empty())
    note(wrong + "; going on, as " + path.substr(0, path.rfind('/')) + "/accept-damage says");
  if (corrupt) {
    std::string aside = path + ".damaged";
    const Status moved = co_await runtime::rename_file(reactor_, path, std::move(aside));
    if (!moved) co_return std::unexpected("cannot move " + path + " away: " + moved.error().text());
    store = co_await SlotStore::open(reactor_, path);
    if (!store) co_return std::unexpected("cannot make " + path + ": " + store.error().text());
  }
  AcctState state;
  if (wrong.empty() && stored) state = std::move(*stored);
  // The last stop knew how far the rows had come, if not in which files.
  if (!wrong.empty() && known.saves) state.cursor = known.accounted;
  clamp(state.cursor, "accounting");
  for (AcctPipeState& pipe : state.pipes) clamp(pipe.cursor, pipe.command);
  // From here on a state that is missing is one that was lost.
  if (!store->text()) {
    const Status saved = co_await store->save(state.text());
    if (!saved) co_return std::unexpected("cannot write " + path + ": " + saved.error().text());
  }
  store_ = std::move(*store);
  co_return state;
}

/// An accounting file begun behind all that `state` knows; empty: none. A name is stored before its file is made, so
/// such a file has rows whose events would come again.
std::string AccountingWriter::later_file(const AcctState& state) const {
  for (const AcctFileState& known : state.files) {
    const FileNaming naming(known.path);
    const FileId newest = known.current ? std::max(known.current->id, known.last) : known.last;
    std::vector<std::string> directories{naming.directory()};
    for (const config::AcctFile& one : options_.files) {
      if (one.path == known.path && !one.move_to.empty()) directories.push_back(one.move_to);
    }
    for (const std::string& directory : directories) {
      const auto entries = reactor_.list_directory(directory);
      if (!entries) continue;
      for (const runtime::DirectoryEntry& entry : *entries) {
        const auto id = naming.parse(entry.name);
        if (id && *id > newest) return directory + '/' + entry.name;
      }
    }
  }
  return {};
}

// A journal that was cut goes on with a new segment: what was read behind its end will not come again.
void AccountingWriter::clamp(journal::JournalCursor& cursor, std::string_view whose) const {
  if (options_.known.ends.positions.empty()) return;
  for (auto& [shard, position] : cursor.positions) {
    const journal::JournalPosition end = options_.known.ends.at(shard);
    if (position <= end) continue;
    note(std::string(whose) + " had read more of the journal of shard " + std::to_string(shard) +
         " than there is");
    position = end;
  }
}

}  // namespace sluice::accounting
