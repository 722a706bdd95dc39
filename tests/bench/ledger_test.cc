// Goal: a ledger line comes back as it was written; a file survives being cut and ends without NUL bytes when closed.
// How: round trips in memory and through a file in the test's own directory.
#include "bench/lib/ledger.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sluice::bench {
namespace {

LedgerLine sample(LedgerKind kind) {
  LedgerLine line;
  line.kind = kind;
  line.time_us = 1795287540921757;
  line.session = 42;
  line.provider = "gmail";
  line.source = "127.0.0.1";
  line.message = "load.r.1@h";
  line.recipients = "a@b.example,c@d.example";
  line.body_bytes = 9977;
  line.body_hash = 0xfedcba9876543210;
  line.reply = "250 2.0.0 Ok";
  return line;
}

TEST(Ledger, LinesComeBack) {
  for (const LedgerKind kind : {LedgerKind::Injected, LedgerKind::Received, LedgerKind::Refused}) {
    std::string text;
    LedgerLine line = sample(kind);
    line.certainty = Certainty::Dropped;
    append_ledger_line(line, text);
    ASSERT_TRUE(text.ends_with('\n'));
    const auto back = parse_ledger_line(std::string_view(text).substr(0, text.size() - 1));
    ASSERT_TRUE(back);
    EXPECT_EQ(back->kind, kind);
    EXPECT_EQ(back->time_us, line.time_us);
    EXPECT_EQ(back->session, line.session);
    EXPECT_EQ(back->message, line.message);
    EXPECT_EQ(back->recipients, line.recipients);
    EXPECT_EQ(back->certainty, Certainty::Dropped);
    EXPECT_EQ(back->body_hash, line.body_hash);
    EXPECT_EQ(back->reply, line.reply);
  }
}

TEST(Ledger, TextsCannotBreakALine) {
  LedgerLine line = sample(LedgerKind::Refused);
  line.reply = "550 a\tb\r\nA\t1";
  line.message = "";
  std::string text;
  append_ledger_line(line, text);
  const auto back = parse_ledger_line(std::string_view(text).substr(0, text.size() - 1));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->reply, "550 a?b??A?1");
  EXPECT_EQ(back->message, "-");
}

TEST(Ledger, AnythingLessThanAWholeLineIsRefused) {
  std::string text;
  append_ledger_line(sample(LedgerKind::Received), text);
  text.pop_back();
  // Every cut but those inside the last field loses a field.
  const std::size_t last_tab = text.rfind('\t');
  for (std::size_t size = 0; size <= last_tab; ++size)
    EXPECT_FALSE(parse_ledger_line(text.substr(0, size))) << size;
  EXPECT_FALSE(parse_ledger_line(text + "\tmore"));
  EXPECT_FALSE(parse_ledger_line("X" + text.substr(1)));
}

std::string content(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Ledger, FileHoldsWhatWasAppended) {
  const std::string path = ::testing::TempDir() + "ledger_test.0";
  {
    auto file = LedgerFile::create(path);
    ASSERT_TRUE(file) << file.error().text();
    (*file)->append("one\n");
    (*file)->append("two\n");
    // What a killed process leaves behind: the lines, then NUL bytes.
    EXPECT_TRUE(content(path).starts_with("one\ntwo\n" + std::string(10, '\0')));
  }
  EXPECT_EQ(content(path), "one\ntwo\n");
  std::filesystem::remove(path);
}

TEST(Ledger, FileGrowsPastItsChunk) {
  const std::string path = ::testing::TempDir() + "ledger_test.1";
  const std::string line = std::string(99'999, 'x') + "\n";
  const std::size_t lines = LedgerFile::kChunkBytes / line.size() + 3;
  {
    auto file = LedgerFile::create(path);
    ASSERT_TRUE(file) << file.error().text();
    for (std::size_t i = 0; i < lines; ++i) (*file)->append(line);
    EXPECT_EQ((*file)->lost(), 0U);
  }
  EXPECT_EQ(std::filesystem::file_size(path), lines * line.size());
  std::filesystem::remove(path);
}

TEST(Ledger, NoSuchDirectory) { EXPECT_FALSE(LedgerFile::create("/nonexistent/x")); }

}  // namespace
}  // namespace sluice::bench
