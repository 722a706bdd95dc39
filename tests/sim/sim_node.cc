#include "tests/sim/sim_node.h"

namespace sluice::test {

journal::StorageOptions SimNode::small_storage() {
  journal::StorageOptions storage;
  storage.spool.segment_bytes = 1 * kMiB;
  storage.spool.commit_buffers = 16;
  storage.spool.min_free_disk_bytes = 4 * kMiB;
  storage.journal.segment_bytes = 256 * kKiB;
  storage.reader.pool_bytes = 64 * kKiB;  // two small buffers: whoever hoards them stops the world
  storage.reader.overflow_bytes = 0;
  return storage;
}

SimNode::SimNode(runtime::sim::Machine& machine, MapFileSource& files, Zone zone,
                 const journal::StorageOptions& storage)
    : machine_(machine), files_(files), zone_(std::move(zone)) {
  const auto shards = static_cast<std::uint32_t>(machine.reactor_count() - 1);
  node_ = std::make_unique<shard::Node>(
      control(), machine.mailboxes(),
      shard::Node::Settings{.shards = shards,
                            .load = [this] { return config::load_config("/etc/config", files_); },
                            .storage = storage,
                            .command_socket = true,
                            .open_dns =
                                [this](runtime::Reactor& reactor, const config::GlobalSettings&) {
                                  auto dns = std::make_unique<resolver::TableTransport>(reactor);
                                  zone_(*dns);
                                  return Result<std::unique_ptr<resolver::DnsTransport>>(std::move(dns));
                                }});
}

runtime::Task<std::expected<void, std::string>> SimNode::start() {
  const config::LoadResult loaded = config::load_config("/etc/config", files_);
  if (!loaded.ok()) co_return std::unexpected(config::format(loaded.diagnostics));
  co_return co_await node_->start(
      loaded.config, [this](shard::DataShard::World& world, const journal::StorageOptions& storage) {
        for (std::size_t i = 0; i + 1 < machine_.reactor_count(); ++i) {
          runtime::Reactor& reactor = machine_.reactor(i);
          auto dns = std::make_unique<resolver::TableTransport>(reactor);
          zone_(*dns);
          shards_.push_back(std::make_unique<shard::DataShard>(reactor, world, std::move(dns), storage));
        }
        for (auto& shard : shards_) node_->shard_ready(*shard);
      });
}

runtime::Task<void> SimNode::stop() { return node_->stop(); }

}  // namespace sluice::test
