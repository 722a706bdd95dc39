#include "tests/sim/answering_host.h"

#include <charconv>
#include <optional>
#include <utility>

#include "engine/runtime/sim/sim_reactor.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::test {
namespace {

/// The input of one connection.
struct Input {
  runtime::Stream& stream;
  std::string buffer = {};

  runtime::Task<bool> more() {
    const auto got = co_await stream.receive();
    if (!got || got->bytes().empty()) co_return false;
    buffer.append(reinterpret_cast<const char*>(got->bytes().data()), got->bytes().size());
    co_return true;
  }
  runtime::Task<std::optional<std::string>> up_to(std::string_view end) {
    for (;;) {
      if (const std::size_t at = buffer.find(end); at != std::string::npos) {
        std::string out = buffer.substr(0, at);
        buffer.erase(0, at + end.size());
        co_return out;
      }
      const bool came = co_await more();
      if (!came) co_return std::nullopt;
    }
  }
  runtime::Task<std::optional<std::string>> bytes(std::size_t count) {
    while (buffer.size() < count) {
      const bool came = co_await more();
      if (!came) co_return std::nullopt;
    }
    std::string out = buffer.substr(0, count);
    buffer.erase(0, count);
    co_return out;
  }
};

}  // namespace

bool Heard::is(std::string_view verb) const { return istarts_with(line, verb); }

std::string willing(const Heard& heard, std::string_view ehlo) {
  if (heard.line.empty()) return "220 mx.test\r\n";
  if (heard.is("EHLO")) return std::string(ehlo);
  if (heard.is("DATA")) return "354 go\r\n";
  if (heard.is("QUIT")) return "221 bye\r\n";
  if (heard.is("MAIL")) return "250 2.1.0 ok\r\n";
  if (heard.is("RCPT")) return "250 2.1.5 ok\r\n";
  if (heard.is("RSET")) return "250 2.0.0 reset\r\n";
  return "250 2.0.0 ok\r\n";
}

AnsweringHost::AnsweringHost(runtime::Reactor& reactor, Endpoint at, Answer answer)
    : reactor_(reactor), answer_(std::move(answer)) {
  Result<runtime::Listener> opened = runtime::Listener::open(reactor, at);
  SLUICE_ASSERT(opened.has_value());
  listener_ = std::move(*opened);
  tasks_.spawn(accept_all());
}

runtime::Task<void> AnsweringHost::accept_all() {
  for (;;) {
    Result<runtime::Stream> stream = co_await listener_.accept();
    if (!stream) co_return;
    tasks_.spawn(serve(std::move(*stream), connections_++));
  }
}

/// False: the connection is over.
runtime::Task<bool> AnsweringHost::say(runtime::Stream& stream, Said said) {
  if (said.waits > Duration{0}) co_await runtime::sleep_for(reactor_, said.waits);
  const std::size_t step = said.each > Duration{0} ? 1 : said.bytes.size();
  for (std::size_t at = 0; at < said.bytes.size(); at += step) {
    const Status sent = co_await stream.send(std::string_view(said.bytes).substr(at, step));
    if (!sent) co_return false;
    if (said.each > Duration{0}) co_await runtime::sleep_for(reactor_, said.each);
  }
  if (said.resets) static_cast<runtime::sim::SimReactor&>(reactor_).reset_connection(stream.fd());
  if (said.stalls > Duration{0}) co_await runtime::sleep_for(reactor_, said.stalls);
  co_return !said.closes && !said.resets && said.stalls == Duration{0};
}

runtime::Task<void> AnsweringHost::serve(runtime::Stream stream, std::size_t number) {
  Input input{stream};
  const auto ask = [&](std::string line, std::string text) {
    return answer_({std::move(line), number, messages_, std::move(text)});
  };
  bool goes_on = co_await say(stream, ask("", ""));
  while (goes_on) {
    const std::optional<std::string> line = co_await input.up_to("\r\n");
    if (!line) co_return;
    heard_.push_back(*line);
    std::string text;
    if (istarts_with(*line, "BDAT ")) {
      std::size_t count = 0;
      std::from_chars(line->data() + 5, line->data() + line->size(), count);
      const Said probe = takes_chunks_ ? Said{} : ask(*line, "");
      const bool is_refused = !takes_chunks_ && !probe.bytes.starts_with("2");
      if (!is_refused) {
        std::optional<std::string> chunk = co_await input.bytes(std::min(count, chunk_bytes_));
        if (!chunk) co_return;
        text = std::move(*chunk);
      }
      const Said said = is_refused ? probe : ask(*line, text);
      if (!is_refused) ++messages_;
      goes_on = co_await say(stream, said);
      if (!is_refused) {
        if (goes_on && chunk_bytes_ < count) {
          const std::optional<std::string> rest = co_await input.bytes(count - chunk_bytes_);
          if (!rest) co_return;
        }
      }
      continue;
    }
    const Said said = ask(*line, "");
    const bool is_data = istarts_with(*line, "DATA") && said.bytes.starts_with("354");
    goes_on = co_await say(stream, said);
    if (!goes_on || istarts_with(*line, "QUIT")) co_return;
    if (!is_data) continue;
    std::optional<std::string> message = co_await input.up_to("\r\n.\r\n");
    if (!message) co_return;
    const Said verdict = ask(".", *message);
    ++messages_;
    goes_on = co_await say(stream, verdict);
  }
}

}  // namespace sluice::test
