// What a record costs from the event to the bytes of its row, and what judging a reply costs.
#include <benchmark/benchmark.h>

#include "engine/accounting/record_of_event.h"
#include "policy/accounting/row_formatter.h"
#include "policy/classify/bounce_category.h"

namespace sluice::accounting {
namespace {

journal::Event delivery() {
  journal::Event event;
  event.kind = journal::EventKind::Delivered;
  event.time_logged = WallTime{1'767'571'200'000ms};
  event.time_queued = event.time_logged - 90s;
  event.orig = "bounces+12345-bob=a.example@news.example";
  event.rcpt = "bob.somebody@a.example";
  event.dsn_action = "relayed";
  event.dsn_status = "2.0.0 (success)";
  event.dsn_diag = "smtp;250 2.0.0 OK 1767571200 d75a77b69052e-4e8a1b2c3d4si1234567 - gsmtp";
  event.dsn_mta = "mx1.a.example (192.0.2.10)";
  event.src_type = "smtp";
  event.src_mta = "feeder.news.example (192.0.2.2)";
  event.dlv_type = "smtp";
  event.dlv_source_ip = "198.51.100.7";
  event.dlv_destination_ip = "192.0.2.10";
  event.dlv_esmtp_available = "SIZE,8BITMIME,ENHANCEDSTATUSCODES,PIPELINING,CHUNKING,SMTPUTF8";
  event.dlv_size_bytes = 41'159;
  event.vmta = "vmta48";
  event.vmta_pool = "pool1";
  event.job_id = "job-2026-01-05";
  event.queue = "a.example/vmta48";
  return event;
}

void row_of_event(benchmark::State& state) {
  const auto layout = RecordLayout::make({});
  const TimeZone zone;
  RowFormatter formatter(*layout, zone, {});
  journal::Event event = delivery();
  std::string out;
  for (auto _ : state) {
    event.time_logged += 1ms;
    if (out.size() > 1 << 20) out.clear();
    formatter.append_row(out, record_of(event));
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(row_of_event);

void classify_reply(benchmark::State& state) {
  const auto classifier = BounceClassifier::make({});
  const std::string_view replies[] = {
      "smtp;550 5.1.1 <x@b.example>: Recipient address rejected: User unknown in local recipient table",
      "smtp;421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume",
      "smtp;554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using a list",
      "smtp;451 Temporarily unable to process your email",
  };
  std::size_t i = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(classifier->classify({5, 0, 0}, replies[i++ % std::size(replies)]));
  }
}
BENCHMARK(classify_reply);

}  // namespace
}  // namespace sluice::accounting

BENCHMARK_MAIN();
