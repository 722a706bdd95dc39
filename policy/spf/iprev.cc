#include "policy/spf/iprev.h"

namespace sluice::spf {

IprevOutcome judge_iprev(const ClientNames& names) {
  if (!names.validated().empty()) return {Result::Pass, names.validated().front(), {}};
  if (names.question() != nullptr) return {Result::TempError, {}, "DNS took too long"};
  if (names.reverse() == DnsAnswer::Kind::Failure) return {Result::TempError, {}, "DNS failure for PTR"};
  if (names.names().empty()) return {Result::PermError, {}, "no PTR record"};
  if (names.forward_failed()) {
    return {Result::TempError, {}, "DNS failure for an address of " + names.names().front()};
  }
  if (!names.forward_found()) {
    return {Result::PermError, {}, names.names().front() + " has no address"};
  }
  return {Result::Fail, {}, names.names().front() + " has other addresses"};
}

}  // namespace sluice::spf
