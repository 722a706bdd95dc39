#pragma once

#include <string>

#include "engine/delivery/local/worker.h"
#include "engine/runtime/file.h"

namespace sluice::delivery {

/// Queue type file: a new file for every recipient in the folder `file-destination`, or an entry at the end
/// of the mbox file of that name. Durable:  the bytes and the name are on stable storage before the outcome
/// is recorded. A new file's name is made
///           from message id and recipient, so an attempt that a crash makes repeat replaces its own file.
/// Thread:   one shard, as LocalWorker.
/// Limits:   an mbox that others hold locked is waited for kLockMax.
/// Errors:   a destination without macros fails for the queue (`retry-after`), one with macros for the
/// recipient.
class FileWorker final : public LocalWorker {
 public:
  static constexpr Duration kLockMax = 10s;
  /// Messages until it makes room for a queue that waits for one of the units of total-max-file.
  static constexpr std::uint32_t kInTurn = 16;

  FileWorker(Dispatcher& dispatcher, queue::Queue& queue);

 private:
  runtime::Task<Step> deliver(queue::Batch& items, const spool::MessageView& message) override;
  [[nodiscard]] bool may_go_on() override;
  [[nodiscard]] Duration linger() const override {
    return dispatcher_.is_file_wanted() ? Duration{0} : LocalWorker::linger();
  }
  runtime::Task<Status> add_file(std::string directory, std::string name, std::string text);
  runtime::Task<Status> append(std::string path, std::string entry);
  runtime::Task<Status> append_locked(runtime::File& file, std::string path, std::string entry);
  [[nodiscard]] std::string file_name(const queue::Item& item) const;

  std::string host_mark_;  // tells hosts apart that write into one shared folder
  bool per_recipient_;
  std::uint32_t delivered_ = 0;
};

}  // namespace sluice::delivery
