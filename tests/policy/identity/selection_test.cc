// Goal: the virtual MTA is the one the order of selection names, unknown names are refused or replaced as
//       told, and pools give every member exactly its share.
// How:  every combination of who names one, a table of names and rules, and counted turns.
#include <gtest/gtest.h>

#include <map>

#include "policy/identity/pool_turns.h"
#include "policy/identity/selection.h"

namespace sluice::identity {
namespace {

std::vector<config::Vmta> vmtas() {
  std::vector<config::Vmta> out;
  for (const char* name : {"{default}", "alpha", "Beta", "fallback"}) {
    config::Vmta one;
    one.name = name;
    one.id = config::VmtaId{static_cast<std::uint32_t>(out.size())};
    out.push_back(one);
  }
  return out;
}

std::vector<config::Pool> pools() {
  std::vector<config::Pool> out(2);
  out[0].name = "pool";
  out[0].id = config::PoolId{0};
  out[0].settings.members.push_back({.name = "alpha", .weight = 1, .id = config::VmtaId{1}, .origin = {}});
  out[1].name = "empty";
  out[1].id = config::PoolId{1};
  return out;
}

struct Fixture {
  std::vector<config::Vmta> all_vmtas = vmtas();
  std::vector<config::Pool> all_pools = pools();
  Directory directory{all_vmtas, all_pools};
};

TEST(Selection, EveryCombinationOfBidsFollowsTheOrder) {
  for (unsigned given = 0; given < 32; ++given) {
    Bids bids;
    if ((given & 1) != 0) bids.merge_variable = "merge";
    if ((given & 2) != 0) bids.header = "header";
    if ((given & 4) != 0) bids.pattern = "pattern";
    if ((given & 8) != 0) bids.listener = "listener";
    if ((given & 16) != 0) bids.source = "source";
    const Bid bid = strongest(bids);
    const char* expected = (given & 1) != 0    ? "merge"
                           : (given & 2) != 0  ? "header"
                           : (given & 4) != 0  ? "pattern"
                           : (given & 8) != 0  ? "listener"
                           : (given & 16) != 0 ? "source"
                                               : "{default}";
    EXPECT_EQ(bid.name, expected) << given;
  }
}

TEST(Selection, AnEmptyHeaderIsABid) {
  const Bid bid =
      strongest({.merge_variable = {}, .header = "", .pattern = "alpha", .listener = {}, .source = "Beta"});
  EXPECT_EQ(bid.rank, Rank::Header);
  EXPECT_EQ(bid.name, "");
}

struct SelectCase {
  Rank rank;
  const char* name;
  bool reject;
  bool allow_empty;
  const char* fallback;
  const char* expected;  // "vN", "pN", "local", or the refusal
};

std::string shown(const std::expected<Target, Refusal>& answer) {
  if (!answer) return std::to_string(answer.error().code) + ' ' + answer.error().text;
  if (const auto* vmta = std::get_if<config::VmtaId>(&*answer)) return "v" + std::to_string(vmta->raw());
  if (const auto* pool = std::get_if<config::PoolId>(&*answer)) return "p" + std::to_string(pool->raw());
  return "local";
}

TEST(Selection, NamesAreFoundRefusedOrReplaced) {
  static constexpr SelectCase kCases[] = {
      {Rank::Header, "alpha", true, false, "", "v1"},
      {Rank::Header, "ALPHA", true, false, "", "v1"},
      {Rank::Header, "beta", true, false, "", "v2"},
      {Rank::Header, "Pool", true, false, "", "p0"},
      {Rank::Header, "{default}", true, false, "", "v0"},
      {Rank::Header, "nobody", true, false, "fallback",
       "554 5.5.0 specified Virtual MTA 'nobody' does not exist"},
      {Rank::Header, "nobody", false, false, "fallback", "v3"},
      {Rank::Header, "nobody", false, false, "pool", "p0"},
      {Rank::Header, "nobody", false, false, "", "v0"},
      {Rank::Header, "nobody", false, false, "gone", "v0"},
      {Rank::Header, "empty", true, false, "", "554 5.5.0 specified Virtual MTA 'empty' does not exist"},
      {Rank::Header, "", true, false, "", "554 5.5.0 x-virtual-mta header is empty"},
      {Rank::Header, "", true, true, "fallback", "v0"},
      {Rank::Header, "", false, false, "fallback", "v3"},
      {Rank::MergeVariable, "", true, true, "", "v0"},
      // by-smtp-source-ip is for configurations, not for strangers.
      {Rank::Header, "by-smtp-source-ip", true, false, "",
       "554 5.5.0 specified Virtual MTA 'by-smtp-source-ip' does not exist"},
      {Rank::Source, "by-smtp-source-ip", true, false, "", "local"},
      {Rank::Listener, "By-SMTP-Source-IP", true, false, "", "local"},
      {Rank::PatternList, "alpha", true, false, "", "v1"},
      {Rank::PatternList, "gone", false, false, "fallback", "v3"},
      {Rank::Source, "gone", true, false, "", "554 5.5.0 specified Virtual MTA 'gone' does not exist"},
      {Rank::Default, "{default}", true, false, "", "v0"},
  };
  const Fixture fixture;
  for (const SelectCase& one : kCases) {
    EXPECT_EQ(
        shown(select({one.rank, one.name},
                     {.reject_invalid = one.reject, .allow_empty = one.allow_empty, .fallback = one.fallback},
                     fixture.directory)),
        one.expected)
        << one.name;
  }
}

TEST(PoolTurns, EqualWeightsGoRoundInOrder) {
  const std::vector<std::uint32_t> weights(5, 7);
  EXPECT_EQ(smooth_turns(weights), (std::vector<std::uint32_t>{0, 1, 2, 3, 4}));
}

TEST(PoolTurns, WeightsAreExactAndSmooth) {
  // The example everybody knows: 5, 1, 1 never gives more than needed in a row.
  const std::vector<std::uint32_t> known{5, 1, 1};
  EXPECT_EQ(smooth_turns(known), (std::vector<std::uint32_t>{0, 0, 1, 0, 2, 0, 0}));
  static const std::vector<std::vector<std::uint32_t>> kWeights{
      {1}, {3, 2, 1}, {100, 1}, {7, 0, 3}, {997, 991, 13}};
  for (const auto& weights : kWeights) {
    std::vector<std::uint32_t> count(weights.size(), 0);
    const auto order = smooth_turns(weights);
    std::uint64_t total = 0;
    for (const std::uint32_t weight : weights) total += weight;
    for (std::size_t turn = 0; turn < order.size(); ++turn) {
      ++count[order[turn]];
      // At any moment nobody is further from its share than one turn of each member.
      for (std::size_t i = 0; i < weights.size(); ++i) {
        const double share = static_cast<double>(turn + 1) * weights[i] / static_cast<double>(total);
        ASSERT_NEAR(count[i], share, static_cast<double>(weights.size())) << turn;
      }
    }
    for (std::size_t i = 0; i < weights.size(); ++i) {
      EXPECT_EQ(std::uint64_t{count[i]} * total, std::uint64_t{weights[i]} * order.size());
    }
  }
}

TEST(PoolTurns, HugeRoundsAreScaledDown) {
  std::vector<std::uint32_t> weights;
  for (std::uint32_t i = 0; i < 200; ++i) weights.push_back(801 + i);
  const auto order = smooth_turns(weights);
  EXPECT_LE(order.size(), kTurnsMax);
  std::map<std::uint32_t, int> count;
  for (const std::uint32_t one : order) ++count[one];
  EXPECT_EQ(count.size(), weights.size());
}

TEST(PoolTurns, OthersTakeTheTurnsOfAMemberLeftOut) {
  PoolTurns turns({3, 2, 1});
  std::vector<int> count(3, 0);
  const auto not_first = [](std::uint32_t member) { return member != 0; };
  for (std::uint64_t turn = 0; turn < 600; ++turn) ++count[turns.member(turn, not_first)];
  EXPECT_EQ(count, (std::vector<int>{0, 400, 200}));
  const auto all = [](std::uint32_t) { return true; };
  count.assign(3, 0);
  for (std::uint64_t turn = 600; turn < 1200; ++turn) ++count[turns.member(turn, all)];
  EXPECT_EQ(count, (std::vector<int>{300, 200, 100}));
  // Nobody usable: mail waits where it would have gone.
  const auto none = [](std::uint32_t) { return false; };
  count.assign(3, 0);
  for (std::uint64_t turn = 0; turn < 6; ++turn) ++count[turns.member(turn, none)];
  EXPECT_EQ(count, (std::vector<int>{3, 2, 1}));
}

}  // namespace
}  // namespace sluice::identity
