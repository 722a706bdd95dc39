#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/resolver/resolver.h"
#include "engine/resolver/table_transport.h"
#include "engine/runtime/sim/world.h"
#include "tests/support/sim_test.h"

namespace sluice::test {

/// A simulated world of which only time and chance are used. A turn costs no time, so that tests can name the
/// moment.
class VirtualTime {
 public:
  [[nodiscard]] runtime::Reactor& reactor() { return world_.reactor(); }
  [[nodiscard]] MonoTime now() { return world_.reactor().now(); }
  template <class T>
  T run_task(runtime::Task<T> task) {
    auto out = finish(world_, std::move(task));
    SLUICE_ASSERT(out.has_value());
    return std::move(*out);
  }
  void run_task(runtime::Task<void> task) { SLUICE_ASSERT(finish(world_, std::move(task))); }
  /// Lets `delay` pass, with everything that happens in it.
  void pass(Duration delay) { (void)world_.run_for(delay); }
  /// Runs what is ready, without letting time pass.
  void settle() { (void)world_.run_for(Duration{0}); }

 private:
  static runtime::sim::WorldOptions options() {
    runtime::sim::WorldOptions out;
    out.turn_cost = Duration{0};
    return out;
  }
  runtime::sim::World world_{1, options()};
};

/// A resolver over a table, in virtual time.
class ResolverFixture : public ::testing::Test {
 protected:
  ResolverFixture() { make({}); }
  ~ResolverFixture() override { time_.run_task(resolver_->stop()); }

  void make(resolver::ResolverOptions options) {
    if (resolver_) time_.run_task(resolver_->stop());
    resolver_.reset();
    dns_ = std::make_unique<resolver::TableTransport>(time_.reactor());
    resolver_ = std::make_unique<resolver::Resolver>(time_.reactor(), *dns_, options);
  }
  resolver::RouteAnswer ask(std::string domain) {
    return time_.run_task(resolver_->resolve_mail_hosts(std::move(domain), options_));
  }
  /// "10 mx1.example 192.0.2.1:25" for each hop.
  static std::vector<std::string> lines(const resolver::RouteAnswer& answer) {
    std::vector<std::string> out;
    for (const resolver::RouteHop& hop : answer.hops) {
      out.push_back(std::to_string(hop.preference) + ' ' + std::string(answer.host_of(hop)) + ' ' +
                    hop.endpoint.text());
    }
    return out;
  }

  VirtualTime time_;
  std::unique_ptr<resolver::TableTransport> dns_;
  std::unique_ptr<resolver::Resolver> resolver_;
  resolver::RouteOptions options_;
};

}  // namespace sluice::test
