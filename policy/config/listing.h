#pragma once
// The configuration in words: effective settings in the layout of `show settings`, and where each value comes
// from. The daemon's commands and the command line print the same.

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "policy/config/config.h"

namespace sluice::config {

/// `name value` per line, in the layout of `show settings`: "" for empty, yes/no, short times; secrets are
/// *****.
[[nodiscard]] std::string settings_listing(const DomainSettings& settings);
[[nodiscard]] std::string settings_listing(const SourceSettings& settings);
[[nodiscard]] std::string settings_listing(const GlobalSettings& settings);
[[nodiscard]] std::string settings_listing(const IdentitySettings& settings, bool pool);
[[nodiscard]] std::string settings_listing(const AcctFile& file);

/// A queue as people write it: "gmail.com/marketing", "gmail.com", "[10.0.0.1]/a".
struct QueueName {
  std::string domain;  ///< lower case
  VmtaId vmta = kDefaultVmta;
};
/// Errors: a line of text that says what is wrong and what is near.
[[nodiscard]] std::expected<QueueName, std::string> find_queue(const Config& config, std::string_view name);

/// `show settings DOM[/VMTA]`: the virtual MTA's settings, then the queue's.
[[nodiscard]] std::string settings_text(const Config& config, const QueueName& queue);

/// Every setting of a queue with file and line; with `directive` only that one, together with the lines it
/// replaced. Errors: no such directive; the text names the nearest.
[[nodiscard]] std::expected<std::string, std::string> explain_text(const Config& config,
                                                                   const QueueName& queue,
                                                                   std::string_view directive);

/// Directives of the text whose effect is still to come, one line for each capability; empty when there are
/// none.
[[nodiscard]] std::string pending_text(const Config& config);

/// The same for the log, with a line for those that never have an effect; names all and is empty when there are none.
[[nodiscard]] std::vector<std::string> pending_lines(const Config& config);

}  // namespace sluice::config
