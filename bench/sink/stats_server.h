#pragma once

#include <functional>
#include <string>

#include "engine/runtime/stream.h"
#include "engine/runtime/task.h"

namespace sluice::bench {

/// Live figures on a Unix socket. A client sends one line and gets one answer:
///   "text\n" -> a table; "json\n" -> one line of JSON; "GET / HTTP/1.1" -> the JSON as an HTTP answer (curl).
/// Thread: its reactor's. Lifetime: stop() has answered before destruction.
/// Limits: kRequestMax bytes, kClientTime for a client.
class StatsServer {
 public:
  static constexpr std::size_t kRequestMax = 4096;
  static constexpr Duration kClientTime = 5s;
  enum class Form : std::uint8_t { Text, Json };
  using Render = std::function<std::string(Form)>;

  StatsServer(runtime::Reactor& reactor, Render render) : reactor_(reactor), render_(std::move(render)) {}
  [[nodiscard]] Status open(const std::string& path);
  [[nodiscard]] runtime::Task<void> stop();

 private:
  runtime::Task<void> accept();
  runtime::Task<void> serve(runtime::Stream stream);
  runtime::Reactor& reactor_;
  Render render_;
  runtime::Listener listener_;
  runtime::TaskGroup tasks_;
  std::vector<runtime::Stream*> clients_;
  bool stopping_ = false;
  bool open_ = false;
};

}  // namespace sluice::bench
