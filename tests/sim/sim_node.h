#pragma once
// A whole node, from listeners to accounting, on a machine of the simulated world.

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "engine/resolver/table_transport.h"
#include "engine/runtime/sim/world.h"
#include "engine/shard/node.h"
#include "policy/config/file_source.h"

namespace sluice::test {

/// Configuration files from memory.
class MapFileSource final : public config::FileSource {
 public:
  std::map<std::string, std::string, std::less<>> files;
  Result<std::string> read(std::string_view path) override {
    const auto found = files.find(path);
    if (found == files.end()) return fail(Errc::NotFound, "open");
    return found->second;
  }
  Result<std::vector<std::string>> glob(std::string_view) override { return std::vector<std::string>{}; }
};

/// One incarnation of a node: made after boot(), buried at a crash or stopped in peace.
/// The machine has one reactor more than the node has data shards: the last is the control shard.
class SimNode {
 public:
  using Zone = std::function<void(resolver::TableTransport&)>;

  /// Small segments and few buffers, so that a short run sees them come and go. `journal::StorageOptions()`:
  /// production's own limits.
  [[nodiscard]] static journal::StorageOptions small_storage();
  SimNode(runtime::sim::Machine& machine, MapFileSource& files, Zone zone,
          const journal::StorageOptions& storage = small_storage());
  SimNode(const SimNode&) = delete;
  SimNode& operator=(const SimNode&) = delete;

  /// Starts until mail flows; the text is the startup error.
  [[nodiscard]] runtime::Task<std::expected<void, std::string>> start();
  [[nodiscard]] runtime::Task<void> stop();
  [[nodiscard]] shard::Node& node() { return *node_; }
  [[nodiscard]] runtime::Reactor& control() { return machine_.reactor(machine_.reactor_count() - 1); }

 private:
  runtime::sim::Machine& machine_;
  MapFileSource& files_;
  Zone zone_;
  std::unique_ptr<shard::Node> node_;
  std::vector<std::unique_ptr<shard::DataShard>> shards_;
};

}  // namespace sluice::test
