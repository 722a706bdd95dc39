#include "bench/provider/provider_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "bench/provider/dns_lines.h"
#include "policy/base/ascii.h"

namespace sluice::bench {
namespace {

// "127.0.0.1", "127.0.0.1:2525", "::1", "[::1]:2525", "127.0.1.[1-50]:2525".
Parsed<std::vector<Endpoint>> parse_addresses(std::string_view text) {
  std::vector<std::string> texts;
  const std::size_t open = text.find('[');
  if (open == 0 || open == std::string_view::npos) {
    texts.emplace_back(text);
  } else {
    const auto range = NameRange::parse(text);
    if (!range) return std::unexpected(range.error());
    if (range->size() > kAddressesMax) return complain(fmt::format("'{}' names too many addresses", text));
    for (std::uint64_t i = 0; i < range->size(); ++i) texts.push_back(range->name(i));
  }
  std::vector<Endpoint> out;
  for (const std::string& one : texts) {
    if (const auto address = IpAddress::parse(one)) {
      out.push_back({*address, 0});
    } else if (const auto endpoint = Endpoint::parse(one)) {
      out.push_back(*endpoint);
    } else {
      return complain(
          fmt::format("'{}' is not an address; write 127.0.1.1, 127.0.1.1:2525, ::1 or 127.0.1.[1-9]", one));
    }
  }
  return out;
}

template <class T, class Parse>
Parsed<void> set_value(std::string_view text, Parse parse, T& into) {
  auto value = parse(text);
  if (!value) return std::unexpected(value.error());
  into = *std::move(value);
  return {};
}

// "VALUE [REPLY]".
template <class T, class Parse>
Parsed<void> set_limit(const Words& words, Parse parse, std::string_view usual_reply,
                       std::optional<Limit<T>>& into) {
  const auto value = parse(std::string_view(words[1].text));
  if (!value) return std::unexpected(value.error());
  into = Limit<T>{*value, words.size() > 2 ? words[2].text : std::string(usual_reply)};
  return {};
}

Parsed<std::uint64_t> parse_any_number(std::string_view text) { return parse_number(text); }

Parsed<void> set_extension(Extensions& extensions, std::string_view keyword, bool on) {
  const auto is = [&](std::string_view name, bool& into) {
    if (!iequals(keyword, name)) return false;
    into = on;
    return true;
  };
  if (is("PIPELINING", extensions.pipelining) || is("CHUNKING", extensions.chunking) ||
      is("8BITMIME", extensions.eight_bit_mime) || is("DSN", extensions.dsn) || is("SIZE", extensions.size) ||
      is("ENHANCEDSTATUSCODES", extensions.enhanced_status_codes) || is("SMTPUTF8", extensions.smtputf8) ||
      is("EHLO", extensions.ehlo)) {
    return {};
  }
  if (!on) return complain(fmt::format("'{}' is not an extension the sink knows", keyword));
  extensions.others.emplace_back(keyword);
  return {};
}

class Reader {
 public:
  Parsed<Internet> read(std::string_view text);

 private:
  struct Directive {
    std::string_view name;
    std::size_t words_min;  // the name included
    std::size_t words_max;
    Parsed<void> (Reader::*take)(const Words&);
  };
  static const Directive kTop[];
  static const Directive kInside[];
  Parsed<void> take_line(const Words& words);
  Parsed<void> close_provider();

  Provider& here() { return *provider_; }
  Parsed<void> take_seed(const Words& w) { return set_value(w[1].text, parse_any_number, internet_.seed); }
  Parsed<void> take_port(const Words& w);
  Parsed<void> take_ttl(const Words& w);
  Parsed<void> take_negative_ttl(const Words& w);
  Parsed<void> take_record(const Words& w);
  Parsed<void> take_fault(const Words& w);
  Parsed<void> take_provider(const Words& w);

  Parsed<void> take_domain(const Words& w);
  Parsed<void> take_mx(const Words& w);
  Parsed<void> take_mx_elsewhere(const Words& w);
  Parsed<void> take_address(const Words& w);
  Parsed<void> take_banner(const Words& w) { return here().banner = w[1].text, Parsed<void>(); }
  Parsed<void> take_any_domain(const Words&) { return here().any_domain = true, Parsed<void>(); }
  Parsed<void> take_bytewise(const Words&) { return here().bytewise = true, Parsed<void>(); }
  Parsed<void> take_extensions(const Words& w);
  Parsed<void> take_no_extensions(const Words& w);
  Parsed<void> take_size(const Words& w) { return set_value(w[1].text, parse_size, here().size_bytes_max); }
  Parsed<void> take_recipients(const Words& w) {
    return set_value(w[1].text, parse_any_number, here().recipients_max);
  }
  Parsed<void> take_connections(const Words& w) {
    return set_limit(w, parse_any_number, "421 4.7.0 Too many connections", here().connections);
  }
  Parsed<void> take_connections_per_source(const Words& w) {
    return set_limit(w, parse_any_number, "421 4.7.0 Too many connections from your address",
                     here().connections_per_source);
  }
  Parsed<void> take_connection_rate(const Words& w) {
    return set_limit(w, parse_rate, "421 4.7.0 Connection rate exceeded", here().connection_rate);
  }
  Parsed<void> take_connection_rate_per_source(const Words& w) {
    return set_limit(w, parse_rate, "421 4.7.0 Connection rate of your address exceeded",
                     here().connection_rate_per_source);
  }
  Parsed<void> take_message_rate(const Words& w) {
    return set_limit(w, parse_rate, "451 4.7.1 Message rate exceeded", here().message_rate);
  }
  Parsed<void> take_message_rate_per_source(const Words& w) {
    return set_limit(w, parse_rate, "421 4.7.28 Message rate of your address exceeded",
                     here().message_rate_per_source);
  }
  Parsed<void> take_messages_per_connection(const Words& w) {
    return set_limit(w, parse_any_number, "421 4.7.0 Too many messages on this connection",
                     here().messages_per_connection);
  }
  Parsed<void> take_greylist(const Words& w) {
    return set_limit(w, parse_duration, "451 4.7.1 Greylisted, try again later", here().greylist);
  }
  Parsed<void> take_unknown_users(const Words& w) {
    return set_limit(w, parse_share, "550 5.1.1 No such user", here().unknown_users);
  }
  Parsed<void> take_idle(const Words& w) { return set_limit(w, parse_duration, "", here().idle); }
  Parsed<void> take_receive_buffer(const Words& w) {
    return set_value(w[1].text, parse_size, here().receive_buffer_bytes);
  }
  Parsed<void> take_expect(const Words& w);
  Parsed<void> take_at(const Words& w);
  Parsed<void> take_dns(const Words& w);

  Internet internet_;
  std::optional<Provider> provider_;
  std::vector<DnsFault> provider_faults_;
  std::size_t rules_ = 0;
};

constexpr std::size_t kManyWords = 1000;
const Reader::Directive Reader::kTop[] = {
    {"seed", 2, 2, &Reader::take_seed},         {"port", 2, 2, &Reader::take_port},
    {"ttl", 2, 2, &Reader::take_ttl},           {"negative-ttl", 2, 2, &Reader::take_negative_ttl},
    {"record", 4, 7, &Reader::take_record},     {"dns-fault", 3, 5, &Reader::take_fault},
    {"provider", 2, 2, &Reader::take_provider},
};
const Reader::Directive Reader::kInside[] = {
    {"domain", 2, kManyWords, &Reader::take_domain},
    {"any-domain", 1, 1, &Reader::take_any_domain},
    {"mx", 3, kManyWords, &Reader::take_mx},
    {"mx-elsewhere", 3, kManyWords, &Reader::take_mx_elsewhere},
    {"address", 2, kManyWords, &Reader::take_address},
    {"banner", 2, 2, &Reader::take_banner},
    {"extension", 2, kManyWords, &Reader::take_extensions},
    {"no-extension", 2, kManyWords, &Reader::take_no_extensions},
    {"size", 2, 2, &Reader::take_size},
    {"recipients", 2, 2, &Reader::take_recipients},
    {"connections", 2, 3, &Reader::take_connections},
    {"connections-per-source", 2, 3, &Reader::take_connections_per_source},
    {"connection-rate", 2, 3, &Reader::take_connection_rate},
    {"connection-rate-per-source", 2, 3, &Reader::take_connection_rate_per_source},
    {"message-rate", 2, 3, &Reader::take_message_rate},
    {"message-rate-per-source", 2, 3, &Reader::take_message_rate_per_source},
    {"messages-per-connection", 2, 3, &Reader::take_messages_per_connection},
    {"greylist", 2, 3, &Reader::take_greylist},
    {"unknown-users", 2, 3, &Reader::take_unknown_users},
    {"idle-timeout", 2, 3, &Reader::take_idle},
    {"receive-buffer", 2, 2, &Reader::take_receive_buffer},
    {"bytewise", 1, 1, &Reader::take_bytewise},
    {"expect", 3, 3, &Reader::take_expect},
    {"at", 3, kManyWords, &Reader::take_at},
    {"dns", 2, 4, &Reader::take_dns},
};

Parsed<void> Reader::take_port(const Words& w) {
  return mapped(parse_number(w[1].text, 65535),
                [&](std::uint64_t port) { internet_.port = static_cast<std::uint16_t>(port); });
}

Parsed<void> Reader::take_ttl(const Words& w) {
  return mapped(parse_number(w[1].text, UINT32_MAX),
                [&](std::uint64_t seconds) { internet_.ttl_seconds = static_cast<std::uint32_t>(seconds); });
}

Parsed<void> Reader::take_negative_ttl(const Words& w) {
  return mapped(parse_number(w[1].text, UINT32_MAX), [&](std::uint64_t seconds) {
    internet_.negative_ttl_seconds = static_cast<std::uint32_t>(seconds);
  });
}

Parsed<void> Reader::take_record(const Words& w) {
  return mapped(parse_dns_record(w),
                [&](DnsRecord record) { internet_.records.push_back(std::move(record)); });
}

Parsed<void> Reader::take_fault(const Words& w) {
  auto pattern = DomainPattern::parse(w[1].text);
  if (!pattern) return std::unexpected(pattern.error());
  auto fault = parse_dns_fault(w, 2);
  if (!fault) return std::unexpected(fault.error());
  fault->names = *std::move(pattern);
  internet_.faults.push_back(*std::move(fault));
  return {};
}

Parsed<void> Reader::take_provider(const Words& w) {
  const auto same_name = [&](const Provider& other) { return other.name == w[1].text; };
  if (std::ranges::any_of(internet_.providers, same_name))
    return complain("there is a provider of this name already");
  if (internet_.providers.size() >= kProvidersMax) return complain("too many providers");
  provider_.emplace();
  provider_->name = w[1].text;
  return {};
}

Parsed<void> Reader::take_domain(const Words& w) {
  for (std::size_t i = 1; i < w.size(); ++i) {
    auto pattern = DomainPattern::parse(w[i].text);
    if (!pattern) return std::unexpected(pattern.error());
    if (pattern->kind() == DomainPattern::Kind::Everything) return complain("use any-domain instead of '*'");
    here().domains.push_back(*std::move(pattern));
  }
  return {};
}

Parsed<void> Reader::take_mx(const Words& w) {
  MxHost host;
  const auto preference = parse_number(w[1].text, 65535);
  if (!preference) return std::unexpected(preference.error());
  host.preference = static_cast<std::uint16_t>(*preference);
  host.name = name_text(w[2].text);
  for (std::size_t i = 3; i < w.size(); ++i) {
    const auto addresses = parse_addresses(w[i].text);
    if (!addresses) return std::unexpected(addresses.error());
    host.addresses.insert(host.addresses.end(), addresses->begin(), addresses->end());
  }
  here().mx.push_back(std::move(host));
  return {};
}

Parsed<void> Reader::take_mx_elsewhere(const Words& w) {
  const auto taken = take_mx(w);
  if (taken) here().mx.back().listens = false;
  return taken;
}

Parsed<void> Reader::take_address(const Words& w) {
  for (std::size_t i = 1; i < w.size(); ++i) {
    const auto addresses = parse_addresses(w[i].text);
    if (!addresses) return std::unexpected(addresses.error());
    here().addresses.insert(here().addresses.end(), addresses->begin(), addresses->end());
  }
  return {};
}

Parsed<void> Reader::take_extensions(const Words& w) {
  for (std::size_t i = 1; i < w.size(); ++i) {
    const auto set = set_extension(here().extensions, w[i].text, true);
    if (!set) return set;
  }
  return {};
}

Parsed<void> Reader::take_no_extensions(const Words& w) {
  for (std::size_t i = 1; i < w.size(); ++i) {
    const auto set = set_extension(here().extensions, w[i].text, false);
    if (!set) return set;
  }
  return {};
}

Parsed<void> Reader::take_expect(const Words& w) {
  const auto number = parse_number(w[2].text);
  if (!number) return std::unexpected(number.error());
  if (w[1].text == "connections") return here().expect_connections = *number, Parsed<void>();
  if (w[1].text == "connections-per-source")
    return here().expect_connections_per_source = *number, Parsed<void>();
  if (w[1].text == "messages-per-connection")
    return here().expect_messages_per_connection = *number, Parsed<void>();
  return complain("expect knows connections, connections-per-source and messages-per-connection");
}

Parsed<void> Reader::take_at(const Words& w) {
  if (++rules_ > kRulesMax) return complain("too many rules");
  auto rule = parse_rule(Words(w.begin() + 1, w.end()));
  if (!rule) return std::unexpected(rule.error());
  auto& rules = here().rules[static_cast<std::size_t>(rule->phase)];
  rules.push_back(*std::move(rule));
  return {};
}

Parsed<void> Reader::take_dns(const Words& w) {
  auto fault = parse_dns_fault(w, 1);
  if (!fault) return std::unexpected(fault.error());
  provider_faults_.push_back(*std::move(fault));
  return {};
}

Parsed<void> Reader::close_provider() {
  if (here().domains.empty() && !here().any_domain)
    return complain("this provider has neither domain nor any-domain");
  // What is wrong with a provider's DNS is wrong with every one of its domains.
  for (const DnsFault& fault : provider_faults_) {
    for (const DomainPattern& pattern : here().domains) {
      internet_.faults.push_back(fault);
      internet_.faults.back().names = pattern;
    }
  }
  provider_faults_.clear();
  internet_.providers.push_back(*std::exchange(provider_, std::nullopt));
  return {};
}

Parsed<void> Reader::take_line(const Words& words) {
  const std::string& name = words.front().text;
  if (provider_ && name == "end") {
    return words.size() == 1 ? close_provider() : complain("'end' stands alone");
  }
  const std::span<const Directive> known = provider_ ? std::span<const Directive>(kInside) : kTop;
  const auto found = std::ranges::find(known, name, &Directive::name);
  if (found == known.end()) {
    const bool misplaced =
        !provider_ && std::ranges::find(kInside, name, &Directive::name) != std::end(kInside);
    return complain(misplaced ? fmt::format("'{}' belongs between 'provider NAME' and 'end'", name)
                              : fmt::format("unknown word '{}'{}", name, provider_ ? " in a provider" : ""));
  }
  if (words.size() < found->words_min) return complain(fmt::format("'{}' wants more words", name));
  if (words.size() > found->words_max) return complain(fmt::format("'{}' takes fewer words", name));
  return (this->*found->take)(words);
}

Parsed<Internet> Reader::read(std::string_view text) {
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const auto words = split_words(line);
    const auto taken = !words           ? Parsed<void>(std::unexpected(words.error()))
                       : words->empty() ? Parsed<void>()
                                        : take_line(*words);
    if (!taken) return complain(fmt::format("line {}: {}: {}", number, taken.error(), trim(line)));
  }
  if (provider_) return complain(fmt::format("provider {} has no 'end'", provider_->name));
  return std::move(internet_);
}

}  // namespace

Parsed<Internet> parse_provider_file(std::string_view text) { return Reader().read(text); }

Internet internet_of_one(const Endpoint& at) {
  Internet internet;
  internet.port = at.port;
  Provider provider;
  provider.name = "any";
  provider.any_domain = true;
  provider.addresses.push_back({at.address, at.port});
  internet.providers.push_back(std::move(provider));
  return internet;
}

}  // namespace sluice::bench
