#pragma once
// A client in the simulated world that remembers what was promised to it.

#include <string>
#include <vector>

#include "engine/runtime/reactor.h"
#include "engine/runtime/stream.h"
#include "engine/runtime/sync.h"
#include "engine/runtime/task.h"

namespace sluice::test {

/// One message to inject.
struct Mail {
  std::string id;  ///< becomes "<id@sim>"
  std::vector<std::string> recipients;
  std::string vmta;  ///< x-virtual-mta; empty: none
  std::size_t body_bytes = 500;
  std::string headers = {};  ///< more header lines, each with its CRLF
  /// The final dot waits for it, so that several connections can end their messages at once; null: nothing waits.
  runtime::Gate* end_at = nullptr;
  std::string sender = "sender@sim.test";
  bool once = false;  ///< not sent again after a 4xx reply
};

/// What the node said about a message.
struct Injected {
  std::vector<Mail> accepted;  ///< 250 was read: durable for ever
  std::vector<Mail>
      unknown;  ///< the connection ended before a reply: may exist, at most once more than it says
  std::vector<std::string> refusals;
};

/// Sends `mails` one after the other over one connection, reconnecting when it ends, until all have an answer
/// or are unknown. Gives up on a mail that is refused. Thread: simulated. Lifetime: `result` outlives the
/// task.
[[nodiscard]] runtime::Task<void> inject(runtime::Reactor& reactor, Endpoint to, std::vector<Mail> mails,
                                         Injected& result);

/// Sends `lines` to a server, one after the other with CRLF, each when the one before it has been answered;
/// "." ends a message. Behind a 354 whatever comes up to "." is sent without waiting. `replies`: the
/// greeting, then the last line of each reply.
[[nodiscard]] runtime::Task<void> converse(runtime::Reactor& reactor, Endpoint to,
                                           std::vector<std::string> lines, std::vector<std::string>& replies);

/// The text of a mail as it is sent, dot-stuffed, without the final dot.
[[nodiscard]] std::string text_of(const Mail& mail);

}  // namespace sluice::test
