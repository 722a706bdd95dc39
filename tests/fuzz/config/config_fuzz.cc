// Goal: no text makes the loader crash, loop or read outside of it; what loads can be asked and printed.
// How: the input is a main file and an included one, split at the first NUL; lenient and strict by its size.
#include <cstddef>
#include <cstdint>

#include "policy/config/config.h"
#include "policy/config/listing.h"

namespace {

using namespace sluice;
using namespace sluice::config;

class TwoFiles : public FileSource {
 public:
  TwoFiles(std::string_view main, std::string_view other) : main_(main), other_(other) {}
  Result<std::string> read(std::string_view path) override {
    if (path == "/main") return std::string(main_);
    if (path == "/other") return std::string(other_);
    return fail(Errc::NotFound, "fuzz.read");
  }
  Result<std::vector<std::string>> glob(std::string_view) override {
    return std::vector<std::string>{"/other"};
  }

  std::expected<std::string, std::string> fetch(std::string_view) override { return std::string(other_); }

 private:
  std::string_view main_, other_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t split = input.find('\0');
  TwoFiles files(input.substr(0, split), split == std::string_view::npos ? "" : input.substr(split + 1));
  const LoadResult result =
      load_config("/main", files, {.lenient = size % 2 == 0, .fragment = size % 3 == 0, .defaults_path = {}});
  if (format(result.diagnostics).empty() != result.diagnostics.empty()) __builtin_trap();
  if (result.ok() == has_errors(result.diagnostics)) __builtin_trap();
  if (!result.ok()) return 0;
  DomainSettingsCache cache(result.config);
  for (const Vmta& vmta : result.config->vmtas) {
    for (const std::string_view domain : {"gmail.com", "a.b.example", "[10.0.0.1]", ""}) {
      if (settings_listing(cache.settings_for(domain, vmta.id)).empty()) __builtin_trap();
    }
  }
  static_cast<void>(result.config->resolve_source(IpAddress(), "{auth}"));
  static_cast<void>(settings_listing(result.config->globals));
  return 0;
}
