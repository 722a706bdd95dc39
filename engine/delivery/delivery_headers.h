#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/spool/message.h"
#include "policy/base/units.h"

namespace sluice::delivery {

/// What is sent of a stored message: `front`, then `rest`, which is the stored form from somewhere on and
/// lives as long as it.
struct Outgoing {
  std::string front;
  std::span<const std::byte> rest;
};

/// Makes what goes out of a stored message, whatever the way. In front of it: X-Virtual-MTA with the virtual
/// MTA it really goes by (`add-x-virtual-mta-header`), and the Date of its sending (`date-header-time
/// delivery`). Left out: fields that `remove` names (`remove-header` of `<domain>`), these two and the trace
/// field among them. Almost every message needs none of this: then `front` is empty and nothing is copied;
/// where a field is left out the header section moves into `front`, never the body. Limits: header sections
/// as net::HeaderScan reads them; what lies behind its limits stays.
void make_outgoing(Outgoing& out, std::span<const std::byte> body, spool::MessageFlags flags,
                   std::string_view vmta, WallTime now, std::span<const std::string> remove);

}  // namespace sluice::delivery
