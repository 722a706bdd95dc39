#pragma once
// The two worlds behind one face, for tests of what both promise.

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "engine/runtime/sim/world.h"
#include "engine/runtime/uring/uring_reactor.h"
#include "tests/support/tasks.h"

namespace sluice::runtime {

enum class Which { Sim, SimInPieces, Uring };

/// One reactor and a directory to write in. run() is called once.
class EitherWorld {
 public:
  static constexpr std::uint32_t kBuffers = 16;
  static constexpr std::uint32_t kBufferBytes = 4096;

  explicit EitherWorld(Which which) {
    if (which == Which::Uring) {
      make_real();
    } else {
      make_simulated(which == Which::SimInPieces);
    }
  }
  ~EitherWorld() {
    real_.reset();
    if (!real_directory_.empty()) std::filesystem::remove_all(real_directory_);
  }

  /// False: this kernel has no io_uring that serves; skip the test.
  [[nodiscard]] bool usable() const { return world_ != nullptr || real_ != nullptr; }
  [[nodiscard]] const std::string& why_not() const { return why_not_; }
  [[nodiscard]] Reactor& reactor() { return world_ ? static_cast<Reactor&>(world_->reactor()) : *real_; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] bool is_simulated() const { return world_ != nullptr; }
  [[nodiscard]] sim::World& world() { return *world_; }

  void run(Task<void> body) {
    bool done = false;
    if (world_) {
      test::start(std::move(body), done);
      const sim::Ended ended = world_->run_until([&] { return done; });
      EXPECT_EQ(ended, sim::Ended::Reached) << name_of(ended);
      world_->run_for(10s);
      EXPECT_EQ(world_->reactor().operations_in_flight(), 0u) << "operations left behind";
      EXPECT_EQ(world_->reactor().buffers_free(), std::size_t{kBuffers}) << "buffers not returned";
      EXPECT_EQ(world_->machine().descriptors_open(), 0u) << "descriptors left open";
      return;
    }
    test::start(stop_after(std::move(body), *real_));
    real_->run();
  }

 private:
  static Task<void> stop_after(Task<void> body, Reactor& reactor) {
    co_await body;
    // What was cancelled at the end still has its completion to come.
    for (int i = 0; i < 200; ++i) co_await yield(reactor);
    reactor.stop();
  }
  void make_simulated(bool in_pieces) {
    sim::WorldOptions options;
    options.machine.buffer_count = kBuffers;
    options.machine.buffer_bytes = kBufferBytes;
    world_ = std::make_unique<sim::World>(7, options);
    if (in_pieces) {
      world_->network().default_link.read_max = 1;
      world_->network().default_link.segment_max = 700;
      world_->network().default_link.jitter = 5ms;
      world_->faults().plan.write_short = 0.3;
      world_->faults().plan.operation_delayed = 0.05;
    }
    directory_ = "/data";
    world_->disk().put("/data/.keep", "");
  }
  void make_real() {
    UringOptions options = UringOptions::small();
    options.buffer_count = kBuffers;
    options.buffer_bytes = kBufferBytes;
    auto made = UringReactor::create(ShardId{0}, options);
    if (!made) {
      why_not_ = UringReactor::explain(made.error());
      return;
    }
    real_ = std::move(*made);
    std::string pattern = std::filesystem::temp_directory_path() / "sluice-contract-XXXXXX";
    EXPECT_NE(::mkdtemp(pattern.data()), nullptr);
    real_directory_ = directory_ = pattern;
  }

  std::unique_ptr<sim::World> world_;
  std::unique_ptr<UringReactor> real_;
  std::string directory_;
  std::string real_directory_;
  std::string why_not_;
};

/// TEST_P(InEitherWorld, Name) { run(body(env)); }
class InEitherWorld : public ::testing::TestWithParam<Which> {
 protected:
  InEitherWorld() : env(GetParam()) {}
  void SetUp() override {
    if (!env.usable()) GTEST_SKIP() << env.why_not();
  }
  void run(Task<void> body) { env.run(std::move(body)); }
  EitherWorld env;
};

inline std::string world_name(const ::testing::TestParamInfo<Which>& which) {
  switch (which.param) {
    case Which::Sim: return "Sim";
    case Which::SimInPieces: return "SimInPieces";
    case Which::Uring: return "Uring";
  }
  return "Unknown";
}

}  // namespace sluice::runtime
