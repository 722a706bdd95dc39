#include "engine/control/command.h"

#include <cerrno>
#include <utility>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::control {
namespace {

constexpr Duration kConnectTime = 10s;  // many clients at once

}  // namespace

std::optional<Command> Command::of(const std::vector<std::string>& arguments) {
  Command out;
  out.given = arguments;
  for (const std::string& one : arguments) {
    if (!one.starts_with("--")) {
      out.words.push_back(one);
      continue;
    }
    const std::size_t equals = one.find('=');
    out.options.emplace_back(
        to_lower(std::string_view(one).substr(2, equals == std::string::npos ? equals : equals - 2)),
        equals == std::string::npos ? std::string() : one.substr(equals + 1));
  }
  if (out.words.empty()) return std::nullopt;
  return out;
}

std::optional<std::string_view> Command::option(std::string_view name) const {
  for (const auto& [key, value] : options) {
    if (key == name) return value;
  }
  return std::nullopt;
}

Answer in_format(const Command& command, Answer answer) {
  const std::string_view text =
      std::string_view(answer.text).substr(0, answer.text.find_last_not_of('\n') + 1);
  if (command.has("xml")) {
    answer.text = answer.ok && answer.tree ? answer.tree->xml() : Tree::xml_text(text, answer.ok);
  } else if (command.has("json")) {
    answer.text = answer.ok && answer.tree ? answer.tree->json() : Tree::json_text(text, answer.ok);
  } else if (command.has("dom") && answer.ok && answer.tree) {
    answer.text = answer.tree->dom();
  }
  return answer;
}

std::string encode_request(const std::vector<std::string>& arguments) {
  std::string out;
  for (const std::string& one : arguments) {
    out += one;
    out += '\0';
  }
  return out;
}

std::optional<std::vector<std::string>> decode_request(std::string_view bytes) {
  std::vector<std::string> out;
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    out.emplace_back(bytes.substr(0, end));
    bytes.remove_prefix(end + 1);
  }
  return out;
}

std::optional<Answer> decode_answer(std::string_view bytes) {
  if (bytes.empty() || (bytes.front() != '+' && bytes.front() != '-')) return std::nullopt;
  return Answer{bytes.front() == '+', std::string(bytes.substr(1))};
}

CommandServer::CommandServer(runtime::Reactor& reactor, CommandHandler handler)
    : reactor_(reactor), handler_(std::move(handler)) {}

CommandServer::~CommandServer() { SLUICE_ASSERT(tasks_.running() == 0); }

runtime::Task<std::expected<void, std::string>> CommandServer::open(std::string path) {
  auto opened = co_await place_.take(reactor_, std::move(path));
  if (!opened) co_return std::unexpected(opened.error());
  listener_ = std::move(*opened);
  co_return std::expected<void, std::string>();
}

runtime::Task<void> CommandServer::accept_all() {
  for (;;) {
    Result<runtime::Stream> client = co_await listener_.accept();
    if (!client) {
      if (client.error().code == Errc::Cancelled) co_return;
      co_await runtime::sleep_for(reactor_, 100ms);
      continue;
    }
    try {
      if (clients_ < kClientsMax) {
        tasks_.spawn(serve(std::move(*client)));
      } else if (turned_away_ < kClientsMax) {
        tasks_.spawn(turn_away(std::move(*client)));
      }
    } catch (...) {  // no memory for one more
      reactor_.count_contained();
    }
  }
}

void CommandServer::limit(runtime::Stream& stream, Duration time) {
  const MonoTime end = reactor_.now() + time;
  stream.set_deadline(stops_at_ ? std::min(end, *stops_at_) : end);
}

runtime::Task<void> CommandServer::serve(runtime::Stream stream) {
  ++clients_;
  try {
    co_await converse(std::move(stream));
  } catch (...) {  // no answer, then
    reactor_.count_contained();
  }
  --clients_;
}

/// An exception is the answer to the command that met it.
runtime::Task<Answer> CommandServer::handle(const Command& command, Reply& reply) {
  std::string words;
  try {
    co_return co_await handler_(command, reply);
  } catch (...) {
    words = runtime::current_exception_text();
  }
  reactor_.count_contained();
  co_return Answer::error("internal error: " + words + '\n');
}

runtime::Task<void> CommandServer::converse(runtime::Stream stream) {
  const Listed listed(streams_, stream);
  limit(stream, kClientTimeout);
  std::string request;
  bool complete = false;
  while (request.size() <= kRequestBytesMax) {
    const Result<runtime::ReceivedBytes> input = co_await stream.receive();
    if (!input) break;
    const auto bytes = input->bytes();
    if (bytes.empty()) {
      complete = true;
      break;
    }
    request.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  const auto arguments = complete ? decode_request(request) : std::nullopt;
  if (arguments) {
    const std::optional<Command> command = Command::of(*arguments);
    if (command) co_await answer(stream, *command);
    limit(stream, kSliceTimeout);
    if (!command) (void)co_await stream.send("-no command given\n");
  }
}

/// A client that takes a long answer. Where a send fails it went away, or does not read, and misses the rest.
class CommandServer::LongAnswer final : public Reply::Sink {
 public:
  LongAnswer(CommandServer& server, runtime::Stream& stream) : server_(server), stream_(stream) {}
  runtime::Task<bool> take(std::string bytes) override {
    if (std::exchange(first_, false)) bytes.insert(bytes.begin(), '+');
    server_.limit(stream_, kSliceTimeout);
    const Status sent = co_await stream_.send(bytes);
    stream_.clear_deadline();
    co_return sent.has_value();
  }

 private:
  CommandServer& server_;
  runtime::Stream& stream_;
  bool first_ = true;
};

runtime::Task<void> CommandServer::answer(runtime::Stream& stream, const Command& command) {
  stream.clear_deadline();
  LongAnswer to_client(*this, stream);
  Reply reply(command, to_client);
  Answer short_one = co_await handle(command, reply);
  if (reply.begun()) {
    [[maybe_unused]] const bool read = co_await reply.end();
    co_return;
  }
  short_one = in_format(command, std::move(short_one));
  short_one.text.insert(short_one.text.begin(), short_one.ok ? '+' : '-');
  limit(stream, kSliceTimeout);
  [[maybe_unused]] const Status sent = co_await stream.send(short_one.text);
}

runtime::Task<void> CommandServer::turn_away(runtime::Stream stream) {
  ++turned_away_;
  try {
    co_await bid_farewell(std::move(stream));
  } catch (...) {  // no words, then
    reactor_.count_contained();
  }
  --turned_away_;
}

/// Says why, and reads what the client sends meanwhile: a close before that would take the words along.
runtime::Task<void> CommandServer::bid_farewell(runtime::Stream stream) {
  const Listed listed(streams_, stream);
  limit(stream, kFarewellTime);
  const std::string text =
      "-too many commands at once, " + std::to_string(kClientsMax) + " at most; try again in a moment\n";
  const Status sent = co_await stream.send(text);
  reactor_.end_output(stream.fd());
  for (bool reads = sent.has_value(); reads;) {
    const Result<runtime::ReceivedBytes> input = co_await stream.receive();
    reads = input && !input->bytes().empty();
  }
}

runtime::Task<void> CommandServer::stop() {
  if (listener_) listener_.stop();
  stops_at_ = reactor_.now() + kFarewellTime;
  for (runtime::Stream* stream : streams_) stream->set_deadline(*stops_at_);
  co_await tasks_.join();
  listener_ = runtime::Listener();
  co_await place_.leave(reactor_);
}

runtime::Task<Result<Answer>> ask(runtime::Reactor& reactor, std::string path,
                                  std::vector<std::string> arguments) {
  const Result<int> fd = reactor.unix_socket();
  if (!fd) co_return std::unexpected(fd.error());
  const MonoTime end = reactor.now() + kConnectTime;
  Status connected = reactor.connect_unix(*fd, path);
  while (!connected && connected.error().sys_errno == EAGAIN && reactor.now() < end) {
    co_await runtime::sleep_for(reactor, 20ms);
    connected = reactor.connect_unix(*fd, path);
  }
  if (!connected) {
    reactor.close_now(*fd);
    co_return std::unexpected(connected.error());
  }
  runtime::Stream stream(reactor, *fd);
  const std::string request = encode_request(arguments);
  if (const Status sent = co_await stream.send(request); !sent) co_return std::unexpected(sent.error());
  reactor.end_output(*fd);
  std::string reply;
  for (;;) {
    const Result<runtime::ReceivedBytes> input = co_await stream.receive();
    if (!input) co_return std::unexpected(input.error());
    const auto bytes = input->bytes();
    if (bytes.empty()) break;
    reply.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  const auto answer = decode_answer(reply);
  if (!answer) co_return fail(Errc::PeerClosed, "the daemon closed without an answer");
  co_return *answer;
}

}  // namespace sluice::control
