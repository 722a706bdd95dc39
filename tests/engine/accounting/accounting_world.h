#pragma once
// A simulated machine with an accounting writer, journals made of plain memory, and a reader of what was
// written.

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/accounting/accounting_writer.h"
#include "tests/support/sim_test.h"

namespace sluice::accounting {

/// Journals that a crash does not touch: some directories, each a list of batches.
struct FakeJournals {
  struct Batch {
    std::vector<journal::Event> events;  // views into `texts`
    std::deque<std::string> texts;
  };
  std::vector<std::deque<Batch>> directories;
  std::set<class Source*> sources;                                // of the living incarnation
  journal::JournalCursor acknowledged;                            // by the files
  std::map<std::string, journal::JournalCursor> acknowledged_by;  // by each reader
  std::uint64_t next_message = 1;

  /// Adds one batch of `count` events to a directory and wakes the reader.
  void publish(std::size_t directory, std::size_t count);
  [[nodiscard]] std::uint64_t events() const;
};

/// Reads FakeJournals; directories take turns by chance, another chance in every incarnation.
class Source final : public EventSource {
 public:
  Source(runtime::Reactor& reactor, FakeJournals& journals, std::string name, journal::JournalCursor from)
      : reactor_(reactor),
        journals_(journals),
        name_(std::move(name)),
        at_(std::move(from)),
        wakeup_(reactor) {
    journals_.sources.insert(this);
  }
  ~Source() override { journals_.sources.erase(this); }
  runtime::Task<Result<journal::EventBatch>> next() override;
  runtime::Task<Result<std::optional<journal::EventBatch>>> next_if_any() override;
  void acknowledge(const journal::JournalCursor& cursor) override {
    journals_.acknowledged_by[name_] = cursor;
    if (name_ == "accounting") journals_.acknowledged = cursor;
  }
  void stop() override {
    stopped_ = true;
    wakeup_.set();
  }
  std::uint64_t lag_bytes() const override;
  void wake() { wakeup_.set(); }

 private:
  runtime::Reactor& reactor_;
  FakeJournals& journals_;
  std::string name_;
  journal::JournalCursor at_;
  runtime::Wakeup wakeup_;
  bool stopped_ = false;
};

/// What the files hold, all of one `<acct-file>` together, moved ones included.
struct Rows {
  std::map<std::string, int> by_record;  // recordId -> how often
  std::string fault;                     // the first thing wrong with a file; empty: nothing
};

class AccountingWorld {
 public:
  explicit AccountingWorld(std::uint64_t seed, runtime::sim::WorldOptions options = {})
      : world(seed, options) {
    journals.directories.resize(3);
  }

  static config::AcctFile file(std::string path,
                               std::vector<config::RecordType> records = {config::RecordType::Delivery,
                                                                          config::RecordType::Bounce});

  /// Boots the machine if it is down, then starts a writer for `files`.
  void start();
  void crash(runtime::sim::Crash how);
  void stop();
  /// Reads all files of `path` in its directory and in `moved`.
  Rows rows(const std::string& path, const std::string& moved = "") const;
  /// Every delivery and bounce exactly once, nothing else, well-formed files.
  void expect_complete(const std::string& path, const std::string& moved = "") const;
  [[nodiscard]] std::vector<std::string> names(const std::string& directory) const;

  runtime::sim::World world;
  FakeJournals journals;
  std::vector<config::AcctFile> files;
  std::unique_ptr<AccountingWriter> writer;
  std::vector<std::string> notes;
  std::uint64_t pipe_lag_bytes_max = AcctPipe::kLagBytesMax;
  KnownOfAccounting known;  ///< what the spool of the next start() knows
};

}  // namespace sluice::accounting
