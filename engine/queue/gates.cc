#include "engine/queue/gates.h"

#include <algorithm>
#include <functional>

namespace sluice::queue {
namespace {

/// Another shard's clock may stand so far behind.
constexpr Duration kClocksApart = 1s;

bool is_lower(const Rate& a, const Rate& b) {
  const double left = static_cast<double>(a.events) / static_cast<double>(a.per.count());
  const double right = static_cast<double>(b.events) / static_cast<double>(b.per.count());
  return left < right || (left == right && a.per < b.per);
}
bool is_lower(const config::VolumeRate& a, const config::VolumeRate& b) {
  return is_lower(Rate{a.bytes.raw(), a.per}, Rate{b.bytes.raw(), b.per});
}
bool is_lower(std::uint32_t a, std::uint32_t b) { return a < b; }

/// `limit` becomes the lower one of both; no limit is higher than any.
template <class Limit>
void lower_to(Limit& limit, const Limit& other) {
  if (other && (!limit || is_lower(*other, *limit))) limit = other;
}

}  // namespace

bool SharedGates::Entry::at_rest(MonoTime now) const {
  const MonoTime then = now - kClocksApart;
  return (!connects || connects->debt(then) == Duration{0}) &&
         (!messages || messages->debt(then) == Duration{0}) && (!volume || volume->budget.at_rest(then));
}

SharedGates::Joined SharedGates::join(std::string_view domain, const Request& request, MonoTime now,
                                      WallTime wall_now, const Remembered& remembered) {
  std::shared_ptr<Entry>& found = entries_[std::string(domain)];
  if (!found) found = std::make_shared<Entry>();
  const std::shared_ptr<Entry> entry = found;
  if (request.configuration > entry->configuration) {
    entry->configuration = request.configuration;
    entry->limits = request.limits;
  } else if (request.configuration == entry->configuration) {
    lower_to(entry->limits.connections, request.limits.connections);
    lower_to(entry->limits.connects, request.limits.connects);
    lower_to(entry->limits.recipients, request.limits.recipients);
    lower_to(entry->limits.volume, request.limits.volume);
  }
  const std::string scope = "shared/" + std::string(domain);
  const auto rate_of = [&](std::unique_ptr<TokenBucket>& bucket, const config::RateLimit& wanted,
                           const config::RateLimit& asked, std::string key) -> RateGate {
    const config::RateLimit& rate = wanted ? wanted : asked;
    if (!rate) return {};
    if (!bucket) {
      bucket = std::make_unique<TokenBucket>(*rate);
      remembered.restore(*bucket, key, now, wall_now);
    } else if (wanted) {
      bucket->set_rate(*wanted);
    }
    if (!asked) return {};
    return {{entry, bucket.get()}, std::move(key)};
  };
  Joined out;
  entry->connections.set_limit(entry->limits.connections.value_or(~std::uint32_t{0}));
  out.connections = {entry, &entry->connections};
  out.gates.connects = rate_of(entry->connects, entry->limits.connects, request.limits.connects,
                               Remembered::connect_rate_key(scope));
  out.gates.messages = rate_of(entry->messages, entry->limits.recipients, request.limits.recipients,
                               Remembered::message_rate_key(scope));
  const config::VolumeLimit& asked = request.limits.volume;
  const config::VolumeLimit& volume = entry->limits.volume ? entry->limits.volume : asked;
  if (volume && !entry->volume) {
    entry->volume = std::make_unique<VolumeGate>(*volume, Remembered::volume_key(scope));
    remembered.restore(entry->volume->budget, entry->volume->key, now, wall_now);
  } else if (entry->limits.volume) {
    entry->volume->budget.set_rate(now, volume->bytes.raw(), volume->per);
  }
  if (asked) out.gates.volume = {entry, entry->volume.get()};
  if (entries_.size() >= look_at_) drop_resting(now);
  return out;
}

void SharedGates::drop_resting(MonoTime now) {
  // Whoever holds a part of an entry holds all of it, and nobody else gives any out.
  std::erase_if(entries_,
                [now](const auto& one) { return one.second.use_count() == 1 && one.second->at_rest(now); });
  look_at_ = std::max(kSpareMin, 2 * entries_.size());
}

}  // namespace sluice::queue
