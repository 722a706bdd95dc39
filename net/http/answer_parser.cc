#include "net/http/answer_parser.h"

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <exception>
#include <optional>
#include <stdexcept>

#include "policy/base/assert.h"

// BOOST_ENABLE_ASSERT_HANDLER: a server may say what the library did not think of, and must not end us.
void boost::assertion_failed(const char* expression, const char*, const char*, long) {
  throw std::logic_error(expression);
}
void boost::assertion_failed_msg(const char* expression, const char*, const char*, const char*, long) {
  throw std::logic_error(expression);
}

namespace sluice::net::http {

namespace beast = boost::beast::http;

struct AnswerParser::Impl {
  std::optional<beast::response_parser<beast::string_body>> parser;
  bool has_status = false;

  void renew(const Limits& limits) {
    parser.emplace();
    parser->eager(true);
    parser->header_limit(static_cast<std::uint32_t>(limits.header_bytes));
    parser->body_limit(limits.body_bytes);
  }
};

AnswerParser::AnswerParser(Limits limits) : limits_(limits), impl_(std::make_unique<Impl>()) {
  impl_->renew(limits_);
}
AnswerParser::~AnswerParser() = default;

AnswerParser::State AnswerParser::broken(std::string_view why) {
  fault_ = why;
  return state_ = State::Broken;
}

AnswerParser::State AnswerParser::put(std::span<const std::byte> bytes) {
  SLUICE_ASSERT(state_ == State::Reading);
  const std::size_t most = 2 * (limits_.header_bytes + limits_.body_bytes);
  received_ += bytes.size();
  try {
    // What is over the limit is not even kept; what fits may hold the verdict.
    const std::size_t over = received_ > most ? std::min(received_ - most, bytes.size()) : 0;
    pending_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size() - over);
    const State state = read();
    if (state != State::Reading) return state;
    if (received_ > most || pending_.size() > limits_.header_bytes) return state_ = State::TooLong;
    return state;
  } catch (const std::exception& error) {
    return broken(error.what());
  }
}

AnswerParser::State AnswerParser::read() {
  for (;;) {
    auto& parser = *impl_->parser;
    // The shortest end of a chunked answer, "0", with both its line ends. Of less Beast 1.74 to 1.83 asserts
    // that it cannot be, when it comes in pieces.
    static constexpr std::size_t kLastChunkBytes = 5;
    if (parser.is_header_done() && parser.chunked() && pending_.size() < kLastChunkBytes)
      return State::Reading;
    boost::system::error_code error;
    const std::size_t taken = parser.put(boost::asio::buffer(pending_), error);
    pending_.erase(0, taken);
    const unsigned status = parser.is_header_done() ? parser.get().result_int() : 0;
    impl_->has_status = status >= 200;
    if (error == beast::error::need_more) error = {};
    if (error == beast::error::body_limit) return state_ = State::TooLong;
    if (error) return broken(error.message());
    if (!parser.is_done()) {
      if (taken == 0 || pending_.empty()) return State::Reading;
      continue;
    }
    if (status == 101) return broken("the server changes protocols");
    if (status >= 200) return state_ = State::Done;
    impl_->renew(limits_);  // 100 Continue and its like: the answer comes behind
    if (pending_.empty()) return State::Reading;
  }
}

AnswerParser::State AnswerParser::end() {
  if (state_ != State::Reading) return state_;
  try {
    boost::system::error_code error;
    if (impl_->has_status) impl_->parser->put_eof(error);
    if (!error && impl_->parser->is_done() && impl_->has_status) return state_ = State::Done;
    return broken("the connection ended before an answer");
  } catch (const std::exception& error) {
    return broken(error.what());
  }
}

bool AnswerParser::has_status() const { return impl_->has_status; }
unsigned AnswerParser::status() const { return impl_->parser->get().result_int(); }

std::string_view AnswerParser::reason() const {
  const auto reason = impl_->parser->get().reason();
  return {reason.data(), reason.size()};
}

std::string_view AnswerParser::body() const { return impl_->parser->get().body(); }

bool AnswerParser::keeps_open() const {
  return state_ == State::Done && impl_->parser->keep_alive() && pending_.empty();
}

}  // namespace sluice::net::http
