// Goal: every transaction ends exactly once, positive ends come only with a 2xx reply, and the stream the
// client writes is made of whole commands and bodies.
// How: any bytes of a server, in fragments of any size. The input is a list of steps: a byte that says what
// to do, and for server bytes a length.

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "net/smtp/client.h"
#include "policy/base/assert.h"

namespace {

using namespace sluice;
using namespace sluice::net;

class Owner final : public ClientEvents {
 public:
  std::map<std::uint64_t, int> ends;
  int over = 0;
  bool tls_wanted = false;

  void on_ready(const Capabilities&) override { SLUICE_ASSERT(over == 0); }
  void on_tls_wanted() override { tls_wanted = true; }
  void on_recipient(TransactionTag tag, std::uint32_t index, const SmtpReply& reply) override {
    SLUICE_ASSERT(over == 0 && !ends.contains(tag.raw()) && index < 2 && reply.code >= 200);
  }
  void on_finished(TransactionTag tag, Ending ending, ClientPhase phase, const SmtpReply& reply) override {
    SLUICE_ASSERT(over == 0);
    SLUICE_ASSERT(++ends[tag.raw()] == 1);
    if (ending == Ending::Replied) {
      SLUICE_ASSERT(reply.code >= 200 && reply.code < 600 && (reply.code < 300 || reply.code >= 400));
      SLUICE_ASSERT(reply.code >= 400 || phase == ClientPhase::FinalReply);
    }
  }
  void on_over(ClientFault, ClientPhase, const SmtpReply&) override { SLUICE_ASSERT(++over == 1); }
};

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  [[nodiscard]] bool empty() const { return at_ == size_; }
  std::uint8_t byte() { return empty() ? std::uint8_t{0} : data_[at_++]; }
  std::span<const std::byte> bytes(std::size_t count) {
    count = std::min(count, size_ - at_);
    const auto out = std::as_bytes(std::span(data_ + at_, count));
    at_ += count;
    return out;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
};

constexpr std::string_view kBody = ".\r\nbody\r\n..x\r\n";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const std::uint8_t choice = input.byte();
  ClientSettings settings;
  settings.helo_name = "c";
  settings.close_on_421 = (choice & 1U) != 0;
  settings.tls = (choice & 2U) != 0 ? ClientSettings::Tls::IfOffered : ClientSettings::Tls::Never;
  settings.ignore.chunking = (choice & 4U) != 0;
  Owner owner;
  Client client(settings, owner);
  std::uint64_t added = 0;
  std::string stream;
  const std::array<OutgoingRecipient, 2> recipients{{{.address = "b@y"}, {.address = "c@y"}}};
  const std::array<Bytes, 2> body{std::as_bytes(std::span(kBody.substr(0, 3))),
                                  std::as_bytes(std::span(kBody.substr(3)))};
  while (!input.empty() && !client.is_over()) {
    const std::uint8_t step = input.byte();
    switch (step % 8) {
      case 0: {
        const bool room = client.free_slots() > 0;
        const auto result = client.add({.tag = TransactionTag(added + 1),
                                        .sender = "a@x",
                                        .recipients = std::span(recipients).first(1 + step / 128U),
                                        .body = body,
                                        .has_dot_lines = true});
        if (result == Client::Add::Accepted) ++added;
        SLUICE_ASSERT(room || result == Client::Add::NoSlot);
        break;
      }
      case 1:
      case 2: {
        std::vector<Bytes> room(1 + step / 64U);
        const std::size_t count = client.output(room);
        std::string shown;
        for (std::size_t i = 0; i < count; ++i) {
          SLUICE_ASSERT(!room[i].empty());
          shown.append(reinterpret_cast<const char*>(room[i].data()), room[i].size());
        }
        if (step % 8 == 1) shown.resize(std::min<std::size_t>(shown.size(), 1 + step / 8U));
        client.consumed(shown.size());
        stream += shown;
        break;
      }
      case 7:
        if (step > 250) client.quit();
        if (owner.tls_wanted && !client.is_over() && client.phase() == ClientPhase::StartTls) {
          owner.tls_wanted = false;
          client.on_tls_ready();
        }
        break;
      default: {
        if (owner.tls_wanted) break;
        const std::size_t length = input.byte();
        client.on_bytes(input.bytes(length));
      }
    }
    (void)client.phase();
    SLUICE_ASSERT(client.in_flight() == added - owner.ends.size() || client.is_over());
  }
  client.on_closed((choice & 8U) != 0 ? Client::Unconsumed::NotSent : Client::Unconsumed::MayBeSent);
  SLUICE_ASSERT(owner.over == 1 && owner.ends.size() == added);
  // Bodies appear whole, stuffed or as chunks; nothing else holds the word.
  for (std::size_t at = stream.find("body"); at != std::string::npos; at = stream.find("body", at + 1)) {
    const std::string_view before = std::string_view(stream).substr(0, at);
    SLUICE_ASSERT(before.ends_with("DATA\r\n..\r\n") || before.ends_with("LAST\r\n.\r\n") ||
                  before.ends_with("\n..\r\n"));
  }
  return 0;
}
