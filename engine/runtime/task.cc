#include "engine/runtime/task.h"

#include <cstdio>

namespace sluice::runtime {

std::string current_exception_text() {
  try {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "unknown exception";
  }
}

Task<std::optional<std::string>> contained(Task<void> task) {
  std::optional<std::string> trouble;
  try {
    co_await task;
  } catch (...) {
    trouble = current_exception_text();
  }
  co_return trouble;
}

void detail::exception_left() noexcept {
  try {
    throw;
  } catch (const std::exception& error) {
    std::fputs(error.what(), stderr);
    std::fputs(": ", stderr);
  } catch (...) {
  }
  assertion_failed("exception left a task without a boundary", __FILE__, __LINE__);
}

}  // namespace sluice::runtime
