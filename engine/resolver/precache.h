#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/resolver/resolver.h"
#include "engine/runtime/reactor.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"

namespace sluice::resolver {

/// The domains of a `precached-domains-file`: one in a line, `#` begins a comment, at most `domains_max`;
/// names that cannot be asked for are left out.
[[nodiscard]] std::vector<std::string> parse_domain_list(std::string_view text, std::size_t domains_max);

/// `<dns>`: keeps the mail hosts of a list of domains in one shard's cache, so that mail to them never waits
/// for DNS. The file is read anew at every round, so editing it needs no reload. Thread:   one shard.
/// Lifetime: stop() has been awaited before destruction (asserted); the resolver outlives it. Limits:
/// kFileBytesMax, domains_max, kLookupsMax routes asked for at a time. Errors: an exception ends the looking at one
/// domain, or one round, and is a complaint; the next round comes.
class Precache {
 public:
  static constexpr std::size_t kFileBytesMax = 4 * kMiB;
  static constexpr std::size_t kLookupsMax = 16;
  /// An answer that ends within a round is fetched again in it, and a little earlier: rounds take time
  /// themselves.
  static constexpr Duration kMargin = 30s;

  struct Settings {
    std::string path;  ///< precached-domains-file; empty: nothing is precached
    Duration interval = 5min;
    std::size_t domains_max = 500;
    routing::Families families;
    friend bool operator==(const Settings& a, const Settings& b) {
      return a.path == b.path && a.interval == b.interval && a.domains_max == b.domains_max &&
             a.families.v4 == b.families.v4 && a.families.v6 == b.families.v6;
    }
  };
  using Complain = std::function<void(std::string)>;

  /// `complain` hears of a file that cannot be read, once until it can be read again.
  Precache(runtime::Reactor& reactor, Resolver& resolver, Complain complain);
  Precache(const Precache&) = delete;
  Precache& operator=(const Precache&) = delete;
  ~Precache();

  /// From now on so; the first round begins at once. The same settings again change nothing.
  void configure(Settings settings);
  [[nodiscard]] runtime::Task<void> stop();
  [[nodiscard]] std::uint64_t rounds() const { return rounds_; }

  /// How the domains of the file stood when they were looked at last (`show precache`).
  struct Domain {
    std::string name;
    std::size_t hops = 0;
    Duration valid_for{0};  ///< from now on; 0: over
    std::string status;     ///< empty: good
  };
  struct Report {
    std::string path;  ///< empty: nothing is precached
    std::uint64_t rounds = 0;
    std::string complaint;  ///< the file cannot be read
    std::vector<Domain> domains;
  };
  [[nodiscard]] Report report() const;

 private:
  struct Seen {
    std::string name;
    std::size_t hops = 0;
    MonoTime valid_until{};
    std::string status;
  };
  runtime::Task<void> run();
  runtime::Task<void> round();
  void remember(const std::vector<std::string>& domains);
  runtime::Task<void> look_up(const std::vector<std::string>& domains, const Settings& settings);
  runtime::Task<void> keep(std::string domain, Duration fresh_for, routing::Families families,
                           runtime::Semaphore& turns, std::size_t place);
  runtime::Task<void> ask(std::string domain, RouteOptions options, Seen& seen);

  runtime::Reactor& reactor_;
  Resolver& resolver_;
  Complain complain_;
  Settings settings_;
  runtime::TaskGroup tasks_;
  runtime::Wakeup wakeup_;
  bool running_ = false;
  bool changed_ = false;
  bool stopping_ = false;
  std::string complaint_;   // the last one that still holds
  std::vector<Seen> seen_;  // in the order of the file
  std::uint64_t rounds_ = 0;
};

}  // namespace sluice::resolver
