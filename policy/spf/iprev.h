#pragma once
// Does the name of a client lead back to it? (RFC 8601 2.7.3, 3)

#include <string>

#include "policy/spf/dns.h"
#include "policy/spf/record.h"

namespace sluice::spf {

struct IprevOutcome {
  Result result = Result::TempError;  ///< Pass, Fail, TempError or PermError
  std::string name;                   ///< of a Pass: the validated one
  std::string why;                    ///< of everything else
};
/// Requires that `names` has no question any more, or that its time is over.
[[nodiscard]] IprevOutcome judge_iprev(const ClientNames& names);

}  // namespace sluice::spf
