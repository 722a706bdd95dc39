// Goal: any bytes as ledgers and accounting are judged without trouble, and a line that reads reads again as the same.
// How: lines go to the audit from both sides; the whole text goes through the CSV reader, whole and byte by byte.

#include <cstdint>

#include "bench/audit/audit.h"
#include "bench/lib/csv.h"
#include "policy/base/assert.h"

using namespace sluice;
using namespace sluice::bench;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Audit audit(AuditOptions{.have_accounting = true});
  for (const std::string_view line : split(text, '\n')) {
    audit.take_injected(line);
    audit.take_received(line, 0);
    const auto read = parse_ledger_line(line);
    if (!read) continue;
    std::string again;
    append_ledger_line(*read, again);
    SLUICE_ASSERT(parse_ledger_line(std::string_view(again).substr(0, again.size() - 1)));
  }
  std::size_t whole = 0;
  std::size_t bytewise = 0;
  CsvReader one;
  one.feed(text, [&](const std::vector<std::string>& fields) { whole += fields.size(); });
  CsvReader two;
  for (const char& c : text) {
    two.feed({&c, 1}, [&](const std::vector<std::string>& fields) { bytewise += fields.size(); });
  }
  SLUICE_ASSERT(whole == bytewise);
  for (const std::string_view line : split(text, '\n'))
    audit.take_record(size % 2 == 0 ? 'd' : 'b', line, "");
  audit.finish();
  const AuditFigures& f = audit.figures();
  SLUICE_ASSERT(f.accepted >= f.delivered + f.bounced + f.queued);
  return 0;
}
