#include "engine/delivery/lost_recipients.h"

#include <unordered_set>
#include <utility>

#include "engine/journal/live_set.h"
#include "engine/journal/name_search.h"
#include "engine/runtime/boundary.h"
#include "policy/base/assert.h"
#include "policy/identity/envelope.h"

namespace sluice::delivery {

LostRecipients::LostRecipients(runtime::Reactor& reactor, journal::Journal& journal,
                               const journal::JournalDirectory& directory, std::string root,
                               std::function<void(std::string)> log)
    : reactor_(reactor),
      journal_(journal),
      directory_(directory),
      root_(std::move(root)),
      log_(std::move(log)) {}

LostRecipients::~LostRecipients() { SLUICE_ASSERT(tasks_.running() == 0); }

void LostRecipients::add(const journal::Event& event, spool::StoredMessage& message) {
  One one;
  one.event = event;
  one.queue = event.queue;
  one.vmta = event.vmta;
  one.status = event.dsn_status;
  one.diag = event.dsn_diag;
  one.category = event.bounce_cat;
  one.message = &message;
  if (!running_) tasks_.spawn(run());  // first: without it nothing would ever take what waits
  waiting_.push_back(std::move(one));
}

runtime::Task<void> LostRecipients::stop() {
  stopping_ = true;
  co_await tasks_.join();
}

// Those left at a stop are live for the next start.
runtime::Task<void> LostRecipients::run() {
  running_ = true;
  co_await runtime::yield(reactor_);  // for all that this turn of the loop brings
  while (!waiting_.empty() && !stopping_) {
    std::vector<One> all = std::exchange(waiting_, {});
    std::unordered_set<std::uint64_t> wanted;
    journal::LiveSet names;
    Status found = fail(Errc::NoMemory, "look up");
    try {
      for (const One& one : all) wanted.insert(one.event.message.raw());
      found = co_await journal::find_names(reactor_, directory_, root_, wanted, names);
    } catch (...) {
      runtime::note_contained(reactor_, log_, "looking up who the recipients of damaged messages are");
    }
    if (found) {
      end(all, names);
      continue;
    }
    log_("Cannot look up who the recipients of damaged messages are: " + found.error().text());
    for (One& one : all) waiting_.push_back(std::move(one));
    for (MonoTime until = reactor_.now() + kLookAgain; reactor_.now() < until && !stopping_;)
      co_await runtime::sleep_for(reactor_, 100ms);
  }
  running_ = false;
}

void LostRecipients::end(std::vector<One>& all, const journal::LiveSet& names) {
  std::string sender, first_ended, first_kept;
  std::uint64_t ended = 0, kept = 0;
  for (One& one : all) {
    one.event.queue = one.queue;
    one.event.vmta = one.vmta;
    one.event.dsn_status = one.status;
    one.event.dsn_diag = one.diag;
    one.event.bounce_cat = one.category;
    if (!names.name(one.event)) {
      if (kept++ == 0) first_kept = one.queue;
      continue;
    }
    if (one.message->flags().has(spool::MessageFlags::kVerp)) {
      sender.clear();
      identity::append_verp(sender, one.event.orig, one.event.rcpt);
      one.event.orig = sender;
    }
    if (ended++ == 0) first_ended = one.event.rcpt;
    journal_.append(one.event, one.message);
  }
  counters_.ended += ended;
  counters_.unnamed += kept;
  if (ended > 0) {
    log_("Damaged in the spool: the messages of " + std::to_string(ended) + " recipients, " + first_ended +
         (ended > 1 ? " and others" : "") + "; they end with 5.3.0, what is left is in " + root_ +
         "/damaged");
  }
  if (kept > 0) {
    log_("Damaged in the spool: the messages of " + std::to_string(kept) + " recipients of " + first_kept +
         (kept > 1 ? " and other queues" : "") +
         ", and nothing names them any more; they get no record and are kept for the next start, what is "
         "left is in " +
         root_ + "/damaged");
  }
}

}  // namespace sluice::delivery
