#pragma once

#include <string>
#include <string_view>

#include "policy/base/ip_address.h"
#include "policy/base/result.h"

namespace sluice::delivery {

/// "ECONNREFUSED connecting to DOM (IP)": the words operators' tools know.
[[nodiscard]] std::string connect_failure_text(const Error& error, std::string_view host, const Endpoint& to);

}  // namespace sluice::delivery
