#include "net/smtp/command.h"

#include <charconv>

#include "policy/base/ascii.h"

namespace sluice::net {
namespace {

struct VerbName {
  std::string_view name;
  Verb verb;
};
// Most frequent first.
constexpr VerbName kVerbs[] = {
    {"RCPT", Verb::Rcpt},          {"MAIL", Verb::Mail},          {"BDAT", Verb::Bdat},
    {"DATA", Verb::Data},          {"RSET", Verb::Rset},          {"QUIT", Verb::Quit},
    {"EHLO", Verb::Ehlo},          {"HELO", Verb::Helo},          {"NOOP", Verb::Noop},
    {"VRFY", Verb::Vrfy},          {"EXPN", Verb::Expn},          {"HELP", Verb::Help},
    {"AUTH", Verb::Auth},          {"STARTTLS", Verb::StartTls},  {"GET", Verb::WebRequest},
    {"POST", Verb::WebRequest},    {"PUT", Verb::WebRequest},     {"HEAD", Verb::WebRequest},
    {"OPTIONS", Verb::WebRequest}, {"CONNECT", Verb::WebRequest},
};

constexpr ArgumentFault kSyntax{501, "5.5.4 syntax error in arguments"};
constexpr ArgumentFault kUnknownParameter{555, "5.5.4 parameter not recognized"};
constexpr ArgumentFault kTooBig{552, "5.3.4 message size exceeds fixed maximum"};

/// The path at the front of `text`, up to the bracket that closes it (not one inside quotes), or, without a
/// bracket at the front, up to a blank. Removes it from `text`.
std::optional<std::string_view> take_path(std::string_view& text, bool& bare) {
  bare = text.empty() || text.front() != '<';
  bool quoted = false;
  std::size_t end = 0;
  for (; end < text.size(); ++end) {
    const char c = text[end];
    if (quoted && c == '\\') {
      ++end;
      continue;
    }
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    if (bare && is_blank(c)) break;
    if (!bare && c == '>') break;
  }
  if (end > text.size() || quoted) return std::nullopt;
  if (bare) {
    if (end == 0) return std::nullopt;
  } else {
    if (end == text.size()) return std::nullopt;
    ++end;
  }
  const std::string_view path = text.substr(0, end);
  text.remove_prefix(end);
  if (!text.empty() && !is_blank(text.front())) return std::nullopt;
  return path;
}

/// Behind "FROM:" or "TO:"; blanks around the colon are tolerated.
bool take_label(std::string_view& text, std::string_view label) {
  if (!istarts_with(text, label)) return false;
  text = trim(text.substr(label.size()));
  if (text.empty() || text.front() != ':') return false;
  text = trim(text.substr(1));
  return true;
}

struct Parameter {
  std::string_view name;
  std::string_view value;
  bool has_value = false;
};

/// The next "NAME" or "NAME=value"; nothing at the end.
std::optional<Parameter> take_parameter(std::string_view& text) {
  text = trim(text);
  if (text.empty()) return std::nullopt;
  std::size_t end = 0;
  while (end < text.size() && !is_blank(text[end])) ++end;
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  const std::size_t equals = word.find('=');
  if (equals == std::string_view::npos) return Parameter{word, {}, false};
  return Parameter{word.substr(0, equals), word.substr(equals + 1), true};
}

std::optional<ArgumentFault> take_size(MailArguments& out, std::string_view value) {
  std::uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), bytes);
  if (end != value.data() + value.size() || value.empty() || out.size_bytes) return kSyntax;
  if (error == std::errc::result_out_of_range) return kTooBig;  // all digits, but beyond 64 bits
  if (error != std::errc()) return kSyntax;
  out.size_bytes = bytes;
  return std::nullopt;
}

std::optional<ArgumentFault> take_mail_parameter(MailArguments& out, const Parameter& parameter) {
  const auto named = [&](std::string_view name, bool wants_value) {
    return parameter.has_value == wants_value && iequals(parameter.name, name);
  };
  if (named("SIZE", true)) return take_size(out, parameter.value);
  if (named("BODY", true)) {
    if (iequals(parameter.value, "8BITMIME")) {
      out.body = BodyType::EightBitMime;
    } else if (!iequals(parameter.value, "7BIT")) {
      return kUnknownParameter;  // BINARYMIME is not offered
    }
    return std::nullopt;
  }
  if (named("RET", true)) {
    if (out.ret != DsnReturn::Unset) return kSyntax;
    if (iequals(parameter.value, "FULL")) {
      out.ret = DsnReturn::Full;
    } else if (iequals(parameter.value, "HDRS")) {
      out.ret = DsnReturn::Headers;
    } else {
      return kSyntax;
    }
    return std::nullopt;
  }
  if (named("ENVID", true)) {
    const bool valid = !parameter.value.empty() && parameter.value.size() <= kEnvidBytesMax;
    if (!out.envid.empty() || !valid || !is_xtext(parameter.value)) return kSyntax;
    out.envid = parameter.value;
    return std::nullopt;
  }
  if (named("SMTPUTF8", false)) {
    out.smtp_utf8 = true;
    return std::nullopt;
  }
  if (named("VERP", false)) {
    out.verp = true;
    return std::nullopt;
  }
  // RFC 4954 5: who submitted it to the client; we keep no such chain of trust, so it is read and forgotten.
  if (named("AUTH", true)) return is_xtext(parameter.value) ? std::nullopt : std::optional(kSyntax);
  return kUnknownParameter;
}

std::optional<ArgumentFault> take_rcpt_parameter(RcptArguments& out, const Parameter& parameter) {
  if (parameter.has_value && iequals(parameter.name, "NOTIFY")) {
    const auto notify = DsnNotify::parse(parameter.value);
    if (!notify || !out.notify.empty()) return kSyntax;
    out.notify = *notify;
    return std::nullopt;
  }
  if (parameter.has_value && iequals(parameter.name, "ORCPT")) {
    if (!out.orcpt.empty() || !is_orcpt(parameter.value)) return kSyntax;
    out.orcpt = parameter.value;
    return std::nullopt;
  }
  return kUnknownParameter;
}

}  // namespace

CommandLine parse_command(std::string_view line) {
  line = trim(line);
  std::size_t end = 0;
  while (end < line.size() && !is_blank(line[end])) ++end;
  const std::string_view word = line.substr(0, end);
  for (const VerbName& entry : kVerbs) {
    if (iequals(word, entry.name)) return {entry.verb, trim(line.substr(end))};
  }
  return {Verb::Unknown, trim(line.substr(end))};
}

std::expected<MailArguments, ArgumentFault> parse_mail(std::string_view argument) {
  MailArguments out;
  if (!take_label(argument, "FROM")) return std::unexpected(kSyntax);
  const auto path = take_path(argument, out.bare);
  if (!path) return std::unexpected(ArgumentFault{501, "5.1.7 bad sender's mailbox address syntax"});
  out.path = *path;
  while (const auto parameter = take_parameter(argument)) {
    if (const auto fault = take_mail_parameter(out, *parameter)) return std::unexpected(*fault);
  }
  return out;
}

std::expected<RcptArguments, ArgumentFault> parse_rcpt(std::string_view argument) {
  RcptArguments out;
  if (!take_label(argument, "TO")) return std::unexpected(kSyntax);
  const auto path = take_path(argument, out.bare);
  if (!path) return std::unexpected(ArgumentFault{501, "5.1.3 bad destination mailbox address syntax"});
  out.path = *path;
  while (const auto parameter = take_parameter(argument)) {
    if (const auto fault = take_rcpt_parameter(out, *parameter)) return std::unexpected(*fault);
  }
  return out;
}

std::optional<BdatArguments> parse_bdat(std::string_view argument) {
  BdatArguments out;
  const auto [end, error] = std::from_chars(argument.data(), argument.data() + argument.size(), out.bytes);
  if (error != std::errc()) return std::nullopt;
  argument.remove_prefix(static_cast<std::size_t>(end - argument.data()));
  if (argument.empty()) return out;
  if (!is_blank(argument.front()) || !iequals(trim(argument), "LAST")) return std::nullopt;
  out.last = true;
  return out;
}

}  // namespace sluice::net
