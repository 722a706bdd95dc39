#include "policy/report/report.h"

#include <array>
#include <utility>

namespace sluice::report {
namespace {

using Member = std::string_view Variables::*;
constexpr auto kVariables = std::to_array<std::pair<std::string_view, Member>>({
    {"hostName", &Variables::host_name},
    {"originator", &Variables::originator},
    {"subject", &Variables::subject},
    {"recipient", &Variables::recipient},
    {"date", &Variables::date},
    {"timeQueued", &Variables::time_queued},
    {"retryAfter", &Variables::retry_after},
    {"bounceAfter", &Variables::bounce_after},
    {"response", &Variables::response},
});

const Member* find(std::string_view name) {
  for (const auto& [known, member] : kVariables) {
    if (known == name) return &member;
  }
  return nullptr;
}

/// Calls `plain(text)` and `variable(name)` in order.
template <class Plain, class Variable>
void walk(std::string_view text, Plain&& plain, Variable&& variable) {
  for (std::size_t at = 0;;) {
    const std::size_t open = text.find("${", at);
    const std::size_t close = open == std::string_view::npos ? open : text.find('}', open);
    if (close == std::string_view::npos) {
      plain(text.substr(at));
      return;
    }
    plain(text.substr(at, open - at));
    variable(text.substr(open + 2, close - open - 2));
    at = close + 1;
  }
}

}  // namespace

std::string fill(std::string_view text, const Variables& values) {
  std::string out;
  walk(
      text, [&out](std::string_view plain) { out += plain; },
      [&out, &values](std::string_view name) {
        if (const Member* member = find(name)) {
          out += values.**member;
        } else {
          out.append("${").append(name).append("}");
        }
      });
  return out;
}

std::string_view unknown_variable(std::string_view text) {
  std::string_view found;
  walk(
      text, [](std::string_view) {},
      [&found](std::string_view name) {
        if (found.empty() && find(name) == nullptr) found = name;
      });
  return found;
}

}  // namespace sluice::report
