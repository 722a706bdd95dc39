#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/resolver/resolver.h"
#include "engine/resolver/table_transport.h"
#include "tests/engine/resolver/virtual_reactor.h"

namespace sluice::tests {

/// A resolver over a table, in virtual time.
class ResolverFixture : public ::testing::Test {
 protected:
  ResolverFixture() { make({}); }
  ~ResolverFixture() override { reactor_.run_task(resolver_->stop()); }

  void make(resolver::ResolverOptions options) {
    if (resolver_) reactor_.run_task(resolver_->stop());
    resolver_.reset();
    dns_ = std::make_unique<resolver::TableTransport>(reactor_);
    resolver_ = std::make_unique<resolver::Resolver>(reactor_, *dns_, options);
  }
  resolver::RouteAnswer ask(std::string domain) {
    return reactor_.run_task(resolver_->resolve_mail_hosts(std::move(domain), options_));
  }
  /// "10 mx1.example 192.0.2.1:25" for each hop.
  static std::vector<std::string> lines(const resolver::RouteAnswer& answer) {
    std::vector<std::string> out;
    for (const resolver::RouteHop& hop : answer.hops) {
      out.push_back(std::to_string(hop.preference) + ' ' + std::string(answer.host_of(hop)) + ' ' + hop.endpoint.text());
    }
    return out;
  }

  VirtualReactor reactor_;
  std::unique_ptr<resolver::TableTransport> dns_;
  std::unique_ptr<resolver::Resolver> resolver_;
  resolver::RouteOptions options_;
};

}  // namespace sluice::tests
