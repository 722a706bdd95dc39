// Goal: the first entry that fits decides, by category or by words, and each kind of action does its own
// thing. How:  a small block and failures; one row each.
#include "policy/classify/bounce_actions.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

using config::BounceAction;
using config::BounceActionKind;

BounceAction by_category(std::vector<std::string> categories, BounceActionKind kind) {
  BounceAction out;
  out.categories = std::move(categories);
  out.action = kind;
  return out;
}
BounceAction by_words(const char* pattern, BounceActionKind kind) {
  BounceAction out;
  out.reply = config::Regex{pattern, {}};
  out.action = kind;
  return out;
}

TEST(BounceActions, TheFirstEntryThatFitsDecides) {
  const std::vector<BounceAction> actions = {
      by_words("^5\\.1\\.1;", BounceActionKind::Suppress),
      by_category({"quota-issues", "bad-connection"}, BounceActionKind::Retry),
      by_words("mailbox", BounceActionKind::Log),
      by_category({"bad-mailbox"}, BounceActionKind::Suppress),
      by_words("(full)(?! now)", BounceActionKind::Retry),
  };
  const auto made = BounceActions::make(actions);
  ASSERT_TRUE(made);
  struct Row {
    const char* category;
    EnhancedStatus status;
    const char* diag;
    int want;  // index; -1: none
  };
  const Row rows[] = {
      {"bad-mailbox", {5, 1, 1}, "smtp;550 5.1.1 no such mailbox", 0},
      {"bad-mailbox", {5, 1, 10}, "smtp;550 5.1.10 gone", 3},
      {"bad-mailbox", {5, 2, 1}, "smtp;550 5.2.1 no mailbox", 2},
      {"quota-issues", {4, 2, 2}, "smtp;452 4.2.2 mailbox full", 1},
      {"QUOTA-issues", {4, 2, 2}, "smtp;452 4.2.2 mailbox full", 1},
      {"other", {4, 2, 2}, "smtp;452 4.2.2 full", 4},
      {"other", {4, 2, 2}, "smtp;452 4.2.2 full now", -1},
      {"other", {5, 7, 1}, "smtp;550 5.7.1 no", -1},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.diag);
    const BounceAction* found = made->find(row.category, row.status, row.diag);
    if (row.want < 0) {
      EXPECT_EQ(found, nullptr);
    } else {
      ASSERT_NE(found, nullptr);
      EXPECT_TRUE(*found == actions[static_cast<std::size_t>(row.want)]);
    }
  }
}

TEST(BounceActions, WhatBecomesOfTheRecipient) {
  EXPECT_EQ(decide_after_failure(nullptr), AfterFailure::AsUsual);
  BounceAction retry = by_category({"x"}, BounceActionKind::Retry);
  EXPECT_EQ(decide_after_failure(&retry), AfterFailure::Retry);
  retry.log_only = true;
  EXPECT_EQ(decide_after_failure(&retry), AfterFailure::AsUsual);
  const BounceAction category = by_category({"x"}, BounceActionKind::Suppress);
  EXPECT_EQ(decide_after_failure(&category), AfterFailure::AsUsual) << "a 4xx may pass";
  const BounceAction words = by_words("x", BounceActionKind::Suppress);
  EXPECT_EQ(decide_after_failure(&words), AfterFailure::Drop);
  const BounceAction log = by_words("x", BounceActionKind::Log);
  EXPECT_EQ(decide_after_failure(&log), AfterFailure::AsUsual);
}

TEST(BounceActions, ABadPatternIsNamed) {
  const std::vector<BounceAction> actions = {by_words("fine", BounceActionKind::Log),
                                             by_words("(", BounceActionKind::Log)};
  const auto made = BounceActions::make(actions);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().action, 1u);
}

}  // namespace
}  // namespace sluice
