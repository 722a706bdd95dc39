// What a start and a reload find out about the host, and say in the log.
#include <fmt/format.h>

#include <algorithm>

#include "engine/shard/node.h"
#include "policy/config/diagnostic.h"

namespace sluice::shard {
namespace {

/// A process that ends at this moment gives its addresses back; so does a listener that the last reload took away.
constexpr int kFreeTries = 250;
constexpr Duration kFreeWait = 20ms;
/// Lines of one kind; `sluice check` lists them all.
constexpr std::size_t kLinesMax = 20;

/// "Warning in line 11 of /etc/pmta/config: ...", the hint in brackets: one line.
std::string one_line(const config::Diagnostic& finding) {
  std::string out = config::format(finding);
  out.erase(std::min(out.find('\n'), out.size()));
  if (!finding.suggestion.empty()) out += " (" + finding.suggestion + ')';
  return out;
}

}  // namespace

void Node::log_findings(std::span<const config::Diagnostic> findings, config::Severity severity) {
  std::size_t count = 0;
  for (const config::Diagnostic& one : findings) {
    if (one.severity != severity) continue;
    if (++count <= kLinesMax) log_.write(one_line(one));
  }
  if (count > kLinesMax)
    log_.write(fmt::format("... and {} more; `sluice check` lists them", count - kLinesMax));
}

/// Mail for these piles up, and nothing else says why before the first attempt.
void Node::log_absent_sources() {
  std::vector<IpAddress> local = control_.local_addresses();
  if (local.empty()) return;
  std::ranges::sort(local);
  std::size_t count = 0;
  for (const queue::Identity& identity : snapshot_->identities) {
    for (const queue::SourceAddress& source : identity.sources) {
      if (!source.address || source.proxy || source.address->is_loopback() ||
          std::ranges::binary_search(local, *source.address))
        continue;
      if (++count > kLinesMax) continue;
      log_.write(fmt::format(
          "Warning: virtual MTA {}: source IP {} is not an address of this host, so its mail waits",
          identity.name, source.address->text()));
    }
  }
  if (count > kLinesMax)
    log_.write(fmt::format("... and {} more source IPs that are not of this host", count - kLinesMax));
}

runtime::Task<void> Node::log_listeners() {
  DataShard* const first = shards_.front();
  const auto at = co_await runtime::call_on(control_, first->id(), [first] { return first->endpoints(); });
  const auto stands_in = [](const std::vector<Endpoint>& all, const Endpoint& one) {
    return std::ranges::find(all, one) != all.end();
  };
  for (const Endpoint& one : at) {
    if (!stands_in(listening_, one)) log_.write("Listening for SMTP on " + one.text());
  }
  for (const Endpoint& one : listening_) {
    if (!stands_in(at, one)) log_.write("No longer listening for SMTP on " + one.text());
  }
  if (at.empty()) log_.write("Listening for SMTP nowhere: there is no smtp-listener");
  listening_ = at;
}

runtime::Task<std::expected<void, std::string>> Node::listeners_free(const queue::Snapshot& next) {
  DataShard* const first = shards_.front();
  const auto own = co_await runtime::call_on(control_, first->id(), [first] { return first->endpoints(); });
  for (const config::SmtpListener& one : next.config->listeners) {
    const Endpoint at{one.address.address(), one.port};
    // Ours are shared among our shards; where one of ours takes in the address nobody can be told apart from it.
    const bool is_ours = std::ranges::any_of(own, [&at](const Endpoint& mine) {
      return mine == at || (mine.port == at.port && mine.address.is_v4() == at.address.is_v4() &&
                            (mine.address.is_any() || at.address.is_any()));
    });
    if (at.port == 0 || is_ours) continue;
    Status free = control_.is_free(at);
    for (int i = 0; !free && free.error().code == Errc::Exists && i < kFreeTries; ++i) {
      co_await runtime::sleep_for(control_, kFreeWait);
      free = control_.is_free(at);
    }
    if (free) continue;
    const bool taken = free.error().code == Errc::Exists;
    co_return std::unexpected(queue::error_at(
        *next.config, one.origin,
        "cannot listen on " + at.text() + ": " +
            (taken ? "another process listens there already; `ss -ltnp` shows which" : free.error().text())));
  }
  co_return std::expected<void, std::string>();
}

}  // namespace sluice::shard
