#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::net::http {

using Field = std::pair<std::string, std::string>;

/// A POST. Views are borrowed until the exchange is over.
struct Request {
  std::string_view authority;  ///< Host
  std::string_view target;
  std::string_view content_type;
  std::span<const Field> fields;  ///< more header fields; Host, Content-Length, Transfer-Encoding and
                                  ///< Connection among them are left out
  std::string_view body;
};

struct Response {
  unsigned status = 0;  ///< 0: none came
  std::string reason;   ///< as the server words it; its first kReasonKeptMax bytes
  std::string body;     ///< its first kBodyKeptMax bytes
};

/// The client side of one HTTP/1.1 connection (RFC 9112), one exchange after the other: no sockets, no clock.
///   begin() -> send output(), feed on_bytes() -> state() Done or Failed -> begin() again when reusable().
/// Thread:   one at a time.
/// Limits:   kHeaderBytesMax of a response's header section, kBodyBytesMax of its body, and those of
///           AnswerParser. A longer answer is not read: its status counts and the connection ends.
/// Errors:   Failed with fault() in words: the connection broke, what came is not HTTP, or the request cannot
///           be made. Nothing is thrown.
class Client {
 public:
  static constexpr std::size_t kHeaderBytesMax = 64 * 1024;
  static constexpr std::size_t kBodyBytesMax = 256 * 1024;
  static constexpr std::size_t kBodyKeptMax = 512;
  static constexpr std::size_t kReasonKeptMax = 512;

  enum class State : std::uint8_t { Idle, Busy, Done, Failed };

  Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  /// Requires state() Idle, or Done and reusable().
  void begin(const Request& request);
  [[nodiscard]] State state() const { return state_; }
  /// What to send next; empty when all is sent. Valid until consumed() or begin(). A server may answer before
  /// it has read everything: once Done, the rest need not be sent (then the connection is not reusable).
  [[nodiscard]] std::span<const std::span<const std::byte>> output() const { return parts_; }
  /// All of output() was sent.
  void consumed();
  void on_bytes(std::span<const std::byte> bytes);
  /// The peer ended the connection, or it broke.
  void on_closed();

  [[nodiscard]] const Response& response() const { return response_; }
  /// After Done: another request may follow on this connection.
  [[nodiscard]] bool reusable() const { return reusable_ && state_ == State::Done; }
  [[nodiscard]] const std::string& fault() const { return fault_; }

 private:
  struct Impl;
  void make_request(const Request& request);
  void next_output();
  void fail(std::string why);
  void complete();
  std::unique_ptr<Impl> impl_;
  std::vector<std::span<const std::byte>> parts_;
  Response response_;
  std::string fault_;
  State state_ = State::Idle;
  bool reusable_ = false;
};

/// Header fields of a file: "Name: value" a line, empty lines and lines that begin with '#' left out. Errors:
/// the line's number and what is wrong, for the operator.
struct FieldsOrError {
  std::vector<Field> fields;
  std::string error;
};
[[nodiscard]] FieldsOrError parse_fields(std::string_view text);

}  // namespace sluice::net::http
