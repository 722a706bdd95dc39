#include "policy/settings/withheld.h"

namespace sluice::config {

std::string_view withheld_reason(const DomainSettings& settings) {
  if (settings.type != QueueType::Smtp) return {};
  if (settings.require_starttls)
    return "held: require-starttls forbids sending unencrypted, and Sluice cannot encrypt yet (TLS is to "
           "come)";
  if (!settings.auth_username.empty())
    return "held: auth-username asks for a login at the receiver, and Sluice cannot log in yet (AUTH is to "
           "come)";
  return {};
}

}  // namespace sluice::config
