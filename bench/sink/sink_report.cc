#include "bench/sink/sink_report.h"

#include <fmt/format.h>

#include "policy/base/json_text.h"

namespace sluice::bench {
namespace {

void check(ProviderFigures& figures, std::optional<std::uint64_t> expected, std::uint64_t seen,
           std::string_view what) {
  if (expected && seen > *expected) {
    figures.broken.push_back(
        fmt::format("{}: {} {}, at most {} expected", figures.name, seen, what, *expected));
  }
}

}  // namespace

std::uint64_t ProviderFigures::value(std::string_view counter) const {
  for (std::size_t i = 0; i < std::size(kCounterNames); ++i) {
    if (kCounterNames[i].name == counter) return values[i];
  }
  return 0;
}

std::vector<ProviderFigures> figures_of(const SinkShared& shared) {
  std::vector<ProviderFigures> out;
  for (std::size_t index = 0; index < shared.internet.providers.size(); ++index) {
    const Provider& provider = shared.internet.providers[index];
    const ProviderState& state = *shared.states[index];
    ProviderFigures figures;
    figures.name = provider.name;
    for (const CounterName& counter : kCounterNames) {
      std::uint64_t sum = 0;
      for (const auto& shard : shared.counters) sum += ((*shard)[index].*counter.member).value();
      figures.values.push_back(sum);
    }
    figures.connections_now = state.connections.now();
    figures.connections_peak = state.connections.peak();
    figures.source_peak = state.source_peak();
    figures.sources = state.sources_seen();
    check(figures, provider.expect_connections, figures.connections_peak, "connections at once");
    check(figures, provider.expect_connections_per_source, figures.source_peak,
          "connections at once from one address");
    check(figures, provider.expect_messages_per_connection, state.messages_peak.value(),
          "messages on one connection");
    out.push_back(std::move(figures));
  }
  return out;
}

std::string figures_json(const std::vector<ProviderFigures>& figures, const DnsCounters* dns,
                         Duration uptime) {
  std::string out = "{\"providers\":[";
  for (std::size_t i = 0; i < figures.size(); ++i) {
    const ProviderFigures& one = figures[i];
    out += fmt::format("{}{{\"name\":{}", i == 0 ? "" : ",", json_string(one.name));
    for (std::size_t c = 0; c < one.values.size(); ++c) {
      out += fmt::format(",\"{}\":{}", kCounterNames[c].name, one.values[c]);
    }
    out += fmt::format(",\"connections_now\":{},\"connections_peak\":{},\"source_peak\":{},\"sources\":{}}}",
                       one.connections_now, one.connections_peak, one.source_peak, one.sources);
  }
  out += "]";
  if (dns != nullptr) {
    out += fmt::format(",\"dns\":{{\"queries\":{},\"answers\":{},\"tcp_connections\":{}}}",
                       dns->queries.value(), dns->answers.value(), dns->tcp_connections.value());
  }
  return out + fmt::format(",\"uptime_seconds\":{:.3f}}}\n", static_cast<double>(uptime.count()) / 1e9);
}

std::string figures_text(const std::vector<ProviderFigures>& figures) {
  std::string out = fmt::format("{:<20} {:>10} {:>10} {:>9} {:>8} {:>8} {:>8} {:>6} {:>6}\n", "provider",
                                "messages", "recipients", "MB", "4xx", "5xx", "dropped", "conns", "peak");
  for (const ProviderFigures& one : figures) {
    out += fmt::format(
        "{:<20} {:>10} {:>10} {:>9.1f} {:>8} {:>8} {:>8} {:>6} {:>6}\n", one.name, one.value("messages"),
        one.value("recipients"), static_cast<double>(one.value("body_bytes")) / 1e6, one.value("replies_4xx"),
        one.value("replies_5xx"), one.value("dropped"), one.connections_now, one.connections_peak);
  }
  for (const ProviderFigures& one : figures) {
    for (std::size_t c = 0; c < one.values.size(); ++c) {
      if (!kCounterNames[c].violation || one.values[c] == 0) continue;
      out += fmt::format("violation: {}: {} {}\n", one.name, one.values[c], kCounterNames[c].name);
    }
    for (const std::string& sentence : one.broken) out += "violation: " + sentence + "\n";
  }
  return out;
}

bool any_violation(const std::vector<ProviderFigures>& figures) {
  for (const ProviderFigures& one : figures) {
    if (!one.broken.empty()) return true;
    for (std::size_t c = 0; c < one.values.size(); ++c) {
      if (kCounterNames[c].violation && one.values[c] != 0) return true;
    }
  }
  return false;
}

}  // namespace sluice::bench
