#pragma once
// Texts about queues that operators' tools parse. To the letter as PowerMTA writes them.

#include <cstdint>
#include <string>
#include <string_view>

#include "policy/settings/values.h"

namespace sluice {

inline constexpr std::string_view kConnectRateReached = "connect rate limit reached";

/// "message rate limit reached (based on queue's max-msg-rate in configuration)".
[[nodiscard]] std::string message_rate_reached(config::QueueMode mode);
[[nodiscard]] std::string volume_rate_reached(config::QueueMode mode);
/// Of the virtual MTA: "... (based on max-smtp-msg-rate in configuration)".
[[nodiscard]] std::string vmta_message_rate_reached();
[[nodiscard]] std::string vmta_volume_rate_reached();

/// Which limit holds a queue's mail back.
enum class HeldBy : std::uint8_t { Messages, Volume, SourceMessages, SourceVolume, VmtaMessages, VmtaVolume };
/// The text for it; lives for ever.
[[nodiscard]] std::string_view rate_reached(HeldBy by, config::QueueMode mode);

/// The two ends of a connection as texts name them.
struct ConnectionEnds {
  std::string_view source_host;  ///< what we said in EHLO
  std::string_view source_ip;
  std::string_view mta;  ///< "mx.example.com (192.0.2.1)"
};
/// `Error: "REPLY" while connected from HOST (IP) to MX (IP)`.
[[nodiscard]] std::string refused_while_connected(std::string_view reply, const ConnectionEnds& ends);
/// `skip of MX requested: "REPLY" received from MX (IP) while connected from HOST (IP) to MX (IP)`.
[[nodiscard]] std::string mx_skipped(std::string_view reply, const ConnectionEnds& ends);
/// `All SMTP sources for queue DOM/VMTA are now disabled.`
[[nodiscard]] std::string all_sources_disabled(std::string_view queue);
/// Diagnosis of recipients a bounce-queue rule ends along with the one it was about; "x-pmta;bounce-queue" is
/// what category patterns look for.
[[nodiscard]] std::string bounced_with_queue(std::string_view reply);

}  // namespace sluice
