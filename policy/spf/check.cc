#include "policy/spf/check.h"

#include <algorithm>
#include <utility>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/base/dns_name.h"

namespace sluice::spf {
namespace {

constexpr std::size_t kNameMax = 253;

std::string without_dot(std::string name) {
  if (name.ends_with('.')) name.pop_back();
  return name;
}

/// RFC 7208 4.3: a multi-label name that DNS can be asked for.
bool is_checkable(std::string_view domain) {
  return is_plain_dns_name(domain) && domain.find('.') != std::string_view::npos && domain.front() != '[';
}

bool is_below(std::string_view name, std::string_view domain) {
  return name.size() > domain.size() && name[name.size() - domain.size() - 1] == '.' &&
         iequals(name.substr(name.size() - domain.size()), domain);
}

}  // namespace

Identity identity_of(std::string_view helo, std::string_view sender) {
  if (sender.empty()) return {"postmaster", std::string(helo), std::string(helo), true};
  const std::size_t at = sender.rfind('@');
  Identity out{std::string(sender.substr(0, at)), {}, std::string(helo), false};
  if (at != sender.npos) out.domain = sender.substr(at + 1);
  if (out.local.empty()) out.local = "postmaster";
  return out;
}

Check::Check(const IpAddress& client, Identity identity, CheckSettings settings)
    : client_(client), identity_(std::move(identity)), settings_(std::move(settings)) {
  std::string domain = without_dot(identity_.domain);
  if (!is_checkable(domain)) {
    conclude(Result::None, "\"" + domain + "\" is no domain with an SPF record");
    return;
  }
  open(std::move(domain), false);
}

const Question* Check::question() const {
  if (step_ == Step::Done) return nullptr;
  return step_ == Step::Names ? names_->question() : &question_;
}

const Outcome& Check::outcome() const {
  SLUICE_ASSERT(step_ == Step::Done);
  return outcome_;
}

void Check::give_up() {
  if (step_ == Step::Done) return;
  if (explaining_) {
    step_ = Step::Done;  // the result stands without it
    return;
  }
  conclude(Result::TempError, "DNS took too long");
}

void Check::answer(const DnsAnswer& answer) {
  switch (step_) {
    case Step::Record: return take_record(answer);
    case Step::Names:
      if (!explaining_ && answer.is_void() && is_error(answer)) return;
      names_->answer(answer);
      if (names_->question() != nullptr) return;
      return explaining_ ? explain() : run();
    case Step::Addresses:
    case Step::MxAddress: return take_addresses(answer);
    case Step::MxHosts: return take_mx_hosts(answer);
    case Step::Exists: return take_exists(answer);
    case Step::Explanation: return take_explanation(answer);
    case Step::Done: break;
  }
  SLUICE_ASSERT(false);
}

void Check::ask(Step step, RecordType type, std::string name) {
  step_ = step;
  question_ = {type, std::move(name)};
}

/// Begins check_host() for `domain`. Requires is_checkable(domain).
void Check::open(std::string domain, bool replaces) {
  if (replaces) frames_.pop_back();
  ask(Step::Record, RecordType::Txt, domain);
  frames_.push_back({.domain = std::move(domain), .record = {}});
}

void Check::take_record(const DnsAnswer& answer) {
  const std::string& domain = frames_.back().domain;
  if (answer.kind == DnsAnswer::Kind::Failure) {
    return conclude(Result::TempError, "DNS failure for TXT " + domain);
  }
  const std::string* found = nullptr;
  for (const std::string& text : answer.texts) {
    if (!is_spf_record(text)) continue;
    if (found != nullptr) return conclude(Result::PermError, "several SPF records at " + domain);
    found = &text;
  }
  if (found == nullptr) {
    // Of an include or a redirect (RFC 7208 5.2, 6.1): an error.
    const std::string why = "no SPF record at " + domain;
    const bool is_first = frames_.size() == 1 && lookups_ == 0;
    return conclude(is_first ? Result::None : Result::PermError, why);
  }
  auto record = parse_spf_record(*found);
  if (!record) return conclude(Result::PermError, record.error() + " at " + domain);
  frames_.back().record = std::move(*record);
  run();
}

const Directive& Check::current() const {
  const Frame& frame = frames_.back();
  return frame.record.directives[frame.next];
}

/// Goes on until a question is open or all is decided.
void Check::run() {
  for (;;) {
    Frame& frame = frames_.back();
    if (frame.next == frame.record.directives.size()) return end_of_record();
    const Directive& directive = current();
    if (directive.asks_dns() && !std::exchange(frame.counted, true) && !count_lookup()) return;
    if ((directive.uses_client_name || directive.kind == Directive::Kind::Ptr) && need_names()) return;
    if (evaluate(directive)) return;
    no_match();
  }
}

void Check::no_match() {
  Frame& frame = frames_.back();
  ++frame.next;
  frame.counted = false;
}

/// False: it does not match, and nothing had to be asked.
bool Check::evaluate(const Directive& directive) {
  using Kind = Directive::Kind;
  std::string target = directive.asks_dns() ? target_of(directive.target) : std::string();
  switch (directive.kind) {
    case Kind::All: match(); return true;
    case Kind::Ip4:
    case Kind::Ip6:
      if (!directive.holds(client_)) return false;
      match();
      return true;
    case Kind::Ptr:
      if (std::ranges::none_of(names_->validated(), [&target](const std::string& name) {
            return iequals(name, target) || is_below(name, target);
          })) {
        return false;
      }
      match();
      return true;
    case Kind::Include:
      if (is_checkable(target)) {
        open(std::move(target), false);
      } else {
        conclude(Result::PermError, "\"" + directive.text + "\" names no domain");
      }
      return true;
    case Kind::A:
      if (!is_askable_dns_name(target)) return false;
      ask(Step::Addresses, family_of(client_), std::move(target));
      return true;
    case Kind::Mx:
      if (!is_askable_dns_name(target)) return false;
      ask(Step::MxHosts, RecordType::Mx, std::move(target));
      return true;
    case Kind::Exists:
      if (!is_askable_dns_name(target)) return false;
      ask(Step::Exists, RecordType::A, std::move(target));  // of IPv6 clients too (RFC 7208 5.7)
      return true;
  }
  return false;
}

/// The client's names are asked for once, however many terms use them. False: they are known.
bool Check::need_names() {
  if (!names_) names_.emplace(client_);
  if (names_->question() == nullptr) return false;
  step_ = Step::Names;
  return true;
}

void Check::end_of_record() {
  Frame& frame = frames_.back();
  if (frame.record.redirect.empty()) return frame_ended(Result::Neutral);
  if (!std::exchange(frame.counted, true) && !count_lookup()) return;
  if (frame.record.redirect_uses_client_name && need_names()) return;
  std::string target = target_of(frame.record.redirect);
  if (!is_checkable(target)) {
    return conclude(Result::PermError, "\"redirect=" + frame.record.redirect + "\" names no domain");
  }
  open(std::move(target), true);
}

void Check::take_addresses(const DnsAnswer& answer) {
  if (is_error(answer)) return;
  const Directive& directive = current();
  if (std::ranges::any_of(answer.addresses,
                          [&](const IpAddress& one) { return directive.covers(one, client_); })) {
    return match();
  }
  if (step_ == Step::MxAddress) {
    ++next_host_;
    return ask_mx_host();
  }
  no_match();
  run();
}

void Check::take_mx_hosts(const DnsAnswer& answer) {
  if (is_error(answer)) return;
  mx_hosts_.clear();
  next_host_ = 0;
  for (const std::string& host : answer.texts) {
    if (!host.empty()) mx_hosts_.push_back(host);  // not the root of a null MX
  }
  ask_mx_host();
}

void Check::ask_mx_host() {
  if (next_host_ == mx_hosts_.size()) {
    no_match();
    return run();
  }
  if (next_host_ == kMxHostsMax) {
    return conclude(Result::PermError,
                    "more than " + std::to_string(kMxHostsMax) + " mail hosts for \"" + current().text + '"');
  }
  if (!is_askable_dns_name(mx_hosts_[next_host_])) {
    // It can have no address, yet it is one of the hosts that are limited.
    ++next_host_;
    return ask_mx_host();
  }
  ask(Step::MxAddress, family_of(client_), mx_hosts_[next_host_]);
}

void Check::take_exists(const DnsAnswer& answer) {
  if (is_error(answer)) return;
  if (answer.kind == DnsAnswer::Kind::Records) return match();
  no_match();
  run();
}

/// Failures, and one void lookup too many; the check is over then.
bool Check::is_error(const DnsAnswer& answer) {
  if (answer.kind == DnsAnswer::Kind::Failure) {
    const Question& asked = *question();
    conclude(Result::TempError, "DNS failure for " + std::string(name_of(asked.type)) + ' ' + asked.name);
    return true;
  }
  if (!answer.is_void() || ++voids_ <= settings_.void_lookups_max) return false;
  conclude(Result::PermError,
           "more than " + std::to_string(settings_.void_lookups_max) + " look-ups without an answer");
  return true;
}

bool Check::count_lookup() {
  if (++lookups_ <= kLookupsMax) return true;
  conclude(Result::PermError, "more than " + std::to_string(kLookupsMax) + " terms that ask DNS");
  return false;
}

void Check::match() {
  const Directive& directive = current();
  outcome_.matched = directive.text;
  frame_ended(directive.result);
}

/// What the record of the innermost frame says is known. An included pass is a match of its include.
void Check::frame_ended(Result result) {
  while (frames_.size() > 1) {
    frames_.pop_back();
    if (result != Result::Pass) {
      outcome_.matched.clear();
      no_match();
      return run();
    }
    outcome_.matched = current().text;
    result = current().result;
  }
  conclude(result);
  if (result != Result::Fail || !settings_.wants_explanation) return;
  explaining_ = true;
  explain();
}

/// Goes on with the text of exp=: whatever is wrong with it, then there is none (RFC 7208 6.2).
void Check::explain() {
  step_ = Step::Done;
  const SpfRecord& record = frames_.back().record;
  if (record.explanation.empty()) return;
  if (explanation_.empty()) {
    if (record.explanation_uses_client_name && need_names()) return;
    std::string target = target_of(record.explanation);
    if (is_askable_dns_name(target)) ask(Step::Explanation, RecordType::Txt, std::move(target));
    return;
  }
  const auto facts = scan_macros(explanation_, MacroPlace::Explanation);
  if (!facts || (facts->uses_client_name && need_names())) return;
  auto text = expand(explanation_);
  if (!text || text->size() > kExplanationBytesMax) return;
  const bool printable = std::ranges::all_of(*text, [](char c) { return c >= ' ' && c <= '~'; });
  if (printable) outcome_.explanation = std::move(*text);
}

void Check::take_explanation(const DnsAnswer& answer) {
  step_ = Step::Done;
  if (answer.texts.size() != 1 || answer.texts[0].empty()) return;
  explanation_ = answer.texts[0];
  explain();
}

void Check::conclude(Result result, std::string why) {
  step_ = Step::Done;
  outcome_.result = result;
  if (result == Result::TempError || result == Result::PermError) outcome_.matched.clear();
  outcome_.why = std::move(why);
}

/// RFC 7208 7.3, p: a validated name that is the domain, or is below it, or any, or "unknown".
std::string Check::client_name() const {
  if (!names_ || names_->validated().empty()) return "unknown";
  const std::string& domain = frames_.back().domain;
  const std::vector<std::string>& names = names_->validated();
  for (const std::string& name : names) {
    if (iequals(name, domain)) return name;
  }
  for (const std::string& name : names) {
    if (is_below(name, domain)) return name;
  }
  return names.front();
}

std::optional<std::string> Check::expand(std::string_view text) {
  const auto facts =
      scan_macros(text, MacroPlace::Explanation);  // which takes all that a domain-spec may have
  if (facts && facts->uses_local_part) outcome_.used_local_part = true;
  const std::string name = client_name();
  return expand_macros(text, {.local = identity_.local,
                              .sender_domain = identity_.domain,
                              .domain = frames_.back().domain,
                              .helo = identity_.helo,
                              .client = client_,
                              .client_name = name,
                              .receiver = settings_.receiver,
                              .now = settings_.now});
}

/// RFC 7208 4.8 and 7.3: labels on the left go until it fits. May be no askable name: then nothing is there.
std::string Check::target_of(std::string_view spec) {
  if (spec.empty()) return frames_.back().domain;
  auto expanded = expand(spec);
  if (!expanded) return {};
  std::string name = without_dot(std::move(*expanded));
  while (name.size() > kNameMax) {
    const std::size_t dot = name.find('.');
    if (dot == name.npos) return {};
    name.erase(0, dot + 1);
  }
  return name;
}

}  // namespace sluice::spf
