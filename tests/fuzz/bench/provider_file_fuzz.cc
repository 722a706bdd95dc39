// Goal: any text is an Internet or one sentence that names its line; names of an Internet can be looked up.
// How: any bytes as a file.

#include <cstdint>

#include "bench/provider/directory.h"
#include "bench/provider/provider_file.h"
#include "policy/base/assert.h"

using namespace sluice;
using namespace sluice::bench;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto internet = parse_provider_file(text);
  if (!internet) {
    SLUICE_ASSERT(internet.error().starts_with("line ") || internet.error().starts_with("provider "));
    return 0;
  }
  const Directory directory(*internet);
  for (std::uint32_t i = 0; i < internet->providers.size(); ++i) {
    for (const DomainPattern& pattern : internet->providers[i].domains) {
      if (pattern.kind() != DomainPattern::Kind::Range) continue;
      // Another provider may have the same name, but somebody has it.
      SLUICE_ASSERT(directory.provider_of(pattern.range().name(0)));
    }
  }
  return 0;
}
