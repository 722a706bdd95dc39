// Goal: same replies and messages for every fragment size, exactly one end for every message begun, no
// bare line end in an accepted message, every reply a line.
// How: any bytes of a client; the first byte chooses settings.

#include <cstdint>
#include <string>

#include "net/smtp/server.h"
#include "policy/base/assert.h"

namespace {

using namespace sluice;
using namespace sluice::net;

constexpr std::uint8_t kStartTls = 128;

class Owner final : public ServerOwner {
 public:
  std::string told;
  bool in_mail = false;
  bool in_message = false;
  bool refuses = false;
  std::string body;
  int answers = 0;

  Answer on_hello(std::string_view name, bool) override { return tell("hello " + std::string(name)); }
  Answer on_mail(const MailCommand& mail) override {
    SLUICE_ASSERT(!in_mail && !in_message);
    const Answer answer = tell("mail " + std::string(mail.sender.text()));
    in_mail = answer.code == 0;
    return answer;
  }
  Answer on_rcpt(const RcptCommand& rcpt) override {
    SLUICE_ASSERT(in_mail);
    return tell("rcpt " + std::string(rcpt.recipient.text()));
  }
  Answer on_data(std::uint32_t recipients) override {
    SLUICE_ASSERT(in_mail && !in_message && recipients > 0);
    const Answer answer = tell("data");
    in_message = answer.code == 0;
    body.clear();
    return answer;
  }
  Answer on_message_bytes(std::span<const std::byte> bytes) override {
    SLUICE_ASSERT(in_message && !bytes.empty());
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return Answer::accept();
  }
  Answer on_message_end(MessageSeq, const BodyFacts& facts) override {
    SLUICE_ASSERT(in_message && facts.bytes == body.size());
    SLUICE_ASSERT(body.empty() || body.ends_with("\r\n"));
    for (std::size_t i = 0; i < body.size(); ++i) {
      if (body[i] == '\n') SLUICE_ASSERT(i > 0 && body[i - 1] == '\r');
      if (body[i] == '\r') SLUICE_ASSERT(i + 1 < body.size() && body[i + 1] == '\n');
      if (body[i] == '.' && (i == 0 || body[i - 1] == '\n')) SLUICE_ASSERT(facts.has_dot_lines);
    }
    in_mail = in_message = false;
    return tell("end " + body);
  }
  Answer on_auth(const SaslClaim& claim, std::string_view) override {
    SLUICE_ASSERT(!in_mail && !claim.user.empty());
    return tell("auth " + claim.user);
  }
  void on_message_dropped(Dropped) override {
    SLUICE_ASSERT(in_message);
    in_mail = in_message = false;
    told += "dropped\n";
  }
  void on_reset() override {
    SLUICE_ASSERT(in_mail && !in_message);
    in_mail = false;
    told += "reset\n";
  }

 private:
  Answer tell(const std::string& line) {
    told += line + '\n';
    ++answers;
    if (refuses && answers % 3 == 0) return Answer::reply(550, "5.0.0 no");
    return Answer::accept();
  }
};

std::string run(std::span<const std::byte> input, std::uint8_t choice, std::size_t fragment) {
  ServerSettings settings;
  settings.host = "h";
  if ((choice & 1U) != 0) settings.bare_lf = ServerSettings::BareLf::Normalise;
  if ((choice & 2U) != 0) settings.message_bytes_max = 50;
  if ((choice & 4U) != 0) settings.recipients_max = 2;
  Owner owner;
  owner.refuses = (choice & 8U) != 0;
  settings.accept_invalid_recipients = (choice & 16U) != 0;
  settings.disconnect_on_transient_error = (choice & 32U) != 0;
  if ((choice & 64U) != 0) settings.auth = {.plain = true, .login = true, .cram_md5 = true};
  settings.offer_starttls = (choice & kStartTls) != 0;
  Server server(settings, owner);
  server.start();
  while (!input.empty()) {
    server.feed(input.first(std::min(fragment, input.size())));
    input = input.subspan(std::min(fragment, input.size()));
    if (settings.offer_starttls) {
      server.consumed(server.output().size());
      if (server.wants_tls()) server.on_tls_ready();
    }
  }
  std::string replies;
  for (auto bytes = server.output(); !bytes.empty(); bytes = server.output()) {
    replies.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    server.consumed(bytes.size());
  }
  SLUICE_ASSERT(settings.offer_starttls || replies.ends_with("\r\n"));
  for (std::size_t at = 0; at < replies.size(); at = replies.find("\r\n", at) + 2) {
    SLUICE_ASSERT(replies[at] >= '2' && replies[at] <= '5');
  }
  server.on_closed();
  SLUICE_ASSERT(!owner.in_message && !owner.in_mail);
  return owner.told + replies;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto input = std::as_bytes(std::span(data + 1, size - 1));
  const std::string whole = run(input, data[0], SIZE_MAX);
  // What counts as sent behind STARTTLS depends on how it arrives.
  if ((data[0] & kStartTls) != 0) {
    (void)run(input, data[0], 5);
    return 0;
  }
  SLUICE_ASSERT(run(input, data[0], 1) == whole);
  SLUICE_ASSERT(run(input, data[0], 5) == whole);
  return 0;
}
