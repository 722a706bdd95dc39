#include "tools/config_files/disk_host_facts.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <memory>

#include "policy/classify/pattern.h"
#include "tools/config_files/disk_file_source.h"
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

std::vector<config::HostFacts::Resolves> DiskHostFacts::resolve(std::span<const std::string> names) {
  std::vector<Resolves> out(names.size(), Resolves::Unknown);
  if (names.empty()) return out;
  // The C library asks for all of them at once and works on these objects until it is done with each.
  struct Requests {
    std::vector<std::string> texts;
    std::vector<::gaicb> all;
  };
  auto requests = std::make_unique<Requests>();
  requests->texts.assign(names.begin(), names.end());
  requests->all.resize(names.size());
  std::vector<::gaicb*> list;
  for (std::size_t i = 0; i < names.size(); ++i) {
    requests->all[i].ar_name = requests->texts[i].c_str();
    list.push_back(&requests->all[i]);
  }
  if (::getaddrinfo_a(GAI_NOWAIT, list.data(), static_cast<int>(list.size()), nullptr) != 0) return out;
  timespec until{};
  ::clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += std::chrono::duration_cast<std::chrono::seconds>(kResolveTime).count();
  std::size_t done = 0;
  while (done < names.size()) {
    done = 0;
    for (std::size_t i = 0; i < names.size(); ++i) {
      const int error = ::gai_error(list[i]);
      if (error == EAI_INPROGRESS) continue;
      ++done;
      if (error == 0) {
        out[i] = Resolves::Yes;
      } else if (error == EAI_NONAME || error == EAI_NODATA) {
        out[i] = Resolves::No;
      }
    }
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec >= until.tv_sec) break;
    const timespec wait{.tv_sec = 1, .tv_nsec = 0};
    if (done < names.size()) ::gai_suspend(list.data(), static_cast<int>(list.size()), &wait);
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (requests->all[i].ar_result != nullptr) ::freeaddrinfo(requests->all[i].ar_result);
  }
  // Late requests stay with the library: this process ends soon, and taking them away would pull the ground
  // from it.
  if (done < names.size()) static_cast<void>(requests.release());
  return out;
}

std::optional<std::string> DiskHostFacts::regex_error(std::string_view pattern) {
  const auto made = Pattern::compile(pattern);
  if (made) return std::nullopt;
  return made.error();
}

}  // namespace sluice::tools
