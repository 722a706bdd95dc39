#include "engine/resolver/precache.h"

#include <algorithm>
#include <unordered_set>

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
    co_await round();
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
    if (!std::exchange(complained_, true) && complain_)
      complain_("cannot read precached-domains-file " + settings.path + ": " + text.error().text());
    co_return;
  }
  complained_ = false;
  runtime::Semaphore turns(reactor_, kLookupsMax);
  runtime::TaskGroup lookups;
  for (std::string& domain : parse_domain_list(*text, settings.domains_max)) {
    co_await turns.take(1);
    if (stopping_ || changed_) {
      turns.give(1);
      break;
    }
    lookups.spawn(keep(std::move(domain), settings.interval + kMargin, settings.families, turns));
  }
  co_await lookups.join();
}

Task<void> Precache::keep(std::string domain, Duration fresh_for, routing::Families families,
                          runtime::Semaphore& turns) {
  RouteOptions options;
  options.families = families;
  options.fresh_for = fresh_for;
  // Only the cache matters; what the answer says is for the connections that ask later.
  static_cast<void>(co_await resolver_.resolve_mail_hosts(std::move(domain), options));
  turns.give(1);
}

Task<void> Precache::stop() {
  stopping_ = true;
  wakeup_.set();
  co_await tasks_.join();
}

}  // namespace sluice::resolver
