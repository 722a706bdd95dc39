// Goal: a header, a stored text and an address of a stranger are read within limits, and mean the same when
// read again. How: any bytes as x-schedule, as stored windows, and as the address in macros.

#include <cstdint>
#include <span>
#include <string_view>

#include "policy/base/assert.h"
#include "policy/local/macros.h"
#include "policy/schedule/windows.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using sluice::schedule::Windows;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto parsed = Windows::parse(text, {})) {
    SLUICE_ASSERT(parsed->list().size() <= Windows::kWindowsMax);
    SLUICE_ASSERT(Windows::decode(parsed->encode()) == *parsed);
  }
  if (const auto stored = Windows::decode(text)) SLUICE_ASSERT(!stored->list().empty());
  const sluice::local::MacroValues values({.from = text, .to = text, .env_id = text});
  const std::string path = sluice::local::fill_path("/a/$user/$domain", values);
  SLUICE_ASSERT(path.starts_with("/a/") && path.find('\0') == path.npos);
  SLUICE_ASSERT(path.find('/', 3) == path.rfind('/') && path.find("/.") == path.npos);
  if (const auto command = sluice::local::Command::parse("x $to --y=$from")) {
    const auto words = command->arguments(values);
    if (words) SLUICE_ASSERT(words->size() == 3 && !(*words)[1].starts_with('-'));
  }
  (void)sluice::local::Command::parse(text);
  return 0;
}
