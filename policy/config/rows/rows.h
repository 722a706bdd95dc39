#pragma once
// The parts the directive table is put together from, one function per file of this folder.

#include <span>
#include <vector>

#include "policy/config/directive.h"

namespace sluice::config::rows {

void append_global(std::vector<Directive>& out);
void append_http(std::vector<Directive>& out);
void append_source(std::vector<Directive>& out);
void append_domain(std::vector<Directive>& out);
void append_domain_message(std::vector<Directive>& out);
void append_identity(std::vector<Directive>& out);
void append_accounting(std::vector<Directive>& out);
void append_lists(std::vector<Directive>& out);
void append_bounce_actions(std::vector<Directive>& out);
void append_alerts(std::vector<Directive>& out);
/// Units of plain numbers, and what PowerMTA does where we differ: `details.cc`.
void set_details(std::vector<Directive>& rows);
/// Fills in state, reasons and differences: `states.cc`.
void set_states(std::vector<Directive>& rows);
[[nodiscard]] std::span<const BlockKind> block_kinds();

}  // namespace sluice::config::rows
