#pragma once
// The table of commands. One row says everything about one command; dispatch, abbreviations, options, help, completion
// and docs/commands.md come from it.

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace sluice::control {

/// One for each row. Who carries commands out switches over it, so that the compiler names a row without a handler.
enum class CommandId : std::uint8_t {
  ShowStatus,
  ShowVersion,
  ShowQueues,
  ShowTopQueues,
  ShowDomains,
  ShowTopDomains,
  ShowVmtas,
  ShowPools,
  ShowJobs,
  ShowSchedule,
  ShowSettings,
  ShowVmtaSettings,
  ShowDisabledSources,
  ShowPrecache,
  ShowLicense,
  ShowRegistration,
  Explain,
  List,
  Delete,
  PauseQueue,
  ResumeQueue,
  ShowPauses,
  PauseJob,
  ResumeJob,
  ResumeDomain,
  Schedule,
  SetQueue,
  SetPriority,
  DisableSource,
  EnableSource,
  Resolve,
  Trace,
  CheckSpf,
  ClearDnsCache,
  ClearSecretsCache,
  ResetCounters,
  RotateAcct,
  RotateLog,
  Reload,
  TestConfig,
  Shutdown,
  Register,
  Deregister,
  Check,
  Fmt,
  Digest,
  Directives,
  Version,
  Help,
  Completion,
};

/// What an option or an argument takes.
enum class Value : std::uint8_t {
  None,    ///< an option that is there or not
  YesNo,   ///< yes, no, true or false; an option without a value means yes
  Text,    ///< anything but nothing
  Number,  ///< 0 to 4294967295
  Time,    ///< 2d12h
  Choice,  ///< one of the words in `shape`, with | between them
  Address  ///< an IP address
};

struct OptionRow {
  std::string_view name;  ///< as help spells it; case does not matter
  Value value = Value::None;
  std::string_view shape;  ///< of the value, for help: "QUEUE", "normal|backoff"
  std::string_view help;
  std::string_view others = {};  ///< what people type when they mean it; blanks between them
};

struct ArgumentRow {
  enum class Need : std::uint8_t {
    Required,
    Optional,
    Several,
    Any
  };  ///< Several: one or more; Any: or none
  std::string_view name;  ///< for help: "QUEUE"
  Need need = Need::Required;
  std::string_view question = {};  ///< asked when it is missing: "which queue? For example: gmail.com/*"
  Value value = Value::Text;
  std::string_view shape = {};  ///< of a Choice
};

struct CommandRow {
  CommandId id{};
  std::string_view words;                     ///< "show queues"
  std::vector<std::string_view> other_words;  ///< other spellings: "show vmta"
  std::vector<ArgumentRow> arguments;
  std::vector<OptionRow> options;
  /// Daemon: it is asked over its socket. Here: the program `sluice` answers. Either: the program answers when it is
  /// given a configuration to look at, or when no daemon answers and it can tell all the same.
  enum class Where : std::uint8_t { Daemon, Here, Either };
  Where where = Where::Daemon;
  /// Recipients: `sluice` says how many and asks first, when it is used at a terminal without --yes.
  enum class Deletes : std::uint8_t { Nothing, Recipients };
  Deletes deletes = Deletes::Nothing;
  std::string_view help;         ///< one line
  std::string_view more = {};    ///< what `help COMMAND` says besides; whole lines
  std::string_view others = {};  ///< words people use for it; blanks between them
};

/// All rows, in the order of help. Thread: any. Lifetime: static.
[[nodiscard]] std::span<const CommandRow> command_table();
/// What every command takes: --xml, --json, --dom, --help.
[[nodiscard]] std::span<const OptionRow> common_options();
[[nodiscard]] const CommandRow& command_row(CommandId id);

}  // namespace sluice::control
