#pragma once
// A mail host whose every answer is a function's: for receivers that are out of step, early, late or gone.

#include <deque>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/runtime/stream.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"
#include "policy/base/ip_address.h"
#include "policy/base/units.h"

namespace sluice::test {

/// What a host has just heard.
struct Heard {
  /// "" for a new connection (the greeting is due), the command without its line end, "." for the end of a
  /// message behind DATA. BDAT is told once its chunk is here, or at once when chunks are not taken.
  std::string line;
  std::size_t connection = 0;  ///< from 0
  std::size_t messages = 0;    ///< ended before, on all connections
  std::string text;            ///< the message that "." or "BDAT" ends
  [[nodiscard]] bool is(std::string_view verb) const;
};

/// What it does then.
struct Said {
  std::string bytes;    ///< as they go out, each line with its CRLF
  bool closes = false;  ///< behind them
  bool resets = false;
  Duration waits{0};   ///< before
  Duration each{0};    ///< > 0: a byte at a time, so far apart
  Duration stalls{0};  ///< > 0: reads nothing for so long, then closes
};

/// Thread: the reactor's. Lifetime: stop() and a run of the world before destruction, or bury it.
class AnsweringHost {
 public:
  using Answer = std::function<Said(const Heard&)>;

  AnsweringHost(runtime::Reactor& reactor, Endpoint at, Answer answer);
  AnsweringHost(const AnsweringHost&) = delete;
  AnsweringHost& operator=(const AnsweringHost&) = delete;

  /// A chunk whose BDAT is answered with a refusal is read as commands.
  void take_no_refused_chunks() { takes_chunks_ = false; }
  /// Of BDAT only so many bytes of the chunk are read before the answer is given.
  void answer_chunks_after(std::size_t bytes) { chunk_bytes_ = bytes; }
  [[nodiscard]] std::size_t connections() const { return connections_; }
  [[nodiscard]] const std::vector<std::string>& heard() const {
    return heard_;
  }  ///< lines, of all connections
  [[nodiscard]] bool idle() const { return tasks_.running() == 0; }
  void stop() { listener_.stop(); }

 private:
  runtime::Task<void> accept_all();
  runtime::Task<void> serve(runtime::Stream stream, std::size_t number);
  runtime::Task<bool> say(runtime::Stream& stream, Said said);

  runtime::Reactor& reactor_;
  runtime::Listener listener_;
  runtime::TaskGroup tasks_;
  Answer answer_;
  std::size_t connections_ = 0;
  std::size_t messages_ = 0;
  std::size_t chunk_bytes_ = SIZE_MAX;
  bool takes_chunks_ = true;
  std::vector<std::string> heard_;
};

/// A willing server with these EHLO lines; for what `answer` says nothing about.
[[nodiscard]] std::string willing(const Heard& heard, std::string_view ehlo);

}  // namespace sluice::test
