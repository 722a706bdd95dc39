#include "engine/delivery/refusal.h"

#include "engine/delivery/dispatcher.h"
#include "engine/runtime/boundary.h"

namespace sluice::delivery {
namespace {

constexpr std::string_view kMark = "{refused}/";

}  // namespace

std::string Refusal::text() const {
  std::string out(kMark);
  out += ending == journal::Ending::Suppressed ? "S " : "B ";
  out += failure.status.text();
  out += ' ';
  out += failure.diag;
  return out;
}

std::optional<Refusal> Refusal::parse(std::string_view text) {
  if (!text.starts_with(kMark)) return std::nullopt;
  text.remove_prefix(kMark.size());
  if (text.size() < 2 || text[1] != ' ') return std::nullopt;
  Refusal out;
  out.ending = text[0] == 'S' ? journal::Ending::Suppressed : journal::Ending::Bounced;
  text.remove_prefix(2);
  const auto status = EnhancedStatus::parse_front(text);
  const std::size_t blank = text.find(' ');
  if (!status || blank == std::string_view::npos) return std::nullopt;
  out.failure = {*status, std::string(text.substr(blank + 1))};
  return out;
}

void Dispatcher::refuse(const Arrival& arrival, std::string_view domain, std::string_view vmta,
                        Refusal refusal) {
  queue::Queue& queue = queue_for(domain, vmta);
  queue::Item& item = *items_.make();
  item.message = arrival.message;
  item.recipient = arrival.recipient;
  queue.admit(item);
  try {
    tasks_.spawn(bounce_refused(queue, item, std::move(refusal)));
  } catch (...) {  // it was never here
    queue.ended(item);
    items_.give_back(&item);
    throw;
  }
}

runtime::Task<void> Dispatcher::bounce_refused(queue::Queue& queue, queue::Item& item, Refusal refusal) {
  ++queue.held;
  // Found by recovery: the logs are still being opened.
  while (!started_ && !stopping_) co_await runtime::sleep_for(reactor_, 50ms);
  for (bool again = true; again;) {
    again = false;
    try {
      co_await end_refused(queue, item, refusal);
    } catch (...) {
      runtime::note_contained(reactor_, log_, "bouncing a refused recipient of", queue.name());
      again = !stopping_;
    }
    if (again) co_await runtime::sleep_for(reactor_, 1s);
  }
  --queue.held;
  consider(queue);
}

runtime::Task<void> Dispatcher::end_refused(queue::Queue& queue, queue::Item& item, const Refusal& refusal) {
  const spool::StoredMessage& message = *item.message;
  Result<spool::MessageLease> lease = co_await reader_.open(message);
  // A disk that fails for a moment must not let the recipient through: it is asked again until it answers.
  while (!lease && lease.error().code != Errc::Corrupt && !stopping_) {
    co_await runtime::sleep_for(reactor_, 1s);
    lease = co_await reader_.open(message);
  }
  if (lease) {
    settler_.bounced(queue, item, lease->view(), nullptr, refusal.failure, refusal.ending);
  } else if (lease.error().code == Errc::Corrupt) {
    settler_.lost(queue, item, lease.error());
  }  // else the daemon stops: the next one finds the recipient, and why it is refused, in the spool
}

}  // namespace sluice::delivery
