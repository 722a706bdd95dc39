// Goal: fields lie one behind the other within the message, limits hold. Addresses and
// command arguments ride along: what is read as an address reads again as the same one. No text of a stranger
// gets out of an Authentication-Results header. How: any bytes as a message, an address and a command.

#include <cstdint>
#include <span>
#include <string>

#include "net/mime/auth_results.h"
#include "net/mime/header_scan.h"
#include "net/smtp/command.h"
#include "policy/base/assert.h"
#include "policy/base/mail_address.h"

using namespace sluice;
using namespace sluice::net;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  HeaderScan scan(text);
  HeaderField field;
  std::size_t at = 0;
  while (scan.next(field)) {
    SLUICE_ASSERT(field.offset >= at && !field.name.empty());
    at = field.offset + field.whole.size();
    SLUICE_ASSERT(at <= size);
    std::string unfolded;
    append_unfolded(unfolded, field.value);
    SLUICE_ASSERT(unfolded.find_first_of("\r\n") == std::string::npos);
    SLUICE_ASSERT(unfolded.size() <= field.value.size());
  }
  SLUICE_ASSERT(scan.header_bytes() >= at);
  SLUICE_ASSERT(scan.body_offset() >= scan.header_bytes() && scan.body_offset() <= text.size());

  const std::string stranger(text);
  const AuthResult result{.method = "spf",
                          .result = "fail",
                          .comment = text,
                          .trace = std::span(&stranger, 1),
                          .property = "smtp.mailfrom",
                          .value = text};
  std::string header;
  append_auth_results(header, "mx.test", std::span(&result, 1));
  HeaderScan own(header);
  SLUICE_ASSERT(own.next(field) && field.whole.size() == header.size());
  SLUICE_ASSERT(is_auth_results_of(field.value, "mx.test"));
  (void)is_auth_results_of(text, "mx.test");

  for (const bool utf8 : {false, true}) {
    AddressRules rules{.allow_null = true, .allow_no_domain = true, .allow_utf8 = utf8};
    const auto address = MailAddress::parse(text, rules);
    if (!address || address->is_null()) continue;
    rules.bare = true;
    SLUICE_ASSERT(MailAddress::parse(address->text(), rules) == address);
    for (const char c : address->text()) SLUICE_ASSERT(static_cast<unsigned char>(c) >= 32 && c != 127);
  }
  (void)parse_command(text);
  if (const auto mail = parse_mail(text)) SLUICE_ASSERT(mail->envid.size() <= kEnvidBytesMax);
  if (const auto rcpt = parse_rcpt(text)) SLUICE_ASSERT(rcpt->orcpt.size() <= kOrcptBytesMax);
  (void)parse_bdat(text);
  return 0;
}
