// What one question to a token bucket costs: granted, refused, in batches, and with several threads on one bucket.
#include <benchmark/benchmark.h>

#include "policy/limits/token_bucket.h"

namespace sluice {
namespace {

void take_granted(benchmark::State& state) {
  TokenBucket bucket({1'000'000, 1s});
  MonoTime now{};
  for (auto _ : state) {
    now += 2us;
    benchmark::DoNotOptimize(bucket.try_take(now));
  }
}
BENCHMARK(take_granted);

void take_refused(benchmark::State& state) {
  TokenBucket bucket({1, 24h});
  MonoTime now{};
  (void)bucket.try_take(now);
  for (auto _ : state) {
    now += 1us;
    benchmark::DoNotOptimize(bucket.try_take(now));
  }
}
BENCHMARK(take_refused);

void take_batch_of_16(benchmark::State& state) {
  TokenBucket bucket({1'000'000, 1s});
  MonoTime now{};
  for (auto _ : state) {
    now += 20us;
    benchmark::DoNotOptimize(bucket.try_take(now, 16));
  }
}
BENCHMARK(take_batch_of_16);

void take_shared(benchmark::State& state) {
  static TokenBucket bucket({1'000'000, 1s});
  MonoTime now{};
  for (auto _ : state) {
    now += 2us;
    benchmark::DoNotOptimize(bucket.try_take(now));
  }
}
BENCHMARK(take_shared)->Threads(1)->Threads(2);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
