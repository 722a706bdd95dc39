#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

namespace sluice::queue {

/// The domain whose mail hosts a `rollup-by-ip` queue uses: the first one that was rolled up. All shards
/// agree on it. Thread: any, without a lock. Lifetime: a view stays valid as long as the anchor: replaced
/// names are kept, they are
///         few (a provider's customer leaves it).
class RollupAnchor {
 public:
  RollupAnchor() = default;
  RollupAnchor(const RollupAnchor&) = delete;
  RollupAnchor& operator=(const RollupAnchor&) = delete;
  ~RollupAnchor() {
    for (const Name* name = current_.load(); name != nullptr;) {
      const std::unique_ptr<const Name> gone(name);
      name = gone->older;
    }
  }

  /// Empty: there is none.
  [[nodiscard]] std::string_view domain() const {
    const Name* name = current_.load(std::memory_order_acquire);
    return name == nullptr ? std::string_view() : name->text;
  }
  /// Puts `next` in the place of `expected`; false: it is another one meanwhile.
  bool replace(std::string_view expected, std::string_view next) {
    const Name* name = current_.load(std::memory_order_acquire);
    if ((name == nullptr ? std::string_view() : name->text) != expected) return false;
    auto made = std::make_unique<const Name>(Name{std::string(next), name});
    if (!current_.compare_exchange_strong(name, made.get(), std::memory_order_acq_rel)) return false;
    static_cast<void>(made.release());
    return true;
  }

 private:
  struct Name {
    std::string text;
    const Name* older = nullptr;
  };
  std::atomic<const Name*> current_{nullptr};
};

}  // namespace sluice::queue
