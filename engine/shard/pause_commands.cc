// Pauses of queues: by name or pattern, for what is there and what comes later (queue/pause_rules.h).
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "engine/shard/command_texts.h"
#include "engine/shard/node.h"
#include "engine/shard/text_table.h"

namespace sluice::shard {
namespace {

using queue::PauseRules;

constexpr TextTable kPauseTable(std::array{Column{"pattern", 50}, Column{"state", 8}});

bool is_wild(std::string_view pattern) { return pattern.find('*') != std::string_view::npos; }

}  // namespace

runtime::Task<control::Answer> Node::pause_queues(const control::Command& command, bool paused) {
  const std::string pattern = PauseRules::whole_pattern(command.words[2]);
  if (pattern.size() > PauseRules::kPatternBytesMax) {
    co_return control::Answer::error(
        fmt::format("a pattern has at most {} characters\n", PauseRules::kPatternBytesMax));
  }
  const std::string vmta = pattern.substr(pattern.find('/') + 1);
  // Shards hear of changes one after the other, so one change at a time: all end with the same.
  co_await pausing_.take(1);
  auto next = std::make_shared<PauseRules>(*pauses_);
  const std::vector<PauseRules::Change> changes = next->set(pattern, paused);
  std::string refusal;
  if (paused && !is_wild(vmta) && !snapshot_->config->find_vmta(vmta)) {
    refusal = "there is no virtual MTA \"" + vmta + "\"\n";
  } else if (next->size() > PauseRules::kRulesMax) {
    refusal = fmt::format("there are {} pauses already; `show pauses` lists them\n", pauses_->size());
  }
  std::size_t matched = 0;
  if (refusal.empty()) {
    pauses_ = std::move(next);
    DataShard* const first = shards_.front();  // one shard remembers for all
    co_await runtime::call_on(control_, first->id(), [first, &changes] {
      for (const PauseRules::Change& one : changes)
        first->remember(queue::Remembered::pause_key(one.pattern), one.value);
    });
    for (DataShard* shard : shards_) {
      matched += co_await runtime::call_on(control_, shard->id(), [this, shard, &pattern] {
        return shard->dispatcher().set_pauses(pauses_, pattern);
      });
    }
  }
  pausing_.give(1);
  if (refusal.empty() && matched == 0 && changes.empty()) refusal = co_await no_queue_text(command.words[2]);
  if (!refusal.empty()) co_return control::Answer::error(std::move(refusal));
  log_.write(fmt::format("{}: {} queue(s), {}", command.words[0], matched, pattern));
  std::string text = paused ? "Queue(s) paused.\n" : "Queue(s) resumed.\n";
  const bool is_exception = !paused && std::ranges::any_of(changes, [&](const PauseRules::Change& one) {
    return one.pattern == pattern && !one.value.empty();
  });
  if (is_exception) {
    text += "This is an exception to a pause that goes on; `show pauses` lists both.\n";
  } else if (paused && is_wild(pattern)) {
    text += "Queues that match and come later are paused, too.\n";
  } else if (paused && matched == 0) {
    text += "There is no such queue now: " + pattern + " is paused when its mail comes.\n";
  }
  co_return control::Answer{true, std::move(text)};
}

control::Answer Node::show_pauses() const {
  std::string text = kPauseTable.heading();
  auto tree = std::make_shared<control::Tree>();
  const auto rules = pauses_->all();
  for (const auto& [pattern, pauses] : rules) {
    const std::string state = pauses ? "paused" : "resumed";
    text += kPauseTable.row({pattern, state});
    control::Tree& node = tree->add_item("pause");
    node.add_text("pattern", pattern);
    node.add_text("state", state);
  }
  text += fmt::format("\n{} pattern(s); of those that match a queue the last one decides.\n", rules.size());
  return {true, std::move(text), std::move(tree)};
}

}  // namespace sluice::shard
