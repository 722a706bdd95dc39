#include "tools/config_files/name_lookup.h"

#include <ares.h>
#include <arpa/inet.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <memory>

#include "policy/base/idn.h"

namespace sluice::tools {
namespace {

using Resolves = config::HostFacts::Resolves;
using Clock = std::chrono::steady_clock;

constexpr int kTryMs = 2000;
constexpr std::size_t kAskedAtOnce = 200;

struct Destroy {
  void operator()(::ares_channeldata* channel) const { ::ares_destroy(channel); }
};
/// Answers what is still open as cancelled when it goes.
using Channel = std::unique_ptr<::ares_channeldata, Destroy>;

/// Null: no memory, or no configuration that can be read. `only_dns`: neither hosts file nor search list.
Channel open_channel(bool only_dns) {
  static const bool library_is_ready = ::ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS;
  std::string lookups = "b";
  ::ares_options options{};
  options.flags = only_dns ? ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES : 0;
  options.timeout = kTryMs;
  options.tries = 2;
  options.lookups = lookups.data();
  int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES;
  if (only_dns) mask |= ARES_OPT_LOOKUPS;
  ares_channel made = nullptr;
  if (!library_is_ready || ::ares_init_options(&made, &options, mask) != ARES_SUCCESS) return nullptr;
  return Channel(made);
}

/// Waits until some server has answered or c-ares wants to try again, `at_most` the time given.
void wait_and_read(ares_channel channel, Duration at_most) {
  std::array<ares_socket_t, ARES_GETSOCK_MAXNUM> sockets{};
  const int wanted = ::ares_getsock(channel, sockets.data(), ARES_GETSOCK_MAXNUM);
  std::vector<::pollfd> waits;
  for (int i = 0; i < ARES_GETSOCK_MAXNUM; ++i) {
    short events = 0;
    if (ARES_GETSOCK_READABLE(wanted, i)) events |= POLLIN;
    if (ARES_GETSOCK_WRITABLE(wanted, i)) events |= POLLOUT;
    if (events != 0)
      waits.push_back({.fd = sockets[static_cast<std::size_t>(i)], .events = events, .revents = 0});
  }
  const auto most = std::chrono::ceil<std::chrono::milliseconds>(at_most).count();
  ::timeval longest{.tv_sec = most / 1000, .tv_usec = most % 1000 * 1000};
  ::timeval next{};
  const ::timeval* const until = ::ares_timeout(channel, &longest, &next);
  ::poll(waits.data(), waits.size(), static_cast<int>(until->tv_sec * 1000 + until->tv_usec / 1000 + 1));
  for (const ::pollfd& one : waits) {
    const bool readable = (one.revents & (POLLIN | POLLERR | POLLHUP)) != 0;
    const bool writable = (one.revents & POLLOUT) != 0;
    ::ares_process_fd(channel, readable ? one.fd : ARES_SOCKET_BAD, writable ? one.fd : ARES_SOCKET_BAD);
  }
  ::ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);  // time-outs
}

/// A question whose answer comes while its channel is read, or when that goes.
struct Question {
  bool asked = false;
  bool done = false;
  int status = ARES_ETIMEOUT;
  std::vector<IpAddress> found;

  void ask(ares_channel channel, const std::string& name) {
    ::ares_addrinfo_hints hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    asked = true;
    ::ares_getaddrinfo(channel, name.c_str(), nullptr, &hints, &on_answer, this);
  }
  [[nodiscard]] bool is_open() const { return asked && !done; }

 private:
  static void on_answer(void* question, int status, int /*timeouts*/, ::ares_addrinfo* found) {
    auto& self = *static_cast<Question*>(question);
    self.done = true;
    self.status = status;
    if (found == nullptr) return;
    for (const ::ares_addrinfo_node* one = found->nodes; one != nullptr; one = one->ai_next) {
      char text[INET6_ADDRSTRLEN] = {};
      const void* const address =
          one->ai_family == AF_INET
              ? static_cast<const void*>(&reinterpret_cast<const ::sockaddr_in*>(one->ai_addr)->sin_addr)
              : &reinterpret_cast<const ::sockaddr_in6*>(one->ai_addr)->sin6_addr;
      ::inet_ntop(one->ai_family, address, text, sizeof text);
      if (const auto parsed = IpAddress::parse(text)) self.found.push_back(*parsed);
    }
    ::ares_freeaddrinfo(found);
  }
};

std::string list_of(std::span<const Endpoint> servers) {
  std::string out;
  for (const Endpoint& one : servers) out += (out.empty() ? "" : ",") + one.text();
  return out;
}

Resolves answer_of(const Question& question) {
  switch (question.status) {
    case ARES_SUCCESS: return Resolves::Yes;
    case ARES_ENOTFOUND:
    case ARES_ENODATA: return Resolves::No;
    default: return Resolves::Unknown;
  }
}

}  // namespace

std::vector<Resolves> look_up_names(std::span<const std::string> names, std::span<const Endpoint> servers,
                                    Duration at_most) {
  std::vector<Question> questions(names.size());
  const Clock::time_point end = Clock::now() + at_most;
  Channel channel = names.empty() ? nullptr : open_channel(true);
  if (channel && !servers.empty() &&
      ::ares_set_servers_ports_csv(channel.get(), list_of(servers).c_str()) != ARES_SUCCESS)
    channel.reset();
  for (std::size_t next = 0; channel;) {
    auto open = static_cast<std::size_t>(std::ranges::count_if(questions, &Question::is_open));
    for (; next < names.size() && open < kAskedAtOnce; ++next, ++open) {
      if (const auto name = to_a_labels(names[next])) questions[next].ask(channel.get(), *name);
    }
    const Duration left = end - Clock::now();
    if (left <= Duration{0} || std::ranges::none_of(questions, &Question::is_open)) break;
    wait_and_read(channel.get(), left);
  }
  channel.reset();
  std::vector<Resolves> out;
  std::ranges::transform(questions, std::back_inserter(out), answer_of);
  return out;
}

std::expected<std::vector<IpAddress>, std::string> addresses_of(const std::string& host, Duration at_most) {
  if (const auto literal = IpAddress::parse(host)) return std::vector{*literal};
  const std::string quoted = '"' + host + '"';
  const auto name = to_a_labels(host);
  if (!name) return std::unexpected(quoted + " is no name");
  Question question;
  Channel channel = open_channel(false);
  if (!channel) return std::unexpected("names cannot be looked up");
  const Clock::time_point end = Clock::now() + at_most;
  question.ask(channel.get(), *name);
  while (question.is_open() && Clock::now() < end) wait_and_read(channel.get(), end - Clock::now());
  const bool late = question.is_open();
  channel.reset();
  if (late) return std::unexpected(quoted + " does not resolve in time");
  if (question.status != ARES_SUCCESS)
    return std::unexpected(quoted + " does not resolve: " + ::ares_strerror(question.status));
  return std::move(question.found);
}

}  // namespace sluice::tools
