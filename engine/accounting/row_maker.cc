#include "engine/accounting/row_maker.h"

#include "policy/accounting/queue_filter.h"
#include "policy/base/assert.h"

namespace sluice::accounting {
namespace {

bool is_filtered(RecordType type) {
  return type == RecordType::Delivery || type == RecordType::Bounce || type == RecordType::Transient ||
         type == RecordType::TransientQueue;
}

Privacy privacy_of(const config::AcctFile& spec) {
  auto made = Privacy::make(spec.privacy_policy);
  SLUICE_ASSERT(made);  // layout_of() has asked
  return std::move(*made);
}

}  // namespace

RowMaker::RowMaker(const config::AcctFile& spec, RecordLayout layout, const TimeZone& zone)
    : layout_(std::move(layout)),
      filter_(spec.queue_filter),
      formatter_(layout_, zone, {spec.iso_times, spec.user_string, privacy_of(spec)}) {}

bool RowMaker::append(std::string& out, const AcctRecord& record) {
  if (!layout_.takes(record.type)) return false;
  if (is_filtered(record.type) && !passes_filter(filter_, record.queue)) return false;
  formatter_.append_row(out, record);
  return true;
}

}  // namespace sluice::accounting
