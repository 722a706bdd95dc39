// A node's accounting: the writer on the control shard, fed by the journals.
#include "engine/accounting/accounting_writer.h"

#include "engine/journal/checkpointer.h"
#include "engine/shard/node.h"
#include "policy/base/assert.h"

namespace sluice::shard {

Node::~Node() { SLUICE_ASSERT(tasks_.running() == 0); }

runtime::Task<std::expected<void, std::string>> Node::start_accounting() {
  // Not inside the braces below: g++ 12 destroys twice what stands before a co_await there.
  auto zone = co_await accounting::read_local_zone(control_);
  accounting::AccountingOptions options{.state_path = storage_->root() + "/accounting.state",
                                        .files = snapshot_->config->acct_files,
                                        .zone = std::move(zone),
                                        .is_disabled = {},
                                        .note = [this](std::string line) { log_.write(line); }};
  accounting_ = std::make_unique<accounting::AccountingWriter>(
      control_, std::move(options), accounting::events_of_journals(control_, storage_->directory()));
  co_return co_await accounting_->start();
}

runtime::Task<void> Node::stop_accounting() {
  if (accounting_) co_await accounting_->stop();
}

runtime::Task<std::expected<void, std::string>> Node::reload_accounting(const queue::Snapshot& next) {
  co_return co_await accounting_->reconfigure(next.config->acct_files);
}

runtime::Task<control::Answer> Node::rotate_accounting(const control::Command& command) {
  const std::string path = command.words.size() > 2 ? command.words[2] : std::string();
  const std::size_t rotated = co_await accounting_->rotate(path);
  if (!path.empty() && rotated == 0)
    co_return control::Answer::error("no accounting file \"" + path + "\"\n");
  co_return control::Answer{true, "Accounting file rotated.\n"};
}

}  // namespace sluice::shard
