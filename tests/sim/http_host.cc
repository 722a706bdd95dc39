#include "tests/sim/http_host.h"

#include <gtest/gtest.h>

#include <charconv>

namespace sluice::test {

HttpHost::HttpHost(runtime::Reactor& reactor, Endpoint at) : reactor_(reactor) {
  auto listener = runtime::Listener::open(reactor, at);
  EXPECT_TRUE(listener.has_value());
  if (!listener) return;
  listener_ = std::move(*listener);
  tasks_.spawn(accept_all());
}

runtime::Task<void> HttpHost::accept_all() {
  for (;;) {
    Result<runtime::Stream> stream = co_await listener_.accept();
    if (!stream) co_return;
    ++connections;
    tasks_.spawn(serve(std::move(*stream)));
  }
}

runtime::Task<void> HttpHost::serve(runtime::Stream stream) {
  stream.set_deadline(reactor_.now() + 1h);
  std::string buffer;
  std::size_t requests = 0;
  for (;;) {
    const std::size_t end = buffer.find("\r\n\r\n");
    if (end != std::string::npos) {
      const std::size_t length = buffer.find("Content-Length: ");
      std::size_t size = 0;
      if (length < end) std::from_chars(buffer.data() + length + 16, buffer.data() + end, size);
      if (buffer.size() >= end + 4 + size) {
        heads.push_back(buffer.substr(0, end));
        bodies.push_back(buffer.substr(end + 4, size));
        buffer.erase(0, end + 4 + size);
        if (++requests == hang_up_after) co_return;
        const std::string said = answer;
        if (!co_await stream.send(said)) co_return;
        continue;
      }
    }
    const auto input = co_await stream.receive();
    if (!input || input->bytes().empty()) co_return;
    buffer.append(reinterpret_cast<const char*>(input->bytes().data()), input->bytes().size());
  }
}

}  // namespace sluice::test
