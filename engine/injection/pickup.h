#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "engine/injection/pickup_mail.h"
#include "engine/runtime/file.h"
#include "engine/runtime/sync.h"

namespace sluice::injection {

/// `pickup DIR BADDIR`: takes the messages of files that are put into DIR.
///
///   DIR/name  --at rest for kRest, and nobody has it locked-->  DIR/.sluice-pickup-X-name
///             --every message durable-->  gone
///             --cannot be taken-->        BADDIR/name (name.X where that is there already), and a line in
///             the log
///
/// Left alone: directories, names that begin with a dot or end with ".tmp", empty files; and pipes, links and
/// sockets, of which the log is told. Files are opened without following links and without waiting.
/// Durable:  a file goes away only after all its messages are stored (Intake::submit). A death in between
///           repeats those of the at most kAtOnce files under way; a power cut also those of the files taken
///           since the last sync of DIR (kSyncEvery), whose going away was not durable yet. None is lost. A
///           file that a start finds under its second name is taken like any other.
/// Turns:    DIR is read on the control shard, kPartMax names at a time; a file is read and parsed in parts
///           (net::PickupReader::kStepBytes). A pass over DIR begins kLook after the last one, later when
///           looking at it took long.
/// Thread:   one data shard. Lifetime: stop() has answered before destruction (asserted).
/// Limits:   kAtOnce files of kFileBytesMax; kMemoryMax of them, out of what the intake has for all. While
///           the intake takes nothing, files stay where they are.
/// Errors:   in the log, once until they are over; it goes on trying. An exception ends what it met: a file that made
///           a library throw goes to BADDIR, and one that met a lack of memory stays for a later pass. Of what is
///           stored by then nothing is sent again: it is taken out of the file first, however often that fails.
class Pickup {
 public:
  static constexpr Duration kLook = 500ms;
  static constexpr Duration kRest = 1s;   ///< not written to for so long
  static constexpr Duration kAgain = 1s;  ///< a message behind others of its file found no room
  static constexpr Duration kSyncEvery = 1s;
  static constexpr Duration kTroubleAgain = 5s;  ///< the directory cannot be worked on
  static constexpr std::uint64_t kAtOnce = 32;
  static constexpr std::size_t kPartMax = 256;
  static constexpr std::size_t kTroublesMax = 16;  ///< told of at a time
  static constexpr std::uint64_t kFileBytesMax = Intake::kMessageBytesMax;
  /// A file's bytes, the message read from them, and how that buffer grows.
  static constexpr std::uint64_t kMemoryPerByte = 3;
  static constexpr std::uint64_t kMemoryMax = kMemoryPerByte * kFileBytesMax;
  static_assert(kMemoryMax < Intake::kMemoryMax);
  static constexpr std::string_view kTaken = ".sluice-pickup-";
  static constexpr std::string_view kRestOf = ".sluice-rest-";  ///< being written; replaces a file under way

  Pickup(runtime::Reactor& reactor, Intake& intake, ShardId control, std::function<void(std::string)> log);
  Pickup(const Pickup&) = delete;
  Pickup& operator=(const Pickup&) = delete;
  ~Pickup();

  /// From now on with the intake's snapshot; the first call starts it.
  void configure();
  /// Takes no more files. Those under way are finished; of a batch, what is not stored yet stays as a file.
  [[nodiscard]] runtime::Task<void> stop();

 private:
  using Entry = runtime::DirectoryCursor::Entry;
  struct Dirs {
    std::string dir;
    std::string bad;
    friend bool operator==(const Dirs&, const Dirs&) = default;
  };
  /// A file under way.
  struct Taken {
    std::string name;          ///< as it was put in
    std::string path;          ///< as it is called now
    runtime::File file;        ///< holds its lock
    runtime::FileState state;  ///< when it was read
    std::string bytes;
    std::size_t messages = 0;               ///< that it holds
    std::size_t stored = 0;                 ///< of them, the first ones: the file holds them still
    std::optional<net::PickupReader> rest;  ///< behind those that are stored
  };
  /// What becomes of a file when no more of it is stored.
  struct Fate {
    enum class Kind : std::uint8_t { Done, Later, Refused };
    Kind kind = Kind::Later;
    std::string why = {};  ///< Refused
  };

  runtime::Task<void> run();
  /// A pass, if there is a directory. How long to rest then; nothing: until there is something else to do.
  runtime::Task<std::optional<Duration>> look();
  /// Looks at every name once. False: the directories cannot be worked on.
  runtime::Task<bool> pass();
  runtime::Task<bool> are_folders_good();
  runtime::Task<std::unique_ptr<runtime::DirectoryCursor>> open_directory();
  /// False: no more of this pass.
  runtime::Task<bool> take_part(std::vector<Entry> part);
  [[nodiscard]] bool goes_on() const {
    return !stopping_ && !full_ && dirs_ == wanted_ && stored_.empty() && !intake_.why_not_accepting();
  }
  [[nodiscard]] bool is_candidate(const Entry& entry);
  runtime::Task<void> take(Entry entry);
  runtime::Task<void> take_file(const Entry& entry);
  /// Opens, locks, renames and reads; nullopt: not now.
  runtime::Task<std::optional<Taken>> get(const Entry& entry, const std::string& own);
  runtime::Task<std::optional<runtime::File>> open_at_rest(const std::string& path, const Entry& entry);
  runtime::Task<bool> rename_to(Taken& file, const std::string& own);
  runtime::Task<void> take_messages(Taken& file);
  runtime::Task<Fate> store_all(Taken& file);
  runtime::Task<void> end_file(Taken& file, const Fate& fate);
  /// Reads the whole file. The reason to refuse it, or how many messages it holds.
  runtime::Task<std::expected<std::size_t, std::string>> check(const Taken& file, const PickupMail& mail,
                                                               std::optional<net::PickupMessage>& only);
  runtime::Task<Verdict> store(Submission& submission, const PickupMail& mail,
                               const net::PickupMessage& message, bool is_first);
  /// Of a batch whose first messages are stored: makes the file hold the others only.
  runtime::Task<void> keep_rest(Taken& file, std::string rest);
  runtime::Task<void> finish(Taken& file);
  runtime::Task<void> remove(std::string path);
  /// `nameless`: the file, when it has no name to rename any more.
  runtime::Task<void> reject(const std::string& path, std::string name, std::string why,
                             runtime::File* nameless = nullptr);
  runtime::Task<Status> move_away(const std::string& from, std::string name, std::string& to,
                                  runtime::File* nameless);
  runtime::Task<Status> copy_away(runtime::File& source, runtime::File& place);
  runtime::Task<void> sync_names();
  void trouble(std::string text);
  /// Catches for `what`; see runtime::note_contained().
  void note_exception(std::string_view what) noexcept;
  void end_troubles();
  void note_rules();
  [[nodiscard]] std::string path_of(std::string_view name) const {
    return dirs_->dir + '/' + std::string(name);
  }
  [[nodiscard]] std::string own_name(std::string_view front, std::string_view name);
  [[nodiscard]] std::string random_text() const;
  [[nodiscard]] static std::string original_name(const std::string& name);

  runtime::Reactor& reactor_;
  Intake& intake_;
  ShardId control_;
  std::function<void(std::string)> log_;
  std::optional<Dirs> wanted_;
  std::optional<Dirs> dirs_;  // of the pass under way
  std::shared_ptr<const ClientRules> rules_;
  std::set<std::string> own_names_;  // of files under way
  std::set<std::string> stored_;    // paths of files whose messages are stored but which could not be removed
  std::set<std::string> troubles_;  // of this pass
  std::set<std::string> troubles_before_;  // of the last
  std::uint64_t memory_ = 0;
  Duration looking_{0};   // what reading the directory took in this pass
  bool changed_ = false;  // names of the directory, since its last sync
  bool full_ = false;     // in this pass: a message found no room
  bool started_ = false;
  bool stopping_ = false;
  runtime::Semaphore slots_;
  runtime::Wakeup wakeup_;
  struct LookTimer : runtime::Timer {
    explicit LookTimer(Pickup& pickup);
    Pickup& owner;
  };
  LookTimer look_;
  MonoTime synced_{};
  runtime::TaskGroup files_;
  runtime::TaskGroup syncs_;
  runtime::TaskGroup group_;
};

}  // namespace sluice::injection
