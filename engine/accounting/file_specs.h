#pragma once
// What `<acct-file>` blocks ask for, before anything is opened. Pure.

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "policy/accounting/record_layout.h"
#include "policy/settings/blocks.h"

namespace sluice::accounting {

/// Webhooks are not written yet. They are passed over with a warning, so that a configuration which
/// has them beside its files, as PowerMTA's manual advises, runs.
[[nodiscard]] bool is_file(const config::AcctFile& spec);
/// Whether one of `specs` is the file `path`.
[[nodiscard]] bool is_configured(const std::vector<config::AcctFile>& specs, std::string_view path);
/// The block that is the pipe to `command`; null: none of `specs`.
[[nodiscard]] const config::AcctFile* find_pipe(const std::vector<config::AcctFile>& specs,
                                                std::string_view command);
/// What starts the command of a pipe: its words, or a shell where something in it needs one (quotes,
/// redirections).
[[nodiscard]] std::vector<std::string> arguments_of(std::string_view command);
/// Errors: in words for the operator.
[[nodiscard]] std::expected<RecordLayout, std::string> layout_of(const config::AcctFile& spec);
/// Whether all of them can be written, with warnings. Errors: in words.
[[nodiscard]] std::expected<std::vector<std::string>, std::string> check_files(
    const std::vector<config::AcctFile>& files);

}  // namespace sluice::accounting
