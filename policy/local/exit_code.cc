#include "policy/local/exit_code.h"

#include <algorithm>
#include <array>

namespace sluice::local {
namespace {

using Kind = ExitVerdict::Kind;

struct Row {
  int code;
  ExitVerdict verdict;
};

constexpr std::array<Row, 16> kRows{{
    {0, {Kind::Delivered, {2, 0, 0}, "EX_OK"}},
    {64, {Kind::Bounce, {5, 5, 4}, "EX_USAGE"}},
    {65, {Kind::Bounce, {5, 5, 2}, "EX_DATAERR"}},
    {66, {Kind::Bounce, {5, 3, 0}, "EX_NOINPUT"}},
    {67, {Kind::Bounce, {5, 1, 1}, "EX_NOUSER"}},
    {68, {Kind::Bounce, {5, 1, 2}, "EX_NOHOST"}},
    {69, {Kind::Bounce, {5, 3, 0}, "EX_UNAVAILABLE"}},
    {70, {Kind::Bounce, {5, 3, 0}, "EX_SOFTWARE"}},
    {71, {Kind::Retry, {4, 3, 0}, "EX_OSERR"}},
    {72, {Kind::Bounce, {5, 3, 0}, "EX_OSFILE"}},
    {73, {Kind::Bounce, {5, 2, 0}, "EX_CANTCREAT"}},
    {74, {Kind::Retry, {4, 3, 0}, "EX_IOERR"}},
    {75, {Kind::Retry, {4, 0, 0}, "EX_TEMPFAIL"}},
    {76, {Kind::Bounce, {5, 5, 0}, "EX_PROTOCOL"}},
    {77, {Kind::Bounce, {5, 7, 1}, "EX_NOPERM"}},
    {78, {Kind::Bounce, {5, 3, 5}, "EX_CONFIG"}},
}};

}  // namespace

ExitVerdict verdict_of_exit(int code) {
  const auto found =
      std::find_if(kRows.begin(), kRows.end(), [code](const Row& row) { return row.code == code; });
  return found == kRows.end() ? ExitVerdict{} : found->verdict;
}

}  // namespace sluice::local
