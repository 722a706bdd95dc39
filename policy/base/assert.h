#pragma once
// Programmer errors. Kept in release builds: a process that has lost track of itself stops, and the spool is
// the recovery plan. Never used for operating errors (see result.h) or for anything a remote peer can cause.

namespace sluice {

/// Prints what failed and where to standard error, then aborts. Async-signal-safe.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace sluice

#define SLUICE_ASSERT(expression)                       \
  (static_cast<bool>(expression) ? static_cast<void>(0) \
                                 : ::sluice::assertion_failed(#expression, __FILE__, __LINE__))
