#pragma once
// The text behind a directive's name, and how each C++ type of policy/settings is read from it and written
// back.

#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/settings/blocks.h"
#include "policy/settings/values.h"

namespace sluice::config {

/// Bounds a directive puts on its value, on top of the grammar of its type.
struct ValueRules {
  std::uint64_t min = 0;
  std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
  bool zero_is_unlimited = false;  ///< for counts: 0 means "no limit"
};

/// What is wrong with a value; `offset` counts bytes from the start of the value's text.
struct ValueFailure {
  std::string message;
  std::string expected;
  std::string suggestion;
  std::size_t offset = 0;
};

/// One directive's value while it is read.
/// Lifetime: borrows the text and the rules.
class Value {
 public:
  Value(std::string_view text, const ValueRules& rules, Origin origin)
      : text_(text), rules_(rules), origin_(origin) {}
  [[nodiscard]] std::string_view text() const { return text_; }
  [[nodiscard]] const ValueRules& rules() const { return rules_; }
  [[nodiscard]] Origin origin() const { return origin_; }

  /// Records what is wrong; the first call counts. `at` is a part of text().
  void fail(std::string_view at, std::string message, std::string expected = {}, std::string suggestion = {});
  /// Something odd that does not stop the value from being used.
  void warn(std::string_view at, std::string message, std::string suggestion = {});
  [[nodiscard]] bool failed() const { return failure_.has_value(); }
  [[nodiscard]] const std::optional<ValueFailure>& failure() const { return failure_; }
  [[nodiscard]] const std::vector<ValueFailure>& warnings() const { return warnings_; }

 private:
  [[nodiscard]] std::size_t offset_of(std::string_view at) const;
  std::string_view text_;
  const ValueRules& rules_;
  Origin origin_;
  std::optional<ValueFailure> failure_;
  std::vector<ValueFailure> warnings_;
};

/// Splits at blanks outside of quotes.
[[nodiscard]] std::vector<std::string_view> split_words(std::string_view text);
/// Words of a value with `min` to `max` arguments; fails with PowerMTA's wording.
[[nodiscard]] std::optional<std::vector<std::string_view>> split_arguments(std::string_view token,
                                                                           Value& value, std::size_t min,
                                                                           std::size_t max,
                                                                           std::string_view grammar);
/// Splits at commas outside of quotes and /regexes/; parts are trimmed, empty parts dropped.
[[nodiscard]] std::vector<std::string_view> split_list(std::string_view text);
/// Splits at one character; parts are trimmed and may be empty.
[[nodiscard]] std::vector<std::string_view> split_at(std::string_view text, char separator);

/// `name="value"` pairs; empty when `text` is not of that form.
using Attributes = std::vector<std::pair<std::string, std::string>>;
[[nodiscard]] std::optional<Attributes> parse_attributes(std::string_view text);
[[nodiscard]] std::string attribute(const Attributes& attributes, std::string_view name);

/// Without quotes and escapes: inside quotes `\"`, `\\` and `""`; outside `\ `, `\"`, `\$`. Fails on an open
/// quote.
[[nodiscard]] std::optional<std::string> unquote(std::string_view token, Value& value);
/// Quoted only where the text would not read back otherwise.
[[nodiscard]] std::string quote_if_needed(std::string_view text);

/// Length of the /regex/ at the start of `text` with both slashes; 0 when it is not closed or does not start
/// with `/`.
[[nodiscard]] std::size_t regex_length(std::string_view text);
/// Reads the /regex/ at the start of `text` and cuts it off.
[[nodiscard]] std::optional<Regex> take_regex(std::string_view& text, Value& value);
[[nodiscard]] std::string format_regex(std::string_view text);

[[nodiscard]] std::optional<std::uint64_t> parse_number(std::string_view text);
/// TIME-INTERVAL: "1w2d12h"; a bare 0.
[[nodiscard]] std::optional<Duration> parse_duration(std::string_view text);
/// "4d12h"; 0 is "0s".
[[nodiscard]] std::string format_duration(Duration duration);
/// Seconds, minutes and so on of "/15m"; accepts sec, min, hr, hour, day and their plurals.
[[nodiscard]] std::optional<Duration> parse_rate_unit(std::string_view text);
[[nodiscard]] std::optional<Rate> parse_rate(std::string_view text);
[[nodiscard]] std::string format_rate(const Rate& rate);
[[nodiscard]] std::optional<std::uint64_t> parse_size(std::string_view text);
[[nodiscard]] std::string format_size(std::uint64_t bytes);

/// How `T` is read and written. kGrammar is what the manual shows.
///   static constexpr std::string_view kGrammar;
///   static std::optional<T> parse(std::string_view token, Value& value);   // fails through `value`
///   static std::string format(const T&);
template <class T>
struct Codec;

#define SLUICE_DECLARE_CODEC(Type, grammar)                                               \
  template <>                                                                             \
  struct Codec<Type> {                                                                    \
    static constexpr std::string_view kGrammar = grammar;                                 \
    [[nodiscard]] static std::optional<Type> parse(std::string_view token, Value& value); \
    [[nodiscard]] static std::string format(const Type& item);                            \
  }

SLUICE_DECLARE_CODEC(bool, "BOOLEAN");
SLUICE_DECLARE_CODEC(std::uint16_t, "PORT");
SLUICE_DECLARE_CODEC(std::uint32_t, "N");
SLUICE_DECLARE_CODEC(std::uint64_t, "N");
SLUICE_DECLARE_CODEC(CountLimit, "N|unlimited");
SLUICE_DECLARE_CODEC(std::string, "TEXT");
SLUICE_DECLARE_CODEC(Duration, "TIME");
SLUICE_DECLARE_CODEC(TimeOrNever, "TIME|never");
SLUICE_DECLARE_CODEC(RateLimit, "RATE");
SLUICE_DECLARE_CODEC(VolumeLimit, "VOLUME-RATE");
SLUICE_DECLARE_CODEC(ByteCount, "SIZE");
SLUICE_DECLARE_CODEC(SizeLimit, "SIZE|unlimited");
SLUICE_DECLARE_CODEC(IpAddress, "IP");
SLUICE_DECLARE_CODEC(std::optional<IpAddress>, "IP");
SLUICE_DECLARE_CODEC(std::optional<std::uint16_t>, "PORT");
SLUICE_DECLARE_CODEC(Cidr, "CIDR");
SLUICE_DECLARE_CODEC(Endpoint, "IP:PORT");
SLUICE_DECLARE_CODEC(DomainPattern, "DOMAIN-PATTERN");
SLUICE_DECLARE_CODEC(HostList, "HOST-LIST");
SLUICE_DECLARE_CODEC(CertificateFile, "FILE [PASSWORD]");
SLUICE_DECLARE_CODEC(NameOrRegex, "NAME|/REGEX/");
SLUICE_DECLARE_CODEC(BounceUponNoMx, "BOOLEAN|TIME|never");
SLUICE_DECLARE_CODEC(RecordType, "TYPE");
SLUICE_DECLARE_CODEC(SourceHost, "IP|CIDR HOST");
SLUICE_DECLARE_CODEC(ProxySourceHost, "CIDR PROXY:PORT CLIENT-IP[:PORT] HOST");
SLUICE_DECLARE_CODEC(DomainKey, "SELECTOR,DOMAIN,FILE");
SLUICE_DECLARE_CODEC(HttpAccess, "CIDR LEVEL");
SLUICE_DECLARE_CODEC(std::optional<PickupDirs>, "DIR BADDIR");
SLUICE_DECLARE_CODEC(Alias, "ADDRESS ADDRESS-LIST");
SLUICE_DECLARE_CODEC(MxConnectionLimit, "DOMAIN-PATTERN N");
SLUICE_DECLARE_CODEC(IpConnectionLimit, "CIDR N");
SLUICE_DECLARE_CODEC(PoolMember, "VMTA [weight=N]");
SLUICE_DECLARE_CODEC(
    PrivacyPolicy,
    "retain|redact [TEXT]|siphash KEY|siphash-hexkey KEY|hmac-sha256 KEY|hmac-sha256-hexkey KEY");
SLUICE_DECLARE_CODEC(RecordFields, "TYPE LIST");
SLUICE_DECLARE_CODEC(HeaderToField, "TYPE header_NAME FIELD");
SLUICE_DECLARE_CODEC(QueueFilter, "[!]DOMAIN[/VMTA]");
SLUICE_DECLARE_CODEC(MxRollup, "MX-PATTERN NAME.rollup [rollup-by-ip]");
SLUICE_DECLARE_CODEC(ReplyRule, "/REGEX/ ACTION[,ACTION...]");
SLUICE_DECLARE_CODEC(BounceCategoryRule, "/REGEX/ CATEGORY");
SLUICE_DECLARE_CODEC(std::optional<bool>, "BOOLEAN");
#undef SLUICE_DECLARE_CODEC

/// The older `route`: one host with a port, an address, or a domain whose MX hosts are asked.
[[nodiscard]] std::optional<HostList> parse_route(std::string_view token, Value& value);

/// Words an enumeration is written with. Several words may name one value; the first one is printed.
template <class E>
struct EnumWords;  // static constexpr std::pair<std::string_view, E> kWords[];

[[nodiscard]] std::string list_words(const std::string_view* words, std::size_t count);

template <class E>
  requires requires { EnumWords<E>::kWords; }
struct Codec<E> {
  static constexpr std::string_view kGrammar = EnumWords<E>::kGrammar;
  [[nodiscard]] static std::optional<E> parse(std::string_view token, Value& value) {
    for (const auto& [word, item] : EnumWords<E>::kWords) {
      if (iequals(token, word)) return item;
    }
    value.fail(token, "unknown value \"" + std::string(token) + '"', std::string(kGrammar));
    return std::nullopt;
  }
  [[nodiscard]] static std::string format(const E& item) {
    for (const auto& [word, candidate] : EnumWords<E>::kWords) {
      if (candidate == item) return std::string(word);
    }
    return {};
  }
};

/// `CIDR VALUE`.
template <class T>
struct Codec<PerSource<T>> {
  static constexpr std::string_view kGrammar = "CIDR VALUE";
  [[nodiscard]] static std::optional<PerSource<T>> parse(std::string_view token, Value& value) {
    const auto words = split_words(token);
    if (words.size() != 2) {
      value.fail(token, words.size() < 2 ? "argument missing" : "too many arguments", std::string(kGrammar));
      return std::nullopt;
    }
    const auto source = Codec<Cidr>::parse(words[0], value);
    if (!source) return std::nullopt;
    auto item = Codec<T>::parse(words[1], value);
    if (!item) return std::nullopt;
    return PerSource<T>{*source, std::move(*item)};
  }
  [[nodiscard]] static std::string format(const PerSource<T>& item) {
    return Codec<Cidr>::format(item.source) + ' ' + Codec<T>::format(item.value);
  }
};

}  // namespace sluice::config
