#include "tests/sim/liar_host.h"

#include <algorithm>

#include "policy/base/assert.h"

namespace sluice::test {
namespace {

using net::test::LiarCharacter;
using net::test::LiarPeer;
using net::test::Random;

LiarCharacter honest(Random& chance) {
  LiarCharacter out;
  out.pipelining = chance.chance(0.8);
  out.chunking = out.pipelining && chance.chance(0.5);
  return out;
}

}  // namespace

LiarPace LiarPace::draw(Random& chance) {
  LiarPace pace;
  switch (chance.below(10)) {
    case 0: pace.answer_after = 2s; break;
    case 1: pace.answer_after = 20s; break;
    case 2:
      pace.drips = true;
      pace.drip_gap = chance.between(10ms, 3s);
      break;
    case 3: pace.rambles = true; break;
    case 4:
      pace.reads_most = 1 + chance.below(2000);
      pace.read_gap = chance.between(10ms, 3s);
      break;
    default: pace.answer_after = 5ms; break;
  }
  return pace;
}

LiarHost::LiarHost(runtime::sim::World& world, runtime::Reactor& reactor, Endpoint at,
                   net::test::LiarLedger& ledger, std::vector<LiarVisit>& visits, bool is_timed)
    : world_(world), reactor_(reactor), ledger_(ledger), visits_(visits), is_timed_(is_timed) {
  Result<runtime::Listener> opened = runtime::Listener::open(reactor, at);
  SLUICE_ASSERT(opened.has_value());
  listener_ = std::move(*opened);
  tasks_.spawn(accept_all());
}

void LiarHost::stop() {
  stopped_ = true;
  listener_.stop();
}

runtime::Task<void> LiarHost::accept_all() {
  for (;;) {
    Result<runtime::Stream> stream = co_await listener_.accept();
    if (!stream) {
      if (stream.error().code == Errc::Cancelled) co_return;
      continue;
    }
    tasks_.spawn(serve(std::move(*stream)));
  }
}

/// One connection.
class LiarHost::Visit {
 public:
  Visit(LiarHost& host, runtime::Stream stream, std::uint32_t number)
      : host_(host),
        chance_(host.world_.random().next()),
        character_(host.reformed_ ? honest(chance_) : LiarCharacter::draw(chance_)),
        pace_(host.reformed_ ? LiarPace{} : LiarPace::draw(chance_)),
        stream_(std::move(stream)),
        number_(number),
        peer_(chance_.branch(1), character_, host.ledger_, number),
        moved_(host.reactor_.now()) {}

  runtime::Task<void> run() {
    Duration nap = 1ms;
    while (!is_over()) {
      if (!peer_.packets().empty()) {
        LiarPeer::Packet packet = std::move(peer_.packets().front());
        peer_.packets().pop_front();
        co_await say(std::move(packet));
        if (!is_over()) note_progress();
        nap = 1ms;
      } else if (peer_.is_gone()) {
        break;
      } else if (look(); !came_.empty()) {
        co_await read();
        nap = 1ms;
      } else {
        co_await pause(nap);
        nap = std::min<Duration>(nap * 2, 500ms);
        if (nap > 100ms) peer_.wait();
        // What does not read never hears of the end.
        if (!peer_.reads() && host_.reactor_.now() - moved_ > 2min) break;
      }
    }
    LiarVisit& visit = host_.visits_[number_];
    if (is_timed() && !host_.stopped_) note_progress();
    if (ended_ && peer_.reads() && !came_.empty()) {  // a slow reader comes to what lies before the end, too
      note("C", came_);
      peer_.feed(came_);
    }
    note("-", ended_ ? "the client has gone" : peer_.is_gone() ? "left" : "given up");
    visit.unsure = peer_.is_unsure();
    visit.said_quit = peer_.heard_quit();
  }

 private:
  [[nodiscard]] bool is_over() const { return ended_ || host_.stopped_; }
  /// The end of the client is seen when it comes.
  [[nodiscard]] bool is_timed() const {
    return host_.is_timed_ && peer_.reads() && pace_.read_gap == Duration{0};
  }
  void note_progress() {
    const MonoTime now = host_.reactor_.now();
    if (is_timed()) {
      LiarVisit& visit = host_.visits_[number_];
      visit.stuck_most = std::max(visit.stuck_most, now - moved_);
    }
    moved_ = now;
  }
  void note(std::string_view who, std::string_view what) {
    std::string& into = host_.visits_[number_].transcript;
    const auto time =
        std::chrono::duration_cast<std::chrono::milliseconds>(host_.reactor_.now().time_since_epoch());
    into += std::to_string(time.count()) + "ms " + std::string(who) + ": ";
    for (const char c : what.substr(0, kNotedMost)) into += c == '\r' ? ' ' : c == '\n' ? '|' : c;
    into += '\n';
  }
  /// Takes what has come out of the socket.
  void look() {
    while (peer_.reads() && !ended_ && came_.size() < pace_.reads_most) {
      auto input = stream_.try_receive();
      if (!input) return;
      ended_ = !*input || (*input)->bytes().empty();
      if (ended_) return;
      came_.append(reinterpret_cast<const char*>((*input)->bytes().data()), (*input)->bytes().size());
    }
  }
  runtime::Task<void> pause(Duration time) {
    const MonoTime end = host_.reactor_.now() + time;
    while (!is_over() && host_.reactor_.now() < end) {
      co_await runtime::sleep_for(host_.reactor_, std::min<Duration>(end - host_.reactor_.now(), 200ms));
      look();
    }
  }
  runtime::Task<void> read() {
    const std::size_t size = std::min(came_.size(), pace_.reads_most);
    note("C", std::string_view(came_).substr(0, size));
    peer_.feed(std::string_view(came_).substr(0, size));
    came_.erase(0, size);
    note_progress();
    if (pace_.read_gap > Duration{0}) co_await pause(pace_.read_gap);
  }
  runtime::Task<void> say(LiarPeer::Packet packet) {
    co_await pause(chance_.between(Duration{0}, pace_.answer_after));
    if (pace_.rambles && packet.bytes.size() > 4 && chance_.chance(0.1)) {
      const std::string line = packet.bytes.substr(0, 3) + "-and another thing\r\n";
      while (!is_over()) {
        co_await send(line);
        co_await pause(1s);
      }
    }
    while (!packet.bytes.empty() && !is_over()) {
      std::size_t size = packet.bytes.size();
      if (!packet.whole && pace_.drips) size = 1;
      if (!packet.whole && chance_.chance(0.2)) size = 1 + chance_.below(size);
      co_await send(std::string_view(packet.bytes).substr(0, size));
      packet.bytes.erase(0, size);
      if (pace_.drips && !packet.bytes.empty()) co_await pause(pace_.drip_gap);
    }
  }
  runtime::Task<void> send(std::string_view text) {
    note("S", text);
    if (!co_await stream_.send(text)) ended_ = true;
  }

  static constexpr std::size_t kNotedMost = 400;
  LiarHost& host_;
  Random chance_;
  LiarCharacter character_;
  LiarPace pace_;
  runtime::Stream stream_;
  std::uint32_t number_;
  LiarPeer peer_;
  MonoTime moved_;
  std::string came_;  // read and not yet looked at
  bool ended_ = false;
};

runtime::Task<void> LiarHost::serve(runtime::Stream stream) {
  const auto number = static_cast<std::uint32_t>(visits_.size());
  visits_.emplace_back();
  Visit visit(*this, std::move(stream), number);
  co_await visit.run();
}

}  // namespace sluice::test
