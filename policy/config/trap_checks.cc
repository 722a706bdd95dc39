// Lines that load and do less than they say.
#include <algorithm>
#include <array>
#include <unordered_set>

#include "policy/base/ascii.h"
#include "policy/config/loader.h"

namespace sluice::config {
namespace {

/// What wakes these sources is the server itself.
constexpr auto kOwnSources =
    std::to_array<std::string_view>({"{default}", "{pickup}", "{auth}", "{transmissions-api}", "{bounce}",
                                     "{feedbackloop}", "{bounceprocessor}", "{sparkpost}", "{gmimprinter}"});

/// What writes records of this kind is still to come.
std::optional<Capability> writer_to_come(RecordType type) {
  switch (type) {
    case RecordType::Feedback: return Capability::FeedbackProcessor;
    case RecordType::RemoteBounce:
    case RecordType::RemoteStatus: return Capability::BounceProcessor;
    case RecordType::Delivery:
    case RecordType::Bounce:
    case RecordType::Transient:
    case RecordType::TransientQueue:
    case RecordType::Reception: break;
  }
  return std::nullopt;
}

std::string_view records_name(RecordType type) {
  return type == RecordType::Feedback       ? "records f"
         : type == RecordType::RemoteBounce ? "records rb"
                                            : "records rs";
}

}  // namespace

/// Directives that work, with values that do not yet.
void Finisher::note_values_to_come() {
  const auto note = [this](std::string_view name, Capability capability, std::string_view meanwhile,
                           Origin origin) {
    const auto known = std::ranges::find(config_.pending, name, &PendingUse::name);
    if (known == config_.pending.end())
      config_.pending.push_back(
          {.name = name, .waits_for = name_of(capability), .meanwhile = meanwhile, .origin = origin});
  };
  for (const BounceActionList& list : config_.bounce_actions) {
    for (const BounceAction& action : list.actions) {
      if (action.action == BounceActionKind::Suppress && !action.log_only)
        note("action=suppress", Capability::Suppression, "it bounces, but later mail to the address goes out",
             action.origin);
    }
  }
  for (const AcctFile& file : config_.acct_files) {
    for (const RecordType type : file.records) {
      if (const auto capability = writer_to_come(type))
        note(records_name(type), *capability, {}, file.origin);
    }
  }
}

void Finisher::check_held_back() {
  for (const SmtpListener& listener : config_.listeners) {
    if (listener.immediate_tls)
      warn(listener.origin, "immediate-tls: this listener stays closed, because Sluice has no TLS yet");
  }
}

/// Clients are known by their address; a name is for listeners and accounts to choose.
void Finisher::check_unused_sources() {
  if (reporter_.options().fragment) return;
  std::unordered_set<std::string> used;
  for (const SmtpListener& listener : config_.listeners) used.insert(to_lower(listener.source));
  for (const SmtpUser& user : config_.smtp_users) used.insert(to_lower(user.source));
  for (const SourceBlock& block : config_.sources) {
    const std::string name = to_lower(block.name);
    if (block.cidr || used.contains(name) || std::ranges::find(kOwnSources, name) != kOwnSources.end())
      continue;
    warn(block.origin,
         "<source " + block.name + "> is a name that no listener and no account uses: these rules never hold",
         name == "localhost" ? "<source 127.0.0.1>"
                             : "an address or network, or source=" + block.name + " at a listener");
  }
}

void Finisher::check_message_sizes() {
  const Directive* row = table_.find("max-message-size", Scope::Source);
  for (const SourceBlock& block : config_.sources) {
    for (const Assignment& assignment : block.assignments) {
      if (assignment.row != table_.index_of(*row)) continue;
      SourceSettings one;
      Value value(assignment.value, row->rules, assignment.origin);
      row->apply(value, &one);
      if (one.max_message_size && *one.max_message_size <= kMessageSizeMax) continue;
      warn(assignment.origin, "max-message-size " + assignment.value + ": no message above " +
                                  format_size(kMessageSizeMax.raw()) + " is taken");
    }
  }
}

}  // namespace sluice::config
