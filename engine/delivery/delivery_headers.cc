#include "engine/delivery/delivery_headers.h"

#include <algorithm>

#include "net/mime/header_scan.h"
#include "net/mime/received.h"
#include "policy/base/ascii.h"

namespace sluice::delivery {
namespace {

void append_delivery_headers(std::string& out, spool::MessageFlags flags, std::string_view vmta,
                             WallTime now) {
  if (flags.has(spool::MessageFlags::kNameVirtualMta)) {
    out += "X-Virtual-MTA: ";
    out += vmta;
    out += "\r\n";
  }
  if (flags.has(spool::MessageFlags::kDateAtDelivery)) {
    out += "Date: ";
    net::append_rfc5322_date(out, now);
    out += "\r\n";
  }
}

bool is_removed(std::string_view name, std::span<const std::string> remove) {
  return std::any_of(remove.begin(), remove.end(),
                     [name](const std::string& one) { return iequals(name, one); });
}

/// The header section of `text` has a field that is to be left out.
bool has_any(std::string_view text, std::span<const std::string> remove) {
  net::HeaderScan scan(text);
  net::HeaderField field;
  while (scan.next(field)) {
    if (is_removed(field.name, remove)) return true;
  }
  return false;
}

/// Appends `text` up to the last field that is to be left out, without any of these; answers where that one ends.
std::size_t append_kept(std::string& out, std::string_view text, std::span<const std::string> remove) {
  net::HeaderScan scan(text);
  net::HeaderField field;
  std::size_t copied = 0;
  while (scan.next(field)) {
    if (!is_removed(field.name, remove)) continue;
    out += text.substr(copied, field.offset - copied);
    copied = field.offset + field.whole.size();
  }
  return copied;
}

}  // namespace

void make_outgoing(Outgoing& out, std::span<const std::byte> body, spool::MessageFlags flags,
                   std::string_view vmta, WallTime now, std::span<const std::string> remove) {
  out.front.clear();
  append_delivery_headers(out.front, flags, vmta, now);
  out.rest = body;
  if (remove.empty()) return;
  if (has_any(out.front, remove)) {
    std::string kept;
    const std::size_t done = append_kept(kept, out.front, remove);
    out.front.replace(0, done, kept);
  }
  const std::string_view text(reinterpret_cast<const char*>(body.data()), body.size());
  if (has_any(text, remove)) out.rest = body.subspan(append_kept(out.front, text, remove));
}

}  // namespace sluice::delivery
