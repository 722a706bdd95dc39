// `<alerts>`: thresholds, and who is told.
#include "policy/base/ascii.h"
#include "policy/config/rows/row.h"
#include "policy/config/rows/rows.h"

namespace sluice::config::rows {
namespace {

using A = AlertSettings;

constexpr std::string_view kPercent = "PERCENT, for example 0.5%, or off";

/// "0.5%" or "0.5": up to four digits behind the point.
std::optional<Share> parse_share(std::string_view text) {
  static constexpr std::uint32_t kWhole = 1'000'000, kPerPercent = 10'000;
  if (text.ends_with('%')) text.remove_suffix(1);
  const std::size_t point = std::min(text.find('.'), text.size());
  const auto whole = parse_number(text.substr(0, point));
  std::string digits(point < text.size() ? text.substr(point + 1) : "0");
  if (!whole || *whole > 100 || digits.empty() || digits.size() > 4) return std::nullopt;
  digits.resize(4, '0');
  const auto fraction = parse_number(digits);
  if (!fraction) return std::nullopt;
  const std::uint64_t parts = *whole * kPerPercent + *fraction;
  if (parts == 0 || parts > kWhole) return std::nullopt;
  return Share{static_cast<std::uint32_t>(parts)};
}

std::string format_share(const std::optional<Share>& share) {
  if (!share) return "off";
  std::string fraction = std::to_string(10'000 + share->raw() % 10'000).substr(1);
  while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
  return std::to_string(share->raw() / 10'000) + (fraction.empty() ? "" : "." + fraction) + '%';
}

/// A share, or `off`; false after value.fail().
bool read_share(std::string_view text, Value& value, std::optional<Share>& out) {
  if (iequals(text, "off") || iequals(text, "no")) {
    out.reset();
    return true;
  }
  out = parse_share(text);
  if (!out)
    value.fail(text, "\"" + std::string(text) + "\" is not a share of 0.0001% to 100%",
               std::string(kPercent));
  return out.has_value();
}

/// A line changes the threshold of its category and leaves the others: they are joined when all are read.
void apply_bounce_rate(Value& value, A& alerts) {
  const auto words = split_arguments(value.text(), value, 2, 2, "CATEGORY PERCENT|off");
  if (!words) return;
  BounceRateAlert rate{std::string((*words)[0]), {}};
  if (!read_share((*words)[1], value, rate.above)) return;
  alerts.bounce_rate.push_back(std::move(rate));
}

void apply_complaint_rate(Value& value, A& alerts) {
  std::optional<Share> share;
  if (read_share(value.text(), value, share)) alerts.complaint_rate = share;
}

std::string format_complaint_rate(const A& alerts) { return format_share(alerts.complaint_rate); }

Directive bounce_rate_row() {
  Directive row = custom<&apply_bounce_rate, &A::bounce_rate>(
      "bounce-rate", "share of recipients bounced in this category above which to tell",
      {.since = Since::Extension, .flags = kRepeats, .grammar = "CATEGORY PERCENT|off"});
  row.format = [](const void* record, std::vector<std::string>& out) {
    for (const BounceRateAlert& rate : static_cast<const A*>(record)->bounce_rate)
      out.push_back(rate.category + ' ' + format_share(rate.above));
  };
  row.format_default = [](std::vector<std::string>& out) {
    for (const BounceRateAlert& rate : A{}.bounce_rate)
      out.push_back(rate.category + ' ' + format_share(rate.above));
  };
  return row;
}

}  // namespace

void append_alerts(std::vector<Directive>& out) {
  static constexpr RowOptions kOwn{.since = Since::Extension};
  add(out, one<&A::enabled>("enabled", "tell at all", kOwn));
  add(out, bounce_rate_row());
  add(out, printed_by<&format_complaint_rate, A>(custom<&apply_complaint_rate, &A::complaint_rate>(
               "complaint-rate", "share of recipients who complained above which to tell",
               {.since = Since::Extension, .grammar = "PERCENT|off"})));
  add(out, one<&A::min_recipients>("min-recipients", "streams with fewer have no rate yet",
                                   {.since = Since::Extension, .min = 1}));
  add(out, one<&A::window>("window", "time the rates are those of", {.since = Since::Extension, .min = 60}));
  add(out, one<&A::blocklist>("blocklist", "DNS lists the source addresses are looked up in",
                              {.since = Since::Extension, .grammar = "ZONE[,ZONE...]"}));
  add(out, one<&A::blocklist_interval>("blocklist-interval", "how often they are looked up",
                                       {.since = Since::Extension, .min = 60}));
  add(out, one<&A::notify>(
               "notify", "who gets a mail",
               {.since = Since::Extension, .grammar = "EMAIL-LIST", .default_text = "the postmaster"}));
  add(out, one<&A::webhook_url>("webhook-url", "endpoint that is told",
                                {.since = Since::Extension, .grammar = "URL"}));
  add(out, one<&A::hold_stream>("hold-stream", "pause the stream until somebody resumes it", kOwn));
}

}  // namespace sluice::config::rows
