// What a configuration costs: reading 100,000 lines and flattening every queue they name, and finding the
// settings of a message's queue among 10,000 domain blocks.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "policy/config/config.h"

namespace {

using namespace sluice;
using namespace sluice::config;

class OneFile : public FileSource {
 public:
  explicit OneFile(std::string text) : text_(std::move(text)) {}
  Result<std::string> read(std::string_view) override { return text_; }
  Result<std::vector<std::string>> glob(std::string_view) override { return std::vector<std::string>(); }

 private:
  std::string text_;
};

std::string domain_name(std::size_t i) { return "d" + std::to_string(i) + ".example"; }

/// Blocks of eight lines in the style of real files: directives of several types, a comment, macros now and
/// then.
std::string configuration(std::size_t domains, std::size_t vmtas) {
  std::string out =
      "log-file /l\npostmaster p@x.example\n<spool /s>\n</spool>\n<domain *>\nmax-smtp-out 20\nretry-after "
      "10m\n</domain>\n";
  for (std::size_t i = 0; i < vmtas; ++i) {
    const std::string name = "v" + std::to_string(i);
    out += "<virtual-mta " + name + ">\n    smtp-source-host 10." + std::to_string(i / 250) + ".0." +
           std::to_string(i % 250 + 1) + ' ' + name + ".example\n</virtual-mta>\n";
  }
  for (std::size_t i = 0; i < domains; ++i) {
    out += "<domain " + domain_name(i) +
           ">\n    max-smtp-out    5       # connections\n    max-msg-rate    250/h\n    retry-after     "
           "10m,30m,1h\n"
           "    bounce-after    4d12h\n    max-msg-per-connection 100\n    use-starttls    yes\n</domain>\n";
  }
  return out;
}

constexpr std::size_t kLinesPerDomain = 8, kLinesPerVmta = 3;

void read_and_flatten(benchmark::State& state) {
  const auto lines = static_cast<std::size_t>(state.range(0));
  const std::size_t vmtas = 100, domains = (lines - vmtas * kLinesPerVmta) / kLinesPerDomain;
  OneFile file(configuration(domains, vmtas));
  for (auto _ : state) {
    const LoadResult loaded = load_config("/c", file);
    if (!loaded.ok()) state.SkipWithError("does not load");
    DomainSettingsCache cache(loaded.config);
    for (std::size_t i = 0; i < domains; ++i)
      benchmark::DoNotOptimize(&cache.settings_for(domain_name(i), kDefaultVmta));
  }
  state.counters["lines/s"] =
      benchmark::Counter(static_cast<double>(lines), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(read_and_flatten)->Arg(100'000)->Unit(benchmark::kMillisecond);

void read_only(benchmark::State& state) {
  const auto lines = static_cast<std::size_t>(state.range(0));
  OneFile file(configuration(lines / kLinesPerDomain, 0));
  for (auto _ : state) benchmark::DoNotOptimize(load_config("/c", file).config);
}
BENCHMARK(read_only)->Arg(100'000)->Unit(benchmark::kMillisecond);

/// As a dispatcher asks: many messages to domains of the configuration and to others, by different virtual
/// MTAs.
void look_up(benchmark::State& state) {
  const auto domains = static_cast<std::size_t>(state.range(0));
  OneFile file(configuration(domains, 100));
  const LoadResult loaded = load_config("/c", file);
  if (!loaded.ok()) return state.SkipWithError("does not load");
  DomainSettingsCache cache(loaded.config);
  std::vector<std::string> asked;
  for (std::size_t i = 0; i < domains; ++i)
    asked.push_back(i % 4 == 3 ? "other" + std::to_string(i) + ".net" : domain_name(i));
  std::size_t i = 0;
  for (auto _ : state) {
    i = (i * 1664525 + 1013904223) % asked.size();
    benchmark::DoNotOptimize(&cache.settings_for(asked[i], VmtaId{static_cast<std::uint32_t>(i % 100)}));
  }
}
BENCHMARK(look_up)->Arg(10'000)->Arg(100);

/// Queues nobody asked for before: what a name beyond the cache's limit costs.
void look_up_unknown(benchmark::State& state) {
  OneFile file(configuration(10'000, 100));
  const LoadResult loaded = load_config("/c", file);
  if (!loaded.ok()) return state.SkipWithError("does not load");
  DomainSettingsCache cache(loaded.config);
  std::string name = "a.b.c0000000.example";
  for (std::size_t i = 0; i < DomainSettingsCache::kQueuesMax; ++i)
    static_cast<void>(cache.settings_for("fill" + std::to_string(i) + ".net", kDefaultVmta));
  std::size_t i = 0;
  for (auto _ : state) {
    name[6] = static_cast<char>('0' + ++i % 10);
    benchmark::DoNotOptimize(&cache.settings_for(name, kDefaultVmta));
  }
}
BENCHMARK(look_up_unknown);

void resolve_source(benchmark::State& state) {
  OneFile file(
      "log-file /l\npostmaster p@x.example\n<spool /s>\n</spool>\n<source 0/0>\nallow-starttls "
      "yes\n</source>\n<source "
      "10/8>\nalways-allow-relaying yes\nprocess-x-virtual-mta yes\n</source>\n<source "
      "10.1.2.3>\nmax-message-size "
      "10M\n</source>\n");
  const LoadResult loaded = load_config("/c", file);
  if (!loaded.ok()) return state.SkipWithError("does not load");
  const IpAddress client = *IpAddress::parse("10.1.2.3");
  for (auto _ : state) benchmark::DoNotOptimize(loaded.config->resolve_source(client));
}
BENCHMARK(resolve_source);

}  // namespace

BENCHMARK_MAIN();
