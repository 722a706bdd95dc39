#pragma once
// What the tests of the runtime's contract share: two ends of a connection, and operations that are watched.

#include <string>
#include <vector>

#include "engine/runtime/stream.h"
#include "tests/engine/runtime/either_world.h"

namespace sluice::runtime {

inline const Endpoint kAnyLocalPort{IpAddress::from_v4({127, 0, 0, 1}), 0};

/// Two ends of one connection.
struct Pair {
  Stream client;
  Stream server;
};

inline Task<void> accept_into(Listener& listener, Stream& into) {
  Result<Stream> got = co_await listener.accept();
  EXPECT_TRUE(got.has_value());
  if (got) into = std::move(*got);
}

inline Task<Pair> connected_pair(Reactor& reactor) {
  Pair pair;
  Result<Listener> listener = Listener::open(reactor, kAnyLocalPort);
  EXPECT_TRUE(listener.has_value());
  TaskGroup group;
  group.spawn(accept_into(*listener, pair.server));
  Result<Stream> client = co_await Stream::connect(reactor, listener->endpoint(), nullptr, 10s);
  EXPECT_TRUE(client.has_value());
  if (client) pair.client = std::move(*client);
  co_await group.join();
  co_return pair;
}

inline std::string pattern_text(std::size_t size) {
  std::string out(size, '\0');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>('a' + (i * 7 + i / 251) % 26);
  return out;
}

inline Task<std::string> receive_all(Stream& stream) {
  std::string out;
  for (;;) {
    const Result<ReceivedBytes> got = co_await stream.receive();
    EXPECT_TRUE(got.has_value()) << (got ? "" : got.error().text());
    if (!got || got->bytes().empty()) co_return out;
    out.append(reinterpret_cast<const char*>(got->bytes().data()), got->bytes().size());
  }
}

inline Task<void> receive_all_into(Stream& stream, std::string& out) { out = co_await receive_all(stream); }

/// An Op whose completions are written down.
struct Recorded : Op {
  Recorded() {
    done = [](Op& op, Completion completion) {
      auto& self = static_cast<Recorded&>(op);
      self.completions.push_back(completion);
      if (self.inside) self.done_inside = true;
    };
  }
  std::vector<Completion> completions;
  bool inside = false;  // set around submit() and cancel()
  bool done_inside = false;
};

inline Task<void> until_ended(Reactor& reactor, const Recorded& op) {
  while (op.in_flight) co_await sleep_for(reactor, 1ms);
}

}  // namespace sluice::runtime
