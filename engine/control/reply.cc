#include "engine/control/reply.h"

#include <utility>

#include "engine/control/command.h"

namespace sluice::control {
namespace {

std::optional<TreeStream> stream_for(const Command& command) {
  if (command.has("xml")) return TreeStream(TreeFormat::Xml);
  if (command.has("json")) return TreeStream(TreeFormat::Json);
  if (command.has("dom")) return TreeStream(TreeFormat::Dom);
  return std::nullopt;
}

}  // namespace

Reply::Reply(const Command& command, Sink& sink) : stream_(stream_for(command)), sink_(sink) {}

runtime::Task<bool> Reply::add(Part& part) {
  if (lost_) co_return false;
  if (!begun_ && stream_) stream_->begin(waiting_);
  begun_ = true;
  if (stream_) {
    stream_->add(waiting_, part.tree);
  } else {
    waiting_ += part.text;
  }
  part.tree = Tree();
  part.text.clear();
  if (waiting_.size() < kSliceBytes) co_return true;
  co_return co_await pass_on();
}

runtime::Task<bool> Reply::pass_on() {
  std::string bytes = std::exchange(waiting_, {});
  const bool sent = co_await sink_.take(std::move(bytes));
  lost_ = !sent;
  co_return sent;
}

runtime::Task<bool> Reply::end() {
  if (lost_) co_return false;
  if (stream_) stream_->end(waiting_);
  co_return co_await pass_on();
}

}  // namespace sluice::control
