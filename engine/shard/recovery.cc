// A node and its spool: what a start asks before anything else, and what a stop in peace leaves for it.
#include <algorithm>

#include "engine/accounting/accounting_writer.h"
#include "engine/accounting/acct_state.h"
#include "engine/accounting/slot_store.h"
#include "engine/journal/checkpoint.h"
#include "engine/journal/checkpointer.h"
#include "engine/journal/clean_stop.h"
#include "engine/shard/node.h"
#include "engine/shard/recovery_texts.h"

namespace sluice::shard {
namespace {

std::string accept_path(const std::string& root) { return root + "/accept-damage"; }

}  // namespace

runtime::Task<std::expected<void, std::string>> Node::recover_spool(const config::GlobalSettings& global) {
  const std::string root = spools_.main;
  accepts_damage_ = control_.size_of(accept_path(root)).has_value();
  // Named: g++ 12 destroys temporaries built inside a co_await twice.
  journal::RecoveryOptions recovery{.directory = root,
                                    .more_directories = spools_.others,
                                    .shards = settings_.shards,
                                    .delete_damaged = global.spool_delete_corrupted,
                                    .accounted = {},
                                    .accept_damage = accepts_damage_};
  std::string state_path = root + "/accounting.state";
  const auto stored = co_await accounting::SlotStore::peek(control_, std::move(state_path));
  const auto state = stored ? accounting::AcctState::parse(stored->text) : std::nullopt;
  if (state) recovery.accounted = state->cursor;
  journal::RecoveryOptions asked = recovery;
  Result<journal::Recovered> found = co_await journal::recover(control_, std::move(asked));
  if (!found) co_return std::unexpected("cannot read the spool " + root + ": " + found.error().text());
  found_ = std::make_unique<journal::Recovered>(std::move(*found));
  const journal::RecoveryReport& report = found_->report();
  for (std::string& line : recovery_lines(report, root)) log_.write(std::move(line));
  if (report.is_refused(recovery)) co_return std::unexpected(refusal_text(report, root));
  co_return std::expected<void, std::string>();
}

accounting::KnownOfAccounting Node::known_of_accounting() const {
  accounting::KnownOfAccounting known{.accept_damage = accepts_damage_};
  for (const auto& track : storage_->directory().tracks()) {
    known.ends.set(track->directory_shard, track->end());
    known.has_events = known.has_events || track->end() != journal::JournalPosition{};
  }
  if (const auto& mark = found_->clean_stop()) {
    known.saves = mark->accounting;
    known.accounted = mark->accounted;
  }
  return known;
}

// The decision counts once: as soon as a checkpoint lies behind what was damaged.
runtime::Task<void> Node::end_acceptance() {
  if (!accepts_damage_ || checkpointer_->stats().written == 0) co_return;
  accepts_damage_ = false;
  const std::string path = accept_path(spools_.main);
  Status gone = co_await runtime::unlink_file(control_, path);
  if (gone) gone = co_await runtime::sync_directory(control_, spools_.main);
  log_.write(gone ? path + " has been taken away: what was damaged is settled"
                  : "cannot take away " + path + ": " + gone.error().text());
}

runtime::Task<void> Node::mark_clean_stop() {
  journal::CleanStop mark;
  mark.incarnation = found_->incarnation();
  for (DataShard* shard : shards_) {
    const ShardStatus one =
        co_await runtime::call_on(control_, shard->id(), [shard] { return shard->status(); });
    mark.messages += one.spool.messages_live;
  }
  for (const auto& track : storage_->directory().tracks())
    mark.journals.set(track->directory_shard, track->end());
  const auto checkpoints = journal::list_checkpoints(control_, spools_.main);
  if (checkpoints && !checkpoints->empty()) mark.checkpoint = checkpoints->back().number;
  mark.accounting = accounting_->saves();
  mark.accounted = accounting_->accounted();
  const Status written = co_await journal::write_clean_stop(control_, spools_.main, std::move(mark));
  if (!written) log_.write("Cannot note in the spool that this stop is complete: " + written.error().text());
}

}  // namespace sluice::shard
