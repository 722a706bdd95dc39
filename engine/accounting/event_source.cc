#include "engine/accounting/event_source.h"

#include "engine/journal/journal_directory.h"

namespace sluice::accounting {
namespace {

class JournalEvents final : public EventSource {
 public:
  JournalEvents(runtime::Reactor& reactor, journal::JournalDirectory& directory, std::string name,
                journal::JournalCursor from)
      : reader_(reactor, directory, std::move(name), std::move(from)) {}
  runtime::Task<Result<journal::EventBatch>> next() override { return reader_.next(); }
  runtime::Task<Result<std::optional<journal::EventBatch>>> next_if_any() override {
    return reader_.next_if_any();
  }
  void acknowledge(const journal::JournalCursor& cursor) override { reader_.acknowledge(cursor); }
  void stop() override { reader_.stop(); }
  std::uint64_t lag_bytes() const override { return reader_.lag_bytes(); }

 private:
  journal::JournalReader reader_;
};

}  // namespace

MakeEventSource events_of_journals(runtime::Reactor& reactor, journal::JournalDirectory& directory) {
  return
      [&reactor, &directory](std::string name, journal::JournalCursor from) -> std::unique_ptr<EventSource> {
        return std::make_unique<JournalEvents>(reactor, directory, std::move(name), std::move(from));
      };
}

}  // namespace sluice::accounting
