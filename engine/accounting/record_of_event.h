#pragma once

#include "engine/journal/event.h"
#include "policy/accounting/acct_record.h"

namespace sluice::accounting {

/// The record an event stands for. Copies views only; they live as long as the event's.
[[nodiscard]] AcctRecord record_of(const journal::Event& event);
[[nodiscard]] RecordType type_of(journal::EventKind kind);

}  // namespace sluice::accounting
