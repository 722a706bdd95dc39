#include "policy/config/directive.h"

#include <algorithm>
#include <array>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/config/rows/rows.h"

namespace sluice::config {
namespace {

constexpr std::size_t kNearestNameBytesMax = 64;  ///< longer words are not misspelled directives

/// Levenshtein distance with transposed neighbours counted once.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::array<std::array<std::size_t, kNearestNameBytesMax + 1>, 3> rows{};
  for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto& current = rows[i % 3];
    const auto& before = rows[(i + 2) % 3];
    const auto& two_before = rows[(i + 1) % 3];
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      current[j] = std::min({before[j] + 1, current[j - 1] + 1, before[j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        current[j] = std::min(current[j], two_before[j - 2] + 1);
      }
    }
  }
  return rows[a.size() % 3][b.size()];
}

constexpr std::array<std::string_view, kScopeCount> kScopeTags{"the top level",
                                                               "<spool>",
                                                               "<source>",
                                                               "<smtp-user>",
                                                               "<source-group>",
                                                               "<smtp-listener>",
                                                               "<domain>",
                                                               "<virtual-mta>",
                                                               "<virtual-mta-pool>",
                                                               "<acct-file>",
                                                               "<mx-rollup-list>",
                                                               "<smtp-pattern-list>",
                                                               "<pattern-list>",
                                                               "<bounce-category-patterns>",
                                                               "<bounce-processor>",
                                                               "<feedback-loop-processor>",
                                                               "<email-patterns>",
                                                               "<address-list>",
                                                               "<aliases>",
                                                               "<rewrite-list>",
                                                               "<domain-key-list>",
                                                               "<dns>",
                                                               "<transmissions-api>",
                                                               "<transmissions-api-listener>",
                                                               "<proxy>",
                                                               "<vault>",
                                                               "<signals>",
                                                               "<signals-filter>",
                                                               "<gm-imprinter>",
                                                               "<http-mgmt>",
                                                               "<bounce-actions>",
                                                               "<alerts>",
                                                               "nowhere"};

}  // namespace

std::string describe(Scope scope) { return std::string(kScopeTags[static_cast<std::size_t>(scope)]); }

std::string describe(ScopeMask scopes) {
  std::string out;
  for (std::size_t i = 0; i < kScopeCount; ++i) {
    if ((scopes >> i & 1) == 0) continue;
    if (!out.empty()) out += " or ";
    out += kScopeTags[i];
  }
  return out;
}

std::string_view name_of(Since since) {
  switch (since) {
    case Since::Guide: return "PowerMTA 5.0";
    case Since::GuideR5: return "PowerMTA 5.0r5";
    case Since::Field: return "undocumented, in use";
    case Since::Spelling: return "second spelling";
    case Since::Extension: return "extension";
  }
  return "";
}

std::string_view nearest_name(std::string_view name, std::span<const std::string_view> names) {
  std::string_view best;
  if (name.empty() || name.size() > kNearestNameBytesMax) return best;
  const std::string lower = to_lower(name);
  std::size_t best_distance = lower.size() / 3 + 1;
  for (const std::string_view candidate : names) {
    if (candidate.size() > kNearestNameBytesMax) continue;
    const std::size_t gap =
        candidate.size() > lower.size() ? candidate.size() - lower.size() : lower.size() - candidate.size();
    if (gap >= best_distance) continue;
    const std::size_t distance = edit_distance(lower, candidate);
    if (distance < best_distance) best_distance = distance, best = candidate;
  }
  return best;
}

std::string_view name_of(State state) {
  switch (state) {
    case State::Works: return "works";
    case State::ToCome: return "to come";
    case State::Out: return "out";
  }
  return "";
}

std::string_view name_of(Capability capability) {
  switch (capability) {
    case Capability::Tls: return "TLS";
    case Capability::Dkim: return "DKIM";
    case Capability::Auth: return "SMTP AUTH";
    case Capability::MailMerge: return "mail merge";
    case Capability::HttpSubmission: return "HTTP submission";
    case Capability::BounceProcessor: return "the bounce processor";
    case Capability::FeedbackProcessor: return "the feedback loop processor";
    case Capability::Suppression: return "bounce actions and suppression";
    case Capability::Monitor: return "the web monitor";
    case Capability::Webhooks: return "webhooks";
    case Capability::Alerts: return "alerts";
  }
  return "";
}

const Wait* Directive::wait_in(Scope scope) const {
  const auto it = std::find_if(waits.begin(), waits.end(),
                               [scope](const Wait& wait) { return (wait.scopes & in(scope)) != 0; });
  return it == waits.end() ? nullptr : &*it;
}

const Wait* wait_of(const BlockKind& kind) {
  const Wait* out = nullptr;
  for (const Directive& row : DirectiveTable::get().rows()) {
    const bool counts = row.action != LoaderAction::Include && row.reason_out.empty();
    if (!row.allowed_in(kind.scope) || !counts) continue;
    const Wait* wait = row.wait_in(kind.scope);
    if (wait == nullptr) return nullptr;
    out = wait;
  }
  return out;
}

State Directive::state_in(Scope scope) const {
  if (!reason_out.empty()) return State::Out;
  return wait_in(scope) != nullptr ? State::ToCome : State::Works;
}

StateCounts count_states() {
  StateCounts out;
  for (const Directive& row : DirectiveTable::get().rows()) {
    for (std::size_t i = 0; i < kScopeCount; ++i) {
      if (!row.allowed_in(static_cast<Scope>(i))) continue;
      switch (row.state_in(static_cast<Scope>(i))) {
        case State::Works: ++out.works; break;
        case State::ToCome: ++out.to_come; break;
        case State::Out: ++out.out; break;
      }
    }
  }
  return out;
}

DirectiveTable::DirectiveTable() : blocks_(rows::block_kinds()) {
  rows::append_global(rows_);
  rows::append_source(rows_);
  rows::append_domain(rows_);
  rows::append_domain_message(rows_);
  rows::append_identity(rows_);
  rows::append_accounting(rows_);
  rows::append_lists(rows_);
  rows::append_bounce_actions(rows_);
  rows::append_alerts(rows_);
  rows::set_states(rows_);
  rows::set_details(rows_);
  by_name_.reserve(rows_.size());
  for (std::uint32_t i = 0; i < rows_.size(); ++i) by_name_.emplace_back(rows_[i].name, i);
  std::sort(by_name_.begin(), by_name_.end());
  // Two rows of one name in one scope would make the second unreachable.
  for (std::size_t i = 1; i < by_name_.size(); ++i) {
    for (std::size_t j = i; j > 0 && by_name_[j - 1].first == by_name_[i].first; --j) {
      SLUICE_ASSERT((rows_[by_name_[j - 1].second].scopes & rows_[by_name_[i].second].scopes) == 0);
    }
  }
}

const DirectiveTable& DirectiveTable::get() {
  static const DirectiveTable kTable;
  return kTable;
}

const Directive* DirectiveTable::find(std::string_view name, Scope scope) const {
  auto it = std::lower_bound(by_name_.begin(), by_name_.end(), std::pair{name, std::uint32_t{0}});
  for (; it != by_name_.end() && it->first == name; ++it) {
    if (rows_[it->second].allowed_in(scope)) return &rows_[it->second];
  }
  return nullptr;
}

const Directive* DirectiveTable::find_anywhere(std::string_view name) const {
  const auto it = std::lower_bound(by_name_.begin(), by_name_.end(), std::pair{name, std::uint32_t{0}});
  return it != by_name_.end() && it->first == name ? &rows_[it->second] : nullptr;
}

const BlockKind* DirectiveTable::find_block(std::string_view tag) const {
  for (const BlockKind& kind : blocks_) {
    if (kind.tag == tag) return &kind;
  }
  return nullptr;
}

std::string_view DirectiveTable::nearest(std::string_view name, Scope scope) const {
  std::vector<std::string_view> here, anywhere;
  for (const Directive& row : rows_) {
    if (row.allowed_in(scope)) here.push_back(row.name);
    anywhere.push_back(row.name);
  }
  const std::string_view best = nearest_name(name, here);
  return best.empty() ? nearest_name(name, anywhere) : best;
}

std::string_view DirectiveTable::nearest_block(std::string_view tag) const {
  std::vector<std::string_view> tags;
  for (const BlockKind& kind : blocks_) tags.push_back(kind.tag);
  return nearest_name(tag, tags);
}

}  // namespace sluice::config
