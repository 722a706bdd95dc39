#include "bench/sink/stats_server.h"

#include <fmt/format.h>

namespace sluice::bench {

using runtime::Stream;
using runtime::Task;

Status StatsServer::open(const std::string& path) {
  auto listener = runtime::Listener::open_unix(reactor_, path, 0600);
  if (!listener) return std::unexpected(listener.error());
  listener_ = *std::move(listener);
  open_ = true;
  tasks_.spawn(accept());
  return {};
}

Task<void> StatsServer::stop() {
  stopping_ = true;
  if (open_) listener_.stop();
  for (Stream* client : clients_) client->abort();
  co_await tasks_.join();
}

Task<void> StatsServer::accept() {
  while (!stopping_) {
    auto stream = co_await listener_.accept();
    if (stream) tasks_.spawn(serve(*std::move(stream)));
  }
}

Task<void> StatsServer::serve(Stream stream) {
  clients_.push_back(&stream);
  stream.set_deadline(reactor_.now() + kClientTime);
  std::string request;
  while (request.find('\n') == std::string::npos && request.size() < kRequestMax) {
    const auto got = co_await stream.receive();
    if (!got || got->bytes().empty()) break;
    request.append(reinterpret_cast<const char*>(got->bytes().data()), got->bytes().size());
  }
  std::string answer;
  if (request.starts_with("text")) {
    answer = render_(Form::Text);
  } else if (request.starts_with("GET ")) {
    const std::string body = render_(Form::Json);
    answer = fmt::format(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n"
        "Connection: close\r\n\r\n{}",
        body.size(), body);
  } else {
    answer = render_(Form::Json);
  }
  // A client that has gone meanwhile asked in vain.
  std::ignore = co_await stream.send(std::string_view(answer));
  std::erase(clients_, &stream);
}

}  // namespace sluice::bench
