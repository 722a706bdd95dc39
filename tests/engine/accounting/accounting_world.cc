#include "tests/engine/accounting/accounting_world.h"

#include <algorithm>

namespace sluice::accounting {

using runtime::Task;

void FakeJournals::publish(std::size_t directory, std::size_t count) {
  Batch& batch = directories[directory].emplace_back();
  for (std::size_t i = 0; i < count; ++i) {
    journal::Event event;
    const std::uint64_t id = next_message++;
    event.kind = id % 3 == 0 ? journal::EventKind::Bounced : journal::EventKind::Delivered;
    event.message = MessageId{id};
    event.attempts = 1;
    event.time_logged = WallTime{std::chrono::seconds(1'767'571'200 + id)};
    event.rcpt = batch.texts.emplace_back("r" + std::to_string(id) + "@a.example");
    event.dsn_diag = batch.texts.emplace_back("smtp;250 " + std::string(id % 40, 'x'));
    event.queue = "a.example/v1";
    batch.events.push_back(event);
  }
  for (Source* source : sources) source->wake();
}

std::uint64_t FakeJournals::events() const {
  std::uint64_t out = 0;
  for (const auto& directory : directories) {
    for (const Batch& batch : directory) out += batch.events.size();
  }
  return out;
}

Task<Result<std::optional<journal::EventBatch>>> Source::next_if_any() {
  if (stopped_) co_return fail(Errc::Cancelled, "read");
  co_await runtime::sleep_for(reactor_, 30us);
  std::vector<std::uint32_t> waiting;
  for (std::uint32_t i = 0; i < journals_.directories.size(); ++i) {
    if (at_.at(i).offset < journals_.directories[i].size()) waiting.push_back(i);
  }
  if (waiting.empty()) co_return std::optional<journal::EventBatch>();
  const std::uint32_t chosen = waiting[reactor_.random() % waiting.size()];
  journal::JournalPosition position = at_.at(chosen);
  journal::EventBatch out;
  out.directory_shard = chosen;
  // A read takes as many batches as chance allows: incarnations do not cut the journals alike.
  do {
    const FakeJournals::Batch& batch = journals_.directories[chosen][position.offset++];
    out.events.insert(out.events.end(), batch.events.begin(), batch.events.end());
  } while (position.offset < journals_.directories[chosen].size() && reactor_.random() % 2 == 0);
  out.after = position;
  at_.set(chosen, position);
  co_return std::optional(std::move(out));
}

Task<Result<journal::EventBatch>> Source::next() {
  for (;;) {
    auto read = co_await next_if_any();
    if (!read) co_return std::unexpected(read.error());
    if (*read) co_return std::move(**read);
    co_await wakeup_.wait();
  }
}

std::uint64_t Source::lag_bytes() const {
  std::uint64_t out = 0;
  for (std::uint32_t i = 0; i < journals_.directories.size(); ++i) {
    out += journals_.directories[i].size() - at_.at(i).offset;
  }
  return out;
}

config::AcctFile AccountingWorld::file(std::string path, std::vector<config::RecordType> records) {
  config::AcctFile out;
  out.path = std::move(path);
  for (const config::RecordType type : records) {
    out.record_fields.push_back({type, {"recordId", "rcpt", "timeLogged", "dsnDiag"}, {}});
  }
  out.records = std::move(records);
  out.sync = true;
  return out;
}

void AccountingWorld::start() {
  if (!world.machine().is_up()) world.machine().boot();
  runtime::Reactor& reactor = world.reactor();
  AccountingOptions options;
  options.state_path = "/spool/accounting.state";
  options.files = files;
  options.pipe_lag_bytes_max = pipe_lag_bytes_max;
  options.known = known;
  options.note = [this](std::string text) { notes.push_back(std::move(text)); };
  ASSERT_TRUE(reactor.make_directories("/spool", 0750));
  writer = std::make_unique<AccountingWriter>(
      reactor, std::move(options), [this, &reactor](std::string name, journal::JournalCursor from) {
        return std::make_unique<Source>(reactor, journals, std::move(name), std::move(from));
      });
}

void AccountingWorld::crash(runtime::sim::Crash how) {
  journals.sources.clear();
  world.crash(how);
  world.machine().bury(std::move(writer));
}

void AccountingWorld::stop() {
  test::finish(world, writer->stop());
  writer.reset();
  journals.sources.clear();
}

std::vector<std::string> AccountingWorld::names(const std::string& directory) const {
  return const_cast<runtime::sim::World&>(world).disk().files_below(directory);
}

Rows AccountingWorld::rows(const std::string& path, const std::string& moved) const {
  Rows out;
  const FileNaming naming(path);
  std::vector<std::string> all = names(naming.directory());
  if (!moved.empty()) {
    for (std::string& name : names(moved)) all.push_back(std::move(name));
  }
  const auto complain = [&out](std::string text) {
    if (out.fault.empty()) out.fault = std::move(text);
  };
  std::set<std::string> seen;
  for (const std::string& full : all) {
    const std::string name = full.substr(full.rfind('/') + 1);
    if (!naming.parse(name)) continue;
    if (!seen.insert(name).second) complain(name + " stands in both directories");
    const std::string content = const_cast<runtime::sim::World&>(world).disk().content(full);
    std::string_view rest = content;
    bool first = true;
    while (!rest.empty()) {
      const std::size_t end = rest.find("\r\n");
      if (end == std::string_view::npos) {
        complain(name + " ends in the middle of a row");
        break;
      }
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(end + 2);
      if (first != (line == "type,recordId,rcpt,timeLogged,dsnDiag"))
        complain(name + ": header row missing or doubled");
      if (!first) {
        const std::size_t comma = line.find(',', 2);
        if (std::count(line.begin(), line.end(), ',') != 4 || line.find('\0') != std::string_view::npos) {
          complain(name + ": broken row " + std::string(line));
        }
        ++out.by_record[std::string(line.substr(2, comma - 2))];
      }
      first = false;
    }
  }
  return out;
}

void AccountingWorld::expect_complete(const std::string& path, const std::string& moved) const {
  const Rows got = rows(path, moved);
  EXPECT_EQ(got.fault, "");
  EXPECT_EQ(got.by_record.size(), journals.events()) << path;
  for (const auto& directory : journals.directories) {
    for (const FakeJournals::Batch& batch : directory) {
      for (const journal::Event& event : batch.events) {
        char id[40];
        std::snprintf(id, sizeof id, "%llx-0-1", static_cast<unsigned long long>(event.message.raw()));
        const auto found = got.by_record.find(id);
        const int count = found == got.by_record.end() ? 0 : found->second;
        ASSERT_EQ(count, 1) << path << ": record " << id;
      }
    }
  }
}

}  // namespace sluice::accounting
