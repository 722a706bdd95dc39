#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/load_plan.h"
#include "bench/load/message_maker.h"
#include "bench/load/reply_reader.h"
#include "policy/base/units.h"

namespace sluice::bench {

/// How the injection of a message ended.
enum class Injection : std::uint8_t {
  Accepted,
  Refused,  ///< the server said no
  Unknown,  ///< the connection ended after the first body byte was sent and before the reply
  Unsent,   ///< the connection ended before any of the body was sent
};

/// A message with its times and what was said to it.
struct Attempt {
  LoadMessage message;
  MonoTime intended;           ///< latency counts from here
  std::vector<bool> accepted;  ///< by recipient
  std::size_t recipients_answered = 0;
  bool mail_answered = false;
  bool body_started = false;
  std::string refusal;  ///< the first reply that said no
};

/// Permission to send one message, or when to ask again.
struct Ticket {
  enum class Kind : std::uint8_t { Go, Later, Done };
  Kind kind = Kind::Done;
  std::uint64_t number = 0;  ///< Go
  MonoTime time;             ///< Go: intended; Later: ask again then
};

/// Where a client's messages come from and where their ends are told.
/// Thread: the client's.
class LoadDesk {
 public:
  virtual ~LoadDesk() = default;
  [[nodiscard]] virtual Ticket next_ticket(MonoTime now) = 0;
  [[nodiscard]] virtual LoadMessage make_message(std::uint64_t number) = 0;
  /// `reply` is the server's last word on it; empty: none.
  virtual void finished(Attempt&& attempt, Injection how, std::string_view reply, MonoTime now) = 0;
};

/// One injecting connection, sans I/O. The caller sends output() in full whenever there is some, hands in what comes,
/// and tells of the end.
///   Greeting -> Hello -> Ready -> Quitting -> Over; Over from anywhere when the server ends it. Never backwards.
/// Thread: one. Lifetime: borrows plan and desk. What output() points to is untouched until on_sent().
class LoadClient {
 public:
  LoadClient(const LoadPlan& plan, LoadDesk& desk) : plan_(plan), desk_(desk) {}

  void on_bytes(std::string_view bytes, MonoTime now);
  /// Starts what may be started now.
  void fill(MonoTime now);
  [[nodiscard]] std::span<iovec> output();
  void on_sent();
  /// The connection is gone: messages under way end as Unknown or Unsent.
  void on_lost(MonoTime now);

  [[nodiscard]] bool over() const { return state_ == State::Over; }
  /// No messages are left to send; otherwise a lost connection should be replaced.
  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] bool greeted() const { return greeted_; }
  [[nodiscard]] std::size_t under_way() const { return attempts_.size(); }
  /// When fill() will have something to start even if nothing comes.
  [[nodiscard]] std::optional<MonoTime> next_time() const { return next_time_; }

 private:
  enum class State : std::uint8_t { Greeting, Hello, Ready, Quitting, Over };
  // What the next reply belongs to, within the first attempt.
  void on_reply(unsigned code, std::string_view text, MonoTime now);
  void on_message_reply(unsigned code, std::string_view text, MonoTime now);
  void on_data_reply(unsigned code, MonoTime now);
  void finish_front(Injection how, std::string_view reply, MonoTime now);
  [[nodiscard]] bool start_next(MonoTime now);
  void quit();

  void say(std::string_view text);
  void say_envelope(const Attempt& attempt);
  void say_body(Attempt& attempt);
  void add_part(std::string_view external);
  void next_command(const Attempt& attempt);

  const LoadPlan& plan_;
  LoadDesk& desk_;
  State state_ = State::Greeting;
  bool greeted_ = false;
  bool done_ = false;
  bool helo_ = false;
  bool reset_asked_ = false;  // the next reply is RSET's
  ReplyReader reader_;
  std::deque<Attempt> attempts_;  // in the order of their replies
  std::uint64_t started_ = 0;
  std::optional<MonoTime> next_time_;

  // Output: pieces of text_ (by place, as text_ grows) and of memory that stays where it is.
  struct Part {
    const char* external = nullptr;  // nullptr: text_ from `at`
    std::size_t at = 0;
    std::size_t size = 0;
  };
  std::string text_;
  std::vector<Part> parts_;
  std::vector<iovec> vectors_;
  bool sending_ = false;
};

}  // namespace sluice::bench
