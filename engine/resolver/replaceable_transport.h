#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/resolver/dns_transport.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/task.h"

namespace sluice::resolver {

/// A transport whose name servers may change while questions are under way.
/// Thread:   one shard. Lifetime: `reactor` outlives it; stop() has been awaited before destruction
/// (asserted).
class ReplaceableTransport final : public DnsTransport {
 public:
  ReplaceableTransport(runtime::Reactor& reactor, std::unique_ptr<DnsTransport> first);
  ~ReplaceableTransport() override;

  /// Questions from now on go to `next`. Those under way are answered by the one before, which then ends.
  void replace(std::unique_ptr<DnsTransport> next);

  /// Ends a transport that was opened for replace() and is not needed after all.
  void retire(std::unique_ptr<DnsTransport> unused);

  runtime::Task<Result<std::vector<std::byte>>> query(std::string name, net::dns::Type type) override;
  runtime::Task<void> stop() override;

 private:
  struct One {
    std::unique_ptr<DnsTransport> transport;
    std::uint64_t under_way = 0;
    bool is_replaced = false;
  };
  runtime::Task<void> end(std::shared_ptr<One> one);
  void end_if_idle(const std::shared_ptr<One>& one);

  runtime::Reactor& reactor_;
  // Shared with the questions under way: they outlast the replacement.
  std::shared_ptr<One> current_;
  std::vector<std::shared_ptr<One>> replaced_;
  runtime::TaskGroup ending_;
  bool stopping_ = false;
};

}  // namespace sluice::resolver
