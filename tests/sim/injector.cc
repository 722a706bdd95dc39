#include "tests/sim/injector.h"

namespace sluice::test {
namespace {

/// Reads complete replies off a stream.
class Replies {
 public:
  explicit Replies(runtime::Stream& stream) : stream_(stream) {}
  /// 0: the connection ended.
  runtime::Task<int> next() {
    for (;;) {
      const std::size_t end = buffer_.find("\r\n");
      if (end != std::string::npos) {
        const std::string line = buffer_.substr(0, end);
        buffer_.erase(0, end + 2);
        last_ = line;
        if (line.size() >= 4 && line[3] == '-') continue;
        co_return line.size() >= 3 ? (line[0] - '0') * 100 + (line[1] - '0') * 10 + (line[2] - '0') : 0;
      }
      const auto input = co_await stream_.receive();
      if (!input || input->bytes().empty()) co_return 0;
      buffer_.append(reinterpret_cast<const char*>(input->bytes().data()), input->bytes().size());
    }
  }
  [[nodiscard]] const std::string& last() const { return last_; }

 private:
  runtime::Stream& stream_;
  std::string buffer_;
  std::string last_;
};

enum class Said { Accepted, Refused, Lost };

runtime::Task<Said> send_one(runtime::Stream& stream, Replies& replies, const Mail& mail, bool& data_sent,
                             std::string& refusal) {
  data_sent = false;
  const std::string from = "MAIL FROM:<" + mail.sender + ">\r\n";
  if (!co_await stream.send(from)) co_return Said::Lost;
  int code = co_await replies.next();
  for (const std::string& recipient : mail.recipients) {
    if (code / 100 != 2) break;
    const std::string command = "RCPT TO:<" + recipient + ">\r\n";
    if (!co_await stream.send(command)) co_return Said::Lost;
    code = co_await replies.next();
  }
  if (code / 100 == 2) {
    if (!co_await stream.send("DATA\r\n")) co_return Said::Lost;
    code = co_await replies.next();
  }
  if (code == 354) {
    std::string text = text_of(mail);
    data_sent = true;
    if (mail.end_at != nullptr) {
      if (!co_await stream.send(text)) co_return Said::Lost;
      co_await mail.end_at->wait();
      text.clear();
    }
    text += ".\r\n";
    if (!co_await stream.send(text)) co_return Said::Lost;
    code = co_await replies.next();
  }
  if (code == 0) co_return Said::Lost;
  if (code / 100 == 2) co_return Said::Accepted;
  refusal = replies.last();
  co_return Said::Refused;
}

}  // namespace

std::string text_of(const Mail& mail) {
  std::string out = "From: sender@sim.test\r\nTo: someone@sim.test\r\nSubject: " + mail.id +
                    "\r\nMessage-ID: <" + mail.id + "@sim>\r\n";
  if (!mail.vmta.empty()) out += "X-Virtual-MTA: " + mail.vmta + "\r\n";
  out += mail.headers;
  out += "\r\n";
  std::size_t line = 0;
  while (out.size() < mail.body_bytes) {
    // Every seventh line begins with a dot, which the wire doubles.
    out += ++line % 7 == 0 ? "..line " : "line ";
    out += std::to_string(line) + " of " + mail.id + " with some text to fill it up\r\n";
  }
  return out;
}

runtime::Task<void> inject(runtime::Reactor& reactor, Endpoint to, std::vector<Mail> mails,
                           Injected& result) {
  std::size_t next = 0;
  while (next < mails.size()) {
    Result<runtime::Stream> stream = co_await runtime::Stream::connect(reactor, to, nullptr, 5s);
    if (!stream) {
      co_await runtime::sleep_for(reactor, 200ms);
      continue;
    }
    stream->set_deadline(reactor.now() + 60s);
    Replies replies(*stream);
    if (co_await replies.next() != 220 || !co_await stream->send("EHLO injector.sim\r\n") ||
        co_await replies.next() != 250) {
      co_await runtime::sleep_for(reactor, 200ms);
      continue;
    }
    while (next < mails.size()) {
      stream->set_deadline(reactor.now() + 60s);
      bool data_sent = false;
      std::string refusal;
      const Said said = co_await send_one(*stream, replies, mails[next], data_sent, refusal);
      if (said == Said::Lost) {
        // Before the data nothing can have been accepted: try it again.
        if (data_sent) result.unknown.push_back(mails[next++]);
        break;
      }
      if (said == Said::Accepted) {
        result.accepted.push_back(mails[next++]);
      } else {
        result.refusals.push_back(refusal);
        if (refusal.starts_with("5") || mails[next].once) ++next;
        break;
      }
    }
  }
}

runtime::Task<void> converse(runtime::Reactor& reactor, Endpoint to, std::vector<std::string> lines,
                             std::vector<std::string>& replies) {
  Result<runtime::Stream> stream = co_await runtime::Stream::connect(reactor, to, nullptr, 5s);
  if (!stream) co_return;
  stream->set_deadline(reactor.now() + 10min);
  Replies in(*stream);
  (void)co_await in.next();
  replies.push_back(in.last());
  bool in_data = false;
  for (const std::string& line : lines) {
    const std::string text = line + "\r\n";
    if (!co_await stream->send(text)) co_return;
    if (in_data && line != ".") continue;
    const int code = co_await in.next();
    replies.push_back(in.last());
    if (code == 0) co_return;
    in_data = code == 354;
  }
}

}  // namespace sluice::test
