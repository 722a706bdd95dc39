// Goal: RFC 4180 records come out whole, however the text is cut.
// How: each text is read at once and byte by byte.
#include "bench/lib/csv.h"

#include <gtest/gtest.h>

namespace sluice::bench {
namespace {

using Record = std::vector<std::string>;

std::vector<Record> read(std::string_view text, std::size_t piece) {
  CsvReader reader;
  std::vector<Record> out;
  const auto take = [&](const Record& record) { out.push_back(record); };
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size())))
    reader.feed(text.substr(0, piece), take);
  reader.finish(take);
  return out;
}

TEST(Csv, Table) {
  struct Row {
    const char* text;
    std::vector<Record> want;
  };
  const Row rows[] = {
      {"a,b\r\nc,d\r\n", {{"a", "b"}, {"c", "d"}}},
      {"a,b\nc,d", {{"a", "b"}, {"c", "d"}}},
      {"a,,\r\n", {{"a", "", ""}}},
      {"\"x, y\",z\r\n", {{"x, y", "z"}}},
      {"\"2\"\"\",z\r\n", {{"2\"", "z"}}},
      {"\"line\r\nbreak\",z\r\n", {{"line\r\nbreak", "z"}}},
      {"\"\",a\r\n", {{"", "a"}}},
      {"\r\n\r\na\r\n", {{"a"}}},
      {"a\"b,c\r\n", {{"a\"b", "c"}}},
      {"", {}},
      {"a,\"b\"", {{"a", "b"}}},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.text);
    EXPECT_EQ(read(row.text, 1000), row.want);
    EXPECT_EQ(read(row.text, 1), row.want);
  }
}

TEST(Csv, AnEndlessRecordIsSkippedAndCounted) {
  CsvReader reader;
  std::size_t records = 0;
  const auto take = [&](const Record&) { ++records; };
  reader.feed(std::string(CsvReader::kRecordBytesMax + 10, 'x'), take);
  reader.feed("\r\na,b\r\n", take);
  EXPECT_EQ(records, 1U);
  EXPECT_EQ(reader.overlong(), 1U);
}

}  // namespace
}  // namespace sluice::bench
