#pragma once
// A mail host in the simulated world: our own server machine over simulated sockets, with moods.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/runtime/sim/world.h"
#include "engine/runtime/stream.h"
#include "net/smtp/server.h"

namespace sluice::test {

/// A question put to a receiver that has a mind of its own.
struct Asked {
  enum class At : std::uint8_t { Mail, Rcpt, Final } at = At::Rcpt;
  IpAddress client;
  IpAddress host;
  std::string recipient;  ///< Rcpt only
  MonoTime now{};
};

/// A refusal: "421 4.7.0 slow down". Empty: accepted.
using Judge = std::function<std::string(const Asked&)>;

/// How a receiver behaves, each a chance from 0 to 1.
struct Mood {
  double defer_rcpt = 0;       ///< 450 to RCPT
  double refuse_rcpt = 0;      ///< 550 to RCPT, decided by the address: the same address is always refused
  double defer_data = 0;       ///< 451 at the end of data
  double drop_after_dot = 0;   ///< the message is kept, the connection ends without a reply
  double drop_anywhere = 0;    ///< the connection ends at some command
  bool takes_nothing = false;  ///< accepts connections and says nothing
  bool stalls = false;         ///< says nothing more once it has accepted a recipient
  bool reads_no_body = false;  ///< says 354 and reads nothing more, until it has another mood
  Judge judge;                 ///< asked first; null: nobody
};

/// One RCPT, or one message at its end.
struct Attempt {
  MonoTime time{};
  IpAddress client;
  IpAddress host;
  std::string recipient;
  bool refused = false;
};

/// Something a receiver saw, and whom from.
struct Seen {
  MonoTime at;
  std::string from;   ///< EHLO name
  std::uint8_t host;  ///< last octet of the receiver's address
  std::uint64_t bytes = 0;
};

/// What a receiver has seen. Survives crashes of the node under test.
struct Ledger {
  std::map<std::string, int>
      delivered;  ///< "message-id rcpt" -> times a 250 was said or (dropped) may have been
  std::map<std::string, int>
      lost_replies;  ///< of these, times the connection was dropped, so that the reply may not have been read
  std::set<std::string> refused;               ///< recipients that get a 550
  std::map<std::string, std::string> bodies;   ///< message id -> the first body seen
  std::vector<std::string> corrupt;            ///< ids whose bodies differed
  std::map<std::string, std::string> senders;  ///< "message-id rcpt" -> MAIL FROM
  std::map<std::string, std::string> helos;    ///< "message-id rcpt" -> what the client called itself
  std::vector<std::string> order;              ///< "message-id rcpt" as they came
  std::size_t connections = 0;
  std::size_t connections_top = 0;
  std::vector<MonoTime> attempts;  ///< RCPT times, for rate checks
  std::vector<MonoTime> opened;    ///< times of accepted connections
  std::vector<Attempt> tried;      ///< every RCPT
  std::vector<Seen> hellos;
  std::vector<Seen> rcpts;
  std::vector<Seen> messages;  ///< accepted ones, at their end
  /// Connections open now and at most, past EHLO, by "from", ">host" and "from>host".
  std::map<std::string, std::size_t> open;
  std::map<std::string, std::size_t> top;
};

/// Thread: the simulated one. Lifetime: stop() and a run of the world before destruction.
class Receiver {
 public:
  Receiver(runtime::sim::World& world, runtime::Reactor& reactor, Endpoint at, Mood mood, Ledger& ledger);
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  void stop() { listener_.stop(); }
  [[nodiscard]] bool idle() const { return tasks_.running() == 0; }
  void set_mood(const Mood& mood) { mood_ = mood; }

 private:
  class Session;
  runtime::Task<void> accept_all();
  runtime::Task<void> serve(runtime::Stream stream);
  runtime::sim::World& world_;
  runtime::Listener listener_;
  runtime::TaskGroup tasks_;
  runtime::Reactor& reactor_;
  Endpoint at_;
  Mood mood_;
  Ledger& ledger_;
  std::uint8_t host_;
};

}  // namespace sluice::test
