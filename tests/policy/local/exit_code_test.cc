// Goal: every exit code means what PowerMTA's table says, and a code outside it never loses mail.
// How: the whole range against the table.
#include "policy/local/exit_code.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice::local {
namespace {

TEST(ExitCode, Table) {
  using Kind = ExitVerdict::Kind;
  const std::map<int, std::pair<Kind, EnhancedStatus>> want{
      {0, {Kind::Delivered, {2, 0, 0}}}, {75, {Kind::Retry, {4, 0, 0}}},  {71, {Kind::Retry, {4, 3, 0}}},
      {74, {Kind::Retry, {4, 3, 0}}},    {67, {Kind::Bounce, {5, 1, 1}}}, {68, {Kind::Bounce, {5, 1, 2}}},
      {73, {Kind::Bounce, {5, 2, 0}}},   {69, {Kind::Bounce, {5, 3, 0}}}, {70, {Kind::Bounce, {5, 3, 0}}},
      {72, {Kind::Bounce, {5, 3, 0}}},   {66, {Kind::Bounce, {5, 3, 0}}}, {78, {Kind::Bounce, {5, 3, 5}}},
      {76, {Kind::Bounce, {5, 5, 0}}},   {65, {Kind::Bounce, {5, 5, 2}}}, {64, {Kind::Bounce, {5, 5, 4}}},
      {77, {Kind::Bounce, {5, 7, 1}}},
  };
  for (int code = 0; code < 256; ++code) {
    SCOPED_TRACE(code);
    const ExitVerdict got = verdict_of_exit(code);
    const auto row = want.find(code);
    EXPECT_EQ(got.kind, row == want.end() ? Kind::Retry : row->second.first);
    EXPECT_EQ(got.status, (row == want.end() ? EnhancedStatus{4, 3, 0} : row->second.second));
    EXPECT_EQ(got.name.empty(), row == want.end());
  }
}

}  // namespace
}  // namespace sluice::local
