// Goal: client and server understand each other in every mode, and when the connection dies at any byte, in
// either direction, every transaction is told apart rightly: what is safe to retry was not delivered, what is
// said to be delivered was, and "unknown" is said only of messages that were sent whole.
// How: both machines are pumped in memory with a budget of bytes per direction; afterwards what the client
// says is held against what the server got. Then the rest is sent again over a second connection: nothing is
// lost, and only an unknown one may be there twice.

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "tests/net/smtp/client_script.h"
#include "tests/net/smtp/server_rig.h"

namespace sluice::net::test {
namespace {

struct PairMail {
  std::uint64_t tag = 0;
  std::vector<std::string> recipients;
  std::vector<std::string> body;
  bool dots = false;
  bool sender_refused = false;
  bool all_refused = false;
};

const std::vector<PairMail>& mails() {
  static const std::vector<PairMail> kMails = {
      {.tag = 1, .recipients = {"b@y"}, .body = {"Subject: 1\r\n", "\r\none\r\n"}},
      {.tag = 2, .recipients = {"b@y", "no@y", "c@y"}, .body = {".\r\n..x\r\n"}, .dots = true},
      {.tag = 3, .recipients = {"no@y"}, .body = {"three\r\n"}, .all_refused = true},
      {.tag = 4, .recipients = {"b@y"}, .body = {"four\r\n"}},
      {.tag = 5, .recipients = {"b@y"}, .body = {"five\r\n"}, .sender_refused = true},
      {.tag = 6, .recipients = {"c@y"}, .body = {}},
      {.tag = 7, .recipients = {"b@y"}, .body = {"seven\r\n"}},
  };
  return kMails;
}

std::string sender_of(const PairMail& mail) {
  return (mail.sender_refused ? "refused" : "t") + std::to_string(mail.tag) + "@x";
}

/// Says no to senders and recipients by name; answers messages at once or later.
class Receiver final : public ServerOwner {
 public:
  bool late = false;
  std::vector<MessageSeq> waiting;
  std::map<std::string, int> delivered;  // sender -> how often
  std::map<std::string, std::string> bodies;
  std::set<std::string> seen;  // senders whose MAIL came
  std::string sender;
  std::string body;

  Answer on_hello(std::string_view, bool) override { return Answer::accept(); }
  Answer on_mail(const MailCommand& mail) override {
    sender = std::string(mail.sender.text());
    seen.insert(sender);
    return sender.starts_with("refused") ? Answer::reply(550, "5.7.1 no") : Answer::accept();
  }
  Answer on_rcpt(const RcptCommand& rcpt) override {
    return rcpt.recipient.local() == "no" ? Answer::reply(550, "5.1.1 no") : Answer::accept();
  }
  Answer on_data(std::uint32_t) override {
    body.clear();
    return Answer::accept();
  }
  Answer on_message_bytes(std::span<const std::byte> bytes) override {
    body.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return Answer::accept();
  }
  Answer on_message_end(MessageSeq seq, const BodyFacts&) override {
    ++delivered[sender];
    bodies[sender] = body;
    if (!late) return Answer::accept();
    waiting.push_back(seq);
    return Answer::later();
  }
  void on_message_dropped(Dropped) override {}
  void on_reset() override {}
};

struct End {
  Ending ending = Ending::NeverStarted;
  std::uint16_t code = 0;
};

class Ends final : public ClientEvents {
 public:
  std::map<std::uint64_t, End> ends;
  std::map<std::uint64_t, std::map<std::uint32_t, std::uint16_t>> recipients;
  bool over = false;

  void on_ready(const Capabilities&) override {}
  void on_tls_wanted() override {}
  void on_recipient(TransactionTag tag, std::uint32_t index, const SmtpReply& reply) override {
    EXPECT_TRUE(recipients[tag.raw()].emplace(index, reply.code).second) << "told twice";
  }
  void on_finished(TransactionTag tag, Ending ending, ClientPhase, const SmtpReply& reply) override {
    EXPECT_TRUE(ends.emplace(tag.raw(), End{ending, reply.code}).second) << "ended twice";
  }
  void on_over(ClientFault, ClientPhase, const SmtpReply&) override { over = true; }
};

struct Budget {
  std::size_t to_server = SIZE_MAX;
  std::size_t to_client = SIZE_MAX;
};

struct PairRun {
  Ends events;
  std::size_t to_server = 0;  // bytes that travelled
  std::size_t to_client = 0;
  std::set<std::uint64_t> added;
};

/// Sends the mails named by `tags` over one connection that carries at most `budget`.
PairRun run(const ClientSettings& settings, Receiver& receiver, const std::set<std::uint64_t>& tags,
            Budget budget, std::size_t fragment) {
  PairRun out;
  Server server(test_settings(), receiver);
  Client client(settings, out.events);
  receiver.waiting.clear();
  server.start();
  auto next = tags.begin();
  bool moved = true;
  bool cut = false;
  while (moved && !cut) {
    moved = false;
    while (next != tags.end() && client.free_slots() > 0) {
      const PairMail& mail = mails()[*next - 1];
      const std::string sender = sender_of(mail);
      std::vector<OutgoingRecipient> recipients;
      for (const std::string& address : mail.recipients) recipients.push_back({.address = address});
      std::vector<Bytes> body;
      for (const std::string& part : mail.body) body.push_back(bytes_of(part));
      EXPECT_EQ(client.add({.tag = TransactionTag(mail.tag),
                            .sender = sender,
                            .recipients = recipients,
                            .body = body,
                            .has_dot_lines = mail.dots}),
                Client::Add::Accepted);
      out.added.insert(mail.tag);
      ++next;
    }
    if (next == tags.end() && client.in_flight() == 0 && client.phase() == ClientPhase::Idle) client.quit();
    std::vector<Bytes> room(4);
    if (const std::size_t count = client.output(room); count > 0) {
      std::string bytes;
      for (std::size_t i = 0; i < count; ++i) {
        bytes.append(reinterpret_cast<const char*>(room[i].data()), room[i].size());
      }
      bytes.resize(std::min({bytes.size(), fragment, budget.to_server - out.to_server}));
      server.feed(std::as_bytes(std::span(bytes)));
      client.consumed(bytes.size());
      out.to_server += bytes.size();
      moved = true;
      cut = out.to_server == budget.to_server;
    }
    if (!receiver.waiting.empty()) {
      server.answer_message(receiver.waiting.front(), Answer::accept());
      receiver.waiting.erase(receiver.waiting.begin());
      moved = true;
    }
    if (const auto bytes = server.output(); !bytes.empty()) {
      const std::size_t size = std::min({bytes.size(), fragment, budget.to_client - out.to_client});
      client.on_bytes(bytes.first(size));
      server.consumed(size);
      out.to_client += size;
      moved = true;
      cut = cut || out.to_client == budget.to_client;
    }
  }
  client.on_closed(Client::Unconsumed::NotSent);
  server.on_closed();
  EXPECT_TRUE(out.events.over);
  return out;
}

std::set<std::uint64_t> all_tags() {
  std::set<std::uint64_t> out;
  for (const PairMail& mail : mails()) out.insert(mail.tag);
  return out;
}

/// Holds what the client said against what the server got; the tags that have to be sent again.
std::set<std::uint64_t> judge(const PairRun& run, const Receiver& receiver,
                              const std::set<std::uint64_t>& tags, std::set<std::uint64_t>& unknown) {
  std::set<std::uint64_t> again;
  for (const std::uint64_t tag : tags) {
    SCOPED_TRACE("mail " + std::to_string(tag));
    const PairMail& mail = mails()[tag - 1];
    const std::string sender = sender_of(mail);
    const bool there = receiver.delivered.contains(sender);
    if (!run.added.contains(tag)) {
      EXPECT_FALSE(there);
      again.insert(tag);
      continue;
    }
    const auto found = run.events.ends.find(tag);
    if (found == run.events.ends.end()) {
      ADD_FAILURE() << "no end";
      continue;
    }
    switch (found->second.ending) {
      case Ending::Replied:
        EXPECT_EQ(found->second.code == 250, there);
        EXPECT_EQ(found->second.code == 550, mail.sender_refused);
        break;
      case Ending::AllRefused:
        EXPECT_TRUE(mail.all_refused);
        EXPECT_FALSE(there);
        break;
      case Ending::NeverStarted:
        EXPECT_FALSE(receiver.seen.contains(sender));
        EXPECT_FALSE(there);
        again.insert(tag);
        break;
      case Ending::NoChunking:
      case Ending::PartlySent:
        EXPECT_FALSE(there);
        again.insert(tag);
        break;
      case Ending::Unknown:
        // All bytes it needs were carried, so here the server has it, unless it refused it in a reply that
        // was lost.
        EXPECT_EQ(there, !mail.sender_refused && !mail.all_refused);
        unknown.insert(tag);
        again.insert(tag);
        break;
    }
  }
  return again;
}

struct Mode {
  const char* name;
  ClientSettings settings;
};
std::vector<Mode> modes() {
  return {{"lockstep", {.helo_name = "c", .ignore = {.pipelining = true}}},
          {"pipelining", {.helo_name = "c", .ignore = {.chunking = true}}},
          {"chunking", {.helo_name = "c"}}};
}

TEST(Pair, EverythingArrives) {
  for (const Mode& mode : modes()) {
    for (const bool late : {false, true}) {
      for (const std::size_t fragment : {SIZE_MAX, std::size_t{1}, std::size_t{2}, std::size_t{13}}) {
        SCOPED_TRACE(std::string(mode.name) + (late ? " late " : " ") + std::to_string(fragment));
        Receiver receiver;
        receiver.late = late;
        const PairRun result = run(mode.settings, receiver, all_tags(), {}, fragment);
        std::set<std::uint64_t> unknown;
        EXPECT_TRUE(judge(result, receiver, all_tags(), unknown).empty());
        EXPECT_EQ(receiver.delivered.size(), 5U);
        for (const PairMail& mail : mails()) {
          std::string body;
          for (const std::string& part : mail.body) body += part;
          if (!mail.sender_refused && !mail.all_refused) {
            EXPECT_EQ(receiver.bodies.at(sender_of(mail)), body);
          }
        }
        const auto& second = result.events.recipients.at(2);
        EXPECT_EQ(second.at(0), 250);
        EXPECT_EQ(second.at(1), 550);
        EXPECT_EQ(second.at(2), 250);
      }
    }
  }
}

void lose_at_every_byte(bool client_side) {
  for (const Mode& mode : modes()) {
    // In single bytes only where the most is in flight: it is the slowest way and finds nothing else elsewhere.
    const bool busy = std::string_view(mode.name) == "chunking";
    for (const std::size_t fragment : {SIZE_MAX, std::size_t{20}, std::size_t{1}}) {
      if (fragment == 1 && !busy) continue;
      Receiver whole;
      const PairRun full = run(mode.settings, whole, all_tags(), {}, fragment);
      const std::size_t total = client_side ? full.to_server : full.to_client;
      for (std::size_t at = 1; at < total; ++at) {
        SCOPED_TRACE(std::string(mode.name) + " fragment=" + std::to_string(fragment) +
                     " at=" + std::to_string(at));
        Receiver receiver;
        const Budget budget = client_side ? Budget{.to_server = at} : Budget{.to_client = at};
        const PairRun first = run(mode.settings, receiver, all_tags(), budget, fragment);
        std::set<std::uint64_t> unknown;
        std::set<std::uint64_t> none;
        const std::set<std::uint64_t> again = judge(first, receiver, all_tags(), unknown);
        if (!again.empty()) {
          receiver.seen.clear();
          run(mode.settings, receiver, again, {}, fragment);
        }
        for (const PairMail& mail : mails()) {
          if (mail.sender_refused || mail.all_refused) continue;
          const int times = receiver.delivered[sender_of(mail)];
          ASSERT_GE(times, 1) << "lost " << mail.tag;
          ASSERT_LE(times, unknown.contains(mail.tag) ? 2 : 1) << "doubled " << mail.tag;
        }
        if (testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(Pair, ConnectionLostAtEveryByteToTheServer) { lose_at_every_byte(true); }
TEST(Pair, ConnectionLostAtEveryByteToTheClient) { lose_at_every_byte(false); }

TEST(Pair, ShownButNotConsumedCountsAsSent) {
  // A send was given to the kernel and its result never came: the worst has to be assumed.
  for (const auto& [unconsumed, want] : {std::pair{Client::Unconsumed::MayBeSent, Ending::Unknown},
                                         {Client::Unconsumed::NotSent, Ending::NeverStarted}}) {
    Ends events;
    Client client({.helo_name = "c"}, events);
    client.on_bytes(bytes_of("220 x\r\n"));
    std::vector<Bytes> room(8);
    ASSERT_EQ(client.output(room), 1U);
    client.consumed(room[0].size());
    client.on_bytes(bytes_of("250-x\r\n250-CHUNKING\r\n250-ENHANCEDSTATUSCODES\r\n250 PIPELINING\r\n"));
    const OutgoingRecipient recipient{.address = "b@y"};
    const Bytes body = bytes_of("Hi\r\n");
    ASSERT_EQ(
        client.add(
            {.tag = TransactionTag(1), .sender = "a@x", .recipients = {&recipient, 1}, .body = {&body, 1}}),
        Client::Add::Accepted);
    ASSERT_EQ(client.output(room), 2U);
    ASSERT_EQ(client.output(std::span(room).first(1)), 1U);  // a second look at less changes nothing
    client.on_closed(unconsumed);
    EXPECT_EQ(events.ends.at(1).ending, want);
  }
}

}  // namespace
}  // namespace sluice::net::test
