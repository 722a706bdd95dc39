// Goal: what goes out of a stored message: nothing is copied unless something changes, a removed field takes
// its folded lines along, and no byte of a body is lost. How: a table of messages and lists.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/delivery/delivery_headers.h"

namespace sluice::delivery {
namespace {

constexpr WallTime kNow{std::chrono::milliseconds(1'767'571'200'000)};  // 2026-01-05 00:00 UTC
constexpr std::uint32_t kBoth = spool::MessageFlags::kNameVirtualMta | spool::MessageFlags::kDateAtDelivery;

struct Made {
  std::string front;
  std::string rest;
  [[nodiscard]] std::string sent() const { return front + rest; }
};

Made made(std::string_view body, std::vector<std::string> remove, std::uint32_t flags = 0) {
  Outgoing out{.front = "left over from the last message", .rest = {}};
  make_outgoing(out, std::as_bytes(std::span(body)), spool::MessageFlags{flags}, "v1", kNow, remove);
  return {out.front, {reinterpret_cast<const char*>(out.rest.data()), out.rest.size()}};
}

TEST(Outgoing, Table) {
  struct Row {
    const char* name;
    std::string_view body;
    std::vector<std::string> remove;
    std::string_view sent;
  };
  const std::vector<Row> rows = {
      {"no list", "A: 1\r\n\r\nx\r\n", {}, "A: 1\r\n\r\nx\r\n"},
      {"not there: nothing is copied", "A: 1\r\n\r\nB: 2\r\n", {"b"}, "A: 1\r\n\r\nB: 2\r\n"},
      {"one of two", "A: 1\r\nB: 2\r\n\r\nx\r\n", {"a"}, "B: 2\r\n\r\nx\r\n"},
      {"every one of that name, folds too",
       "B: 1\r\n\t2\r\nA: 3\r\nb : 4\r\n\r\nb: x\r\n",
       {"B"},
       "A: 3\r\n\r\nb: x\r\n"},
      {"names are whole", "AB: 1\r\nA: 2\r\nA-B: 3\r\n\r\nx\r\n", {"A"}, "AB: 1\r\nA-B: 3\r\n\r\nx\r\n"},
      {"all of them", "A: 1\r\n\r\nx\r\n", {"A", "B"}, "\r\nx\r\n"},
      {"without an empty line", "A: 1\r\nB: 2\r\nno field\r\n", {"A"}, "B: 2\r\nno field\r\n"},
      {"behind a line that is no field", "no field\r\nA: 1\r\n\r\nx\r\n", {"A"}, "no field\r\n\r\nx\r\n"},
      {"headers only", "A: 1\r\nB: 2\r\n", {"A"}, "B: 2\r\n"},
      {"no headers", "\r\nA: 1\r\n", {"A"}, "\r\nA: 1\r\n"},
  };
  for (const Row& row : rows) {
    const Made got = made(row.body, row.remove);
    EXPECT_EQ(got.sent(), row.sent) << row.name;
  }
}

TEST(Outgoing, FieldsOfTheDelivery) {
  const std::string_view body = "Date: old\r\nA: 1\r\n\r\nx\r\n";
  const std::string ours = "X-Virtual-MTA: v1\r\nDate: Mon, 05 Jan 2026 00:00:00 +0000\r\n";
  EXPECT_EQ(made(body, {}, kBoth).front, ours);
  EXPECT_EQ(made(body, {}, kBoth).rest, body);
  EXPECT_EQ(made(body, {"A"}, kBoth).sent(), ours + "Date: old\r\n\r\nx\r\n");
  // Who does not want a field shown there does not want ours either.
  EXPECT_EQ(made(body, {"date"}, kBoth).sent(), "X-Virtual-MTA: v1\r\nA: 1\r\n\r\nx\r\n");
  EXPECT_EQ(made("A: 1\r\n\r\n", {"x-virtual-mta", "Date"}, kBoth).front, "");
  EXPECT_EQ(made("A: 1\r\n\r\n", {"x-virtual-mta", "Date"}, kBoth).rest, "A: 1\r\n\r\n");
}

TEST(Outgoing, TheBodyIsWhereItWas) {
  const std::string body = "A: 1\r\nB: 2\r\n\r\n" + std::string(1'000'000, 'x') + "\r\n";
  Outgoing out;
  const std::vector<std::string> remove{"A"};
  make_outgoing(out, std::as_bytes(std::span(body)), {}, "v1", kNow, remove);
  EXPECT_EQ(out.front, "");
  EXPECT_EQ(static_cast<const void*>(out.rest.data()), static_cast<const void*>(body.data() + 6));
  EXPECT_EQ(out.rest.size(), body.size() - 6);
}

}  // namespace
}  // namespace sluice::delivery
