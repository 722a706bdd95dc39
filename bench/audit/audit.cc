#include "bench/audit/audit.h"

#include <fmt/format.h>

#include <algorithm>

#include "bench/lib/hash.h"
#include "policy/base/ascii.h"

namespace sluice::bench {
namespace {

constexpr std::string_view kViolationNames[kViolations] = {"lost",
                                                           "duplicate without cause",
                                                           "two endings",
                                                           "delivered but not received",
                                                           "not accounted",
                                                           "bounced but received",
                                                           "queued after its end",
                                                           "body changed",
                                                           "refused but received",
                                                           "received but not injected"};
constexpr unsigned kRunShift = 48;
constexpr std::uint8_t kCountMax = 255;

void count_up(std::uint8_t& counter) {
  if (counter < kCountMax) ++counter;
}

// "load.RUN.NUMBER@host": the run, or nothing.
std::string_view run_of(std::string_view message) {
  if (!message.starts_with("load.")) return {};
  message.remove_prefix(5);
  const std::size_t dot = message.find('.');
  return dot == std::string_view::npos ? std::string_view() : message.substr(0, dot);
}

}  // namespace

std::string_view name_of(Violation violation) { return kViolationNames[static_cast<std::size_t>(violation)]; }

std::uint64_t AuditFigures::violations_in_all() const {
  std::uint64_t sum = 0;
  for (const std::uint64_t one : violations) sum += one;
  return sum;
}

// 64 bits: with 10 million keys the chance that any two meet is 3 in a million.
std::uint64_t Audit::key_of(std::string_view message, std::string_view recipient) const {
  const std::uint64_t by_recipient = hash_of(to_lower(recipient));
  return options_.key == AuditKey::Recipient ? by_recipient : hash_of(message, by_recipient);
}

std::uint32_t Audit::keep_name(std::string_view message, std::string_view recipient) {
  // 4 GB of names are some 60 million recipients; beyond that findings are counted but not named.
  if (names_.size() + message.size() + recipient.size() + 2 > UINT32_MAX) return 0;
  if (names_.empty()) names_ = "-\n-\n";
  const auto at = static_cast<std::uint32_t>(names_.size());
  names_ += message;
  names_ += '\n';
  names_ += recipient;
  names_ += '\n';
  return at;
}

Audit::Entry& Audit::entry(std::string_view message, std::string_view recipient) {
  const auto [place, fresh] = entries_.try_emplace(key_of(message, recipient));
  if (fresh) place->second.name = keep_name(message, recipient);
  return place->second;
}

void Audit::take_injected(std::string_view text) {
  const auto line = parse_ledger_line(text);
  if (!line || line->kind != LedgerKind::Injected) {
    ++figures_.bad_lines;
    return;
  }
  runs_.try_emplace(std::string(line->provider), true);
  const bool unknown = line->certainty == Certainty::Unknown;
  const bool good = !unknown && line->reply.starts_with('2');
  const Promise promise = unknown ? Promise::Unknown : good ? Promise::Accepted : Promise::Refused;
  for (const std::string_view recipient : split(line->recipients, ',')) {
    if (recipient == "-") continue;
    Entry& one = entry(line->message, recipient);
    if (one.promise != Promise::None) {
      one.doubled = true;
      ++figures_.ambiguous;
    }
    one.promise = promise;
    one.body_hash = line->body_hash;
  }
}

void Audit::take_received(std::string_view text, std::uint32_t run) {
  const auto line = parse_ledger_line(text);
  if (!line || line->kind == LedgerKind::Injected) {
    ++figures_.bad_lines;
    return;
  }
  const std::uint64_t session = static_cast<std::uint64_t>(run) << kRunShift | line->session;
  if (line->kind == LedgerKind::Ended &&
      (line->farewell == Farewell::Lost || line->farewell == Farewell::Closed ||
       line->farewell == Farewell::Stopped)) {
    lost_sessions_[session] = line->time_us;
  }
  if (line->kind != LedgerKind::Received) return;
  Entry& one = entry(line->message, line->recipients);
  const Copy copy{line->time_us, session, line->certainty};
  if (one.promise != Promise::None && line->body_hash != one.body_hash) one.body_changed = true;
  if (one.copies == 0) {
    one.first = copy;
  } else {
    more_copies_[key_of(line->message, line->recipients)].push_back(copy);
  }
  count_up(one.copies);
}

void Audit::take_record(char type, std::string_view recipient, std::string_view message) {
  switch (type) {
    case 'd':
      ++figures_.records_delivered;
      count_up(entry(message, recipient).delivered);
      break;
    case 'b':
      ++figures_.records_bounced;
      count_up(entry(message, recipient).bounced);
      break;
    case 't': ++figures_.records_transient; break;
    case 'r': ++figures_.records_received; break;
    default: break;
  }
}

void Audit::take_queued(std::string_view recipient, std::string_view message) {
  entry(message, recipient).queued = true;
}

// Had the sender a reason to send again after `earlier`?
bool Audit::excused(const Copy& earlier, bool& by_drop) const {
  by_drop = earlier.certainty == Certainty::Dropped;
  if (by_drop) return true;
  const auto lost = lost_sessions_.find(earlier.session);
  if (lost == lost_sessions_.end()) return false;
  const auto window_us = static_cast<std::uint64_t>(options_.excuse_window / 1us);
  return lost->second <= earlier.time_us + window_us;
}

void Audit::find(Violation violation, const Entry& entry, std::string detail) {
  ++figures_.violations[static_cast<std::size_t>(violation)];
  if (findings_.size() >= kFindingsMax) return;
  const std::string_view text = std::string_view(names_).substr(entry.name);
  const std::size_t middle = text.find('\n');
  const std::size_t end = text.find('\n', middle + 1);
  findings_.push_back({violation, std::string(text.substr(0, middle)),
                       std::string(text.substr(middle + 1, end - middle - 1)), std::move(detail)});
}

void Audit::judge_extra_copies(std::uint64_t key, const Entry& entry) {
  std::vector<Copy> copies = more_copies_[key];
  copies.push_back(entry.first);
  std::ranges::sort(copies, {}, &Copy::time_us);
  figures_.duplicates += copies.size() - 1;
  for (std::size_t i = 0; i + 1 < copies.size(); ++i) {
    bool by_drop = false;
    if (excused(copies[i], by_drop)) {
      ++(by_drop ? figures_.duplicates_dropped : figures_.duplicates_lost);
    } else {
      find(Violation::DuplicateNoCause, entry,
           fmt::format("again after {}",
                       duration_text(std::chrono::microseconds(copies[i + 1].time_us - copies[i].time_us))));
    }
  }
}

// An accepted recipient ends in exactly one way.
void Audit::judge_promised(const Entry& entry) {
  ++figures_.accepted;
  if (seen(entry)) {
    ++figures_.delivered;
  } else if (entry.bounced > 0) {
    ++figures_.bounced;
  } else if (entry.queued) {
    ++figures_.queued;
  } else {
    find(entry.delivered > 0 ? Violation::DeliveredNotReceived : Violation::Lost, entry, "");
    return;
  }
  if (options_.have_accounting && entry.delivered + entry.bounced == 0 && !entry.queued) {
    find(Violation::NotAccounted, entry, "");
  }
}

void Audit::judge_accounting(const Entry& entry) {
  if (entry.delivered + entry.bounced > 1) {
    find(Violation::TwoEndings, entry, fmt::format("{} d, {} b", entry.delivered, entry.bounced));
  }
  if (entry.queued && entry.delivered + entry.bounced > 0) find(Violation::QueuedAfterEnd, entry, "");
  if (entry.promise != Promise::Accepted && entry.delivered > 0 && !seen(entry)) {
    find(Violation::DeliveredNotReceived, entry, "");
  }
  // A copy taken over without a reply may be followed by a bounce; an answered one may not.
  bool by_drop = false;
  if (entry.bounced > 0 && entry.copies > 0 && !excused(entry.first, by_drop)) {
    find(Violation::BouncedButReceived, entry, "");
  }
}

void Audit::judge(const Entry& entry) {
  switch (entry.promise) {
    case Promise::Accepted: judge_promised(entry); break;
    case Promise::Unknown:
      ++figures_.unknown;
      if (seen(entry) || entry.bounced > 0 || entry.queued) ++figures_.unknown_arrived;
      break;
    case Promise::Refused:
      ++figures_.refused;
      if (seen(entry)) find(Violation::RefusedButReceived, entry, "");
      break;
    case Promise::None: return;
  }
  if (entry.doubled) return;
  if (entry.body_changed) find(Violation::BodyChanged, entry, "");
  if (options_.have_accounting) judge_accounting(entry);
}

// Only a number is known: whoever is nowhere else is taken to be in the queue, as long as the number reaches.
void Audit::take_queued_count() {
  std::uint64_t& lost = figures_.violations[static_cast<std::size_t>(Violation::Lost)];
  if (!options_.queued_count || lost > *options_.queued_count) return;
  figures_.queued += lost;
  lost = 0;
  std::erase_if(findings_, [](const Finding& one) { return one.violation == Violation::Lost; });
}

void Audit::finish() {
  for (const auto& [key, entry] : entries_) {
    if (entry.promise == Promise::None && entry.copies > 0) {
      const std::string_view name = std::string_view(names_).substr(entry.name);
      if (runs_.contains(std::string(run_of(name.substr(0, name.find('\n')))))) {
        find(Violation::ReceivedNotInjected, entry, "");
      } else {
        ++figures_.foreign;
      }
    }
    if (entry.copies > 1 && !entry.doubled && entry.promise != Promise::None) judge_extra_copies(key, entry);
    judge(entry);
  }
  take_queued_count();
  std::ranges::sort(findings_, [](const Finding& a, const Finding& b) {
    return std::tie(a.violation, a.message, a.recipient) < std::tie(b.violation, b.message, b.recipient);
  });
}

}  // namespace sluice::bench
