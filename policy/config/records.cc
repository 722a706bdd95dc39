// Value types of lists, limits and accounting.
#include "policy/base/ascii.h"
#include "policy/config/value.h"

namespace sluice::config {

std::optional<HttpAccess> Codec<HttpAccess>::parse(std::string_view token, Value& value) {
  const auto words = split_arguments(token, value, 2, 3, kGrammar);
  if (!words) return std::nullopt;
  const auto client = Codec<Cidr>::parse((*words)[0], value);
  if (!client) return std::nullopt;
  HttpAccess out{*client, AccessLevel::None, false, value.origin()};
  const std::size_t levels_at = static_cast<std::size_t>((*words)[1].data() - token.data());
  for (const std::string_view level : split_list(token.substr(levels_at))) {
    if (level == "none")
      out.level = AccessLevel::None;
    else if (level == "monitor")
      out.level = AccessLevel::Monitor;
    else if (level == "operator")
      out.level = AccessLevel::Operator;
    else if (level == "admin")
      out.level = AccessLevel::Admin;
    else if (level == "deny-logs")
      out.deny_logs = true;
    else {
      value.fail(level, "unknown access level \"" + std::string(level) + '"',
                 "none, monitor[,deny-logs], operator or admin");
      return std::nullopt;
    }
  }
  return out;
}
std::string Codec<HttpAccess>::format(const HttpAccess& item) {
  static constexpr std::string_view kLevels[] = {"none", "monitor", "operator", "admin"};
  return Codec<Cidr>::format(item.client) + ' ' + std::string(kLevels[static_cast<std::size_t>(item.level)]) +
         (item.deny_logs ? ",deny-logs" : "");
}

std::optional<std::optional<PickupDirs>> Codec<std::optional<PickupDirs>>::parse(std::string_view token,
                                                                                 Value& value) {
  const auto words = split_arguments(token, value, 2, 2, kGrammar);
  if (!words) return std::nullopt;
  auto dir = unquote((*words)[0], value);
  auto bad_dir = unquote((*words)[1], value);
  if (!dir || !bad_dir) return std::nullopt;
  return std::optional<PickupDirs>(PickupDirs{std::move(*dir), std::move(*bad_dir)});
}
std::string Codec<std::optional<PickupDirs>>::format(const std::optional<PickupDirs>& item) {
  return item ? quote_if_needed(item->dir) + ' ' + quote_if_needed(item->bad_dir) : std::string();
}

std::optional<Alias> Codec<Alias>::parse(std::string_view token, Value& value) {
  const auto words = split_arguments(token, value, 2, 64, kGrammar);
  if (!words) return std::nullopt;
  Alias out{std::string((*words)[0]), {}};
  const std::size_t list_at = static_cast<std::size_t>((*words)[1].data() - token.data());
  for (const std::string_view item : split_list(token.substr(list_at))) out.destinations.emplace_back(item);
  return out;
}
std::string Codec<Alias>::format(const Alias& item) {
  std::string out = item.source + ' ';
  for (std::size_t i = 0; i < item.destinations.size(); ++i) out += (i > 0 ? "," : "") + item.destinations[i];
  return out;
}

std::optional<DomainPattern> Codec<DomainPattern>::parse(std::string_view token, Value& value) {
  auto out = DomainPattern::parse(token);
  if (!out) {
    value.fail(token, "\"" + std::string(token) + "\" is not a domain pattern",
               "*, example.com, *.example.com, [*.]example.com or [10/8]");
  }
  return out;
}
std::string Codec<DomainPattern>::format(const DomainPattern& item) { return item.text(); }

std::optional<MxConnectionLimit> Codec<MxConnectionLimit>::parse(std::string_view token, Value& value) {
  const auto words = split_arguments(token, value, 2, 2, kGrammar);
  if (!words) return std::nullopt;
  auto mx = Codec<DomainPattern>::parse((*words)[0], value);
  const auto limit = mx ? Codec<std::uint32_t>::parse((*words)[1], value) : std::nullopt;
  if (!limit) return std::nullopt;
  return MxConnectionLimit{std::move(*mx), *limit};
}
std::string Codec<MxConnectionLimit>::format(const MxConnectionLimit& item) {
  return item.mx.text() + ' ' + std::to_string(item.limit);
}

std::optional<IpConnectionLimit> Codec<IpConnectionLimit>::parse(std::string_view token, Value& value) {
  const auto words = split_arguments(token, value, 2, 2, kGrammar);
  if (!words) return std::nullopt;
  const auto destination = Codec<Cidr>::parse((*words)[0], value);
  const auto limit = destination ? Codec<std::uint32_t>::parse((*words)[1], value) : std::nullopt;
  if (!limit) return std::nullopt;
  return IpConnectionLimit{*destination, *limit};
}
std::string Codec<IpConnectionLimit>::format(const IpConnectionLimit& item) {
  return Codec<Cidr>::format(item.destination) + ' ' + std::to_string(item.limit);
}

std::optional<PoolMember> Codec<PoolMember>::parse(std::string_view token, Value& value) {
  static constexpr std::uint64_t kWeightMax = 1000;
  const auto words = split_arguments(token, value, 1, 2, kGrammar);
  if (!words) return std::nullopt;
  auto name = unquote((*words)[0], value);
  if (!name) return std::nullopt;
  PoolMember out{std::move(*name), 1, {}, value.origin()};
  if (words->size() == 1) return out;
  const auto attributes = parse_attributes((*words)[1]);
  const auto weight = attributes ? parse_number(attribute(*attributes, "weight")) : std::nullopt;
  if (!weight || *weight == 0 || *weight > kWeightMax) {
    value.fail((*words)[1], "not a weight", "weight=1 to weight=1000");
    return std::nullopt;
  }
  out.weight = static_cast<std::uint32_t>(*weight);
  return out;
}
std::string Codec<PoolMember>::format(const PoolMember& item) {
  return quote_if_needed(item.name) + (item.weight == 1 ? "" : " weight=" + std::to_string(item.weight));
}

namespace {
constexpr std::pair<std::string_view, PrivacyKind> kPrivacyWords[] = {
    {"retain", PrivacyKind::Retain},          {"redact", PrivacyKind::Redact},
    {"siphash", PrivacyKind::Siphash},        {"siphash-hexkey", PrivacyKind::SiphashHexkey},
    {"hmac-sha256", PrivacyKind::HmacSha256}, {"hmac-sha256-hexkey", PrivacyKind::HmacSha256Hexkey},
};
}  // namespace

std::optional<PrivacyPolicy> Codec<PrivacyPolicy>::parse(std::string_view token, Value& value) {
  const auto words = split_arguments(token, value, 1, 2, kGrammar);
  if (!words) return std::nullopt;
  for (const auto& [word, kind] : kPrivacyWords) {
    if ((*words)[0] != word) continue;
    PrivacyPolicy out{kind, kind == PrivacyKind::Redact ? "..." : ""};
    const bool takes = kind != PrivacyKind::Retain;
    const bool needs = takes && kind != PrivacyKind::Redact;
    if (words->size() == 1 && !needs) return out;
    if (words->size() == 1 || !takes) {
      value.fail(token, takes ? "argument missing" : "too many arguments", std::string(kGrammar));
      return std::nullopt;
    }
    auto argument = unquote((*words)[1], value);
    if (!argument) return std::nullopt;
    out.argument = std::move(*argument);
    return out;
  }
  value.fail((*words)[0], "unknown privacy policy", std::string(kGrammar));
  return std::nullopt;
}
std::string Codec<PrivacyPolicy>::format(const PrivacyPolicy& item) {
  for (const auto& [word, kind] : kPrivacyWords) {
    if (kind != item.kind) continue;
    if (kind == PrivacyKind::Retain) return std::string(word);
    return std::string(word) + ' ' + (kind == PrivacyKind::Redact ? quote_if_needed(item.argument) : "*****");
  }
  return {};
}

std::optional<RecordFields> Codec<RecordFields>::parse(std::string_view token, Value& value) {
  static constexpr std::size_t kFieldsMax = 512;
  const std::size_t blank = token.find_first_of(" \t");
  const auto type = Codec<RecordType>::parse(token.substr(0, blank), value);
  if (!type) return std::nullopt;
  RecordFields out{*type, {}, value.origin()};
  if (blank != std::string_view::npos) {
    for (const std::string_view field : split_list(token.substr(blank))) out.fields.emplace_back(field);
  }
  if (out.fields.empty() || out.fields.size() > kFieldsMax) {
    value.fail(token.substr(token.size()), out.fields.empty() ? "argument missing" : "too many fields",
               "TYPE LIST, for example b timeLogged,rcpt,dsnDiag");
    return std::nullopt;
  }
  return out;
}
std::string Codec<RecordFields>::format(const RecordFields& item) {
  std::string out(short_name(item.type));
  for (std::size_t i = 0; i < item.fields.size(); ++i) out += (i > 0 ? "," : " ") + item.fields[i];
  return out;
}

std::optional<HeaderToField> Codec<HeaderToField>::parse(std::string_view token, Value& value) {
  const auto words = split_arguments(token, value, 3, 3, kGrammar);
  if (!words) return std::nullopt;
  const auto type = Codec<RecordType>::parse((*words)[0], value);
  if (!type) return std::nullopt;
  std::string_view header = (*words)[1];
  if (!istarts_with(header, "header_") || header.size() == 7) {
    value.fail(header, "not a header field", "header_NAME, for example header_X-Campaign");
    return std::nullopt;
  }
  if (*type == RecordType::TransientQueue) {
    value.fail((*words)[0], "tq records have no message, so no headers", "d, b, t, r, f, rb or rs");
    return std::nullopt;
  }
  header.remove_prefix(7);
  return HeaderToField{*type, std::string(header), std::string((*words)[2])};
}
std::string Codec<HeaderToField>::format(const HeaderToField& item) {
  return std::string(short_name(item.type)) + " header_" + item.header + ' ' + item.field;
}

std::optional<QueueFilter> Codec<QueueFilter>::parse(std::string_view token, Value& value) {
  QueueFilter out;
  std::string_view rest = token;
  if (rest.starts_with('!')) {
    out.negative = true;
    rest = trim(rest.substr(1));
  }
  const std::size_t slash = rest.find('/');
  out.domain = normalise_domain(rest.substr(0, slash));
  out.vmta = slash == std::string_view::npos ? "*" : std::string(rest.substr(slash + 1));
  if (out.domain.empty() || out.vmta.empty()) {
    value.fail(token, "queue name missing", std::string(kGrammar));
    return std::nullopt;
  }
  if (out.domain.front() == '{') {
    value.fail(token, "internal queues cannot be filtered", std::string(kGrammar));
    return std::nullopt;
  }
  return out;
}
std::string Codec<QueueFilter>::format(const QueueFilter& item) {
  return (item.negative ? "!" : "") + item.domain + (item.vmta == "*" ? "" : '/' + item.vmta);
}

std::optional<MxRollup> Codec<MxRollup>::parse(std::string_view token, Value& value) {
  const auto words = split_arguments(token, value, 2, 3, kGrammar);
  if (!words) return std::nullopt;
  auto mx = Codec<DomainPattern>::parse((*words)[0], value);
  if (!mx) return std::nullopt;
  MxRollup out{std::move(*mx), normalise_domain((*words)[1]), words->size() == 3, value.origin()};
  if (!out.target.ends_with(".rollup") || out.target.size() == 7) {
    value.fail((*words)[1], "the name of a rollup queue ends in .rollup", std::string(kGrammar),
               out.target + ".rollup");
    return std::nullopt;
  }
  if (words->size() == 3 && (*words)[2] != "rollup-by-ip") {
    value.fail((*words)[2], "unknown word", "rollup-by-ip");
    return std::nullopt;
  }
  return out;
}
std::string Codec<MxRollup>::format(const MxRollup& item) {
  return item.mx.text() + ' ' + item.target + (item.by_ip ? " rollup-by-ip" : "");
}

}  // namespace sluice::config
