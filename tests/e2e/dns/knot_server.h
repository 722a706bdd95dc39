#pragma once
// A real Knot DNS server with one zone, on a free loopback port, in a directory of its own.

#include <filesystem>
#include <string>
#include <string_view>

#include "policy/base/ip_address.h"

namespace sluice::test {

/// Lifetime: the server is stopped and its directory removed at destruction.
class KnotServer {
 public:
  /// Path of the program, "" when it is not installed.
  [[nodiscard]] static std::string find_program();

  /// Writes configuration and zone and starts the program; it needs a moment until it answers.
  KnotServer(std::string_view zone_name, std::string_view zone_text);
  ~KnotServer();
  KnotServer(const KnotServer&) = delete;
  KnotServer& operator=(const KnotServer&) = delete;

  [[nodiscard]] const Endpoint& endpoint() const { return endpoint_; }
  /// False once it has ended by itself.
  [[nodiscard]] bool is_running();
  void stop();
  /// What it printed, for failure messages.
  [[nodiscard]] std::string log() const;

 private:
  std::filesystem::path directory_;
  Endpoint endpoint_;
  int process_ = -1;
};

}  // namespace sluice::test
