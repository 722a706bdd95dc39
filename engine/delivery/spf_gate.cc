#include "engine/delivery/spf_gate.h"

#include "policy/base/ascii.h"

namespace sluice::delivery {
namespace {

/// Blanks and '@' are in none of the three.
std::string domain_key(std::string_view sender, const SpfGate::Exit& exit) {
  std::string_view domain = exit.helo;
  if (!sender.empty()) {
    const std::size_t at = sender.rfind('@');
    domain = at == sender.npos ? std::string_view() : sender.substr(at + 1);
  }
  std::string out = to_lower(domain);
  out += ' ';
  out += exit.helo;
  out += ' ';
  out += exit.address.text();
  return out;
}

std::string sender_key(std::string_view sender, const std::string& domain_key) {
  return std::string(sender.substr(0, sender.rfind('@'))) + '@' + domain_key;
}

}  // namespace

const SpfGate::Entry* SpfGate::find_key(const std::string& key) const {
  const auto found = known_.find(key);
  return found == known_.end() || found->second.until <= reactor_.now() ? nullptr : &found->second;
}

const SpfGate::Verdict* SpfGate::find(std::string_view sender, const Exit& exit) const {
  const std::string key = domain_key(sender, exit);
  const Entry* entry = find_key(key);
  if (entry != nullptr && entry->of_one_sender) entry = find_key(sender_key(sender, key));
  return entry == nullptr ? nullptr : &entry->verdict;
}

void SpfGate::keep(std::string key, Entry entry) {
  // All go at once: what is still in use comes back from the DNS cache at the price of a few look-ups there.
  if (known_.size() >= kEntriesMax) known_.clear();
  entry.until = reactor_.now() + kKeptFor;
  known_.insert_or_assign(std::move(key), std::move(entry));
}

runtime::Task<SpfGate::Verdict> SpfGate::ask(std::string sender, Exit exit, resolver::LookupStop& stop) {
  std::string key = domain_key(sender, exit);
  spf::Identity identity = spf::identity_of(exit.helo, sender);
  const std::string domain = identity.domain;
  spf::CheckSettings settings;
  settings.receiver = exit.helo;
  const authentication::Asking asking{reactor_, resolver_, &stop};
  const spf::Outcome outcome =
      co_await authentication::check_spf(asking, exit.address, std::move(identity), std::move(settings));
  Verdict verdict;
  verdict.result = outcome.result;
  verdict.stopped = stop.stopped();
  if (verdict.stopped) co_return verdict;
  if (outcome.result != spf::Result::Pass) {
    verdict.why = "check-spf-outbound: SPF " + std::string(name_of(outcome.result)) + " for " +
                  exit.address.text() + " sending as " + (outcome.used_local_part ? sender : domain);
    if (!outcome.matched.empty()) verdict.why += ", matched " + outcome.matched;
    if (!outcome.why.empty()) verdict.why += ", " + outcome.why;
  }
  Entry entry;
  entry.verdict = verdict;
  // The null path has one sender.
  if (outcome.used_local_part && !sender.empty()) {
    keep(sender_key(sender, key), entry);
    entry.verdict = {};
    entry.of_one_sender = true;
  }
  keep(std::move(key), std::move(entry));
  co_return verdict;
}

}  // namespace sluice::delivery
