#pragma once
// One side of an SMTP conversation as a script: the remote MX of a delivery test, or the client of an injection test.

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "engine/runtime/stream.h"
#include "engine/runtime/task.h"
#include "tests/support/tasks.h"

namespace sluice::test {

/// What one side does, step by step. Used as
///   SmtpScript().says("220 mx ready").expects("EHLO *").replies("250-mx\n250 PIPELINING")
///               .expects("MAIL FROM:<a@b>*").replies("452 4.2.2 full").expects("QUIT").replies("221 bye").closes()
/// Patterns: '*' stands for any text, case counts. Lines end with CRLF on the wire, "\n" in the script.
class SmtpScript {
 public:
  SmtpScript& says(std::string_view lines);  ///< one or more lines
  SmtpScript& replies(std::string_view lines) { return says(lines); }
  SmtpScript& says_raw(std::string_view bytes);                       ///< exactly these bytes
  SmtpScript& says_slowly(std::string_view lines, Duration between);  ///< a byte at a time
  SmtpScript& expects(std::string_view pattern);                      ///< one line
  SmtpScript& expects_message();                 ///< up to the line with a dot; kept, unstuffed
  SmtpScript& expects_bytes(std::size_t count);  ///< BDAT; kept as a message
  SmtpScript& expects_end();                     ///< the other side closes (or resets)
  SmtpScript& waits(Duration time);
  SmtpScript& stalls();       ///< says nothing more until the other side ends
  SmtpScript& closes();       ///< orderly; also happens after the last step
  SmtpScript& resets();       ///< RST (simulated world only)
  SmtpScript& half_closes();  ///< FIN, and goes on reading
  /// Plays a willing server until QUIT or the end: EHLO, MAIL, RCPT, DATA, BDAT, RSET, NOOP. Keeps messages.
  SmtpScript& accepts_mail(
      std::string_view ehlo_lines = "250-mx.test\n250-PIPELINING\n250-8BITMIME\n250 SIZE 52428800");

  enum class Do : std::uint8_t {
    Say,
    SaySlowly,
    Expect,
    ExpectMessage,
    ExpectBytes,
    ExpectEnd,
    Wait,
    Stall,
    Close,
    Reset,
    HalfClose,
    AcceptMail
  };
  struct Step {
    Do what;
    std::string text;
    Duration time{0};
    std::size_t count = 0;
  };
  [[nodiscard]] const std::vector<Step>& steps() const { return steps_; }

 private:
  SmtpScript& add(Step step);
  std::vector<Step> steps_;
};

/// What happened when a script was played.
struct Conversation {
  static constexpr std::size_t kLineMax = 1 << 20;
  std::vector<std::string> heard;     ///< lines, without CRLF
  std::vector<std::string> messages;  ///< bodies, dot-unstuffed
  std::string failure;                ///< empty: all went as written
  bool finished = false;
  Endpoint peer;
};

/// Plays `script` on `stream`; the result says how it went. Thread: the stream's shard.
/// Lifetime: `reactor` and `conversation` outlive the task.
[[nodiscard]] runtime::Task<void> play(runtime::Reactor& reactor, runtime::Stream stream, SmtpScript script,
                                       Conversation& conversation);

/// Listens and plays a script for every connection: the first for the first, and so on; `otherwise` after the last.
/// Thread: the reactor's shard.
/// Lifetime: stop() and a run of the world before destruction, or bury it with its machine.
class ScriptedHost {
 public:
  /// Asserts that `at` can be listened on.
  ScriptedHost(runtime::Reactor& reactor, Endpoint at);
  ScriptedHost(const ScriptedHost&) = delete;
  ScriptedHost& operator=(const ScriptedHost&) = delete;

  ScriptedHost& next(SmtpScript script);
  ScriptedHost& otherwise(SmtpScript script);
  [[nodiscard]] Endpoint endpoint() const { return listener_.endpoint(); }
  /// By order of connections; references stay valid.
  [[nodiscard]] const std::deque<Conversation>& conversations() const { return conversations_; }
  /// Of all conversations, in order.
  [[nodiscard]] std::vector<std::string> messages() const;
  /// The first failure of any conversation; empty when there was none.
  [[nodiscard]] std::string failure() const;
  [[nodiscard]] bool idle() const { return playing_ == 0; }
  void stop() { listener_.stop(); }

 private:
  runtime::Task<void> serve();
  runtime::Task<void> converse(runtime::Stream stream, SmtpScript script, Conversation& conversation);
  runtime::Reactor& reactor_;
  runtime::Listener listener_;
  std::deque<SmtpScript> scripts_;
  SmtpScript otherwise_;
  std::deque<Conversation> conversations_;
  std::size_t playing_ = 0;
};

/// True when `text` matches `pattern`, in which '*' stands for any text.
[[nodiscard]] bool matches(std::string_view pattern, std::string_view text);

}  // namespace sluice::test
