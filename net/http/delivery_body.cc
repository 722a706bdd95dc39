#include "net/http/delivery_body.h"

#include "policy/base/json_text.h"
#include "net/mime/header_scan.h"
#include "policy/base/base64.h"
#include "policy/base/utf8.h"

namespace sluice::net::http {

std::string delivery_body(const DeliveryFacts& facts) {
  std::string out = "{\"msg_from\":";
  append_json_string(out, facts.from);
  out += ",\"rcpt_to\":";
  append_json_string(out, facts.to);
  out += ",\"content\":{\"email_rfc822\":";
  if (is_utf8(facts.message)) {
    append_json_string(out, facts.message);
  } else {
    out += '"' + encode_base64(facts.message) + "\",\"email_rfc822_is_base64\":true";
  }
  out += ",\"headers\":[";
  HeaderScan scan(facts.message);
  HeaderField field;
  std::string value;
  for (bool first = true; scan.next(field); first = false) {
    out += first ? "{" : ",{";
    append_json_string(out, field.name);
    out += ':';
    value.clear();
    append_unfolded(value, field.value);
    append_json_string(out, value);
    out += '}';
  }
  return out + "]}}";
}

}  // namespace sluice::net::http
