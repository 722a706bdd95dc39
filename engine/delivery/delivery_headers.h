#pragma once

#include <string>
#include <string_view>

#include "engine/spool/message.h"
#include "policy/base/units.h"

namespace sluice::delivery {

/// Header fields, with CRLF, that a message gets only when it is sent, whatever the way: X-Virtual-MTA with
/// the virtual MTA it really goes by (`add-x-virtual-mta-header`), and the Date of its sending
/// (`date-header-time delivery`). They belong in front of the stored form. Nothing for almost every message.
void append_delivery_headers(std::string& out, spool::MessageFlags flags, std::string_view vmta,
                             WallTime now);

}  // namespace sluice::delivery
