#include "bench/load/load_plan.h"

#include <fmt/format.h>

namespace sluice::bench {

namespace {
constexpr std::uint64_t kWeightMax = 1'000'000;

Parsed<SizeRange> parse_size_range(std::string_view text) {
  const std::size_t dots = text.find("..");
  const auto low = parse_size(text.substr(0, dots));
  const auto high = dots == std::string_view::npos ? low : parse_size(text.substr(dots + 2));
  if (!low) return std::unexpected(low.error());
  if (!high) return std::unexpected(high.error());
  if (*low > *high || *low == 0 || *high > LoadPlan::kMessageBytesMax) {
    return complain(fmt::format("'{}' is not a size or a span of sizes up to 64m", text));
  }
  return SizeRange{*low, *high};
}
}  // namespace

Parsed<Weighted<std::string>> parse_weighted(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return Weighted<std::string>{std::string(text), 1};
  const auto weight = parse_number(text.substr(colon + 1), kWeightMax);
  if (!weight || *weight == 0 || colon == 0) {
    return complain(fmt::format("'{}' is not a name with a weight; write name:30", text));
  }
  return Weighted<std::string>{std::string(text.substr(0, colon)), static_cast<std::uint32_t>(*weight)};
}

Parsed<std::vector<Weighted<SizeRange>>> parse_sizes(std::string_view text) {
  std::vector<Weighted<SizeRange>> out;
  for (const std::string_view part : split(text, ',')) {
    const auto named = parse_weighted(part);
    if (!named) return std::unexpected(named.error());
    const auto range = parse_size_range(named->value);
    if (!range) return std::unexpected(range.error());
    out.push_back({*range, named->weight});
  }
  if (out.empty()) return complain("no size given");
  return out;
}

Parsed<std::vector<RateStep>> parse_rate_steps(std::string_view text) {
  std::vector<RateStep> out;
  for (const std::string_view part : split(text, ',')) {
    if (!out.empty() && !out.back().lasts) return complain("only the last step may be without a time");
    const std::size_t colon = part.find(':');
    const auto rate = parse_rate(part.substr(0, colon));
    if (!rate) return std::unexpected(rate.error());
    RateStep step{*rate, std::nullopt};
    if (colon != std::string_view::npos) {
      const auto lasts = parse_duration(part.substr(colon + 1));
      if (!lasts) return std::unexpected(lasts.error());
      step.lasts = *lasts;
    }
    out.push_back(step);
  }
  if (out.empty()) return complain("no rate given");
  return out;
}

Parsed<SizeRange> parse_count_range(std::string_view text, std::uint64_t max) {
  const std::size_t dots = text.find("..");
  const auto low = parse_number(text.substr(0, dots), max);
  const auto high = dots == std::string_view::npos ? low : parse_number(text.substr(dots + 2), max);
  if (!low) return std::unexpected(low.error());
  if (!high) return std::unexpected(high.error());
  if (*low == 0 || *low > *high)
    return complain(fmt::format("'{}' is not a count or a span; write 3 or 1..10", text));
  return SizeRange{*low, *high};
}

}  // namespace sluice::bench
