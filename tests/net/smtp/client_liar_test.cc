// Goal: whatever one reply too many, too few or too late, or a lost connection does, at any place and in any
// mode: "delivered" is said only of a message the server took, a refusal is told only to whom the server
// refused, and a server without fault is never misjudged.
// How: a random server with a truth of its own plays against the machine over a wire that splits and delays
// at random; each connection has at most one fault. SLUICE_LIAR_RUNS sets the number of connections,
// SLUICE_LIAR_FIRST the first seed; a failure prints its seed and the conversation.

#include <gtest/gtest.h>

#include <charconv>
#include <cstdlib>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "tests/net/smtp/client_script.h"

namespace sluice::net::test {
namespace {

struct Dice {
  explicit Dice(std::uint64_t seed) : engine(seed) {}
  std::size_t below(std::size_t count) { return engine() % count; }
  bool chance(int percent) { return below(100) < static_cast<std::size_t>(percent); }
  std::mt19937_64 engine;
};

/// What the server did to one message.
struct Truth {
  bool taken = false;
  bool refused = false;  // as a whole, for good
  std::set<std::size_t> refused_recipients;
};

enum class Fault { None, Twice, Stray, Never, Close, Reset };

class Liar {
 public:
  Liar(Dice& dice, Fault fault) : dice_(dice), fault_(fault), fault_at_(dice.below(24)) {
    if (dice_.chance(40)) {  // long good enough that the machine goes ahead of the replies
      good_for_ = Client::kTrustAfter + Client::kResetsAlike + dice_.below(3);
      fault_at_ = 2 + 3 * good_for_ + Client::kResetsAlike + dice_.below(30);
    }
    lockstep = good_for_ == 0 && dice_.chance(30);
    chunking = good_for_ > 0 || dice_.chance(60);
    coded_ = good_for_ > 0 || dice_.chance(40);
    discards_ = fault != Fault::None || dice_.chance(80);
    knows_bdat_ = good_for_ > 0 || dice_.chance(90);
    lax_ = dice_.chance(20);
    say("220 mx\r\n");
  }
  bool lockstep = false;
  bool chunking = false;
  [[nodiscard]] std::size_t good_for() const { return good_for_; }
  bool read_a_chunk = false;  // as commands: that is a fault, too
  std::map<std::uint64_t, Truth> truth;
  std::string log;

  void feed(std::string_view bytes) { in_ += bytes; }
  /// Reads a command, or some of a body; false: nothing to do.
  bool work() {
    if (closed_) return false;
    if (chunk_left_ > 0) {
      if (in_.empty()) return false;
      const std::size_t size = std::min<std::size_t>(chunk_left_, in_.size());
      in_.erase(0, size);
      chunk_left_ -= size;
      if (chunk_left_ == 0) end_chunk();
      return true;
    }
    if (in_body_) {
      const std::size_t end = in_.starts_with(".\r\n") ? 0 : in_.find("\r\n.\r\n");
      if (end == std::string::npos) return false;
      in_.erase(0, end == 0 ? 3 : end + 5);
      in_body_ = false;
      end_message();
      return true;
    }
    const std::size_t end = in_.find("\r\n");
    if (end == std::string::npos) return false;
    const std::string line = in_.substr(0, end);
    in_.erase(0, end + 2);
    log += "C: " + line + '\n';
    command(line);
    return true;
  }
  /// The next bytes for the client, at most `most`.
  std::string take(std::size_t most) {
    std::string out;
    while (!out_.empty() && out.size() < most) {
      if (out_.front().after > 0) {
        --out_.front().after;
        break;
      }
      const std::size_t size = std::min(most - out.size(), out_.front().text.size());
      out += out_.front().text.substr(0, size);
      out_.front().text.erase(0, size);
      if (out_.front().text.empty()) out_.pop_front();
    }
    return out;
  }
  [[nodiscard]] bool quiet() const { return out_.empty(); }
  [[nodiscard]] bool closed() const { return closed_; }

 private:
  struct Late {
    std::string text;
    std::size_t after = 0;  // so many times take() finds nothing first
  };

  void put(const std::string& text, bool may_be_late) {
    log += "S: " + text;
    out_.push_back({text, may_be_late && dice_.chance(30) ? dice_.below(6) : 0});
  }
  void say(const std::string& text) {
    if (closed_) return;
    if (count_++ != fault_at_ || fault_ == Fault::None) return put(text, true);
    log += "fault " + std::to_string(static_cast<int>(fault_)) + '\n';
    // In lockstep nothing tells one reply too many that comes late from the next one.
    if (lockstep && (fault_ == Fault::Twice || fault_ == Fault::Stray)) return put(text, true);
    switch (fault_) {
      case Fault::None: break;
      case Fault::Twice:
        put(text, true);
        put(text, true);
        break;
      case Fault::Stray: {
        put(text, true);
        // "Yes" to a message that is still on its way is a lie nobody can notice.
        if (in_body_) break;
        const bool before_chunk = chunking && has_sender_ && accepted_ > 0;
        static constexpr const char* kStrays[] = {"250 ok\r\n", "554 no\r\n", "450 later\r\n",
                                                  "250 2.0.0 ok\r\n"};
        put(kStrays[dice_.below(before_chunk ? 3 : 4)], true);
        break;
      }
      case Fault::Never: break;
      case Fault::Close:
        if (dice_.chance(50)) put(text, true);
        closed_ = true;
        break;
      case Fault::Reset:
        out_.clear();
        closed_ = true;
        break;
    }
  }
  bool refuses(int percent) { return dice_.chance(percent) && tag_ > good_for_; }
  std::string ok(const char* code) { return coded_ ? std::string("250 ") + code + " ok\r\n" : "250 ok\r\n"; }

  void command(const std::string& line) {
    Truth& now = truth[tag_];
    if (line.starts_with("EHLO")) {
      has_sender_ = false;
      std::string text = "250-mx\r\n";
      if (!lockstep) text += "250-PIPELINING\r\n";
      if (chunking) text += "250-CHUNKING\r\n250-ENHANCEDSTATUSCODES\r\n";
      return say(text + "250 HELP\r\n");
    }
    if (line.starts_with("MAIL FROM:<t")) {
      if (has_sender_) return say("503 nested\r\n");
      tag_ = std::stoull(line.substr(12));
      accepted_ = 0;
      if (refuses(6)) return refuse_all("550 sender\r\n");
      if (refuses(4)) return say("450 later\r\n");
      has_sender_ = true;
      return say(ok("2.1.0"));
    }
    if (line.starts_with("RCPT TO:<r")) {
      if (!has_sender_) return say("503 first MAIL\r\n");
      const std::size_t index = std::stoull(line.substr(10));
      if (refuses(20)) {
        now.refused_recipients.insert(index);
        return say(coded_ ? "550 5.1.1 no\r\n" : "550 no\r\n");
      }
      if (refuses(10)) return say("450 later\r\n");
      ++accepted_;
      return say(ok("2.1.5"));
    }
    if (line == "DATA") {
      if (!has_sender_ || (accepted_ == 0 && !lax_)) return say("503 who?\r\n");
      if (refuses(5)) return refuse_all("554 no data\r\n");
      in_body_ = true;
      return say("354 go\r\n");
    }
    if (line.starts_with("BDAT ")) {
      std::from_chars(line.data() + 5, line.data() + line.size(), chunk_left_);
      chunk_fails_ = !knows_bdat_ || !has_sender_ || accepted_ == 0;
      if (chunk_fails_ && !discards_) {
        chunk_left_ = 0;
        read_a_chunk = true;
        say(knows_bdat_ ? "503 who?\r\n" : "502 what?\r\n");
      } else if (chunk_left_ == 0) {
        end_chunk();
      }
      return;
    }
    if (line == "RSET") {
      has_sender_ = false;
      return say(ok("2.0.0"));
    }
    if (line == "QUIT") {
      say("221 bye\r\n");
      return;
    }
    say(line == "NOOP" ? ok("2.0.0") : "500 what\r\n");
  }
  void refuse_all(const std::string& text) {
    truth[tag_].refused = true;
    say(text);
  }
  void end_chunk() {
    if (!chunk_fails_) return end_message();
    has_sender_ = false;
    say(knows_bdat_ ? "503 who?\r\n" : "502 what?\r\n");
  }
  void end_message() {
    has_sender_ = false;
    if (accepted_ == 0) return say("554 nobody\r\n");
    if (refuses(8)) return refuse_all(coded_ ? "554 5.7.1 spam\r\n" : "554 spam\r\n");
    if (refuses(8)) return say("451 later\r\n");
    truth[tag_].taken = true;
    say(coded_ ? "250 2.0.0 ok, queued\r\n" : "250 ok\r\n");
  }

  Dice& dice_;
  Fault fault_;
  std::size_t fault_at_;
  std::size_t good_for_ = 0;  // messages
  std::size_t count_ = 0;
  std::string in_;
  std::deque<Late> out_;
  std::uint64_t tag_ = 0;
  std::size_t accepted_ = 0;
  std::size_t chunk_left_ = 0;
  bool chunk_fails_ = false;
  bool has_sender_ = false;
  bool in_body_ = false;
  bool closed_ = false;
  bool coded_ = false;
  bool discards_ = false;
  bool knows_bdat_ = false;
  bool lax_ = false;
};

class Judge final : public ClientEvents {
 public:
  /// `may_double`: the server says "not now" to what it takes; then it comes again.
  Judge(const Liar& liar, std::map<std::uint64_t, std::size_t>& recipients, bool may_double)
      : liar_(liar), recipients_(recipients), may_double_(may_double) {}
  std::size_t delivered = 0;
  std::size_t refused = 0;
  std::size_t unsure = 0;
  std::map<std::uint64_t, std::set<std::size_t>> told;
  std::set<std::uint64_t> ended;
  bool over = false;

  void on_ready(const Capabilities&) override {}
  void on_tls_wanted() override {}
  void on_recipient(TransactionTag tag, std::uint32_t index, const SmtpReply& reply) override {
    if (reply.positive()) return;
    EXPECT_TRUE(told[tag.raw()].insert(index).second) << "told twice";
    if (!reply.permanent()) return;
    ++refused;
    const Truth& truth = liar_.truth.at(tag.raw());
    EXPECT_TRUE(truth.refused_recipients.contains(index) || truth.refused) << tag.raw() << '.' << index;
  }
  void on_finished(TransactionTag tag, Ending ending, ClientPhase phase, const SmtpReply& reply) override {
    EXPECT_TRUE(ended.insert(tag.raw()).second);
    const auto found = liar_.truth.find(tag.raw());
    const Truth truth = found == liar_.truth.end() ? Truth{} : found->second;
    const bool is_delivery = ending == Ending::Replied && reply.positive();
    if (is_delivery) {
      ++delivered;
      EXPECT_EQ(phase, ClientPhase::FinalReply);
      EXPECT_TRUE(truth.taken) << "not taken: " << tag.raw();
    } else if (ending == Ending::Replied && reply.permanent()) {
      ++refused;
      for (std::size_t index = 0; index < recipients_.at(tag.raw()); ++index) {
        if (told[tag.raw()].contains(index)) continue;
        EXPECT_TRUE(truth.refused || truth.refused_recipients.contains(index)) << tag.raw() << '.' << index;
      }
    } else if (ending == Ending::PartlySent) {
      EXPECT_FALSE(truth.taken) << tag.raw();
    }
    if (ending == Ending::PartlySent || ending == Ending::Unknown) ++unsure;
    if (truth.taken && !may_double_) EXPECT_TRUE(is_delivery || ending == Ending::Unknown) << tag.raw();
  }
  void on_over(ClientFault, ClientPhase, const SmtpReply&) override { over = true; }

 private:
  const Liar& liar_;
  std::map<std::uint64_t, std::size_t>& recipients_;
  bool may_double_;
};

struct Totals {
  std::size_t delivered = 0;
  std::size_t refused = 0;
  std::size_t unsure = 0;
  std::size_t most_ahead = 0;
};

void converse(std::uint64_t seed, Totals& totals) {
  Dice dice(seed);
  const auto fault = static_cast<Fault>(dice.below(6));
  Liar liar(dice, fault);
  std::map<std::uint64_t, std::size_t> recipients_of;
  Judge judge(liar, recipients_of, fault == Fault::Stray);
  ClientSettings settings;
  settings.helo_name = "c";
  Client client(settings, judge);
  static const std::string kBodies[] = {"Hi\r\n", "NOOP\r\nNOOP\r\nNOOP\r\n",
                                        "RSET\r\nMAIL FROM:<x@y>\r\nmore\r\n", "", "a\r\nb\r\n"};
  std::uint64_t added = 0;
  const std::uint64_t wanted = 1 + dice.below(6) + (liar.good_for() > 0 ? liar.good_for() + 8 : 0);
  int idle = 0;
  while (!client.is_over() && idle < 40) {
    ++idle;
    if (added < wanted && client.free_slots() > 0 && dice.chance(60)) {
      ++added;
      const bool is_single = added <= liar.good_for() || dice.chance(liar.good_for() > 0 ? 95 : 60);
      const std::size_t count = is_single ? 1 : 1 + dice.below(3);
      recipients_of[added] = count;
      std::vector<std::string> addresses;
      for (std::size_t i = 0; i < count; ++i) addresses.push_back("r" + std::to_string(i) + "@y");
      std::vector<OutgoingRecipient> recipients;
      for (const std::string& one : addresses) recipients.push_back({.address = one});
      const Bytes body = bytes_of(kBodies[dice.below(std::size(kBodies))]);
      const std::string sender = "t" + std::to_string(added) + "@x";
      ASSERT_EQ(
          client.add(
              {.tag = TransactionTag(added), .sender = sender, .recipients = recipients, .body = {&body, 1}}),
          Client::Add::Accepted);
      idle = 0;
    }
    if (added == wanted && client.in_flight() == 0 && client.phase() == ClientPhase::Idle && dice.chance(30))
      client.quit();
    if (dice.chance(1)) client.withdraw();
    std::vector<Bytes> room(1 + dice.below(4));
    if (const std::size_t count = client.output(room); count > 0) {
      totals.most_ahead =
          std::max<std::size_t>(totals.most_ahead, liar.good_for() > 0 ? client.in_flight() : 0);
      std::string bytes;
      for (std::size_t i = 0; i < count; ++i)
        bytes.append(reinterpret_cast<const char*>(room[i].data()), room[i].size());
      if (dice.chance(20)) bytes.resize(1 + dice.below(bytes.size()));
      liar.feed(bytes);
      client.consumed(bytes.size());
      idle = 0;
    }
    while (dice.chance(80) && liar.work()) idle = 0;
    if (const std::string bytes = liar.take(dice.chance(20) ? 1 + dice.below(8) : 4096); !bytes.empty()) {
      client.on_bytes(bytes_of(bytes));
      idle = 0;
    } else if (liar.closed() && liar.quiet()) {
      break;
    }
  }
  client.on_closed(Client::Unconsumed::NotSent);
  EXPECT_TRUE(judge.over);
  EXPECT_EQ(judge.ended.size(), added);
  if (fault == Fault::None && !liar.read_a_chunk) {
    EXPECT_EQ(judge.unsure, 0u) << "a server without fault was misjudged";
  }
  totals.delivered += judge.delivered;
  totals.refused += judge.refused;
  totals.unsure += judge.unsure;
  if (testing::Test::HasFailure()) ADD_FAILURE() << "seed " << seed << '\n' << liar.log;
}

std::uint64_t number_of(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(ClientLiar, OnlyWhatIsSureIsTold) {
  const std::uint64_t first = number_of("SLUICE_LIAR_FIRST", 1);
  const std::uint64_t runs = number_of("SLUICE_LIAR_RUNS", 5'000);
  Totals totals;
  for (std::uint64_t seed = first; seed < first + runs && !HasFailure(); ++seed) converse(seed, totals);
  if (runs < 1000) return;
  EXPECT_GT(totals.delivered, runs / 2);
  EXPECT_GT(totals.refused, runs / 20);
  EXPECT_LT(totals.unsure, runs * 2);
  EXPECT_EQ(totals.most_ahead, Client::kWindowMax);
}

}  // namespace
}  // namespace sluice::net::test
