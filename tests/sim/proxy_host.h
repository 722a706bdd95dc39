#pragma once
// A proxy in the simulated world: reads the header of the PROXY protocol and goes where that says.

#include <string>
#include <vector>

#include "engine/runtime/stream.h"
#include "engine/runtime/sync.h"

namespace sluice::test {

/// Thread: the simulated one. Lifetime: stop() and a run of the world until idle() before destruction.
class ProxyHost {
 public:
  ProxyHost(runtime::Reactor& reactor, Endpoint at);
  ProxyHost(const ProxyHost&) = delete;
  ProxyHost& operator=(const ProxyHost&) = delete;
  void stop() { listener_.stop(); }
  [[nodiscard]] bool idle() const { return tasks_.running() == 0; }

  struct Served {
    MonoTime at;
    IpAddress from;      ///< who connected
    std::string header;  ///< to the byte
    int version = 0;     ///< 0: no header that could be understood
    Endpoint client;
    Endpoint target;
  };
  std::vector<Served> served;
  bool refuses = false;  ///< closes connections instead of serving them

 private:
  runtime::Task<void> accept_all();
  runtime::Task<void> serve(runtime::Stream stream);
  runtime::Task<bool> read_header(runtime::Stream& stream, Served& out, std::string& rest);
  runtime::Task<void> pump(runtime::Stream& from, runtime::Stream& to);
  runtime::Reactor& reactor_;
  runtime::Listener listener_;
  runtime::TaskGroup tasks_;
};

}  // namespace sluice::test
