#include "engine/delivery/delivery_headers.h"

#include "net/mime/received.h"

namespace sluice::delivery {

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

}  // namespace sluice::delivery
