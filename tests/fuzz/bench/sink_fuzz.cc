// Goal: whatever a client sends, a session stays within its limits, takes bytes only while it wants input, and records
//       as many copies as it counts; fragments make no difference to what is recorded.
// How: the first bytes choose a fragment size and a set of rules, the rest is the client. Waits pass at once.

#include <cstdint>
#include <optional>

#include "bench/provider/provider_file.h"
#include "bench/sink/sink_session.h"
#include "policy/base/assert.h"

using namespace sluice;
using namespace sluice::bench;

namespace {

constexpr std::string_view kRules[] = {
    "",
    "at mail delay 1s\nat dot delay 1s\nat body after 10 pause 1s\nat data delay 1s",
    "no-extension PIPELINING CHUNKING SIZE\nsize 100\nrecipients 1\nmessages-per-connection 2",
    "at dot every 2 reply \"451 x\"\nat rcpt every 3 reply \"550 x\"\nat data every 4 reply \"452 x\"",
    "at dot every 2 accept-and-drop\nat body after 50 drop\nat mail raw repeat 3 \"250-x\\r\\n\" \"250 "
    "y\\r\\n\"",
};

struct Outcome {
  std::uint64_t messages = 0;
  std::uint64_t copies = 0;
};

Outcome converse(std::string_view client, std::size_t piece, std::string_view rules) {
  const auto internet =
      parse_provider_file("provider p\n domain p.example\n any-domain\n" + std::string(rules) + "\nend\n");
  SLUICE_ASSERT(internet);
  const Directory directory(*internet);
  ProviderState state(internet->providers[0]);
  SinkCounters counters;
  MemoryLedger ledger(true);
  const MonoTime start{};
  const SessionWorld world{.directory = directory,
                           .provider = 0,
                           .state = state,
                           .counters = counters,
                           .ledger = ledger,
                           .start = start};
  {
    Moment now{MonoTime(1s), 1};
    SinkSession session(world, 1, IpAddress(), "0.0.0.0", "h");
    session.begin(now);
    while (!client.empty()) {
      while (session.want() == SinkSession::Want::Wait) {
        now.mono += session.wait();
        session.resume(now);
      }
      if (session.want() != SinkSession::Want::Input) break;
      const std::string_view part = client.substr(0, piece);
      const std::size_t taken = session.consume(part, now);
      SLUICE_ASSERT(taken <= part.size());
      SLUICE_ASSERT(taken > 0 || session.want() != SinkSession::Want::Input || !session.output().empty());
      client.remove_prefix(taken);
      SLUICE_ASSERT(session.output().size() < 2 * SinkSession::kOutputMax);
      session.output().clear();
    }
    session.end(Farewell::Lost, now);
  }
  Outcome outcome{.messages = counters.messages.value(), .copies = 0};
  for (const std::string_view line : split(ledger.text(), '\n')) {
    if (line.empty()) continue;
    const auto read = parse_ledger_line(line);
    SLUICE_ASSERT(read);
    if (read->kind == LedgerKind::Received) ++outcome.copies;
  }
  SLUICE_ASSERT(outcome.copies == counters.recipients.value());
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view client(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::string_view rules = kRules[data[1] % std::size(kRules)];
  const Outcome whole = converse(client, SIZE_MAX, rules);
  const Outcome pieces = converse(client, 1U + data[0], rules);
  SLUICE_ASSERT(whole.messages == pieces.messages && whole.copies == pieces.copies);
  return 0;
}
