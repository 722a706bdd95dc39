#pragma once

#include <memory>

#include "engine/delivery/deliverer.h"

namespace sluice::delivery {

class Dispatcher;

/// The deliverer for `queue`'s type. Requires is_local(queue).
[[nodiscard]] std::unique_ptr<Deliverer> make_local_worker(Dispatcher& dispatcher, queue::Queue& queue);

}  // namespace sluice::delivery
