#include "tests/e2e/dns/knot_server.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "policy/base/assert.h"

namespace sluice::test {
namespace {

/// A port free for UDP and TCP at this moment. Another program may take it before Knot does: then the test
/// fails to get an answer and says so.
Endpoint free_port() {
  for (int attempt = 0; attempt < 20; ++attempt) {
    Endpoint at{*IpAddress::parse("127.0.0.1"), 0};
    const int udp = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    RawEndpoint raw(at);
    SLUICE_ASSERT(::bind(udp, raw.get(), raw.length) == 0);
    socklen_t length = sizeof raw.storage;
    SLUICE_ASSERT(::getsockname(udp, raw.get(), &length) == 0);
    at = raw.endpoint();
    const int tcp = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const RawEndpoint same(at);
    const bool both = ::bind(tcp, same.get(), same.length) == 0;
    ::close(tcp);
    ::close(udp);
    if (both) return at;
  }
  assertion_failed("no free port", __FILE__, __LINE__);
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  std::ofstream out(path);
  out << text;
  SLUICE_ASSERT(out.good());
}

}  // namespace

std::string KnotServer::find_program() {
  for (const char* path : {"/usr/sbin/knotd", "/usr/local/sbin/knotd", "/sbin/knotd"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  return "";
}

KnotServer::KnotServer(std::string_view zone_name, std::string_view zone_text) : endpoint_(free_port()) {
  std::string name = (std::filesystem::temp_directory_path() / "sluice-knot-XXXXXX").string();
  SLUICE_ASSERT(::mkdtemp(name.data()) != nullptr);
  directory_ = name;
  const std::string zone(zone_name);
  write_file(directory_ / "zone", zone_text);
  write_file(directory_ / "knot.conf",
             "server:\n  rundir: " + name + "\n  listen: 127.0.0.1@" + std::to_string(endpoint_.port) +
                 "\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n" +
                 "log:\n  - target: stderr\n    any: info\n" + "database:\n  storage: " + name + "\n" +
                 "template:\n  - id: default\n    storage: " + name +
                 "\n    zonefile-load: whole\n    journal-content: none\n" + "zone:\n  - domain: " + zone +
                 "\n    file: zone\n");
  const std::string program = find_program();
  const std::string config = (directory_ / "knot.conf").string();
  const std::string log_path = (directory_ / "log").string();
  process_ = ::fork();
  SLUICE_ASSERT(process_ >= 0);
  if (process_ == 0) {
    const int log = ::open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    ::execl(program.c_str(), "knotd", "-c", config.c_str(), static_cast<char*>(nullptr));
    ::_exit(127);
  }
}

KnotServer::~KnotServer() {
  stop();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

bool KnotServer::is_running() {
  if (process_ < 0) return false;
  int status = 0;
  if (::waitpid(process_, &status, WNOHANG) == 0) return true;
  process_ = -1;
  return false;
}

void KnotServer::stop() {
  if (process_ < 0) return;
  ::kill(process_, SIGKILL);
  int status = 0;
  ::waitpid(process_, &status, 0);
  process_ = -1;
}

std::string KnotServer::log() const {
  std::ifstream in(directory_ / "log");
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace sluice::test
