// Goal: a request leaves as RFC 9112 wants it, answers are understood at every fragment size, and a
// connection is used again only when the next answer cannot be mistaken. How: answers as rows, each replayed
// in pieces of every size and cut at every byte.
#include "net/http/client.h"

#include <gtest/gtest.h>

#include <cstring>

namespace sluice::net::http {
namespace {

using State = Client::State;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

const Field kFields[] = {{"Authorization", "Bearer k"}, {"host", "evil"}, {"Content-Length", "1"}};
const Request kRequest{.authority = "hook.example:8080",
                       .target = "/in?x=1",
                       .content_type = "application/json",
                       .fields = kFields,
                       .body = "{\"a\":1}"};

std::string drain(Client& client) {
  std::string out;
  while (!client.output().empty()) {
    for (const auto& part : client.output())
      out.append(reinterpret_cast<const char*>(part.data()), part.size());
    client.consumed();
  }
  return out;
}

TEST(HttpClient, Request) {
  Client client;
  client.begin(kRequest);
  EXPECT_EQ(drain(client),
            "POST /in?x=1 HTTP/1.1\r\nHost: hook.example:8080\r\nContent-Type: application/json\r\n"
            "Authorization: Bearer k\r\nContent-Length: 7\r\n\r\n{\"a\":1}");
}

struct Row {
  const char* name;
  const char* answer;
  unsigned status;
  const char* body;
  bool reusable;
};
const Row kRows[] = {
    {"length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true},
    {"chunked", "HTTP/1.1 202 Fine\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 202, "ok",
     true},
    {"no content", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true},
    {"close", "HTTP/1.1 500 Oh\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", 500, "", false},
    {"1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false},
    {"continue", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nContent-Length: 1\r\n\r\nx", 503, "x",
     true},
    {"more than asked", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200", 200, "ok", false},
};

TEST(HttpClient, AnswersInPiecesOfEverySize) {
  for (const Row& row : kRows) {
    const std::string_view answer = row.answer;
    for (std::size_t piece = 1; piece <= answer.size(); ++piece) {
      SCOPED_TRACE(std::string(row.name) + " in pieces of " + std::to_string(piece));
      Client client;
      client.begin(kRequest);
      drain(client);
      for (std::size_t at = 0; at < answer.size(); at += piece)
        client.on_bytes(bytes(answer.substr(at, piece)));
      ASSERT_EQ(client.state(), State::Done) << client.fault();
      EXPECT_EQ(client.response().status, row.status);
      EXPECT_EQ(client.response().body, row.body);
      EXPECT_EQ(client.reusable(), row.reusable);
    }
  }
}

TEST(HttpClient, ConnectionsThatEndEarly) {
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";
  const std::size_t header = answer.size() - 4;
  for (std::size_t cut = 0; cut < answer.size(); ++cut) {
    SCOPED_TRACE(cut);
    Client client;
    client.begin(kRequest);
    drain(client);
    client.on_bytes(bytes(answer.substr(0, cut)));
    EXPECT_EQ(client.state(), State::Busy);
    client.on_closed();
    // With the whole header section read, the verdict is known.
    EXPECT_EQ(client.state(), cut >= header ? State::Done : State::Failed);
    EXPECT_FALSE(client.reusable());
    if (cut < header) EXPECT_EQ(client.fault(), "the connection ended before an answer");
  }
  Client client;
  client.begin(kRequest);
  drain(client);
  client.on_bytes(bytes("HTTP/1.1 201 Made\r\n\r\nall until the end"));
  client.on_closed();
  EXPECT_EQ(client.state(), State::Done);
  EXPECT_EQ(client.response().status, 201u);
  EXPECT_EQ(client.response().body, "all until the end");
}

TEST(HttpClient, NotHttp) {
  for (const char* bad : {"220 mx.example ESMTP\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n",
                          "HTTP/1.1 200 OK\r\nA b\r\n\r\n", "HTTP/1.1 101 Switching\r\n\r\n"}) {
    Client client;
    client.begin(kRequest);
    drain(client);
    client.on_bytes(bytes(bad));
    EXPECT_EQ(client.state(), State::Failed) << bad;
    EXPECT_FALSE(client.fault().empty());
  }
  Client client;
  client.begin(kRequest);
  drain(client);
  client.on_bytes(bytes("HTTP/1.1 200 OK\r\n"));
  const std::string line = "X-Long: " + std::string(1000, 'x') + "\r\n";
  for (int i = 0; i < 100 && client.state() == State::Busy; ++i) client.on_bytes(bytes(line));
  EXPECT_EQ(client.state(), State::Failed);
}

TEST(HttpClient, ALongBodyEndsTheConnectionAndKeepsTheVerdict) {
  Client client;
  client.begin(kRequest);
  drain(client);
  client.on_bytes(bytes("HTTP/1.1 400 No\r\nContent-Length: 1000000\r\n\r\n"));
  const std::string part(10'000, 'x');
  for (int i = 0; i < 100 && client.state() == State::Busy; ++i) client.on_bytes(bytes(part));
  ASSERT_EQ(client.state(), State::Done);
  EXPECT_EQ(client.response().status, 400u);
  EXPECT_LE(client.response().body.size(), Client::kBodyKeptMax);
  EXPECT_FALSE(client.reusable());
}

TEST(HttpClient, OneAfterTheOther) {
  Client client;
  for (int i = 0; i < 3; ++i) {
    client.begin(kRequest);
    EXPECT_TRUE(drain(client).ends_with("{\"a\":1}"));
    client.on_bytes(bytes("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
    ASSERT_TRUE(client.reusable());
  }
  client.on_bytes(bytes("HTTP/1.1 200 OK\r\n"));  // nobody asked
  EXPECT_FALSE(client.reusable());
  // An answer before the request is out: believed, and the end of the connection.
  Client early;
  early.begin(kRequest);
  early.on_bytes(bytes("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_EQ(early.state(), State::Done);
  EXPECT_FALSE(early.reusable());
}

}  // namespace
}  // namespace sluice::net::http
