#pragma once

#include <cstddef>
#include <vector>

#include "engine/spool/inheritance.h"

namespace sluice::journal {

/// What recovery found of one shard's journal, its own directory's and those it adopts.
struct JournalInheritance : log::Inheritance {
  /// Encoded events, written first of all: received events of messages that were durable while these were not, and
  /// endings of those that the spool has lost.
  std::vector<std::vector<std::byte>> events_missing;
};

}  // namespace sluice::journal
