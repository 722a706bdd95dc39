#include "engine/delivery/local/worker.h"

#include <algorithm>

#include "policy/base/utf8.h"
#include "policy/identity/envelope.h"

namespace sluice::delivery {

LocalWorker::LocalWorker(Dispatcher& dispatcher, queue::Queue& queue)
    : dispatcher_(dispatcher),
      reactor_(dispatcher.reactor()),
      queue_(queue),
      snapshot_(dispatcher.snapshot()),
      settings_(queue.settings),
      wakeup_(reactor_),
      timer_(
          [](runtime::Timer& timer) {
            LocalWorker& self = static_cast<RestTimer&>(timer).owner;
            self.rested_ = true;
            self.wakeup_.set();
          },
          *this) {}

LocalWorker::~LocalWorker() { reactor_.disarm(timer_); }

void LocalWorker::finish() {
  finishing_ = true;
  wakeup_.set();
}

void LocalWorker::cut() {
  cut_ = true;
  finish();
  interrupt();
}

void LocalWorker::work_available() {
  std::erase(queue_.idle, static_cast<queue::Worker*>(this));
  wakeup_.set();
}

bool LocalWorker::may_go_on() { return queue_.settings == settings_ || *queue_.settings == *settings_; }

/// False: the time is over. `for_work`: mail that comes ends the rest.
runtime::Task<bool> LocalWorker::rest(MonoTime until, bool for_work) {
  rested_ = false;
  reactor_.arm(timer_, until);
  if (for_work) {
    resting_ = true;
    queue_.idle.push_back(this);
    if (queue_.size() == 0) queue_.emptied_at = reactor_.now();
  }
  co_await wakeup_.wait();
  resting_ = false;
  std::erase(queue_.idle, static_cast<queue::Worker*>(this));
  reactor_.disarm(timer_);
  co_return !rested_;
}

runtime::Task<LocalWorker::Step> LocalWorker::open() { co_return Step::Done; }

/// False: it ends here.
bool LocalWorker::go_on(Step step) {
  if (step == Step::Done) return true;
  // Of several workers that meet the same trouble one moves the queue's interval on.
  if (step == Step::QueueFailed && queue_.retry_until <= reactor_.now()) {
    dispatcher_.failed(queue_, trouble_.kind, trouble_.hop, trouble_.failure);
  }
  return false;
}

runtime::Task<void> LocalWorker::run() {
  queue::Batch items;
  const auto broke = co_await runtime::contained(work(items));
  if (!broke) co_return;
  note_exception(*broke);
  give_back(items);
  trouble_ = {.failure = {{4, 3, 0}, "internal error: " + *broke}};
  static_cast<void>(go_on(Step::QueueFailed));
}

void LocalWorker::note_exception(std::string_view words) {
  reactor_.count_contained();
  if (dispatcher_.log())
    dispatcher_.log()("delivery of " + queue_.name() + " failed: internal error: " + std::string(words));
}

void LocalWorker::give_back(queue::Batch& items) {
  dispatcher_.end_volumes(volumes_, false);  // nothing to do where they were counted as delivered
  for (auto item = items.rbegin(); item != items.rend(); ++item) {
    if (*item != nullptr) queue_.put_back(**item);
  }
  items.clear();
}

runtime::Task<void> LocalWorker::work(queue::Batch& items) {
  const Step opened = co_await open();
  if (!go_on(opened)) co_return;
  while (!finishing_ && may_go_on()) {
    items.clear();
    const Dispatcher::Taken taken =
        dispatcher_.take(queue_, source_gate(), items, recipients_at_most(), volumes_);
    if (const auto* wait = std::get_if<Dispatcher::WaitUntil>(&taken)) {
      // The queue's own rate: its timer brings another worker then.
      if (dispatcher_.next_recipient(queue_, reactor_.now()).until - reactor_.now() > patience()) co_return;
      (void)co_await rest(wait->time, false);
      continue;
    }
    if (std::holds_alternative<Dispatcher::NothingToDo>(taken)) {
      const bool has_work = co_await rest(reactor_.now() + linger(), true);
      if (!has_work) co_return;
      continue;
    }
    const bool may_continue = co_await deliver_next(items);
    if (!may_continue) co_return;
    co_await runtime::yield(reactor_);
  }
}

/// False: it ends here.
runtime::Task<bool> LocalWorker::deliver_next(queue::Batch& items) {
  spool::MessageLease lease;
  const spool::StoredMessage& stored = *items.front()->message;
  if (auto resident = dispatcher_.reader().try_open(stored)) {
    lease = std::move(*resident);
  } else {
    Result<spool::MessageLease> read = co_await dispatcher_.reader().open(stored);
    if (!read) {
      dispatcher_.end_volumes(volumes_, false);
      for (queue::Item*& item : items)
        dispatcher_.settler().lost(queue_, *std::exchange(item, nullptr), read.error());
      co_return true;
    }
    lease = std::move(*read);
  }
  if (dispatcher_.pay(queue_, source_gate(), items)) {  // its rate was used up while the message was read
    give_back(items);
    co_return true;
  }
  trouble_ = {};
  Step step = Step::Interrupted;
  if (!cut_) step = co_await deliver_contained(items, lease.view());
  give_back(items);
  co_return go_on(step);
}

runtime::Task<LocalWorker::Step> LocalWorker::deliver_contained(queue::Batch& items,
                                                                const spool::MessageView& message) {
  std::string broke;
  try {
    co_return co_await deliver(items, message);
  } catch (...) {
    broke = runtime::current_exception_text();
  }
  note_exception(broke);
  for (queue::Item*& item : items) {
    if (item != nullptr) deferred(item, message, {{4, 3, 0}, "internal error: " + broke});
  }
  co_return Step::Done;
}

void LocalWorker::delivered(queue::Item*& item, const spool::MessageView& message, std::string diag,
                            const HopFacts* hop) {
  dispatcher_.end_volumes(volumes_, true);
  dispatcher_.settler().delivered(
      queue_, *std::exchange(item, nullptr), message, hop,
      {.action = hop == nullptr ? "delivered" : "relayed", .diag = std::move(diag)});
  dispatcher_.succeeded(queue_, {.code = 250, .enhanced = {}, .text = {}});
}

void LocalWorker::bounced(queue::Item*& item, const spool::MessageView& message, const Failure& failure,
                          const HopFacts* hop) {
  dispatcher_.settler().bounced(queue_, *std::exchange(item, nullptr), message, hop, failure);
}

void LocalWorker::deferred(queue::Item*& item, const spool::MessageView& message, const Failure& failure,
                           const HopFacts* hop) {
  dispatcher_.settler().deferred(queue_, *std::exchange(item, nullptr), message, hop, failure);
}

LocalWorker::Sent LocalWorker::sent_to(const queue::Item& item, const spool::MessageView& message) {
  Sent sent{.sender = message.orig, .text = message.body};
  if (message.flags.has(spool::MessageFlags::kVerp)) {
    sender_.clear();
    identity::append_verp(sender_, message.orig, message.recipient(item.recipient).address);
    sent.sender = sender_;
  }
  make_outgoing(outgoing_, message.body, message.flags, queue_.vmta_name(), reactor_.wall_now(),
                settings_->remove_header);
  if (outgoing_.front.empty()) {
    sent.text = outgoing_.rest;
  } else {
    outgoing_.front.append(reinterpret_cast<const char*>(outgoing_.rest.data()), outgoing_.rest.size());
    sent.text = std::as_bytes(std::span(outgoing_.front));
  }
  return sent;
}

local::MacroValues LocalWorker::macros_for(const queue::Item& item, const spool::MessageView& message,
                                           std::string_view sender) const {
  const WallTime now = reactor_.wall_now();
  return local::MacroValues(
      {.from = sender,
       .to = message.recipient(item.recipient).address,
       .env_id = message.env_id,
       .eight_bit = message.flags.has(spool::MessageFlags::kEightBit),
       .now = now,
       .utc_offset = dispatcher_.zone().offset_at(std::chrono::floor<std::chrono::seconds>(now)),
       .preserve_case = settings_->macro_variables_preserve_case});
}

std::string one_line(std::string_view text, std::size_t most) {
  if (text.size() > most) text.remove_prefix(text.size() - most);
  std::string out;
  bool blank = true;  // none at the front
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    const std::size_t size = utf8_front(text);
    if (c <= 0x20 || c == 0x7f) {
      if (!blank) out += ' ';
      blank = true;
    } else {
      out += size == 0 ? std::string_view("?") : text.substr(0, size);
      blank = false;
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

}  // namespace sluice::delivery
