// Goal: macros have PowerMTA's values, and a stranger's address can neither leave a directory, nor become an
// option, nor a second word, nor a shell's program. How: tables of commands and paths with friendly and
// hostile addresses.
#include "policy/local/macros.h"

#include <gtest/gtest.h>

namespace sluice::local {
namespace {

constexpr WallTime kNow{std::chrono::seconds(1767539045)};  // 2026-01-04 15:04:05 UTC, a Sunday

MacroValues values(std::string_view to, std::string_view from = "News+7@Sender.Example") {
  return MacroValues({.from = from, .to = to, .env_id = "e1", .now = kNow});
}

TEST(Macros, Values) {
  const MacroValues plain = values("Joe.Doe+Tag@Example.COM");
  struct Row {
    const char* name;
    const char* want;
  };
  const Row rows[] = {
      {"from", "news+7@sender.example"},
      {"to", "joe.doe+tag@example.com"},
      {"user", "joe.doe"},
      {"domain", "example.com"},
      {"envid", "e1"},
      {"bodytype", "7BIT"},
      {"timet", "1767539045"},
      {"ctime", "Sun Jan  4 15:04:05 2026"},
      {"isodate", "2026-01-04"},
      {"rfctime", "Sun, 04 Jan 2026 15:04:05 +0000"},
  };
  for (const Row& row : rows) {
    const std::string* found = plain.find(row.name);
    ASSERT_NE(found, nullptr) << row.name;
    EXPECT_EQ(*found, row.want) << row.name;
  }
  EXPECT_EQ(plain.find("users"), nullptr);
  EXPECT_EQ(plain.find(""), nullptr);
  const MacroValues kept({.from = "A@B.c",
                          .to = "Joe@X.y",
                          .env_id = {},
                          .eight_bit = true,
                          .now = kNow,
                          .utc_offset = -(3h + 30min),
                          .preserve_case = true});
  EXPECT_EQ(kept.from, "A@B.c");
  EXPECT_EQ(kept.to, "Joe@X.y");
  EXPECT_EQ(kept.user, "joe");  // always
  EXPECT_EQ(kept.bodytype, "8BITMIME");
  EXPECT_EQ(kept.ctime, "Sun Jan  4 11:34:05 2026");
  EXPECT_EQ(kept.rfctime, "Sun, 04 Jan 2026 11:34:05 -0330");
}

TEST(Macros, CommandsAreSplitBeforeTheyAreFilled) {
  struct Row {
    const char* command;
    const char* to;
    std::vector<std::string> want;
  };
  const Row rows[] = {
      {"/bin/deliver $user $domain", "joe@x.test", {"/bin/deliver", "joe", "x.test"}},
      {"/bin/deliver --to=\"$to\" 'a b' \"\"", "joe@x.test", {"/bin/deliver", "--to=joe@x.test", "a b", ""}},
      {"deliver \\\"x\\\" a\\b c\\\\d", "j@x", {"deliver", "\"x\"", "a\\b", "c\\d"}},
      {"deliver $to,$user. ${to} $unknown $ $$to",
       "j@x",
       {"deliver", "j@x,j.", "${to}", "$unknown", "$", "$j@x"}},
      // Characters that mean something to a shell or to a splitter stay what they are, in one word.
      {"deliver $to",
       "a b;rm -rf \"$HOME\"`id`$(id)|x>y@x",
       {"deliver", "a b;rm -rf \"$home\"`id`$(id)|x>y@x"}},
      {"deliver x$to", "$from@x", {"deliver", "x$from@x"}},  // a value is not read again
      {"deliver $to", "o'brien@x", {"deliver", "o'brien@x"}},
      {"deliver $to", "a\nb\x7f@x", {"deliver", "a_b_@x"}},
      {"deliver $envid", "a@x", {"deliver", "e1"}},
      {"deliver --user=$user", "-rf@x", {"deliver", "--user=-rf"}},
      // In a program the operator gives to a shell, values are reduced.
      {"/bin/sh -c \"exec deliver '$to' <&0\"",
       "o'b;rm -rf $(id)`x`@x",
       {"/bin/sh", "-c", "exec deliver 'o_b_rm_-rf___id__x_@x' <&0"}},
      {"env LANG=C bash -lc \"deliver $to\"", "a&b@x", {"env", "LANG=C", "bash", "-lc", "deliver a_b@x"}},
      {"bash script.sh $to", "a&b@x", {"bash", "script.sh", "a&b@x"}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.command);
    const auto command = Command::parse(row.command);
    ASSERT_TRUE(command.has_value()) << command.error();
    const auto got = command->arguments(values(row.to));
    ASSERT_TRUE(got.has_value()) << got.error();
    EXPECT_EQ(*got, row.want);
  }
}

TEST(Macros, AnAddressNeverBecomesAnOption) {
  const auto command = Command::parse("deliver $to $user");
  ASSERT_TRUE(command.has_value());
  EXPECT_FALSE(command->arguments(values("-oProxy=x@y")).has_value());
  EXPECT_TRUE(command->arguments(values("joe@y")).has_value());
  EXPECT_FALSE(Command::parse("deliver \"$from\"")->arguments(values("joe@y", "-f@z")).has_value());
}

TEST(Macros, BrokenCommands) {
  EXPECT_EQ(Command::parse("").error(), "the command is empty");
  EXPECT_EQ(Command::parse("  ").error(), "the command is empty");
  EXPECT_EQ(Command::parse("\"\" x").error(), "the command is empty");
  EXPECT_EQ(Command::parse("deliver \"x").error(), "the command has a quote without its end");
  std::string many;
  for (int i = 0; i < 257; ++i) many += " x";
  EXPECT_EQ(Command::parse(many).error(), "the command has too many words");
}

TEST(Macros, PathsStayWhereTheOperatorPutThem) {
  struct Row {
    const char* path;
    const char* to;
    std::string want;
  };
  const Row rows[] = {
      {"/var/mail/$user", "Joe+x@Example.com", "/var/mail/joe"},
      {"/var/mail/$domain/$user.mbox", "joe@example.com", "/var/mail/example.com/joe.mbox"},
      {"/var/mail/$user", "../../etc/passwd@x", "/var/mail/_._.._etc_passwd"},
      {"/var/mail/$user", "..@x", "/var/mail/_."},
      {"/var/mail/$user", ".@x", "/var/mail/_"},
      {"/var/mail/$user", ".bashrc@x", "/var/mail/_bashrc"},
      {"/var/mail/$user", "/etc/cron.d/x@x", "/var/mail/_etc_cron.d_x"},
      {"/var/mail/$domain/x", "joe", "/var/mail/_/x"},  // no domain: never the folder above
      {"/var/mail/$user", "a\r\nb@x", "/var/mail/a__b"},
      {"/var/mail/$user", "+tag@x", "/var/mail/_"},
      {"/var/mail/$user$user", "..@x", "/var/mail/_._."},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.to);
    EXPECT_EQ(fill_path(row.path, values(row.to)), row.want);
  }
  EXPECT_EQ(fill_path("/d/$user", values(std::string(500, 'a') + "@x")), "/d/" + std::string(128, 'a'));
  EXPECT_EQ(fill_path(std::string("/d/$user"), values(std::string_view("a\0b@x", 5))), "/d/a_b");
  EXPECT_TRUE(has_macro("/var/mail/$user"));
  EXPECT_FALSE(has_macro("/var/mail/$users/$"));
}

}  // namespace
}  // namespace sluice::local
