#include "tools/config_files/url_fetch.h"

// wolfSSL's options have to come before its other headers.
#include <wolfssl/options.h>
// clang-format keeps this one behind.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <wolfssl/ssl.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "net/http/answer_parser.h"
#include "net/http/url.h"
#include "tools/config_files/name_lookup.h"

namespace sluice::tools {
namespace {

using Failure = std::unexpected<std::string>;

constexpr const char* kAuthorities = "/etc/ssl/certs/ca-certificates.crt";
constexpr std::size_t kAnswerHeaderBytesMax = 64 * 1024;
constexpr const char* kTooLate = "no answer in time";

std::string words_of(int error) { return std::generic_category().message(error); }

class Deadline {
 public:
  explicit Deadline(Duration time) : end_(now() + time) {}
  [[nodiscard]] Duration left() const { return std::max(end_ - now(), Duration{0}); }
  /// True once `fd` is ready for `events`; false when the time is over.
  [[nodiscard]] bool wait(int fd, short events) const {
    ::pollfd one{.fd = fd, .events = events, .revents = 0};
    for (;;) {
      const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(left()).count();
      const int ready = ::poll(&one, 1, static_cast<int>(milliseconds));
      if (ready > 0) return true;
      if (ready == 0) return false;
      if (errno != EINTR) return true;  // the next call on fd says what is wrong
    }
  }

 private:
  static Duration now() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return std::chrono::duration_cast<Duration>(std::chrono::seconds(time.tv_sec) +
                                                std::chrono::nanoseconds(time.tv_nsec));
  }
  Duration end_;
};

class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Socket() {
    if (fd_ >= 0) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
};

/// Where to connect; the size of the address that is in use.
::socklen_t set_address(const IpAddress& address, std::uint16_t port, ::sockaddr_storage& out) {
  if (address.is_v4()) {
    auto& v4 = reinterpret_cast<::sockaddr_in&>(out);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    ::inet_pton(AF_INET, address.text().c_str(), &v4.sin_addr);
    return sizeof v4;
  }
  auto& v6 = reinterpret_cast<::sockaddr_in6&>(out);
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  ::inet_pton(AF_INET6, address.text().c_str(), &v6.sin6_addr);
  return sizeof v6;
}

/// The first address that answers, in the system's order of preference.
std::expected<Socket, std::string> connect_to(const net::http::Url& url, const Deadline& until) {
  const auto found = addresses_of(url.host, until.left());
  if (!found) return Failure(found.error());
  std::string last = "no address";
  for (const IpAddress& one : *found) {
    ::sockaddr_storage address{};
    const ::socklen_t length = set_address(one, url.port, address);
    Socket socket(::socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    int error = 0;
    if (socket.fd() < 0 || ::connect(socket.fd(), reinterpret_cast<::sockaddr*>(&address), length) != 0)
      error = errno;
    if (error == EINPROGRESS) {
      if (!until.wait(socket.fd(), POLLOUT)) return Failure("cannot connect: " + std::string(kTooLate));
      ::socklen_t size = sizeof error;
      if (::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    }
    if (error == 0) return socket;
    last = words_of(error);
  }
  return Failure("cannot connect: " + last);
}

/// One connection, in the clear or under TLS.
class Channel {
 public:
  Channel(Socket socket, const Deadline& until) : socket_(std::move(socket)), until_(until) {}

  [[nodiscard]] std::expected<void, std::string> start_tls(const std::string& host) {
    static const int kReady = ::wolfSSL_Init();
    context_.reset(kReady == WOLFSSL_SUCCESS ? ::wolfSSL_CTX_new(::wolfTLS_client_method()) : nullptr);
    if (!context_) return Failure("TLS cannot be set up");
    ::wolfSSL_CTX_SetMinVersion(context_.get(), WOLFSSL_TLSV1_2);
    const char* chosen = std::getenv("SSL_CERT_FILE");
    const char* authorities = chosen != nullptr ? chosen : kAuthorities;
    if (::wolfSSL_CTX_load_verify_locations(context_.get(), authorities, nullptr) != WOLFSSL_SUCCESS)
      return Failure("cannot read the authorities of certificates in " + std::string(authorities));
    ::wolfSSL_CTX_set_verify(context_.get(), WOLFSSL_VERIFY_PEER, nullptr);
    session_.reset(::wolfSSL_new(context_.get()));
    if (!session_ || ::wolfSSL_check_domain_name(session_.get(), host.c_str()) != WOLFSSL_SUCCESS ||
        ::wolfSSL_UseSNI(session_.get(), WOLFSSL_SNI_HOST_NAME, host.data(),
                         static_cast<unsigned short>(host.size())) != WOLFSSL_SUCCESS ||
        ::wolfSSL_set_fd(session_.get(), socket_.fd()) != WOLFSSL_SUCCESS) {
      return Failure("TLS cannot be set up");
    }
    const auto done =
        repeat(POLLIN, [this] { return ::wolfSSL_connect(session_.get()) == WOLFSSL_SUCCESS ? 1 : -1; });
    if (!done) return Failure("TLS: " + done.error());
    if (*done == 0) return Failure("TLS: the server closed the connection");
    return {};
  }

  [[nodiscard]] std::expected<void, std::string> send(std::string_view text) {
    while (!text.empty()) {
      const auto sent = repeat(POLLOUT, [&]() -> long {
        if (session_) return ::wolfSSL_write(session_.get(), text.data(), static_cast<int>(text.size()));
        return ::send(socket_.fd(), text.data(), text.size(), MSG_NOSIGNAL);
      });
      if (!sent) return Failure(sent.error());
      if (*sent == 0) return Failure("the server closed the connection");
      text.remove_prefix(static_cast<std::size_t>(*sent));
    }
    return {};
  }

  /// Nothing: the server has closed.
  [[nodiscard]] std::expected<std::size_t, std::string> receive(std::span<char> into) {
    const auto got = repeat(POLLIN, [&]() -> long {
      if (session_) return ::wolfSSL_read(session_.get(), into.data(), static_cast<int>(into.size()));
      return ::recv(socket_.fd(), into.data(), into.size(), 0);
    });
    if (!got) return Failure(got.error());
    return static_cast<std::size_t>(*got);
  }

 private:
  struct Free {
    void operator()(WOLFSSL_CTX* context) const { ::wolfSSL_CTX_free(context); }
    void operator()(WOLFSSL* session) const { ::wolfSSL_free(session); }
  };

  /// Calls `step` until it answers something else than "not yet"; without TLS `events` is what it waits for.
  template <class Step>
  std::expected<long, std::string> repeat(short events, Step step) {
    for (;;) {
      const long done = step();
      if (done > 0) return done;
      if (session_) {
        const int error = ::wolfSSL_get_error(session_.get(), static_cast<int>(done));
        if (error == WOLFSSL_ERROR_ZERO_RETURN || error == SOCKET_PEER_CLOSED_E) return 0;
        if (error != WOLFSSL_ERROR_WANT_READ && error != WOLFSSL_ERROR_WANT_WRITE) {
          char text[WOLFSSL_MAX_ERROR_SZ] = {};
          return Failure(::wolfSSL_ERR_error_string(static_cast<unsigned long>(error), text));
        }
        events = error == WOLFSSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN;
      } else {
        if (done == 0) return 0;
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return Failure(words_of(errno));
      }
      if (!until_.wait(socket_.fd(), events)) return Failure(kTooLate);
    }
  }

  Socket socket_;
  const Deadline& until_;
  std::unique_ptr<WOLFSSL_CTX, Free> context_;
  std::unique_ptr<WOLFSSL, Free> session_;
};

std::expected<std::string, std::string> exchange(Channel& channel, const net::http::Url& url) {
  const std::string request =
      "GET " + url.target + " HTTP/1.1\r\nHost: " + url.authority() +
      "\r\nAccept: text/plain, */*\r\nUser-Agent: Sluice\r\nConnection: close\r\n\r\n";
  if (auto sent = channel.send(request); !sent) return Failure(sent.error());
  using Parser = net::http::AnswerParser;
  Parser parser({.header_bytes = kAnswerHeaderBytesMax, .body_bytes = kFetchedBytesMax});
  std::array<char, 16 * 1024> buffer;
  while (parser.state() == Parser::State::Reading) {
    const auto got = channel.receive(buffer);
    if (!got) return Failure(got.error());
    if (*got == 0) {
      if (parser.end() != Parser::State::Done)
        return Failure("the server closed the connection in the middle of its answer");
    } else {
      parser.put(std::as_bytes(std::span(buffer).first(*got)));
    }
  }
  if (parser.state() == Parser::State::Broken) return Failure("what comes is not HTTP: " + parser.fault());
  if (parser.state() == Parser::State::TooLong)
    return Failure("the answer is larger than " + std::to_string(kFetchedBytesMax >> 20) + " MB");
  if (parser.status() != 200) {
    return Failure("the server answers " + std::to_string(parser.status()) + ' ' +
                   std::string(parser.reason()) +
                   (parser.status() / 100 == 3 ? " (redirects are not followed)" : ""));
  }
  return std::string(parser.body());
}

}  // namespace

std::expected<std::string, std::string> fetch_url(std::string_view address, Duration timeout) {
  const auto url = net::http::parse_url(address);
  if (!url) return Failure(url.error());
  const Deadline until(timeout);
  auto socket = connect_to(*url, until);
  if (!socket) return Failure(socket.error());
  Channel channel(std::move(*socket), until);
  if (url->tls) {
    if (auto started = channel.start_tls(url->host); !started) return Failure(started.error());
  }
  return exchange(channel, *url);
}

}  // namespace sluice::tools
