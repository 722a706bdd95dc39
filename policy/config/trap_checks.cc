// Lines that load and do less than they say.
#include <algorithm>
#include <array>
#include <unordered_set>

#include "policy/base/ascii.h"
#include "policy/config/loader.h"

namespace sluice::config {
namespace {

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

}  // namespace sluice::config
