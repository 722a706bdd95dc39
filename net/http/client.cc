#include "net/http/client.h"

#include <algorithm>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/serializer.hpp>
#include <boost/beast/http/span_body.hpp>
#include <exception>
#include <optional>

#include "net/http/answer_parser.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::net::http {
namespace {

namespace beast = boost::beast::http;
using Body = beast::span_body<const char>;

bool is_token_char(char c) {
  return is_alpha(c) || is_digit(c) || std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

}  // namespace

struct Client::Impl {
  std::optional<beast::request<Body>> request;
  std::optional<beast::request_serializer<Body>> serializer;
  std::optional<AnswerParser> parser;
};

Client::Client() : impl_(std::make_unique<Impl>()) {}
Client::~Client() = default;

void Client::begin(const Request& request) {
  SLUICE_ASSERT(state_ == State::Idle || reusable());
  response_ = {};
  fault_.clear();
  reusable_ = false;
  state_ = State::Busy;
  parts_.clear();
  try {
    make_request(request);
    impl_->parser.emplace(AnswerParser::Limits{kHeaderBytesMax, kBodyBytesMax});
    next_output();
  } catch (const std::exception& error) {  // a field longer than the library takes
    parts_.clear();
    fail(std::string("the request cannot be made: ") + error.what());
  }
}

void Client::make_request(const Request& request) {
  const auto text = [](std::string_view view) { return boost::string_view(view.data(), view.size()); };
  impl_->serializer.reset();
  impl_->request.emplace(beast::verb::post, text(request.target), 11);
  auto& message = *impl_->request;
  message.set(beast::field::host, text(request.authority));
  message.set(beast::field::content_type, text(request.content_type));
  for (const Field& field : request.fields) {
    const bool ours = iequals(field.first, "Host") || iequals(field.first, "Content-Length") ||
                      iequals(field.first, "Transfer-Encoding") || iequals(field.first, "Connection");
    if (!ours) message.set(text(field.first), text(field.second));
  }
  message.body() = boost::beast::span<const char>(request.body.data(), request.body.size());
  message.prepare_payload();
  impl_->serializer.emplace(message);
}

void Client::next_output() {
  parts_.clear();
  if (impl_->serializer->is_done()) return;
  boost::system::error_code error;
  impl_->serializer->next(error, [this](boost::system::error_code&, const auto& buffers) {
    for (auto at = boost::asio::buffer_sequence_begin(buffers);
         at != boost::asio::buffer_sequence_end(buffers); ++at) {
      const boost::asio::const_buffer part = *at;
      if (part.size() != 0) parts_.push_back({static_cast<const std::byte*>(part.data()), part.size()});
    }
  });
  SLUICE_ASSERT(!error);
}

void Client::consumed() {
  std::size_t bytes = 0;
  for (const auto& part : parts_) bytes += part.size();
  impl_->serializer->consume(bytes);
  next_output();
}

void Client::fail(std::string why) {
  fault_ = std::move(why);
  state_ = State::Failed;
}

void Client::on_bytes(std::span<const std::byte> bytes) {
  if (state_ != State::Busy) {
    // Nobody asked for this: whatever comes next could be taken for the answer to the next request.
    if (!bytes.empty()) reusable_ = false;
    return;
  }
  switch (impl_->parser->put(bytes)) {
    case AnswerParser::State::Reading: return;
    case AnswerParser::State::Done: return complete();
    case AnswerParser::State::TooLong:
      if (impl_->parser->has_status()) return complete();
      return fail("the server's answer is too long");
    case AnswerParser::State::Broken:
      return fail("the server's answer is not HTTP (" + impl_->parser->fault() + ')');
  }
}

void Client::complete() {
  const AnswerParser& answer = *impl_->parser;
  response_.status = answer.status();
  response_.reason = answer.reason().substr(0, kReasonKeptMax);
  response_.body = answer.body().substr(0, kBodyKeptMax);
  reusable_ = answer.keeps_open() && impl_->serializer->is_done();
  state_ = State::Done;
}

void Client::on_closed() {
  reusable_ = false;
  if (state_ == State::Idle) state_ = State::Failed;
  if (state_ != State::Busy) return;
  static_cast<void>(impl_->parser->end());
  // Once a final status was read, what is missing of its explanation does not matter.
  if (!impl_->parser->has_status()) return fail("the connection ended before an answer");
  complete();
  reusable_ = false;
}

FieldsOrError parse_fields(std::string_view text) {
  FieldsOrError out;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (trim(line).empty() || line.starts_with('#')) continue;
    const auto wrong = [&](std::string_view what) {
      return FieldsOrError{{}, "line " + std::to_string(number) + ": " + std::string(what)};
    };
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return wrong("expected \"Name: value\"");
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trim(line.substr(colon + 1));
    if (name.empty() || !std::all_of(name.begin(), name.end(), is_token_char)) return wrong("bad field name");
    if (std::any_of(value.begin(), value.end(), [](char c) {
          return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
        })) {
      return wrong("control character in the value");
    }
    out.fields.emplace_back(name, value);
  }
  return out;
}

}  // namespace sluice::net::http
