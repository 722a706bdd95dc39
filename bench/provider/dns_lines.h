#pragma once
// The lines of a provider file that speak of DNS.

#include <string>
#include <string_view>
#include <vector>

#include "bench/lib/values.h"
#include "bench/provider/provider.h"

namespace sluice::bench {

using Words = std::vector<Word>;

/// "MX1.example." and "mx1.example" are one name: the latter.
[[nodiscard]] std::string name_text(std::string_view text);
/// "[SHARE] KIND [ARGUMENT]" from word `at` on; the names are left to the caller.
[[nodiscard]] Parsed<DnsFault> parse_dns_fault(const Words& words, std::size_t at);
/// "record TYPE NAME DATA... [ttl SECONDS]". Requires at least 4 words.
[[nodiscard]] Parsed<DnsRecord> parse_dns_record(Words words);

}  // namespace sluice::bench
