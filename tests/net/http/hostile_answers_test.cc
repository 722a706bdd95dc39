// Goal: no answer of a server, however long, broken or cut, throws, takes more memory than the limits say, or
// keeps an exchange busy for ever; what was over a limit does not hide a verdict that was read before it.
// How: answers put together at random from parts that are each meant to break a limit, in pieces of random
// size, with the heap measured. SLUICE_HOSTILE_ANSWERS sets how many; the seed is printed on failure.
#include <gtest/gtest.h>
#include <malloc.h>

#include <charconv>
#include <cstdlib>
#include <random>
#include <string>

#include "net/http/client.h"

namespace sluice::net::http {
namespace {

using State = Client::State;
constexpr std::size_t kHeapMax = 4 << 20;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

void begin(Client& client) {
  client.begin({.authority = "h", .target = "/", .content_type = "text/plain", .fields = {}, .body = "{}"});
  while (!client.output().empty()) client.consumed();
}

/// Feeds `front` once and then `more` again and again, until the client has had enough or `most` bytes.
void feed(Client& client, std::string_view front, std::string_view more, std::size_t most) {
  const std::size_t before = mallinfo2().uordblks;
  client.on_bytes(bytes(front));
  for (std::size_t fed = 0; fed < most && client.state() == State::Busy; fed += more.size()) {
    client.on_bytes(bytes(more));
    ASSERT_LT(mallinfo2().uordblks, before + kHeapMax) << "after " << fed;
  }
}

const std::string kChunked = "HTTP/1.1 202 Taken\r\nTransfer-Encoding: chunked\r\n\r\n";

TEST(HostileAnswers, ATrailerOf64KiBIsNoReasonToThrow) {
  for (const std::size_t size : {65'000u, 65'533u, 65'536u, 70'000u, 1'000'000u}) {
    Client client;
    begin(client);
    const std::string answer = kChunked + "2\r\nok\r\n0\r\nX: " + std::string(size, 'x') + "\r\n\r\n";
    ASSERT_NO_THROW(client.on_bytes(bytes(answer)));
    client.on_closed();
    if (client.state() != State::Done) continue;  // the library has its own opinion of such a field
    EXPECT_EQ(client.response().status, 202u);
    EXPECT_EQ(client.response().body, "ok");
  }
}

struct Endless {
  const char* name;
  std::string front;
  std::string more;
  bool has_status;
};

TEST(HostileAnswers, NothingGoesOnForEver) {
  const std::string line = "X-Field: " + std::string(1000, 'x') + "\r\n";
  const std::string much(16'384, 'x');
  const Endless kinds[] = {
      {"trailers", kChunked + "2\r\nok\r\n0\r\n", line, true},
      {"one trailer", kChunked + "2\r\nok\r\n0\r\nX: ", much, true},
      {"chunk extension", kChunked + "2;", much, true},
      {"chunks", kChunked, "1\r\nx\r\n", true},
      {"chunks with extensions", kChunked, "1;a=" + std::string(1000, 'b') + "\r\nx\r\n", true},
      {"a chunk", kChunked + "FFFFFFF\r\n", much, true},
      {"body to the end", "HTTP/1.1 202 Taken\r\n\r\n", much, true},
      {"body by length", "HTTP/1.1 202 Taken\r\nContent-Length: 9999999999\r\n\r\n", much, true},
      {"header", "HTTP/1.1 202 Taken\r\n", line, false},
      {"one header field", "HTTP/1.1 202 Taken\r\nX: ", much, false},
      {"status line", "HTTP/1.1 202 ", much, false},
      {"interim answers", "", "HTTP/1.1 100 Continue\r\n\r\n", false},
      {"empty lines", "", "\r\n", false},
  };
  for (const Endless& kind : kinds) {
    SCOPED_TRACE(kind.name);
    Client client;
    begin(client);
    ASSERT_NO_THROW(feed(client, kind.front, kind.more, 80 << 20));
    ASSERT_NE(client.state(), State::Busy);
    EXPECT_FALSE(client.reusable());
    if (!kind.has_status) {
      EXPECT_EQ(client.state(), State::Failed);
    } else if (client.state() == State::Done) {
      EXPECT_EQ(client.response().status, 202u);
    }
  }
}

TEST(HostileAnswers, AFieldTheLibraryCannotTakeFailsTheRequest) {
  const std::string value(70'000, 'v');
  const Field fields[] = {{"X-Long", value}};
  Client client;
  ASSERT_NO_THROW(client.begin(
      {.authority = "h", .target = "/", .content_type = "text/plain", .fields = fields, .body = "{}"}));
  EXPECT_EQ(client.state(), State::Failed);
  EXPECT_TRUE(client.output().empty());
  EXPECT_FALSE(client.fault().empty());
}

class Random {
 public:
  explicit Random(std::uint32_t seed) : engine_(seed) {}
  std::size_t below(std::size_t most) { return engine_() % most; }
  bool chance(unsigned percent) { return below(100) < percent; }
  std::string text(std::size_t most) { return std::string(below(most), static_cast<char>('!' + below(90))); }
  std::string size() {
    static const char* const kSizes[] = {"0", "1", "2", "ff", "-1", "10000", "FFFFFFFFFFFFFFFF", "x", ""};
    return kSizes[below(std::size(kSizes))];
  }

 private:
  std::mt19937 engine_;
};

std::string hostile_answer(Random& random) {
  std::string out;
  while (random.chance(20)) out += "HTTP/1.1 10" + std::to_string(random.below(4)) + " Wait\r\n\r\n";
  static const char* const kLines[] = {"HTTP/1.1 200 OK\r\n", "HTTP/1.0 503 No\r\n", "HTTP/1.1 204 \r\n",
                                       "HTTP/9.9 999 X\r\n", "220 mx ESMTP\r\n"};
  out += kLines[random.below(std::size(kLines))];
  while (random.chance(40))
    out += "X" + random.text(20) + ": " + random.text(random.chance(5) ? 70'000 : 50) + "\r\n";
  if (random.chance(60)) out += "Transfer-Encoding: chunked\r\n";
  if (random.chance(30)) out += "Content-Length: " + random.size() + "\r\n";
  out += "\r\n";
  while (random.chance(70)) {
    out += random.size();
    if (random.chance(30)) out += ";" + random.text(random.chance(10) ? 90'000 : 30);
    out += "\r\n" + random.text(random.chance(10) ? 300'000 : 20);
    if (random.chance(80)) out += "\r\n";
  }
  if (random.chance(80)) out += "0\r\n";
  while (random.chance(50)) out += "T: " + random.text(random.chance(10) ? 90'000 : 50) + "\r\n";
  if (random.chance(80)) out += "\r\n";
  for (std::size_t changes = random.below(3); changes > 0; --changes)
    out[random.below(out.size())] = static_cast<char>(random.below(256));
  return out;
}

TEST(HostileAnswers, AtRandom) {
  const char* wanted = std::getenv("SLUICE_HOSTILE_ANSWERS");
  std::uint32_t count = 3000;
  if (wanted != nullptr) std::from_chars(wanted, wanted + std::string_view(wanted).size(), count);
  for (std::uint32_t seed = 1; seed <= count; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Random random(seed);
    const std::string answer = hostile_answer(random);
    const std::size_t piece_max = random.chance(50) ? 3000 : 40'000;
    const std::size_t before = mallinfo2().uordblks;
    Client client;
    begin(client);
    for (std::size_t at = 0; at < answer.size() && client.state() == State::Busy;) {
      const std::size_t size = std::min(1 + random.below(piece_max), answer.size() - at);
      ASSERT_NO_THROW(client.on_bytes(bytes(std::string_view(answer).substr(at, size))));
      at += size;
      ASSERT_LT(mallinfo2().uordblks, before + kHeapMax);
    }
    ASSERT_NO_THROW(client.on_closed());
    ASSERT_TRUE(client.state() == State::Done || client.state() == State::Failed);
    if (client.state() == State::Done) {
      ASSERT_GE(client.response().status, 200u);
    } else {
      ASSERT_FALSE(client.fault().empty());
    }
  }
}

}  // namespace
}  // namespace sluice::net::http
