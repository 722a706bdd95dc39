#pragma once
// What becomes of MAIL FROM after the checks of its sender: `check-spf-inbound`, `check-iprev-inbound`.

#include <optional>
#include <string>
#include <string_view>

#include "engine/authentication/sender_checks.h"
#include "engine/injection/submission.h"
#include "policy/settings/source_settings.h"

namespace sluice::injection {

struct SpfFound {
  spf::Outcome outcome;
  bool is_helo = false;            ///< the HELO name was checked
  std::string checked;             ///< sender or HELO name
  authentication::DnsLines lines;  ///< with trace-spf-check
};
struct IprevFound {
  spf::IprevOutcome outcome;
  authentication::DnsLines lines;  ///< with trace-iprev-check
};

struct SenderVerdict {
  Verdict refusal;     ///< accepted() when nothing is refused
  std::string header;  ///< Authentication-Results with its CRLF
};

/// Thread: the session's shard. Lifetime: `settings` and what `asking` refers to outlive the task; its
/// `lines` are set here. Limits: authentication::kCheckTimeMax.
[[nodiscard]] runtime::Task<SpfFound> find_spf(authentication::Asking asking, IpAddress client,
                                               spf::Identity identity, const config::SourceSettings& settings,
                                               std::string receiver);
[[nodiscard]] runtime::Task<IprevFound> find_iprev(authentication::Asking asking, IpAddress client,
                                                   const config::SourceSettings& settings);

/// `reject-*-check-*` decide (RFC 7372: 5.7.23 .. 5.7.25). `host`: who says so in the header.
[[nodiscard]] SenderVerdict judge_sender(const config::SourceSettings& settings, const IpAddress& client,
                                         std::string_view host, std::string_view sender,
                                         const std::optional<IprevFound>& iprev,
                                         const std::optional<SpfFound>& spf);

}  // namespace sluice::injection
