#pragma once

#include "engine/delivery/local/worker.h"

namespace sluice::delivery {

/// Queue type discard: recipients end as delivered, or with `discard-as-bounce` as bounced, and nothing is
/// sent.
/// Thread: one shard, as LocalWorker.
class DiscardWorker final : public LocalWorker {
 public:
  using LocalWorker::LocalWorker;

 private:
  runtime::Task<Step> deliver(queue::Batch& items, const spool::MessageView& message) override;
  [[nodiscard]] std::size_t recipients_at_most() const override { return 1000; }
};

}  // namespace sluice::delivery
