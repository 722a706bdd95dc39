#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace sluice::net::http {

/// Reads the answer to one request (RFC 9112) within limits, whatever a server sends: the library that parses
/// has none for trailers and for what stands before the answer, and throws on some input.
/// Thread:  one at a time.
/// Limits:  header_bytes of a header section, and of any part that cannot be parsed before it is whole (a
///          trailer, a chunk's extension); body_bytes of the body; twice both of all bytes together, with
///          100 Continue and its like, the framing of chunks and trailers.
/// Errors:  State::Broken with fault() in words. Nothing is thrown.
class AnswerParser {
 public:
  struct Limits {
    std::size_t header_bytes;
    std::size_t body_bytes;
  };
  enum class State : std::uint8_t {
    Reading,
    Done,     ///< the answer is whole
    TooLong,  ///< over a limit; has_status() says whether the verdict is known all the same
    Broken,   ///< not HTTP, or no memory for it
  };

  explicit AnswerParser(Limits limits);
  AnswerParser(const AnswerParser&) = delete;
  AnswerParser& operator=(const AnswerParser&) = delete;
  ~AnswerParser();

  /// Requires State::Reading. Answers below 200 are passed over.
  State put(std::span<const std::byte> bytes);
  /// The server has closed: the end of an answer without a length.
  State end();
  [[nodiscard]] State state() const { return state_; }
  /// A status of 200 or above was read, with its whole header section.
  [[nodiscard]] bool has_status() const;
  [[nodiscard]] unsigned status() const;
  [[nodiscard]] std::string_view reason() const;
  /// As much as has come.
  [[nodiscard]] std::string_view body() const;
  /// Done, the server keeps the connection open, and has said nothing behind its answer.
  [[nodiscard]] bool keeps_open() const;
  [[nodiscard]] const std::string& fault() const { return fault_; }

 private:
  struct Impl;
  State read();
  State broken(std::string_view why);
  Limits limits_;
  std::unique_ptr<Impl> impl_;
  std::string pending_;  // received and not yet taken by the library
  std::size_t received_ = 0;
  std::string fault_;
  State state_ = State::Reading;
};

}  // namespace sluice::net::http
