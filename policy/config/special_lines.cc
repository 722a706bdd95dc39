// Lines with a grammar of their own, and those that reach beyond the block they stand in.
#include <algorithm>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/config/loader.h"

namespace sluice::config {
namespace {

bool is_macro_name(std::string_view name) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_alpha(c) || is_digit(c) || c == '_'; });
}

/// "0/0:2525", "127.0.0.1", "[::1]:25". The port is optional and 25.
std::optional<std::pair<Cidr, std::uint16_t>> parse_listen_address(std::string_view text) {
  std::uint16_t port = 25;
  if (const auto cidr = Cidr::parse(text)) return std::pair{*cidr, port};
  std::string_view host = text;
  if (const std::size_t colon = text.rfind(':'); colon != std::string_view::npos && !text.ends_with(']')) {
    const auto number = parse_number(text.substr(colon + 1));
    if (!number || *number == 0 || *number > 65535) return std::nullopt;
    port = static_cast<std::uint16_t>(*number);
    host = text.substr(0, colon);
  }
  if (host == "*") return std::pair{Cidr{}, port};
  if (host.size() > 2 && host.front() == '[' && host.back() == ']')
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return std::nullopt;  // IPv6 needs brackets before a port
  auto cidr = Cidr::parse(host);
  if (!cidr) return std::nullopt;
  // 0.0.0.0 and :: listen on every address, as 0/0 does.
  if (cidr->address().is_any()) cidr = Cidr(cidr->address(), 0);
  return std::pair{*cidr, port};
}

/// "/a/ bad-mailbox /b/ other": two entries, where their lines were joined by a paste.
std::vector<std::string_view> category_entries(std::string_view text) {
  std::vector<std::string_view> out;
  for (;;) {
    // Behind the regular expression and one word.
    std::size_t at = regex_length(text);
    at = std::min(text.find_first_not_of(" \t", at), text.size());
    at = std::min(text.find_first_of(" \t", at), text.size());
    at = std::min(text.find_first_not_of(" \t", at), text.size());
    if (regex_length(text.substr(at)) == 0) break;
    out.push_back(trim(text.substr(0, at)));
    text.remove_prefix(at);
  }
  out.push_back(text);
  return out;
}

constexpr std::string_view kListenGrammar = "IP:PORT, CIDR:PORT or [IPv6]:PORT, for example 0/0:25";

}  // namespace

void Loader::run_action(const Directive& row, std::string_view text, Frame& frame) {
  if (text.empty()) return error(text, "argument missing", std::string(row.grammar));
  switch (row.action) {
    case LoaderAction::None: return;
    case LoaderAction::Include: return include(text);
    case LoaderAction::DomainMacro: return domain_macro(text);
    case LoaderAction::ListenerLine: return listener_line(text);
    case LoaderAction::SpoolLine: return spool_line(text);
    case LoaderAction::SpoolMinFree: {
      const auto megabytes = parse_number(text);
      if (!megabytes || *megabytes > UINT32_MAX) return error(text, "not a number of megabytes", "N");
      legacy_spool_min_free_ = *megabytes;
      return;
    }
    case LoaderAction::ImplicitDomain: {
      const Directive* domain_row = table_.find(row.name, Scope::Domain);
      SLUICE_ASSERT(domain_row != nullptr);
      return apply_implicit(*domain_row, text, frame);
    }
    case LoaderAction::PatternLine: return pattern_line(row, text, frame);
    case LoaderAction::AddressEntries: return address_entry(row, text, frame);
  }
}

void Loader::domain_macro(std::string_view text) {
  const std::size_t blank = std::min(text.find_first_of(" \t"), text.size());
  std::string_view name = text.substr(0, blank);
  if (name.starts_with('$')) name.remove_prefix(1);
  if (!is_macro_name(name))
    return error(text, "not a name for a macro", "letters, digits and _, then DOMAIN[,DOMAIN...]");
  MacroDefinition macro{{}, here(text)};
  for (const std::string_view item : split_list(text.substr(blank))) macro.items.emplace_back(item);
  if (macro.items.empty()) return error(text.substr(blank), "argument missing", "NAME DOMAIN[,DOMAIN...]");
  const auto [it, fresh] = macros_.insert_or_assign(to_lower(name), std::move(macro));
  if (!fresh)
    report(Severity::Warning, name,
           "macro \"" + std::string(name) + "\" is defined twice; the last definition counts");
}

void Loader::listener_line(std::string_view text) {
  SmtpListener listener;
  listener.origin = here(text);
  const std::size_t brace = text.find("{{");
  if (brace != std::string_view::npos) {
    const std::size_t end = text.find("}}", brace);
    if (end == std::string_view::npos)
      return error(text.substr(brace), "closing braces missing", "{{ default-virtual-mta NAME }}");
    const auto words = split_words(text.substr(brace + 2, end - brace - 2));
    if (words.size() != 2 || (words[0] != "default-virtual-mta" && words[0] != "source")) {
      return error(text.substr(brace), "unknown setting of a listener", "{{ default-virtual-mta NAME }}");
    }
    (words[0] == "source" ? listener.source : listener.default_virtual_mta) = words[1];
  }
  const auto words = split_words(text.substr(0, brace));
  if (words.empty()) return error(text, "argument missing", std::string(kListenGrammar));
  const auto address = parse_listen_address(words[0]);
  if (!address)
    return error(words[0], "\"" + std::string(words[0]) + "\" is not an address to listen on",
                 std::string(kListenGrammar));
  listener.address = address->first;
  listener.port = address->second;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto attributes = parse_attributes(words[i]);
    if (!attributes || attribute(*attributes, "source").empty())
      return error(words[i], "unknown setting of a listener", "source=NAME");
    listener.source = attribute(*attributes, "source");
  }
  config_->listeners.push_back(std::move(listener));
}

bool Loader::start_listener(std::string_view argument, std::string_view at, Frame& frame) {
  const auto address = parse_listen_address(argument);
  if (!address) {
    error(at, "\"" + std::string(argument) + "\" is not an address to listen on",
          std::string(kListenGrammar));
    return false;
  }
  SmtpListener& listener = config_->listeners.emplace_back();
  listener.address = address->first;
  listener.port = address->second;
  listener.origin = frame.origin;
  frame.record = &listener;
  return true;
}

void Loader::spool_line(std::string_view text) {
  Value value(text, ValueRules{}, here(text));
  auto dir = unquote(text, value);
  if (!report_value(value, text) || !dir) return;
  legacy_spools_.push_back(config_->spools.size());
  Spool& spool = config_->spools.emplace_back();
  spool.dir = std::move(*dir);
  spool.origin = here(text);
}

void Loader::address_entry(const Directive& row, std::string_view text, Frame& frame) {
  static const ValueRules kAnything;
  Value value(text, kAnything, here(text));
  AddressEntry entry;
  entry.origin = here(text);
  if (row.name == "domain") {
    entry.kind = AddressEntry::Kind::Domain;
    entry.text = normalise_domain(text);
  } else if (row.name == "address-file") {
    entry.kind = AddressEntry::Kind::File;
    entry.text = unquote(text, value).value_or("");
  } else if (text.front() == '/') {
    std::string_view rest = text;
    auto regex = take_regex(rest, value);
    if (regex && !rest.empty()) value.fail(rest, "text behind the regular expression", "/REGEX/");
    entry.kind = AddressEntry::Kind::Regex;
    if (regex) entry.text = std::move(regex->text);
  } else {
    entry.kind = text.find('@') != std::string_view::npos ? AddressEntry::Kind::Address
                                                          : AddressEntry::Kind::LocalPart;
    entry.text = unquote(text, value).value_or("");
  }
  if (!report_value(value, text)) return;
  // <fbl> takes addresses directly; elsewhere they stand in an <address-list>.
  auto& entries = frame.scope == Scope::FeedbackLoopProcessor
                      ? static_cast<ReportProcessor*>(frame.record)->addresses
                      : *static_cast<std::vector<AddressEntry>*>(frame.record);
  entries.push_back(std::move(entry));
}

void Loader::pattern_line(const Directive& row, std::string_view text, Frame& frame) {
  if (frame.scope == Scope::PatternList) return message_pattern(row, text, frame);
  static const ValueRules kAnything;
  Value value(text, kAnything, here(text));
  if (frame.scope == Scope::MxRollupList) {
    if (auto rollup = Codec<MxRollup>::parse(text, value)) {
      static_cast<std::vector<MxRollup>*>(frame.record)->push_back(std::move(*rollup));
    }
  } else {
    const std::vector<std::string_view> entries = category_entries(text);
    if (entries.size() > 1)
      value.warn(entries[1], std::to_string(entries.size()) + " entries on one line",
                 "write each on a line of its own");
    for (const std::string_view entry : entries) {
      auto rule = Codec<BounceCategoryRule>::parse(entry, value);
      if (!rule) break;
      static_cast<std::vector<BounceCategoryRule>*>(frame.record)->push_back(std::move(*rule));
    }
  }
  report_value(value, text);
}

bool Loader::pattern_results(std::string_view text, MessagePattern& pattern, Value& value) {
  static constexpr std::string_view kExpected = "virtual-mta=NAME, recipient-priority=0..100 or call-to:LIST";
  const auto items = split_list(text);
  if (items.empty()) {
    value.fail(text, "argument missing", std::string(kExpected));
    return false;
  }
  for (const std::string_view item : items) {
    const std::size_t separator = item.find_first_of("=:");
    const std::string_view name = trim(item.substr(0, separator));
    const std::string_view content =
        separator == std::string_view::npos ? "" : trim(item.substr(separator + 1));
    if (name == "virtual-mta" && !content.empty()) {
      pattern.virtual_mta = unquote(content, value).value_or("");
    } else if (name == "recipient-priority") {
      const auto priority = parse_number(content);
      if (!priority || *priority > 100)
        value.fail(item, "not a priority", "recipient-priority=0 to 100");
      else
        pattern.recipient_priority = static_cast<std::uint32_t>(*priority);
    } else if (name == "call-to" && !content.empty()) {
      pattern.call_to = content;
    } else {
      value.fail(item, "unknown result \"" + std::string(item) + '"', std::string(kExpected));
    }
  }
  return !value.failed();
}

/// `header NAME /re/ RESULTS`, `mail-from /re/ RESULTS`, `rcpt-to /re/ RESULTS`, `* RESULTS`; instead of
/// results a nested <pattern-list> may follow, on this line or on those behind it.
void Loader::message_pattern(const Directive& row, std::string_view text, Frame& frame) {
  static const ValueRules kAnything;
  static constexpr std::string_view kOpen = "<pattern-list>", kClose = "</pattern-list>";
  Value value(text, kAnything, here(text));
  MessagePattern pattern;
  pattern.origin = here(text);
  std::string_view rest = text;
  if (row.name == "header") {
    pattern.kind = MessagePatternKind::Header;
    const std::size_t blank = std::min(rest.find_first_of(" \t"), rest.size());
    pattern.header = rest.substr(0, blank);
    if (pattern.header.ends_with(':')) pattern.header.pop_back();
    rest = trim(rest.substr(blank));
  } else if (row.name != "*") {
    pattern.kind = row.name == "mail-from" ? MessagePatternKind::MailFrom : MessagePatternKind::RcptTo;
  }
  if (pattern.kind != MessagePatternKind::Any) {
    auto regex = take_regex(rest, value);
    if (!regex) {
      report_value(value, text);
      return;
    }
    pattern.pattern = std::move(*regex);
  }
  rest = trim(rest);
  auto& patterns = *static_cast<std::vector<MessagePattern>*>(frame.record);
  if (rest.starts_with(kOpen) && frames_.size() >= kBlockDepthMax) {
    return error(rest, "too many blocks inside of each other");
  }
  if (rest.starts_with(kOpen)) {
    patterns.push_back(std::move(pattern));
    Frame inner;
    inner.kind = frame.kind;
    inner.scope = Scope::PatternList;
    inner.tag = "pattern-list";
    inner.origin = here(rest);
    inner.record = &patterns.back().nested;
    frames_.push_back(std::move(inner));
    rest = trim(rest.substr(kOpen.size()));
    const std::size_t name_end = rest.find_first_of(" \t");
    if (!rest.empty())
      on_directive(
          {Statement::Kind::Directive, rest.substr(0, name_end),
           name_end == std::string_view::npos ? rest.substr(rest.size()) : trim(rest.substr(name_end))});
    return;
  }
  const std::size_t close = rest.find(kClose);
  if (pattern_results(trim(rest.substr(0, close)), pattern, value)) patterns.push_back(std::move(pattern));
  report_value(value, text);
  while (rest.find(kClose) != std::string_view::npos) {
    const std::string_view tag = rest.substr(rest.find(kClose));
    close_block({Statement::Kind::Close, tag.substr(2, kOpen.size() - 2), {}});
    rest = tag.substr(kClose.size());
  }
}

}  // namespace sluice::config
