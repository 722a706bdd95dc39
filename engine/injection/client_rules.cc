#include "engine/injection/client_rules.h"

#include <algorithm>

#include "policy/base/ascii.h"

namespace sluice::injection {

std::size_t HeaderTable::slot(std::string_view name) {
  const auto at = [name](std::size_t i) { return static_cast<unsigned char>(to_lower(name[i])); };
  return name.empty()
             ? 0
             : (name.size() * 7u + at(0) * 31u + at(name.size() / 2) * 5u + at(name.size() - 1)) & 255u;
}

const HeaderTable::Entry* HeaderTable::search(std::string_view name) const {
  const auto found =
      std::ranges::find_if(entries_, [name](const Entry& one) { return iequals(one.name, name); });
  return found == entries_.end() ? nullptr : &*found;
}

HeaderTable::Entry& HeaderTable::add(std::string_view name, std::uint32_t use) {
  auto found = std::ranges::find_if(entries_, [name](const Entry& one) { return iequals(one.name, name); });
  if (found == entries_.end()) {
    entries_.push_back({to_lower(name), {}, 0});
    found = entries_.end() - 1;
    maybe_[slot(name)] = true;
  }
  found->use |= use;
  return *found;
}

ClientRules::ClientRules(std::shared_ptr<const queue::Snapshot> made_from, config::SourceSettings source,
                         std::string_view default_of_listener)
    : snapshot(std::move(made_from)), settings(std::move(source)), listener_virtual_mta(default_of_listener) {
  const auto control = [this](std::string_view name, std::uint32_t use, bool process, bool retain) {
    if (process) headers.add(name, retain ? use : use | HeaderUse::kRemove);
  };
  using U = HeaderUse;
  const config::SourceSettings& s = settings;
  control("x-virtual-mta", U::kVirtualMta, s.process_x_virtual_mta, s.retain_x_virtual_mta);
  control("x-job", U::kJob, s.process_x_job, s.retain_x_job);
  if (!s.jobid_header.empty()) {
    // A header such as Subject may name the job; only one made for that is taken away.
    control(s.jobid_header, U::kJobHeader, true, s.retain_x_job || !istarts_with(s.jobid_header, "x-"));
  }
  control("x-envid", U::kEnvelopeId, s.process_x_envid, false);
  control("x-schedule", s.process_x_schedule ? U::kSchedule : 0, true, s.retain_x_schedule);
  control("x-dkim-options", 0, s.process_x_dkim_options, s.retain_x_dkim_options);
  control("x-dkim-key", 0, true, s.retain_x_dkim_key);  // a private key never travels by accident
  control("received", U::kReceived, true, !s.remove_received_headers);
  if (s.add_date_header != config::AddDateHeader::No) {
    control("date", U::kDate, true, s.add_date_header != config::AddDateHeader::Override);
  }
  if (s.add_message_id_header) headers.add("message-id", U::kMessageId);
  headers.add("from", U::kFrom);
  checks_sender = s.check_spf_inbound || s.check_iprev_inbound;
  if (checks_sender) headers.add("authentication-results", U::kAuthResults);
  for (const std::string& name : s.remove_header) headers.add(name, U::kRemove);
  for (const std::string& name : snapshot->accounted_headers)
    headers.add(name, U::kAccounted).accounted = name;
  const identity::Rules& rules = *snapshot->rules;
  if (!s.pattern_list.empty()) patterns = rules.patterns().find(s.pattern_list);
  if (patterns) {
    for (const std::string& name : rules.patterns().headers_of(*patterns)) headers.add(name, U::kPattern);
  }
  rewrite = rules.find_rewrite_list(s.rewrite_list);
  const auto found = snapshot->source_groups.find(to_lower(s.source_group));
  if (found != snapshot->source_groups.end()) group = found->second;
  for (const std::string& name : s.suppression_lists) {
    if (const identity::AddressSet* set = rules.find_address_set(name); set != nullptr)
      suppression.push_back(set);
  }
}

}  // namespace sluice::injection
