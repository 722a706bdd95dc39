#include "engine/resolver/precache.h"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "engine/runtime/boundary.h"
#include "engine/runtime/file.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::resolver {

using runtime::Task;

namespace {

/// Wakes the loop at the end of a round's pause.
struct Alarm : runtime::Timer {
  explicit Alarm(runtime::Wakeup& target)
      : Timer([](Timer& timer) { static_cast<Alarm&>(timer).wakeup.set(); }), wakeup(target) {}
  runtime::Wakeup& wakeup;
};

}  // namespace

std::vector<std::string> parse_domain_list(std::string_view text, std::size_t domains_max) {
  std::vector<std::string> out;
  std::unordered_set<std::string> seen;
  out.reserve(std::min<std::size_t>(domains_max, 4096));
  while (!text.empty() && out.size() < domains_max) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line = trim(line.substr(0, line.find_first_of("#\r")));
    if (line.ends_with('.')) line.remove_suffix(1);
    if (!routing::is_domain_name(line)) continue;
    const auto [name, is_new] = seen.insert(to_lower(line));
    if (is_new) out.push_back(*name);
  }
  return out;
}

Precache::Precache(runtime::Reactor& reactor, Resolver& resolver, Complain complain)
    : reactor_(reactor), resolver_(resolver), complain_(std::move(complain)), wakeup_(reactor) {}

Precache::~Precache() { SLUICE_ASSERT(!running_ && tasks_.running() == 0); }

void Precache::configure(Settings settings) {
  if (settings == settings_ || stopping_) return;
  settings_ = std::move(settings);
  changed_ = true;
  if (settings_.path.empty()) return;
  if (running_) {
    wakeup_.set();
  } else {
    running_ = true;
    tasks_.spawn(run());
  }
}

Task<void> Precache::run() {
  while (!stopping_ && !settings_.path.empty()) {
    changed_ = false;
    const MonoTime next = reactor_.now() + settings_.interval;
    try {
      co_await round();
    } catch (...) {
      runtime::note_contained(reactor_, complain_, "precached-domains-file");
    }
    ++rounds_;
    Alarm alarm(wakeup_);
    if (next > reactor_.now()) reactor_.arm(alarm, next);
    while (!stopping_ && !changed_ && reactor_.now() < next) co_await wakeup_.wait();
    reactor_.disarm(alarm);
  }
  running_ = false;  // configure() starts it again
}

Task<void> Precache::round() {
  const Settings settings = settings_;
  const Result<std::string> text = co_await runtime::read_small_file(reactor_, settings.path, kFileBytesMax);
  if (!text) {
    const bool is_new = complaint_.empty();
    complaint_ = "cannot read precached-domains-file " + settings.path + ": " + text.error().text();
    if (is_new && complain_) complain_(complaint_);
    co_return;
  }
  complaint_.clear();
  const std::vector<std::string> domains = parse_domain_list(*text, settings.domains_max);
  remember(domains);
  co_await look_up(domains, settings);
}

Task<void> Precache::look_up(const std::vector<std::string>& domains, const Settings& settings) {
  runtime::Semaphore turns(reactor_, kLookupsMax);
  runtime::TaskGroup lookups;
  try {
    for (std::size_t i = 0; i < domains.size(); ++i) {
      co_await turns.take(1);
      if (stopping_ || changed_) break;
      lookups.spawn(keep(domains[i], settings.interval + kMargin, settings.families, turns, i));
    }
  } catch (...) {
    runtime::note_contained(reactor_, complain_, "precached-domains-file");
  }
  co_await lookups.join();  // whatever came: they use what stands here
}

Task<void> Precache::keep(std::string domain, Duration fresh_for, routing::Families families,
                          runtime::Semaphore& turns, std::size_t place) {
  RouteOptions options;
  options.families = families;
  options.fresh_for = fresh_for;
  Seen& seen = seen_[place];  // a round ends before the next one begins
  try {
    co_await ask(std::move(domain), options, seen);
  } catch (...) {
    runtime::note_contained(reactor_, complain_, seen.name);
    seen.status = "internal error";
  }
  turns.give(1);
}

Task<void> Precache::ask(std::string domain, RouteOptions options, Seen& seen) {
  // The cache is what matters, for the connections that ask later.
  const RouteAnswer answer = co_await resolver_.resolve_mail_hosts(std::move(domain), options);
  seen.hops = answer.hops.size();
  seen.valid_until = answer.valid_until;
  seen.status = answer.ok() ? std::string() : answer.error_text();
}

// What was seen before stays until it is looked at again.
void Precache::remember(const std::vector<std::string>& domains) {
  std::map<std::string, Seen, std::less<>> before;
  for (Seen& one : seen_) before.emplace(one.name, std::move(one));
  seen_.clear();
  for (const std::string& name : domains) {
    const auto known = before.find(name);
    seen_.push_back(known != before.end() ? known->second : Seen{name, 0, {}, "not looked at yet"});
  }
}

Precache::Report Precache::report() const {
  Report out{settings_.path, rounds_, complaint_, {}};
  if (settings_.path.empty()) return out;
  for (const Seen& one : seen_) {
    out.domains.push_back(
        {one.name, one.hops, std::max(one.valid_until - reactor_.now(), Duration{0}), one.status});
  }
  return out;
}

Task<void> Precache::stop() {
  stopping_ = true;
  wakeup_.set();
  co_await tasks_.join();
}

}  // namespace sluice::resolver
