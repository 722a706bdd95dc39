#include "engine/shard/notices.h"

#include <algorithm>

#include "engine/runtime/boundary.h"
#include "net/mime/received.h"
#include "policy/base/ascii.h"
#include "policy/base/mail_address.h"
#include "policy/base/version.h"

namespace sluice::shard {
namespace {

/// Texts hold what remote hosts said: one line of plain ASCII, whatever it was.
std::string clean(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
  }
  return out;
}

void append_lines(std::string& out, std::string_view text) {
  constexpr std::size_t kLineMax = 900;  // RFC 5322 2.1.1 allows 998
  while (!text.empty()) {
    const std::size_t end = std::min({text.find('\n'), text.size(), kLineMax});
    const std::string_view line = text.substr(0, end);
    if (line.starts_with('.')) out += ' ';
    out += clean(line);
    out += "\r\n";
    text.remove_prefix(end < text.size() && text[end] == '\n' ? end + 1 : end);
  }
}

}  // namespace

void Notices::send(delivery::Notice notice) {
  if (stopping_) return;
  try {
    add(std::move(notice));
  } catch (...) {
    runtime::note_contained(reactor_, log_, "a notice by mail");
    ++left_out_;
  }
}

void Notices::add(delivery::Notice notice) {
  const MonoTime now = reactor_.now();
  if (this_hour_ == 0 || now - hour_began_ >= 1h) {
    hour_began_ = now;
    this_hour_ = 0;
  }
  if (this_hour_ == kPerHourMax || waiting_.size() == kWaitingMax) {
    ++left_out_;
    return;
  }
  ++this_hour_;
  if (!submitting_) tasks_.spawn(submit_all());  // first: without it nothing would ever take what waits
  waiting_.push_back(std::move(notice));
}

runtime::Task<void> Notices::stop() {
  stopping_ = true;
  waiting_.clear();
  co_await tasks_.join();
}

runtime::Task<void> Notices::submit_all() {
  submitting_ = true;
  // Whoever sent the notice is in the middle of something, and storing may look at queues again.
  co_await runtime::yield(reactor_);
  while (!waiting_.empty()) {
    const delivery::Notice notice = std::move(waiting_.front());
    waiting_.pop_front();
    try {
      co_await submit(notice);
    } catch (...) {
      runtime::note_contained(reactor_, log_, "a notice by mail");
      ++left_out_;
    }
  }
  submitting_ = false;
}

runtime::Task<void> Notices::submit(const delivery::Notice& notice) {
  const queue::Snapshot& snapshot = *intake_.snapshot();
  const auto& names = snapshot.config->globals.host_name;
  const std::string host = names.empty() ? "localhost" : names.front();
  injection::Submission submission;
  submission.rules = std::make_shared<const injection::ClientRules>(
      intake_.snapshot(), config::SourceSettings{}, std::string_view());
  submission.client = std::make_shared<const injection::Client>(host, Endpoint{}, Endpoint{}, "");
  submission.source_type = "local";
  for (const std::string& to : notice.to) {
    auto address = MailAddress::parse(to, {.bare = true});
    if (!address) continue;
    injection::SubmittedRecipient& recipient = submission.add_recipient();
    recipient.address = address->text();
    recipient.domain = to_lower(address->domain());
  }
  if (submission.recipient_count == 0) co_return;
  submission.text = message_text(notice, host);
  const std::uint64_t said = left_out_;
  const injection::Verdict verdict = co_await intake_.submit(submission);
  if (verdict.accepted()) {
    left_out_ -= std::min(left_out_, said);
  } else {
    ++left_out_;
  }
}

std::string Notices::message_text(const delivery::Notice& notice, const std::string& host) {
  const auto& postmasters = intake_.snapshot()->config->globals.postmaster;
  const WallTime now = reactor_.wall_now();
  std::string out =
      "From: " + clean(postmasters.empty() ? "postmaster@" + host : postmasters.front()) + "\r\nTo: ";
  for (std::size_t i = 0; i < notice.to.size(); ++i) out += (i == 0 ? "" : ",\r\n ") + clean(notice.to[i]);
  out += "\r\nSubject: " + clean(notice.subject).substr(0, 200) + "\r\nDate: " + net::rfc5322_date(now);
  out += "\r\nMessage-ID: <notice." + std::to_string(now.time_since_epoch().count()) + '.' +
         std::to_string(reactor_.shard().raw()) + '.' + std::to_string(++number_) + '@' + host +
         ">\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; "
         "charset=us-ascii\r\n\r\n";
  append_lines(out, notice.text);
  if (left_out_ > 0) {
    append_lines(out, "\n" + std::to_string(left_out_) +
                          " more notices were left out before this one: there were too many in an hour.");
  }
  append_lines(out, "\nThis server: " + host + " (" + std::string(own_product()) + ")");
  return out;
}

}  // namespace sluice::shard
