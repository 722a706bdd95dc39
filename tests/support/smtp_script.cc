#include "tests/support/smtp_script.h"

#include <charconv>
#include <optional>

#include "engine/runtime/sim/sim_reactor.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::test {
namespace {

using runtime::Reactor;
using runtime::Stream;
using runtime::Task;

std::string on_the_wire(std::string_view lines) {
  std::string out;
  while (!lines.empty()) {
    const std::size_t end = lines.find('\n');
    out += lines.substr(0, end);
    out += "\r\n";
    lines.remove_prefix(end == std::string_view::npos ? lines.size() : end + 1);
  }
  return out;
}

/// Reads lines and counted bytes from a stream.
class Reader {
 public:
  explicit Reader(Stream& stream) : stream_(stream) {}

  /// Without the line end; nullopt: the stream has ended or failed first.
  Task<std::optional<std::string>> line() {
    for (;;) {
      const std::size_t end = pending_.find("\r\n");
      if (end != std::string::npos) {
        std::string out = pending_.substr(0, end);
        pending_.erase(0, end + 2);
        co_return out;
      }
      if (pending_.size() > Conversation::kLineMax || !co_await more()) co_return std::nullopt;
    }
  }
  Task<std::optional<std::string>> bytes(std::size_t count) {
    while (pending_.size() < count) {
      if (!co_await more()) co_return std::nullopt;
    }
    std::string out = pending_.substr(0, count);
    pending_.erase(0, count);
    co_return out;
  }
  /// Up to the line with a single dot, without it; leading dots doubled by the sender are undone.
  Task<std::optional<std::string>> message() {
    std::string out;
    for (;;) {
      std::optional<std::string> one = co_await line();
      if (!one) co_return std::nullopt;
      if (*one == ".") co_return out;
      if (one->starts_with('.')) one->erase(0, 1);
      out += *one + "\r\n";
    }
  }
  /// Throws away what comes until the end.
  Task<void> to_the_end() {
    // Not `while (co_await ...)`: g++ 12 makes a trap of it.
    for (bool some = true; some; some = co_await more()) pending_.clear();
  }
  [[nodiscard]] const std::string& pending() const { return pending_; }

 private:
  Task<bool> more() {
    const Result<runtime::ReceivedBytes> got = co_await stream_.receive();
    if (!got || got->bytes().empty()) co_return false;
    const auto bytes = got->bytes();
    pending_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    co_return true;
  }
  Stream& stream_;
  std::string pending_;
};

runtime::sim::SimReactor& simulated(Reactor& reactor) {
  auto* sim = dynamic_cast<runtime::sim::SimReactor*>(&reactor);
  SLUICE_ASSERT(sim != nullptr);  // a real kernel offers no such call through a Reactor
  return *sim;
}

/// A willing server. Answers true when the conversation is over.
Task<bool> accept_mail(Stream& stream, Reader& reader, std::string ehlo, Conversation& conversation) {
  for (;;) {
    const std::optional<std::string> command = co_await reader.line();
    if (!command) co_return true;
    conversation.heard.push_back(*command);
    std::string answer = "250 2.0.0 ok\r\n";
    if (istarts_with(*command, "EHLO") || istarts_with(*command, "HELO")) {
      answer = ehlo;
    } else if (istarts_with(*command, "DATA")) {
      if (!co_await stream.send("354 go on\r\n")) co_return true;
      std::optional<std::string> message = co_await reader.message();
      if (!message) co_return true;
      conversation.messages.push_back(std::move(*message));
    } else if (istarts_with(*command, "BDAT ")) {
      std::size_t count = 0;
      std::from_chars(command->data() + 5, command->data() + command->size(), count);
      std::optional<std::string> chunk = co_await reader.bytes(count);
      if (!chunk) co_return true;
      conversation.messages.push_back(std::move(*chunk));
    } else if (istarts_with(*command, "QUIT")) {
      static_cast<void>(co_await stream.send("221 2.0.0 bye\r\n"));
      co_return true;
    }
    if (!co_await stream.send(answer)) co_return true;
  }
}

}  // namespace

bool matches(std::string_view pattern, std::string_view text) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return pattern == text;
  if (!text.starts_with(pattern.substr(0, star))) return false;
  text.remove_prefix(star);
  pattern.remove_prefix(star + 1);
  for (std::size_t skip = 0; skip <= text.size(); ++skip) {
    if (matches(pattern, text.substr(skip))) return true;
  }
  return false;
}

SmtpScript& SmtpScript::add(Step step) {
  steps_.push_back(std::move(step));
  return *this;
}
SmtpScript& SmtpScript::says(std::string_view lines) {
  return add({.what = Do::Say, .text = on_the_wire(lines)});
}
SmtpScript& SmtpScript::says_raw(std::string_view bytes) {
  return add({.what = Do::Say, .text = std::string(bytes)});
}
SmtpScript& SmtpScript::says_slowly(std::string_view lines, Duration between) {
  return add({.what = Do::SaySlowly, .text = on_the_wire(lines), .time = between});
}
SmtpScript& SmtpScript::expects(std::string_view pattern) {
  return add({.what = Do::Expect, .text = std::string(pattern)});
}
SmtpScript& SmtpScript::expects_message() { return add({.what = Do::ExpectMessage, .text = {}}); }
SmtpScript& SmtpScript::expects_bytes(std::size_t count) {
  return add({.what = Do::ExpectBytes, .text = {}, .count = count});
}
SmtpScript& SmtpScript::expects_end() { return add({.what = Do::ExpectEnd, .text = {}}); }
SmtpScript& SmtpScript::waits(Duration time) { return add({.what = Do::Wait, .text = {}, .time = time}); }
SmtpScript& SmtpScript::stalls() { return add({.what = Do::Stall, .text = {}}); }
SmtpScript& SmtpScript::closes() { return add({.what = Do::Close, .text = {}}); }
SmtpScript& SmtpScript::resets() { return add({.what = Do::Reset, .text = {}}); }
SmtpScript& SmtpScript::half_closes() { return add({.what = Do::HalfClose, .text = {}}); }
SmtpScript& SmtpScript::accepts_mail(std::string_view ehlo_lines) {
  return add({.what = Do::AcceptMail, .text = on_the_wire(ehlo_lines)});
}

Task<void> play(Reactor& reactor, Stream stream, SmtpScript script, Conversation& conversation) {
  Reader reader(stream);
  const Result<Endpoint> peer = reactor.peer_endpoint(stream.fd());
  if (peer) conversation.peer = *peer;
  for (std::size_t number = 0; number < script.steps().size() && conversation.failure.empty(); ++number) {
    const SmtpScript::Step& step = script.steps()[number];
    const auto fails = [&](std::string_view instead) {
      conversation.failure = "step " + std::to_string(number + 1) + ", expected '" + step.text + "': ";
      conversation.failure += instead;
    };
    bool over = false;
    switch (step.what) {
      case SmtpScript::Do::Say:
        if (!co_await stream.send(step.text)) fails("the other side was gone when this was said");
        break;
      case SmtpScript::Do::SaySlowly:
        for (const char& one : step.text) {
          if (!co_await stream.send(std::string_view(&one, 1))) {
            over = true;  // patience is what such a step tests
            break;
          }
          co_await runtime::sleep_for(reactor, step.time);
        }
        break;
      case SmtpScript::Do::Expect: {
        const std::optional<std::string> line = co_await reader.line();
        if (line) conversation.heard.push_back(*line);
        if (!line) {
          fails("the stream ended, after '" + reader.pending() + "'");
        } else if (!matches(step.text, *line)) {
          fails("heard '" + *line + "'");
        }
        break;
      }
      case SmtpScript::Do::ExpectMessage:
      case SmtpScript::Do::ExpectBytes: {
        const bool counted = step.what == SmtpScript::Do::ExpectBytes;
        // Not a conditional expression: g++ 12 destroys what is awaited inside one twice.
        std::optional<std::string> message;
        if (counted) {
          message = co_await reader.bytes(step.count);
        } else {
          message = co_await reader.message();
        }
        if (message) {
          conversation.messages.push_back(std::move(*message));
        } else {
          fails("the stream ended within the message");
        }
        break;
      }
      case SmtpScript::Do::ExpectEnd: {
        const std::optional<std::string> line = co_await reader.line();
        if (line) fails("heard '" + *line + "' instead of the end");
        break;
      }
      case SmtpScript::Do::Wait: co_await runtime::sleep_for(reactor, step.time); break;
      case SmtpScript::Do::Stall:
        co_await reader.to_the_end();
        over = true;
        break;
      case SmtpScript::Do::Close: over = true; break;
      case SmtpScript::Do::Reset:
        simulated(reactor).reset_connection(stream.fd());
        over = true;
        break;
      case SmtpScript::Do::HalfClose: reactor.end_output(stream.fd()); break;
      case SmtpScript::Do::AcceptMail:
        over = co_await accept_mail(stream, reader, step.text, conversation);
        break;
    }
    if (over) break;
  }
  conversation.finished = true;
}

ScriptedHost::ScriptedHost(Reactor& reactor, Endpoint at) : reactor_(reactor) {
  otherwise_.says("220 mx.test ESMTP").accepts_mail();
  Result<runtime::Listener> listener = runtime::Listener::open(reactor, at);
  SLUICE_ASSERT(listener.has_value());
  listener_ = std::move(*listener);
  start(serve());
}

ScriptedHost& ScriptedHost::next(SmtpScript script) {
  scripts_.push_back(std::move(script));
  return *this;
}

ScriptedHost& ScriptedHost::otherwise(SmtpScript script) {
  otherwise_ = std::move(script);
  return *this;
}

Task<void> ScriptedHost::serve() {
  for (;;) {
    Result<Stream> stream = co_await listener_.accept();
    if (!stream && stream.error().code == Errc::Cancelled) co_return;
    if (!stream) {
      co_await runtime::sleep_for(reactor_, 10ms);
      continue;
    }
    SmtpScript script = scripts_.empty() ? otherwise_ : std::move(scripts_.front());
    if (!scripts_.empty()) scripts_.pop_front();
    start(converse(std::move(*stream), std::move(script), conversations_.emplace_back()));
  }
}

Task<void> ScriptedHost::converse(Stream stream, SmtpScript script, Conversation& conversation) {
  ++playing_;
  co_await play(reactor_, std::move(stream), std::move(script), conversation);
  --playing_;
}

std::vector<std::string> ScriptedHost::messages() const {
  std::vector<std::string> out;
  for (const Conversation& one : conversations_)
    out.insert(out.end(), one.messages.begin(), one.messages.end());
  return out;
}

std::string ScriptedHost::failure() const {
  for (const Conversation& one : conversations_) {
    if (!one.failure.empty()) return one.failure;
  }
  return {};
}

}  // namespace sluice::test
