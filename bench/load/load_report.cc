#include "bench/load/load_report.h"

#include <fmt/format.h>

#include <algorithm>

#include "policy/base/json_text.h"

namespace sluice::bench {
namespace {

double microseconds(Duration duration) { return static_cast<double>(duration.count()) / 1e3; }

double cpu_per_message(const CpuTime& cpu, std::uint64_t messages) {
  return microseconds(cpu.total()) / static_cast<double>(std::max<std::uint64_t>(1, messages));
}

CpuTime used(const WatchedProcess& process) {
  return {process.after.user - process.before.user, process.after.system - process.before.system};
}

}  // namespace

double LoadResult::per_second() const {
  return time <= 0s ? 0.0 : static_cast<double>(accepted) * 1e9 / static_cast<double>(time.count());
}

LoadResult add_up(const std::vector<std::unique_ptr<LoadCounters>>& threads) {
  LoadResult out;
  for (const auto& thread : threads) {
    out.started += thread->started.value();
    out.accepted += thread->accepted.value();
    out.refused += thread->refused.value();
    out.unknown += thread->unknown.value();
    out.unsent += thread->unsent.value();
    out.recipients += thread->recipients.value();
    out.bytes += thread->bytes.value();
    out.connects += thread->connects.value();
    out.connects_failed += thread->connects_failed.value();
    out.connections_lost += thread->connections_lost.value();
    out.latency_ns.merge(thread->latency_ns);
    for (const auto& [text, count] : thread->refusals) {
      const auto found = std::ranges::find(out.refusals, text, &std::pair<std::string, std::uint64_t>::first);
      if (found == out.refusals.end()) {
        out.refusals.emplace_back(text, count);
      } else {
        found->second += count;
      }
    }
  }
  return out;
}

std::string load_result_text(const LoadResult& result) {
  std::string out = fmt::format(
      "run {}: {} accepted in {}, {:.0f}/s, {:.1f} MB/s\n", result.run, result.accepted,
      duration_text(result.time), result.per_second(),
      result.time <= 0s ? 0.0
                        : static_cast<double>(result.bytes) * 1e3 / static_cast<double>(result.time.count()));
  out += fmt::format("latency {}\n", latency_text(result.latency_ns));
  out += fmt::format("recipients {}, refused {}, unknown {}, unsent {}\n", result.recipients, result.refused,
                     result.unknown, result.unsent);
  out += fmt::format("connections {} opened, {} failed, {} lost\n", result.connects, result.connects_failed,
                     result.connections_lost);
  out += fmt::format("cpu load {:.2f} us a message", cpu_per_message(result.cpu, result.accepted));
  for (const WatchedProcess& process : result.watched) {
    out += fmt::format(", process {} {:.2f} us a message", process.pid,
                       cpu_per_message(used(process), result.accepted));
  }
  out += "\n";
  for (const auto& [text, count] : result.refusals) out += fmt::format("refused {} times: {}\n", count, text);
  return out;
}

std::string load_result_json(const LoadResult& result) {
  const auto at = [&](double percent) {
    return static_cast<double>(result.latency_ns.percentile(percent)) / 1e3;
  };
  std::string out = fmt::format(
      "{{\"run\":{},\"started\":{},\"accepted\":{},\"refused\":{},\"unknown\":{},\"unsent\":{},"
      "\"recipients\":{},"
      "\"bytes\":{},\"connects\":{},\"connects_failed\":{},\"connections_lost\":{},\"seconds\":{:.6f},"
      "\"per_second\":{:.1f}",
      json_string(result.run), result.started, result.accepted, result.refused, result.unknown, result.unsent,
      result.recipients, result.bytes, result.connects, result.connects_failed, result.connections_lost,
      static_cast<double>(result.time.count()) / 1e9, result.per_second());
  out += fmt::format(
      ",\"latency_us\":{{\"mean\":{:.1f},\"p50\":{:.1f},\"p90\":{:.1f},\"p99\":{:.1f},\"p999\":{:.1f},"
      "\"max\":{:.1f}}}",
      result.latency_ns.mean() / 1e3, at(50), at(90), at(99), at(99.9), at(100));
  out += fmt::format(",\"cpu_us_per_message\":{:.3f},\"watched\":[",
                     cpu_per_message(result.cpu, result.accepted));
  for (std::size_t i = 0; i < result.watched.size(); ++i) {
    const WatchedProcess& process = result.watched[i];
    out += fmt::format(
        "{}{{\"pid\":{},\"user_seconds\":{:.3f},\"system_seconds\":{:.3f},\"us_per_message\":{:.3f}}}",
        i == 0 ? "" : ",", process.pid, microseconds(used(process).user) / 1e6,
        microseconds(used(process).system) / 1e6, cpu_per_message(used(process), result.accepted));
  }
  out += "],\"refusals\":[";
  for (std::size_t i = 0; i < result.refusals.size(); ++i) {
    out += fmt::format("{}{{\"reply\":{},\"count\":{}}}", i == 0 ? "" : ",",
                       json_string(result.refusals[i].first), result.refusals[i].second);
  }
  return out + "]}\n";
}

}  // namespace sluice::bench
