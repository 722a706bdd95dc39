#include "engine/injection/sender_verdict.h"

#include <vector>

#include "net/mime/auth_results.h"

namespace sluice::injection {
namespace {

using spf::Result;

/// What of a check's results is refused.
struct Refuses {
  bool fail = false;
  bool permerror = false;
  bool temperror = false;
  [[nodiscard]] bool has(Result result) const {
    return (result == Result::Fail && fail) || (result == Result::PermError && permerror) ||
           (result == Result::TempError && temperror);
  }
};

/// "matched "-all"", or what is wrong.
std::string comment_of(const spf::Outcome& outcome) {
  if (!outcome.matched.empty()) return "matched \"" + outcome.matched + '"';
  if (!outcome.why.empty()) return outcome.why;
  return outcome.result == Result::Neutral ? "nothing in the record matched" : std::string();
}

Verdict refusal_of_spf(const SpfFound& found, const IpAddress& client) {
  const spf::Outcome& outcome = found.outcome;
  const std::string about = (found.is_helo ? "HELO " : "<") + found.checked + (found.is_helo ? "" : ">");
  const std::string detail = outcome.why.empty() ? std::string() : ": " + outcome.why;
  switch (outcome.result) {
    case Result::Fail:
      return {550,
              "5.7.23 SPF fail: " + client.text() + " may not send for " + about +
                  (outcome.explanation.empty() ? "" : "; explanation of its domain: " + outcome.explanation)};
    case Result::PermError: return {550, "5.7.24 SPF permerror for " + about + detail};
    default: return {451, "4.7.24 SPF temperror for " + about + detail};
  }
}

Verdict refusal_of_iprev(const spf::IprevOutcome& outcome, const IpAddress& client) {
  const std::string text =
      "reverse DNS " + std::string(name_of(outcome.result)) + " for " + client.text() + ": " + outcome.why;
  if (outcome.result == Result::TempError) return {451, "4.7.25 " + text};
  return {550, "5.7.25 " + text};
}

}  // namespace

runtime::Task<SpfFound> find_spf(authentication::Asking asking, IpAddress client, spf::Identity identity,
                                 const config::SourceSettings& settings, std::string receiver) {
  SpfFound out;
  out.is_helo = identity.is_helo;
  out.checked = identity.is_helo ? identity.helo : identity.local + '@' + identity.domain;
  spf::CheckSettings how;
  how.void_lookups_max = settings.check_spf_inbound_max_void_lookups;
  how.wants_explanation = settings.reject_spf_check_fail;
  how.receiver = std::move(receiver);
  if (settings.trace_spf_check) asking.lines = &out.lines;
  out.outcome = co_await authentication::check_spf(asking, client, std::move(identity), std::move(how));
  co_return out;
}

runtime::Task<IprevFound> find_iprev(authentication::Asking asking, IpAddress client,
                                     const config::SourceSettings& settings) {
  IprevFound out;
  if (settings.trace_iprev_check) asking.lines = &out.lines;
  out.outcome = co_await authentication::check_iprev(asking, client);
  co_return out;
}

SenderVerdict judge_sender(const config::SourceSettings& settings, const IpAddress& client,
                           std::string_view host, std::string_view sender,
                           const std::optional<IprevFound>& iprev, const std::optional<SpfFound>& spf) {
  SenderVerdict out;
  const Refuses by_iprev{settings.reject_iprev_check_fail, settings.reject_iprev_check_permerror,
                         settings.reject_iprev_check_temperror};
  if (iprev && by_iprev.has(iprev->outcome.result)) {
    out.refusal = refusal_of_iprev(iprev->outcome, client);
    return out;
  }
  const Refuses by_spf{settings.reject_spf_check_fail, settings.reject_spf_check_permerror,
                       settings.reject_spf_check_temperror};
  if (spf && by_spf.has(spf->outcome.result)) {
    out.refusal = refusal_of_spf(*spf, client);
    return out;
  }
  // hide-message-source: what tells nothing of the client.
  const bool hides = settings.hide_message_source;
  const std::string address = client.text();
  std::string spf_comment, iprev_comment;
  std::vector<net::AuthResult> results;
  if (spf) {
    net::AuthResult& one = results.emplace_back();
    one.method = "spf";
    one.result = name_of(spf->outcome.result);
    if (!spf->is_helo) {
      one.property = "smtp.mailfrom";
      one.value = sender;
    } else if (!hides) {
      one.property = "smtp.helo";
      one.value = spf->checked;
    }
    if (!hides) {
      spf_comment = comment_of(spf->outcome);
      one.comment = spf_comment;
      one.trace = spf->lines;
    }
  }
  if (iprev) {
    net::AuthResult& one = results.emplace_back();
    one.method = "iprev";
    one.result = name_of(iprev->outcome.result);
    if (!hides) {
      iprev_comment = iprev->outcome.name.empty() ? iprev->outcome.why : iprev->outcome.name;
      one.comment = iprev_comment;
      one.trace = iprev->lines;
      one.property = "policy.iprev";
      one.value = address;
    }
  }
  net::append_auth_results(out.header, host, results);
  return out;
}

}  // namespace sluice::injection
