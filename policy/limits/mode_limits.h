#pragma once
// Which limits of a queue hold in which mode.

#include "policy/settings/domain_settings.h"
#include "policy/settings/values.h"

namespace sluice {

/// The limits of a queue that change with its mode. Empty: unlimited.
struct ModeLimits {
  config::CountLimit connections;  ///< max-smtp-out
  config::RateLimit connects;      ///< max-connect-rate
  config::RateLimit recipients;    ///< max-msg-rate
  config::VolumeLimit volume;      ///< max-data-volume-rate
  friend bool operator==(const ModeLimits&, const ModeLimits&) = default;
};

/// In backoff mode the `backoff-*` values replace the normal ones. Their fallbacks (the normal rate where
/// none is given, 20 connections) are settled in the settings already.
[[nodiscard]] inline ModeLimits limits_of(const config::DomainSettings& settings, config::QueueMode mode) {
  if (mode == config::QueueMode::Backoff) {
    return {settings.backoff_max_smtp_out, settings.backoff_max_connect_rate, settings.backoff_max_msg_rate,
            settings.backoff_max_data_volume_rate};
  }
  return {settings.max_smtp_out, settings.max_connect_rate, settings.max_msg_rate,
          settings.max_data_volume_rate};
}

}  // namespace sluice
