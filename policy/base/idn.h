#pragma once
// Internationalised domain names (RFC 5890), by libidn2.

#include <optional>
#include <string>
#include <string_view>

namespace sluice {

/// The form of `domain` that DNS knows: U-labels become A-labels ("bücher.example" is "xn--bcher-kva.example",
/// RFC 5891 with the mapping of UTS 46, non-transitional), ASCII becomes lower case.
/// Thread: any. Limits: 1,024 bytes in, 255 out. Errors: nullopt: bytes above 127 that are no such name.
[[nodiscard]] std::optional<std::string> to_a_labels(std::string_view domain);

}  // namespace sluice
