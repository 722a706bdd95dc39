#include "tools/config_files/disk_host_facts.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "policy/classify/pattern.h"
#include "tools/config_files/disk_file_source.h"
#include "tools/config_files/name_lookup.h"
#include "tools/config_files/private_key.h"

namespace sluice::tools {

config::FileFact DiskHostFacts::file(const std::string& path) {
  using Kind = config::FileFact::Kind;
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    // EACCES: a folder on the way may not be entered.
    return {errno == EACCES ? Kind::Unreadable : Kind::Missing, false};
  }
  const bool writable = ::access(path.c_str(), W_OK) == 0;
  if (S_ISDIR(status.st_mode)) return {Kind::Folder, writable};
  return {::access(path.c_str(), R_OK) == 0 ? Kind::File : Kind::Unreadable, writable};
}

config::KeyFact DiskHostFacts::key(const std::string& path) {
  DiskFileSource files;
  const auto text = files.read(path);
  return text ? inspect_private_key(*text) : config::KeyFact{};
}

std::vector<IpAddress> DiskHostFacts::local_addresses() {
  std::vector<IpAddress> out;
  ::ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return out;
  for (const ::ifaddrs* one = list; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr) continue;
    char text[INET6_ADDRSTRLEN] = {};
    if (one->ifa_addr->sa_family == AF_INET) {
      ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr, text, sizeof text);
    } else if (one->ifa_addr->sa_family == AF_INET6) {
      ::inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(one->ifa_addr)->sin6_addr, text,
                  sizeof text);
    } else {
      continue;
    }
    if (const auto address = IpAddress::parse(text)) out.push_back(*address);
  }
  ::freeifaddrs(list);
  return out;
}

std::vector<config::HostFacts::Resolves> DiskHostFacts::resolve(std::span<const std::string> names,
                                                                std::span<const Endpoint> servers) {
  return look_up_names(names, servers, kResolveTime);
}

bool DiskHostFacts::is_root() { return ::geteuid() == 0; }

bool DiskHostFacts::has_user(const std::string& name) { return ::getpwnam(name.c_str()) != nullptr; }

std::optional<std::string> DiskHostFacts::regex_error(std::string_view pattern) {
  const auto made = Pattern::compile(pattern);
  if (made) return std::nullopt;
  return made.error();
}

}  // namespace sluice::tools
