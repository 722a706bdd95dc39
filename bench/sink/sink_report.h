#pragma once

#include <string>
#include <vector>

#include "bench/dns/dns_server.h"
#include "bench/sink/sink_shard.h"

namespace sluice::bench {

/// All shards' counters of one provider added up, with what the shards share.
struct ProviderFigures {
  std::string name;
  std::vector<std::uint64_t> values;  ///< as kCounterNames
  std::uint64_t connections_now = 0;
  std::uint64_t connections_peak = 0;
  std::uint64_t source_peak = 0;  ///< most connections of one client address
  std::uint64_t sources = 0;
  std::vector<std::string> broken;  ///< expectations that were not kept, as sentences
  [[nodiscard]] std::uint64_t value(std::string_view counter) const;
};

/// Thread: any; a moment's picture.
[[nodiscard]] std::vector<ProviderFigures> figures_of(const SinkShared& shared);
/// {"providers":[{"name":"gmail","messages":1,...}],"dns":{"queries":1,...},"uptime_seconds":1.5}
[[nodiscard]] std::string figures_json(const std::vector<ProviderFigures>& figures, const DnsCounters* dns,
                                       Duration uptime);
/// A table for people: a line a provider, then what senders did wrong.
[[nodiscard]] std::string figures_text(const std::vector<ProviderFigures>& figures);
[[nodiscard]] bool any_violation(const std::vector<ProviderFigures>& figures);

}  // namespace sluice::bench
