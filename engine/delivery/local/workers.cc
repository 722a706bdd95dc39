#include "engine/delivery/local/workers.h"

#include "engine/delivery/local/discard.h"
#include "engine/delivery/local/file.h"
#include "engine/delivery/local/pipe.h"
#include "policy/base/assert.h"

namespace sluice::delivery {

std::unique_ptr<Deliverer> make_local_worker(Dispatcher& dispatcher, queue::Queue& queue) {
  switch (queue.settings->type) {
    case config::QueueType::Pipe: return std::make_unique<PipeWorker>(dispatcher, queue);
    case config::QueueType::File: return std::make_unique<FileWorker>(dispatcher, queue);
    case config::QueueType::Discard: return std::make_unique<DiscardWorker>(dispatcher, queue);
    case config::QueueType::HttpDelivery:
    case config::QueueType::Smtp: break;
  }
  SLUICE_ASSERT(false);
  return nullptr;
}

}  // namespace sluice::delivery
