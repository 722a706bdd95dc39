// Goal: what is configured is what receivers see, from one a day to 50,000 a second: never more in any
//       window, and less by half a percent at most. Also the table of it for people: `bench/figures --only
//       limits` prints what this test saw.
// How:  a whole node with a backlog in the simulated world, a link without jitter; rates are measured between
//       the first and the last event a receiver saw, the largest count in windows that include both their
//       ends.
#include <gtest/gtest.h>

#include <cstdio>

#include "tests/sim/limited.h"

namespace sluice::test {
namespace {

enum class What : std::uint8_t { Recipients, Connections, Bytes };

struct Case {
  const char* directive;  ///< as it stands in the configuration, with "%s" for the rate
  const char* rate;
  double events;  ///< or bytes, in `per`
  Duration per;
  Duration measured;
};

struct Row {
  double configured = 0;  ///< a second
  double seen = 0;
  double largest = 0;  ///< in any window of `per`
  [[nodiscard]] double error_percent() const { return (seen / configured - 1) * 100; }
};

double seconds(Duration time) { return static_cast<double>(time.count()) / 1e9; }

struct Event {
  MonoTime at;
  double weight = 1;
};

/// The largest sum in any window of `per`, both ends included.
double largest_window(const std::vector<Event>& events, Duration per) {
  double sum = 0;
  double most = 0;
  std::size_t begin = 0;
  for (const Event& one : events) {
    sum += one.weight;
    while (one.at - events[begin].at > per) sum -= events[begin++].weight;
    most = std::max(most, sum);
  }
  return most;
}

std::vector<Event> events_of(const Ledger& ledger, What what, MonoTime from) {
  std::vector<Event> out;
  if (what == What::Recipients) {
    for (const Seen& one : ledger.rcpts) out.push_back({one.at});
  } else if (what == What::Connections) {
    for (const MonoTime at : ledger.opened) out.push_back({at});
  } else {
    for (const Seen& one : ledger.messages) out.push_back({one.at, static_cast<double>(one.bytes)});
  }
  std::erase_if(out, [from](const Event& one) { return one.at < from; });
  std::ranges::sort(out, {}, &Event::at);
  return out;
}

/// The rate between the first and the last event; a limit that is met lets (n - 1) of them pass in that time.
Row row_of(const Case& one, const std::vector<Event>& events) {
  Row row{.configured = one.events / seconds(one.per), .largest = largest_window(events, one.per)};
  if (events.size() < 2) return row;
  double sum = -events.front().weight;
  for (const Event& event : events) sum += event.weight;
  row.seen = sum / seconds(events.back().at - events.front().at);
  return row;
}

void print(const char* rate, const char* directive, const Row& row, double allowed) {
  std::string name(directive, std::string_view(directive).find(' '));
  std::printf("limit | %s | %s | %.7g/s | %.7g/s | %+.3f %% | %.10g of %.10g\n", name.c_str(), rate,
              row.configured, row.seen, row.error_percent(), row.largest, allowed);
}

/// A node with more than enough of everything but what the case limits.
Row measure(const Case& one, What what) {
  std::string line(one.directive);
  line.replace(line.find("%s"), 2, one.rate);
  const bool of_vmta = line.ends_with(" of vmta");
  const bool of_pool = line.ends_with(" of pool");
  const std::string setting = ' ' + line.substr(0, line.find(" of ")) + '\n';
  const bool fast = one.events / seconds(one.per) > 2000;
  // A connection takes two round trips a message: fast rates need many.
  std::string domain =
      "<domain a.test>\n bounce-after 100d\n max-smtp-out " + std::string(fast ? "400" : "200") + "\n";
  domain += fast && what == What::Recipients ? " max-rcpt-per-message 100\n" : " max-rcpt-per-message 1\n";
  if (what == What::Connections) domain += " max-msg-per-connection 1\n";
  Limited run("total-max-smtp-out 500\n<virtual-mta lim>\n smtp-source-host 10.255.0.5 lim.sim\n" +
              (of_vmta ? setting : "") + "</virtual-mta>\n<virtual-mta-pool limits>\n virtual-mta lim\n" +
              (of_pool ? setting : "") + "</virtual-mta-pool>\n" + domain +
              (of_vmta || of_pool ? "" : setting) + "</domain>\n");
  EXPECT_TRUE(run.scenario.boot());
  constexpr std::size_t kBodyBytes = 2000;
  Limited::Load load{.recipients = 1, .each = 1, .vmtas = {"limits"}, .body_bytes = kBodyBytes};
  run.send(load);  // the queue exists from here on
  run.run_for(5s);
  // Nothing leaves before the whole backlog is there: what is measured is the limit, not the injection.
  run.scenario.ask({"pause", "queue", "a.test/*"});
  const double wanted = one.events * seconds(one.measured) / seconds(one.per) * 1.1 + 20;
  load.recipients = static_cast<std::size_t>(what == What::Bytes ? wanted / kBodyBytes : wanted);
  if (what == What::Recipients) load.each = 100;
  run.send(load);
  const MonoTime begin = run.scenario.world.now();
  run.scenario.ask({"resume", "queue", "a.test/*"});
  run.run_for(one.measured);
  const std::vector<Event> events = events_of(run.seen(), what, begin);
  const Row row = row_of(one, events);
  if (row.largest > one.events) {
    std::map<std::int64_t, double> when;
    for (const Event& event : events) when[(event.at - begin) / 50ms] += event.weight;
    for (const auto& [slot, sum] : when)
      std::printf("  after %lld ms: %g\n", static_cast<long long>(slot * 50), sum);
  }
  run.scenario.close();
  return row;
}

class Accuracy : public ::testing::TestWithParam<std::pair<What, Case>> {};

TEST_P(Accuracy, IsWithinHalfAPercentAndNeverAbove) {
  const auto& [what, one] = GetParam();
  const Row row = measure(one, what);
  print(one.rate, one.directive, row, one.events);
  EXPECT_LE(row.largest, one.events);
  // A volume may catch up with a slot: the stretch between first and last event is not always whole windows.
  EXPECT_LE(row.error_percent(), what == What::Bytes ? 0.1 : 0.0);
  // Volumes: a slot of the window's 256 is as fine as they look, and a message does not fit into what is
  // left.
  EXPECT_GE(row.error_percent(), what == What::Bytes ? -1.5 : -0.55);
}

// Handshakes over long ways cost a slow rate nothing: connections are there when the time comes.
TEST(AccuracyFarAway, SlowRatesAreUsedUp) {
  for (const char* line :
       {"max-msg-rate 20/min", "source-ip-max-msg-rate 0/0 20/min", "max-msg-rate 6/min"}) {
    SCOPED_TRACE(line);
    Limited run("<domain a.test>\n max-rcpt-per-message 1\n " + std::string(line) + "\n</domain>\n");
    ASSERT_TRUE(run.scenario.boot());
    run.send({.recipients = 400, .each = 100});
    run.scenario.world.network().default_link.latency = 150ms;
    const std::size_t before = run.seen().rcpts.size();
    const std::size_t connections = run.seen().opened.size();
    run.run_for(10min);
    const std::size_t events = std::string_view(line).find("20/min") != std::string_view::npos ? 20 : 6;
    expect_rate(times_of(run.seen().rcpts, [](const Seen&) { return true; }), events, 1min);
    EXPECT_GE(run.seen().rcpts.size() - before, events * 10 - 1);
    if (std::string_view(line).starts_with("max"))
      EXPECT_LE(run.seen().opened.size() - connections, events * 10 + 5) << "none in vain";
    run.scenario.close();
  }
}

constexpr auto R = What::Recipients;
constexpr auto C = What::Connections;
constexpr auto B = What::Bytes;
const std::pair<What, Case> kCases[] = {
    {R, {"max-msg-rate %s", "1/d", 1, 24h, 100h}},
    {R, {"max-msg-rate %s", "500/d", 500, 24h, 48h}},
    {R, {"max-msg-rate %s", "10/h", 10, 1h, 20h}},
    {R, {"max-msg-rate %s", "1/20m", 1, 20min, 10h}},
    {R, {"max-msg-rate %s", "500/5m", 500, 5min, 20min}},
    {R, {"max-msg-rate %s", "1/min", 1, 1min, 1h}},
    {R, {"max-msg-rate %s", "60/min", 60, 1min, 10min}},
    {R, {"max-msg-rate %s", "1/s", 1, 1s, 5min}},
    {R, {"max-msg-rate %s", "15/2s", 15, 2s, 1min}},
    {R, {"max-msg-rate %s", "83/5s", 83, 5s, 1min}},
    {R, {"max-msg-rate %s", "100/s", 100, 1s, 30s}},
    {R, {"max-msg-rate %s", "1000/s", 1000, 1s, 6s}},
    {R, {"max-msg-rate %s", "10000/s", 10'000, 1s, 3s}},
    {R, {"max-msg-rate %s", "50000/s", 50'000, 1s, 2s}},
    {R, {"max-smtp-msg-rate %s of vmta", "100/s", 100, 1s, 30s}},
    {R, {"max-smtp-msg-rate %s of pool", "500/5m", 500, 5min, 20min}},
    {R, {"source-ip-max-msg-rate 10.255.0.5 %s", "100/s", 100, 1s, 30s}},
    {C, {"max-connect-rate %s", "1/h", 1, 1h, 20h}},
    {C, {"max-connect-rate %s", "10/min", 10, 1min, 30min}},
    {C, {"max-connect-rate %s", "1/s", 1, 1s, 5min}},
    {C, {"max-connect-rate %s", "100/s", 100, 1s, 20s}},
    {C, {"source-ip-max-connect-rate 10.255.0.5 %s", "10/min", 10, 1min, 30min}},
    {C, {"source-ip-max-connect-rate 10.255.0.5 %s", "20/s", 20, 1s, 30s}},
    {B, {"max-data-volume-rate %s", "2m/d", 2 * 1024 * 1024, 24h, 48h}},
    {B, {"max-data-volume-rate %s", "2m/h", 2 * 1024 * 1024, 1h, 3h}},
    {B, {"max-data-volume-rate %s", "2m/m", 2 * 1024 * 1024, 1min, 5min}},
    {B, {"max-smtp-data-volume-rate %s of vmta", "2m/m", 2 * 1024 * 1024, 1min, 5min}},
    {B, {"max-smtp-data-volume-rate %s of pool", "2m/m", 2 * 1024 * 1024, 1min, 5min}},
    {B, {"source-ip-max-data-volume-rate 10.255.0.5 %s", "2m/m", 2 * 1024 * 1024, 1min, 5min}},
};
INSTANTIATE_TEST_SUITE_P(FromOneADayTo50000ASecond, Accuracy, ::testing::ValuesIn(kCases));

}  // namespace
}  // namespace sluice::test
