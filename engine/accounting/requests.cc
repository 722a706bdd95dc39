// What is asked of accounting while it runs: new files by command, another configuration.
#include <algorithm>

#include "engine/accounting/accounting_writer.h"
#include "engine/accounting/file_specs.h"

namespace sluice::accounting {

using runtime::Task;

Task<void> AccountingWriter::serve_requests() {
  while (!requests_.empty()) {
    Request* request = requests_.front();
    requests_.pop_front();
    if (running_) co_await serve(*request);
    request->done->open();
  }
}

Task<void> AccountingWriter::serve(Request& request) {
  std::vector<Change> changes;
  if (request.kind == Request::Kind::Rotate) {
    for (const auto& file : files_) {
      const bool asked = request.path.empty() || request.path == file->spec().path;
      if (asked && !file->current_path().empty()) changes.push_back({.file = file.get(), .ends = true});
    }
    const std::size_t count = changes.size();
    if (co_await commit(std::move(changes))) request.rotated = count;
    co_return;
  }
  for (const auto& file : files_) {
    const bool stays = is_configured(request.files, file->spec().path);
    if (!stays && !file->current_path().empty()) changes.push_back({.file = file.get(), .ends = true});
  }
  if (!co_await commit(std::move(changes))) co_return;
  std::vector<std::unique_ptr<CsvFile>> old = std::exchange(files_, make_files(request.files));
  for (const auto& file : files_) {
    const auto same = std::find_if(
        old.begin(), old.end(), [&file](const auto& one) { return one->spec().path == file->spec().path; });
    std::optional<AcctFileState> state;
    if (same != old.end()) state = (*same)->state();
    CsvFile* to = file.get();
    const AcctFileState* from = state ? &*state : nullptr;
    if (!co_await patiently([to, from] { return to->recover(from); })) co_return;
  }
  reconfigure_pipes(request.files);
  static_cast<void>(co_await commit({}));
}

Task<std::size_t> AccountingWriter::rotate(std::string path) {
  if (!running_) co_return 0;
  runtime::Gate done(reactor_);
  Request request{.kind = Request::Kind::Rotate, .path = std::move(path), .done = &done};
  requests_.push_back(&request);
  wakeup_.set();
  co_await done.wait();
  co_return request.rotated;
}

Task<std::expected<void, std::string>> AccountingWriter::reconfigure(std::vector<config::AcctFile> files) {
  const auto warnings = check_files(files);
  if (!warnings) co_return std::unexpected(warnings.error());
  for (const std::string& warning : *warnings) note(warning);
  if (!running_) co_return std::unexpected(std::string("accounting does not run"));
  runtime::Gate done(reactor_);
  Request request{.kind = Request::Kind::Reconfigure, .files = std::move(files), .done = &done};
  requests_.push_back(&request);
  wakeup_.set();
  co_await done.wait();
  co_return std::expected<void, std::string>();
}

}  // namespace sluice::accounting
