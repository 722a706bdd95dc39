// Goal: a damaged state is refused or read as something that writes back to the same text.
// How: whatever is read has to write back to what reads the same.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/accounting/acct_state.h"
#include "policy/base/assert.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using sluice::accounting::AcctState;
  const auto state = AcctState::parse({reinterpret_cast<const char*>(data), size});
  if (!state) return 0;
  const auto again = AcctState::parse(state->text());
  SLUICE_ASSERT(again && *again == *state);
  return 0;
}
