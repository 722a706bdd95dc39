#include "bench/load/message_maker.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <iterator>

#include "bench/lib/hash.h"

namespace sluice::bench {
namespace {

constexpr std::size_t kLineBytes = 72;  // with CR LF
constexpr std::string_view kWords[] = {"offer",  "summer", "your",   "order",  "ticket", "new",
                                       "garden", "weekly", "member", "points", "today",  "account",
                                       "thank",  "travel", "recipe", "notice", "the",    "and",
                                       "for",    "with",   "from",   "until",  "more",   "letter"};

// "Sat, 21 Nov 2026 18:59:00 +0000" (RFC 5322 3.3).
std::string date_text(std::int64_t second) {
  static constexpr std::string_view kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr std::string_view kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::chrono::sys_seconds time{std::chrono::seconds(second)};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(time - day);
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} +0000", kDays[std::chrono::weekday(day).c_encoding()],
                     static_cast<unsigned>(date.day()), kMonths[static_cast<unsigned>(date.month()) - 1],
                     static_cast<int>(date.year()), clock.hours().count(), clock.minutes().count(),
                     clock.seconds().count());
}

}  // namespace

MessageMaker::MessageMaker(const LoadPlan& plan) : plan_(plan) {
  std::uint64_t most = 0;
  for (const auto& size : plan.sizes) most = std::max(most, size.value.high);
  std::uint64_t draw = 0;
  while (text_.size() < most) {
    std::string line;
    while (line.size() < kLineBytes - 12) {
      line += kWords[scale_to(mix(plan.seed, draw++), std::size(kWords))];
      line += ' ';
    }
    line.resize(kLineBytes - 2, '-');
    text_ += line;
    text_ += "\r\n";
  }
  filler_ = std::string(kLineBytes, 'x') + "\r\n";
}

const std::string& MessageMaker::date_of(WallTime now) {
  const std::int64_t second = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  if (second != date_second_) {
    date_second_ = second;
    date_ = date_text(second);
  }
  return date_;
}

void MessageMaker::add_recipients(LoadMessage& message, std::uint64_t draw) const {
  const std::uint64_t spread = plan_.recipients_high - plan_.recipients_low + 1;
  const std::uint64_t count = plan_.recipients_low + scale_to(mix(draw, 1), spread);
  const std::uint64_t weights = total_weight(plan_.domains);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t chance = mix(draw, 100 + i);
    const NameRange& names = pick(plan_.domains, scale_to(chance, weights));
    // Unique in the run: an address alone tells the message, for accounting files without message ids.
    std::string address = fmt::format("r.{}.{}.{}@", plan_.run, message.number, i);
    names.append_name(scale_to(mix(chance), names.size()), address);
    message.recipients.push_back(std::move(address));
  }
}

LoadMessage MessageMaker::make(std::uint64_t number, WallTime now) {
  const std::uint64_t draw = mix(plan_.seed, number);
  LoadMessage message;
  message.number = number;
  message.id = fmt::format("load.{}.{}@{}", plan_.run, number, plan_.host);
  add_recipients(message, draw);
  message.head.reserve(640);
  auto out = std::back_inserter(message.head);
  fmt::format_to(out, "From: \"Weekly News\" <{}>\r\nTo: <{}>\r\nSubject: Issue {} of your letter\r\n",
                 plan_.sender, message.recipients.front(), number);
  fmt::format_to(out, "Date: {}\r\nMessage-ID: <{}>\r\nMIME-Version: 1.0\r\n", date_of(now), message.id);
  message.head += "Content-Type: text/plain; charset=us-ascii\r\n";
  if (!plan_.vmtas.empty()) {
    const std::uint64_t at = scale_to(mix(draw, 2), total_weight(plan_.vmtas));
    fmt::format_to(out, "x-virtual-mta: {}\r\n", pick(plan_.vmtas, at));
  }
  if (!plan_.jobs.empty()) {
    const std::uint64_t at = scale_to(mix(draw, 3), total_weight(plan_.jobs));
    fmt::format_to(out, "x-job: {}\r\n", pick(plan_.jobs, at));
  }
  message.head += "\r\n";
  const SizeRange& size = pick(plan_.sizes, scale_to(mix(draw, 4), total_weight(plan_.sizes)));
  fill_body(message, size.low + scale_to(mix(draw, 5), size.high - size.low + 1));
  return message;
}

// The first line is the message's own, so that no two bodies have one hash and a mix-up is found.
void MessageMaker::fill_body(LoadMessage& message, std::uint64_t bytes) const {
  const std::size_t header_bytes = message.head.size();
  fmt::format_to(std::back_inserter(message.head), "This is message {}.\r\n", message.id);
  if (bytes > message.head.size()) {
    const std::size_t wanted = static_cast<std::size_t>(bytes) - message.head.size();
    message.middle = std::string_view(text_).substr(0, wanted / kLineBytes * kLineBytes);
    // What is left is less than a line; a single byte cannot be a line and is left out.
    const std::size_t rest = wanted - message.middle.size();
    if (rest >= 2) message.tail = std::string_view(filler_).substr(filler_.size() - rest);
  }
  const std::string_view own = std::string_view(message.head).substr(header_bytes);
  message.body_bytes = own.size() + message.middle.size() + message.tail.size();
  XXH3_state_t* state = XXH3_createState();
  XXH3_64bits_reset(state);
  for (const std::string_view part : {own, message.middle, message.tail}) {
    XXH3_64bits_update(state, part.data(), part.size());
  }
  message.body_hash = XXH3_64bits_digest(state);
  XXH3_freeState(state);
}

}  // namespace sluice::bench
