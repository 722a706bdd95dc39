// What a mail host costs to look up when it is cached, at one domain and at many; and what the codec costs per answer.
#include <benchmark/benchmark.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/resolver/resolver.h"
#include "engine/resolver/table_transport.h"
#include "engine/runtime/sim/world.h"
#include "net/dns/answer.h"
#include "policy/base/assert.h"

namespace sluice {
namespace {

/// A resolver whose cache holds `domains` domains of `hosts` mail hosts each; every second address family missing.
class Warm {
 public:
  Warm(std::size_t domains, std::size_t hosts)
      : dns_(world_.reactor()), resolver_(world_.reactor(), dns_, options()) {
    for (std::size_t i = 0; i < domains; ++i) {
      names_.push_back("customer" + std::to_string(i) + ".example");
      for (std::size_t h = 0; h < hosts; ++h) {
        const std::string host = "mx" + std::to_string(h) + '.' + names_[i];
        dns_.add_mx(names_[i], 10, host, std::chrono::hours{24});
        dns_.add_a(host, "192.0.2.1", std::chrono::hours{24});
      }
      finish(resolver_.resolve_mail_hosts(names_[i], {}));
    }
  }
  ~Warm() {
    bool done = false;
    runtime::TaskGroup group;
    group.spawn(stop(resolver_, done));
    (void)world_.run_until([&] { return done; });
  }
  [[nodiscard]] resolver::Resolver& resolver() { return resolver_; }
  [[nodiscard]] const std::string& name(std::size_t i) const { return names_[i % names_.size()]; }

  resolver::RouteAnswer finish(runtime::Task<resolver::RouteAnswer> task) {
    std::optional<resolver::RouteAnswer> out;
    runtime::TaskGroup group;
    group.spawn(keep(std::move(task), out));
    if (!out) (void)world_.run_until([&] { return out.has_value(); });
    SLUICE_ASSERT(out && out->ok());
    return std::move(*out);
  }

 private:
  static runtime::Task<void> keep(runtime::Task<resolver::RouteAnswer> task,
                                  std::optional<resolver::RouteAnswer>& out) {
    out.emplace(co_await task);
  }
  static runtime::Task<void> stop(resolver::Resolver& resolver, bool& done) {
    co_await resolver.stop();
    done = true;
  }
  static resolver::ResolverOptions options() {
    resolver::ResolverOptions out;
    out.cache_bytes_max = 512 * kMiB;
    return out;
  }
  runtime::sim::World world_{1};
  resolver::TableTransport dns_;
  resolver::Resolver resolver_;
  std::vector<std::string> names_;
};

void find_cached(benchmark::State& state) {
  Warm warm(static_cast<std::size_t>(state.range(0)), static_cast<std::size_t>(state.range(1)));
  std::size_t i = 0;
  for (auto _ : state) {
    // A stride that is prime to every size used here: neighbours in time are no neighbours in memory.
    auto answer = warm.resolver().find_mail_hosts(warm.name(i += 7919), {});
    SLUICE_ASSERT(answer && answer->ok());
    benchmark::DoNotOptimize(answer);
  }
  state.counters["bytes/domain"] =
      static_cast<double>(warm.resolver().counters().cache_bytes) / static_cast<double>(state.range(0));
}
BENCHMARK(find_cached)
    ->ArgNames({"domains", "hosts"})
    ->Args({1, 1})
    ->Args({1, 5})
    ->Args({1000, 1})
    ->Args({100000, 1});

void resolve_cached(benchmark::State& state) {
  Warm warm(1000, 1);
  std::size_t i = 0;
  for (auto _ : state)
    benchmark::DoNotOptimize(warm.finish(warm.resolver().resolve_mail_hosts(warm.name(i += 7919), {})));
}
BENCHMARK(resolve_cached);

net::dns::Message mx_answer(std::size_t hosts) {
  net::dns::Message message;
  message.header.response = true;
  message.questions = {{"example.com", net::dns::Type::Mx, net::dns::kClassInternet}};
  for (std::size_t i = 0; i < hosts; ++i) {
    message.answers.push_back({"example.com", net::dns::Type::Mx, net::dns::kClassInternet,
                               std::chrono::seconds{300},
                               net::dns::MxData{10, "mx" + std::to_string(i) + ".mail.example.com"}});
  }
  return message;
}

void parse_mx_answer(benchmark::State& state) {
  const auto bytes = *net::dns::build_message(mx_answer(static_cast<std::size_t>(state.range(0))));
  for (auto _ : state) {
    auto answer =
        net::dns::interpret_answer(*net::dns::parse_message(bytes), "example.com", net::dns::Type::Mx);
    benchmark::DoNotOptimize(answer);
  }
}
BENCHMARK(parse_mx_answer)->Arg(1)->Arg(5)->Arg(100);

void build_query(benchmark::State& state) {
  for (auto _ : state)
    benchmark::DoNotOptimize(net::dns::build_query(1, "mail.example.com", net::dns::Type::A));
}
BENCHMARK(build_query);

}  // namespace
}  // namespace sluice

BENCHMARK_MAIN();
