// Accounting and times, held against what the receivers really did.

#include <charconv>
#include <iostream>

#include "tests/sim/liar_world.h"

namespace sluice::test {
namespace {

using net::test::LiarLedger;
using net::test::Truth;
using net::test::TryId;

struct Ends {
  int finals = 0;
  std::string type;
  Row row;
};

/// What was said and done about one recipient, over all connections.
struct Story {
  std::uint32_t message = 0;
  std::uint32_t recipient = 0;
  int taken = 0;         ///< connections that took it
  int surely_taken = 0;  ///< of these, told to a client that read it
  bool unsure = false;   ///< some connection confused replies
  bool spoiled = false;
  std::set<std::uint16_t> refusals;
};

Story story_of(const LiarWorld& world, std::uint32_t message, std::uint32_t recipient) {
  Story out{.message = message, .recipient = recipient};
  const auto& tries = world.truth().tries;
  for (auto at = tries.lower_bound(TryId{message, 0}); at != tries.end() && at->first.message == message;
       ++at) {
    const Truth& truth = at->second;
    const LiarVisit& visit = world.visits().at(at->first.number);
    out.unsure |= visit.unsure;
    if (truth.taken_for.contains(recipient)) {
      ++out.taken;
      if (visit.said_quit && !visit.unsure) {
        ++out.surely_taken;
        out.spoiled |= truth.spoiled;
      }
    }
    out.refusals.insert(truth.refused_whole.begin(), truth.refused_whole.end());
    for (const auto& [whom, code] : truth.refused) {
      if (whom == recipient) out.refusals.insert(code);
    }
  }
  return out;
}

/// The code of "smtp;550 5.1.1 no"; 0: there is none.
std::uint16_t code_of(std::string_view diag) {
  std::uint16_t code = 0;
  if (!diag.starts_with("smtp;")) return 0;
  diag.remove_prefix(5);
  const auto [end, error] = std::from_chars(diag.data(), diag.data() + diag.size(), code);
  return error == std::errc() && code >= 200 && code < 600 ? code : std::uint16_t{0};
}

/// What every host heard and said about the recipient's message.
void show(const LiarWorld& world, const Story& story) {
  const auto& tries = world.truth().tries;
  for (auto at = tries.lower_bound(TryId{story.message, 0});
       at != tries.end() && at->first.message == story.message; ++at) {
    std::cout << "connection " << at->first.number << ":\n" << world.visits()[at->first.number].transcript;
  }
}

void check_recipient(const Story& story, Ends& ends, const std::string& where) {
  EXPECT_EQ(ends.finals, 1) << where << ": final records";
  EXPECT_LE(story.surely_taken, 1) << where << ": delivered twice, although each time it was answered";
  EXPECT_FALSE(story.spoiled) << where << ": arrived with another body";
  if (ends.finals != 1 || story.unsure) return;
  const std::string& diag = ends.row["dsnDiag"];
  if (ends.type == "d") {
    EXPECT_GT(story.taken, 0) << where << ": delivered, but nobody took it: " << diag;
    return;
  }
  EXPECT_EQ(story.surely_taken, 0) << where << ": ended by " << diag << ", but was taken";
  if (ends.row["dsnStatus"].starts_with("4.4.7")) return;  // its time was over
  if (diag.find("message exceeds the size") != std::string::npos) return;
  EXPECT_TRUE(story.refusals.contains(code_of(diag)))
      << where << ": bounced by what nobody said of it: " << diag;
}

}  // namespace

void check_liar_world(LiarWorld& world) {
  const std::string seed = "seed " + std::to_string(world.scenario().world.seed()) + ' ';
  std::map<std::string, Ends> ends;
  for (const char* type : {"d", "b"}) {
    for (Row& row : acct_rows(world.scenario().world.disk(), "all", type)) {
      Ends& one = ends[row["rcpt"]];
      ++one.finals;
      one.type = type;
      one.row = std::move(row);
    }
  }
  for (const Mail& mail : world.liars_mail().accepted) {
    const auto message = static_cast<std::uint32_t>(std::stoul(mail.id.substr(1)));
    for (std::uint32_t i = 0; i < mail.recipients.size(); ++i) {
      const Story story = story_of(world, message, i);
      const bool failed_before = ::testing::Test::HasFailure();
      check_recipient(story, ends[mail.recipients[i]], seed + mail.recipients[i]);
      if (!failed_before && ::testing::Test::HasFailure()) show(world, story);
    }
  }
  for (std::size_t i = 0; i < world.visits().size(); ++i) {
    EXPECT_LE(world.visits()[i].stuck_most, kStuckMost)
        << seed << "connection " << i << " without a time-out:\n"
        << world.visits()[i].transcript;
  }
  std::map<std::string, MonoTime> arrived;
  for (const Attempt& one : world.scenario().ledger.tried) arrived.try_emplace(one.recipient, one.time);
  for (const auto& [recipient, sent] : world.good_sent()) {
    ASSERT_TRUE(arrived.contains(recipient)) << seed << recipient << " never came";
    EXPECT_LE(arrived[recipient] - sent, kGoodMost) << seed << recipient << " was served later";
  }
}

}  // namespace sluice::test
