#include "engine/delivery/local/discard.h"

namespace sluice::delivery {

runtime::Task<LocalWorker::Step> DiscardWorker::deliver(queue::Batch& items,
                                                        const spool::MessageView& message) {
  static const Failure kDiscarded{{5, 0, 0}, "x-pmta;discarded"};
  dispatcher_.settler().count_message();
  for (queue::Item*& item : items) {
    if (settings_->discard_as_bounce) {
      bounced(item, message, kDiscarded);
    } else {
      delivered(item, message, "x-pmta;discarded");
    }
  }
  co_return Step::Done;
}

}  // namespace sluice::delivery
