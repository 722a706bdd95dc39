#pragma once

#include <string_view>
#include <vector>

namespace sluice::net {

/// Where the domains of the addresses in a header body such as From stand (RFC 5322 3.4): views into `value`,
/// in order. Knows quoted strings, comments and folding; "@" inside of them is text. Domain literals are
/// found with their brackets. Thread: any. Errors: none; what is no address is passed over.
[[nodiscard]] std::vector<std::string_view> address_domains(std::string_view value);

}  // namespace sluice::net
