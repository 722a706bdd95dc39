#pragma once
// An HTTP server in the simulated world that answers POSTs as it is told.

#include <string>
#include <vector>

#include "engine/runtime/stream.h"

namespace sluice::test {

/// Thread: simulated. Lifetime: stop() and a run of the world before destruction.
class HttpHost {
 public:
  HttpHost(runtime::Reactor& reactor, Endpoint at);
  HttpHost(const HttpHost&) = delete;
  HttpHost& operator=(const HttpHost&) = delete;
  void stop() { listener_.stop(); }
  [[nodiscard]] bool idle() const { return tasks_.running() == 0; }

  std::vector<std::string> heads;   ///< request line and header fields of each request
  std::vector<std::string> bodies;  ///< of each request
  std::size_t connections = 0;
  std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  std::size_t hang_up_after = 0;  ///< requests of a connection until it is closed without an answer; 0: never

 private:
  runtime::Task<void> accept_all();
  runtime::Task<void> serve(runtime::Stream stream);
  runtime::Reactor& reactor_;
  runtime::Listener listener_;
  runtime::TaskGroup tasks_;
};

}  // namespace sluice::test
