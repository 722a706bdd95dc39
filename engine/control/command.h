#pragma once
// Commands as `sluice` sends them over the Unix socket, and answers as it prints them.

#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/control/reply.h"
#include "engine/control/socket_place.h"
#include "engine/control/tree.h"
#include "engine/runtime/stream.h"
#include "engine/runtime/task.h"

namespace sluice::control {

struct CommandRow;

/// Words of a command with its options taken apart: "show queues gmail.com/* --errors --maxitems=5". As typed until
/// understand() has looked at it.
struct Command {
  std::vector<std::string> words;
  std::vector<std::pair<std::string, std::string>>
      options;                          ///< without "--", in lower case; value empty when none was given
  std::vector<std::string> given = {};  ///< what of() was given
  const CommandRow* row = nullptr;      ///< null: not understood yet

  /// One word or option an entry, as the shell gave them. Fails on an empty command.
  [[nodiscard]] static std::optional<Command> of(const std::vector<std::string>& arguments);
  [[nodiscard]] std::optional<std::string_view> option(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return option(name).has_value(); }
};

/// Holds a command against the table (command_table.h). Words may be cut short to three letters and more where that
/// leaves one meaning. An option's value stands behind = or is the next word.
/// The answer has `row`, the full words of the row followed by the arguments, and the options by their names in lower
/// case; words of a choice are in lower case, `yes` stands for true. With --help it is the command `help WORDS`.
/// Errors: for the person who typed it, with a line end: what is wrong, and what was probably meant. Every word, option
/// and value is known and given once when there is none; nothing has been done yet.
[[nodiscard]] std::expected<Command, std::string> understand(const Command& typed);
/// The row that the first words of a command mean, whatever stands behind them. Errors: as understand().
[[nodiscard]] std::expected<const CommandRow*, std::string> find_command(const Command& typed);

/// What a command answers. `ok` false: the text is an error and the exit status 1.
struct Answer {
  bool ok = true;
  std::string text;                            ///< lines, with the last line end
  std::shared_ptr<const Tree> tree = nullptr;  ///< the same for programs; null: only the text
  static Answer error(std::string text) { return {false, std::move(text)}; }
};

/// The answer as the command asks for it: text, or with --xml, --json or --dom for programs. What has no tree
/// stands as a text in the same frame.
[[nodiscard]] Answer in_format(const Command& command, Answer answer);

/// The wire: the client sends its arguments, each ended by NUL, then closes its direction; the server answers
/// with "+" or "-", the text, and closes.
/// Limits: a command has at most kRequestBytesMax bytes.
inline constexpr std::size_t kRequestBytesMax = 64 * 1024;
[[nodiscard]] std::string encode_request(const std::vector<std::string>& arguments);
[[nodiscard]] std::optional<std::vector<std::string>> decode_request(std::string_view bytes);
/// Nothing when the server closed without an answer.
[[nodiscard]] std::optional<Answer> decode_answer(std::string_view bytes);

/// Carries a command out. What it answers counts when it has not begun the `reply`; a long answer goes there.
/// Both live until it has answered.
using CommandHandler = std::function<runtime::Task<Answer>(const Command&, Reply& reply)>;

/// Serves commands on a Unix socket that only its owner and group may open.
/// Thread: the control shard. Lifetime: stop() before destruction (asserted); `handler` outlives it.
/// Limits: kClientsMax clients at once, further ones are told so; each has kClientTimeout to send its command, and
///         for every slice of its answer kSliceTimeout to take it: who reads slower is cut.
/// Errors: an exception of the handler is the answer to its command.
class CommandServer {
 public:
  static constexpr std::size_t kClientsMax = 64;
  static constexpr Duration kClientTimeout = 10s;
  static constexpr Duration kSliceTimeout = 10s;
  static constexpr Duration kFarewellTime = 1s;  ///< at a stop, for answers that are ready
  CommandServer(runtime::Reactor& reactor, CommandHandler handler);
  ~CommandServer();
  /// Clients can connect from now on; they are answered after start(). Errors: for the operator, see SocketPlace.
  [[nodiscard]] runtime::Task<std::expected<void, std::string>> open(std::string path);
  void start() { tasks_.spawn(accept_all()); }
  /// Removes the socket, too.
  [[nodiscard]] runtime::Task<void> stop();

 private:
  class LongAnswer;
  runtime::Task<void> accept_all();
  runtime::Task<void> serve(runtime::Stream stream);
  /// Stands in the list of streams that stop() may have to hurry.
  class Listed {
   public:
    Listed(std::set<runtime::Stream*>& list, runtime::Stream& stream) : list_(list), stream_(&stream) {
      list_.insert(stream_);
    }
    Listed(const Listed&) = delete;
    Listed& operator=(const Listed&) = delete;
    ~Listed() { list_.erase(stream_); }

   private:
    std::set<runtime::Stream*>& list_;
    runtime::Stream* stream_;
  };
  runtime::Task<void> converse(runtime::Stream stream);
  runtime::Task<void> answer(runtime::Stream& stream, const Command& command);
  runtime::Task<Answer> handle(const Command& command, Reply& reply);
  runtime::Task<void> turn_away(runtime::Stream stream);
  runtime::Task<void> bid_farewell(runtime::Stream stream);
  /// Ends by itself what goes on with `stream` from now on, after `time`; sooner when the server stops.
  void limit(runtime::Stream& stream, Duration time);
  runtime::Reactor& reactor_;
  CommandHandler handler_;
  SocketPlace place_;
  runtime::Listener listener_;
  runtime::TaskGroup tasks_;
  std::size_t clients_ = 0;
  std::size_t turned_away_ = 0;
  std::set<runtime::Stream*> streams_;
  std::optional<MonoTime> stops_at_;
};

/// Sends a command to the server at `path` and waits for its answer.
[[nodiscard]] runtime::Task<Result<Answer>> ask(runtime::Reactor& reactor, std::string path,
                                                std::vector<std::string> arguments);

}  // namespace sluice::control
