// The end of a node, in order and in bounded time.
#include <algorithm>

#include "engine/accounting/accounting_writer.h"
#include "engine/journal/checkpointer.h"
#include "engine/shard/node.h"

namespace sluice::shard {
namespace {

// The log may lie on the disk that hangs: its last lines get no longer than this.
constexpr Duration kLogMax = 1s;

struct Alarm : runtime::Timer {
  explicit Alarm(runtime::Wakeup& target)
      : Timer([](Timer& timer) { static_cast<Alarm&>(timer).wakeup.set(); }), wakeup(target) {}
  runtime::Wakeup& wakeup;
};

}  // namespace

/// Stands in the list of what a stop waits for, as long as it lives.
class Node::StopStep {
 public:
  StopStep(Node& node, std::string name) : node_(node), name_(std::move(name)) {
    node_.stop_steps_.push_back(this);
  }
  StopStep(const StopStep&) = delete;
  StopStep& operator=(const StopStep&) = delete;
  ~StopStep() { std::erase(node_.stop_steps_, this); }
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  Node& node_;
  std::string name_;
};

runtime::Task<void> Node::stop() {
  if (std::exchange(stopping_, true)) co_return;
  log_.write("Shutting down");
  stop_tasks_.spawn(stop_in_order());
  if (co_await ends_within(stopped_, kStopMax - kLogMax)) {
    log_.write("Stopped");
  } else {
    for (const StopStep* one : stop_steps_) gave_up_ += (gave_up_.empty() ? "" : ", ") + one->name();
    log_.write("Shutdown: gave up waiting for " + gave_up_ +
               ". What was acknowledged is in the spool, and the next start goes on with it. The last "
               "outcomes may not "
               "be recorded: such a recipient is attempted again.");
  }
  stop_tasks_.spawn(stop_log());
  if (!co_await ends_within(log_stopped_, kLogMax) && gave_up_.empty()) gave_up_ = "the log file";
}

runtime::Task<bool> Node::ends_within(const bool& ended, Duration at_most) {
  Alarm alarm(stop_wakeup_);
  control_.arm_in(alarm, at_most);
  while (!ended && alarm.armed()) co_await stop_wakeup_.wait();
  control_.disarm(alarm);
  co_return ended;
}

runtime::Task<void> Node::stop_log() {
  co_await log_.stop();
  log_stopped_ = true;
  stop_wakeup_.set();
}

runtime::Task<void> Node::stop_in_order() {
  std::optional<StopStep> step;
  step.emplace(*this, "commands and reloads");
  if (commands_) co_await commands_->stop();
  co_await reloading_.take(1);  // one asked for by a signal
  sampler_.set();
  step.reset();
  // Also after a start that failed half way: what a shard began at its construction ends here.
  runtime::TaskGroup stopping;
  for (DataShard* shard : shards_) {
    if (shard != nullptr) stopping.spawn(stop_traffic(*shard));
  }
  co_await stopping.join();
  if (storage_started_) {
    for (DataShard* shard : shards_) stopping.spawn(stop_storage(*shard));
    co_await stopping.join();
  }
  // The journals are complete now: accounting reads them to the end.
  step.emplace(*this, "accounting");
  co_await stop_accounting();
  step.emplace(*this, "the control shard's own work");
  if (checkpointer_) checkpointer_->stop();
  co_await tasks_.join();
  if (ready_ && storage_stopped_) {
    step.emplace(*this, "the mark of a complete stop");
    co_await mark_clean_stop();
  }
  step.reset();
  stopped_ = true;
  stop_wakeup_.set();
}

runtime::Task<void> Node::stop_traffic(DataShard& shard) {
  const StopStep step(*this, "mail under way in shard " + std::to_string(shard.id().raw()));
  co_await runtime::run_on<Status>(control_, shard.id(), [&shard] { return shard.stop_traffic(kGrace); });
}

runtime::Task<void> Node::stop_storage(DataShard& shard) {
  const StopStep step(*this, "spool and journal of shard " + std::to_string(shard.id().raw()));
  const Status stopped =
      co_await runtime::run_on<Status>(control_, shard.id(), [&shard] { return shard.stop_storage(); });
  if (stopped) co_return;
  storage_stopped_ = false;
  log_.write("Error while closing the spool of shard " + std::to_string(shard.id().raw()) + ": " +
             stopped.error().text() +
             ". Outcomes that could not be recorded are forgotten: such a recipient is attempted again.");
}

}  // namespace sluice::shard
