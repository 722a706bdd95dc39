// A node's accounting: the writer on the control shard, fed by the journals.
#include <fmt/format.h>

#include <algorithm>

#include "engine/accounting/accounting_writer.h"

#include "engine/journal/checkpointer.h"
#include "engine/shard/command_texts.h"
#include "engine/shard/node.h"
#include "policy/base/assert.h"

namespace sluice::shard {

Node::~Node() { SLUICE_ASSERT(tasks_.running() == 0); }

runtime::Task<std::expected<void, std::string>> Node::start_accounting() {
  accounting::AccountingOptions options{
      .state_path = storage_->root() + "/accounting.state",
      .files = snapshot_->config->acct_files,
      .zone = shared_.zone,
      .is_disabled = [this](const accounting::AcctRecord& record) { return is_disabled(record); },
      .note = [this](std::string line) { log_.write(line); },
      .known = known_of_accounting()};
  accounting_ = std::make_unique<accounting::AccountingWriter>(
      control_, std::move(options), accounting::events_of_journals(control_, storage_->directory()));
  co_return co_await accounting_->start();
}

bool Node::is_disabled(const accounting::AcctRecord& record) {
  if (accounting_config_ != snapshot_->config) {
    accounting_config_ = snapshot_->config;
    accounting_settings_ = accounting_config_->some_domain_sets("disable-acct-records")
                               ? std::make_unique<config::DomainSettingsCache>(accounting_config_)
                               : nullptr;
  }
  const std::size_t slash = record.queue.find('/');
  if (!accounting_settings_ || slash == std::string_view::npos) return false;
  const auto vmta = snapshot_->config->find_vmta(record.queue.substr(slash + 1));
  const auto& disabled =
      accounting_settings_->settings_for(record.queue.substr(0, slash), vmta.value_or(config::kDefaultVmta))
          .disable_acct_records;
  return std::ranges::find(disabled, record.type) != disabled.end();
}

std::string Node::accounting_text() const {
  std::string out = fmt::format(" Accounting  lag {} kbytes", kilobytes(accounting_->lag_bytes()));
  if (const auto alarm = accounting_->alarm()) {
    out += fmt::format("\n      ALARM  {} (since {})", alarm->text, local_time(alarm->since));
  }
  return out + '\n';
}

runtime::Task<void> Node::stop_accounting() {
  if (accounting_) co_await accounting_->stop();
}

runtime::Task<std::expected<void, std::string>> Node::reload_accounting(const queue::Snapshot& next) {
  co_return co_await accounting_->reconfigure(next.config->acct_files);
}

runtime::Task<control::Answer> Node::rotate_accounting(const control::Command& command) {
  const std::string path = command.words.size() > 2 ? command.words[2] : std::string();
  const auto& files = snapshot_->config->acct_files;
  const bool is_known = path.empty() || std::any_of(files.begin(), files.end(),
                                                    [&path](const auto& one) { return one.path == path; });
  if (!is_known) {
    std::string text = "no <acct-file> has the path \"" + path + '"';
    std::string there;
    for (const auto& one : files) {
      if (!one.path.empty()) there += (there.empty() ? "; there is " : ", ") + one.path;
    }
    co_return control::Answer::error(text + there + '\n');
  }
  if (files.empty()) co_return control::Answer::error("there is no <acct-file>: nothing to rotate\n");
  const std::size_t rotated = co_await accounting_->rotate(path);
  if (rotated > 0) co_return control::Answer{true, "Accounting file rotated.\n"};
  co_return control::Answer{true, "No row was written since the last rotation: there is no file to end.\n"};
}

}  // namespace sluice::shard
