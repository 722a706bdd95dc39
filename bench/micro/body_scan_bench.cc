// What the sink's pass over a body costs: the vector scan beside its plain reference, and the whole intake
// with its hash.
#include <benchmark/benchmark.h>

#include <string>

#include "bench/lib/body_scan.h"
#include "bench/load/message_maker.h"
#include "bench/sink/message_intake.h"

namespace {

using namespace sluice;
using namespace sluice::bench;

std::string message_text() {
  LoadPlan plan;
  plan.run = "micro";
  plan.domains = {{*NameRange::parse("d.example"), 1}};
  MessageMaker maker(plan);
  const LoadMessage message = maker.make(1, WallTime{});
  return message.head + std::string(message.middle) + std::string(message.tail) + ".\r\n";
}

void scan_vector(benchmark::State& state) {
  const std::string text = message_text();
  for (auto _ : state) benchmark::DoNotOptimize(scan_body(text, '\n'));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(scan_vector);

void scan_plain(benchmark::State& state) {
  const std::string text = message_text();
  for (auto _ : state) benchmark::DoNotOptimize(scan_body_plain(text, '\n'));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(scan_plain);

void whole_intake(benchmark::State& state) {
  const std::string text = message_text();
  MessageIntake intake;
  for (auto _ : state) {
    intake.begin(MessageIntake::Framing::Dot);
    benchmark::DoNotOptimize(intake.take(text));
    benchmark::DoNotOptimize(intake.body_hash());
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(text.size()));
}
BENCHMARK(whole_intake);

}  // namespace

BENCHMARK_MAIN();
