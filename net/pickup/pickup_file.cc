#include "net/pickup/pickup_file.h"

#include <algorithm>

#include "net/smtp/command.h"
#include "policy/base/ascii.h"
#include "policy/base/assert.h"

namespace sluice::net {
namespace {

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// What a log line shows of a stranger's text.
std::string shown(std::string_view text) {
  constexpr std::size_t kMost = 100;
  std::string out(text.substr(0, kMost));
  std::ranges::replace_if(out, is_control, '?');
  return out;
}

bool is_printable(std::string_view text) { return std::ranges::none_of(text, is_control); }

}  // namespace

bool PickupReader::next(std::string_view& line) {
  if (left_.empty()) return false;
  ++number_;
  const std::size_t end = std::min(left_.find('\n'), left_.size());
  line = left_.substr(0, end);
  left_.remove_prefix(std::min(end + 1, left_.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return true;
}

std::expected<PickupReader::Step, PickupFault> PickupReader::step() {
  SLUICE_ASSERT(!ready_);  // the last one has been taken
  const std::size_t before = left_.size();
  std::string_view line;
  while (before - left_.size() < kStepBytes) {
    const bool at_end = !next(line);
    const Wrong wrong = at_end ? finish() : read_line(line);
    if (wrong) return std::unexpected(*wrong);
    if (ready_) return Step::Message;
    if (at_end) return Step::End;
  }
  return Step::More;
}

PickupMessage PickupReader::take_message() {
  SLUICE_ASSERT(ready_ && open_);
  ready_ = false;
  ++messages_;
  PickupMessage out = std::move(*open_);
  open_.reset();
  return out;
}

std::string PickupReader::rest() const {
  std::string out = lenient_ ? "XACK OFF\r\n" : "XACK ON\r\n";
  if (!hello_.empty()) out += "EHLO " + hello_ + "\r\n";
  return out += left_;
}

PickupReader::Wrong PickupReader::read_line(std::string_view line) {
  switch (form_) {
    case Form::Unknown: return begin(line);
    case Form::Controls: return control_line(line);
    case Form::Body: {
      if (rules_.remove_dot && line.starts_with('.')) line.remove_prefix(1);
      return add_line(line);
    }
    case Form::Commands: return command(line);
    case Form::Data: return data_line(line);
  }
  return std::nullopt;
}

PickupReader::Wrong PickupReader::begin(std::string_view line) {
  const std::string_view word = line.substr(0, line.find(' '));
  for (const std::string_view verb : {"HELO", "EHLO", "MAIL", "XMRG", "XACK"}) {
    if (!iequals(word, verb)) continue;
    form_ = Form::Commands;
    return command(line);
  }
  form_ = Form::Controls;
  open_.emplace();
  open_->lenient = rules_.accept_invalid;
  return control_line(line);
}

PickupReader::Wrong PickupReader::finish() {
  switch (form_) {
    case Form::Unknown: return PickupFault{1, "the file is empty"};
    case Form::Controls: return say("there is no message behind the x-sender and x-receiver lines");
    case Form::Body:
      if (!open_) return std::nullopt;  // it has been taken
      open_->sender = instead_ ? std::move(*instead_) : std::move(*sender_);
      open_->smtp_utf8 =
          open_->sender.needs_utf8() ||
          std::ranges::any_of(open_->recipients, [](const auto& one) { return one.address.needs_utf8(); });
      ready_ = true;
      return std::nullopt;
    case Form::Commands:
      if (open_) return say("the file ends before the message of its last MAIL");
      if (messages_ == 0) return say("there is no message in it");
      return std::nullopt;
    case Form::Data: return say("the message does not end with a line that is a single dot");
  }
  return std::nullopt;
}

// --- x-sender and x-receiver lines, then the message.
PickupReader::Wrong PickupReader::control_line(std::string_view line) {
  const std::size_t colon = std::min(line.find(':'), line.size());
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = colon < line.size() ? trimmed(line.substr(colon + 1)) : std::string_view();
  const bool is_control = colon < line.size();
  if (is_control && iequals(name, "x-receiver")) return add_recipient(value, !value.starts_with('<'), true);
  if (is_control && (iequals(name, "x-sender") || iequals(name, "x-sender-override"))) {
    std::optional<MailAddress>& into = iequals(name, "x-sender") ? sender_ : instead_;
    if (into) return say("a second " + std::string(name) + " line");
    into.emplace();
    if (value.empty()) return std::nullopt;  // the null path
    if (const auto wrong = into->assign(value, sender_rules(!value.starts_with('<'), true)))
      return say(std::string(name) + ": " + std::string(name_of(*wrong)) + ": " + shown(value));
    return std::nullopt;
  }
  if (is_control && iequals(name, "x-envid")) return set_text(open_->env_id, "x-envid", value);
  if (is_control && iequals(name, "x-job")) return set_text(open_->job, "x-job", value);
  if (Wrong wrong = end_controls()) return wrong;
  form_ = Form::Body;
  return read_line(line);
}

PickupReader::Wrong PickupReader::end_controls() const {
  if (!sender_ && !instead_) return say("no x-sender line in front of the message, and no batch SMTP");
  if (open_->recipients.empty()) return say("no x-receiver line in front of the message");
  return std::nullopt;
}

PickupReader::Wrong PickupReader::set_text(std::string& into, std::string_view name,
                                           std::string_view value) const {
  if (!into.empty()) return say("a second " + std::string(name) + " line");
  if (!is_printable(value)) return say(std::string(name) + ": control characters");
  if (value.size() > kEnvidBytesMax && name == "x-envid") return say("x-envid: longer than 100 bytes");
  into = value;
  return std::nullopt;
}

// --- Batch SMTP.
PickupReader::Wrong PickupReader::command(std::string_view line) {
  if (trimmed(line).empty()) return std::nullopt;
  if (quit_) return say("something stands behind QUIT");
  const std::string_view word = line.substr(0, line.find(' '));
  if (iequals(word, "XACK")) return xack(trimmed(line.substr(word.size())));
  for (const std::string_view verb : {"XMRG", "XDFN", "XPRT"}) {
    if (iequals(word, verb)) return say(std::string(verb) + ": mail merge is not supported yet");
  }
  const CommandLine parsed = parse_command(line);
  switch (parsed.verb) {
    case Verb::Helo:
    case Verb::Ehlo:
      if (!is_printable(parsed.argument)) return say("HELO: control characters");
      hello_ = parsed.argument.substr(0, 255);
      return std::nullopt;
    case Verb::Mail: return mail(parsed.argument);
    case Verb::Rcpt: return rcpt(parsed.argument);
    case Verb::Data:
      if (!open_) return say("DATA without MAIL");
      if (open_->recipients.empty()) return say("DATA without RCPT");
      form_ = Form::Data;
      return std::nullopt;
    case Verb::Rset: open_.reset(); return std::nullopt;
    case Verb::Noop: return std::nullopt;
    case Verb::Quit: quit_ = true; return std::nullopt;
    default: return say("not a command of batch SMTP: " + shown(line));
  }
}

PickupReader::Wrong PickupReader::xack(std::string_view how) {
  if (!iequals(how, "ON") && !iequals(how, "OFF")) return say("XACK takes ON or OFF");
  lenient_ = iequals(how, "OFF");
  if (open_) open_->lenient = lenient_ || rules_.accept_invalid;
  return std::nullopt;
}

PickupReader::Wrong PickupReader::mail(std::string_view argument) {
  if (open_) return say("MAIL inside a transaction");
  const auto arguments = parse_mail(argument);
  if (!arguments) return say("MAIL: " + std::string(arguments.error().text));
  PickupMessage message;
  message.lenient = lenient_ || rules_.accept_invalid;
  if (const auto wrong =
          message.sender.assign(arguments->path, sender_rules(arguments->bare, arguments->smtp_utf8)))
    return say("MAIL: " + std::string(name_of(*wrong)) + ": " + shown(arguments->path));
  message.env_id = arguments->envid;
  message.ret = arguments->ret;
  message.smtp_utf8 = arguments->smtp_utf8;
  message.verp = arguments->verp;
  open_ = std::move(message);
  return std::nullopt;
}

PickupReader::Wrong PickupReader::rcpt(std::string_view argument) {
  if (!open_) return say("RCPT without MAIL");
  const auto arguments = parse_rcpt(argument);
  if (!arguments) return say("RCPT: " + std::string(arguments.error().text));
  if (Wrong wrong = add_recipient(arguments->path, arguments->bare, open_->smtp_utf8)) return wrong;
  open_->recipients.back().notify = arguments->notify;
  open_->recipients.back().orcpt = arguments->orcpt;
  return std::nullopt;
}

PickupReader::Wrong PickupReader::data_line(std::string_view line) {
  if (line == ".") {
    form_ = Form::Commands;
    ready_ = true;
    return std::nullopt;
  }
  if (line.starts_with('.')) line.remove_prefix(1);
  return add_line(line);
}

// --- Both.
PickupReader::Wrong PickupReader::add_line(std::string_view line) {
  // It would be a line end to some servers only.
  if (line.find('\r') != std::string_view::npos) return say("a carriage return inside a line");
  BodyFacts& facts = open_->facts;
  bool eight_bit = false;
  bool has_nul = false;
  for (const char c : line) {
    eight_bit |= static_cast<unsigned char>(c) > 0x7f;
    has_nul |= c == '\0';
  }
  facts.eight_bit |= eight_bit;
  facts.has_nul |= has_nul;
  facts.has_dot_lines |= line.starts_with('.');
  facts.line_bytes_max = std::max<std::uint64_t>(facts.line_bytes_max, line.size());
  open_->text += line;
  open_->text += "\r\n";
  facts.bytes = open_->text.size();
  return std::nullopt;
}

PickupReader::Wrong PickupReader::add_recipient(std::string_view path, bool bare, bool utf8) {
  if (open_->recipients.size() == kRecipientsMax) return say("more than 5000 recipients");
  // Also a recipient that is only let in to be bounced has to fit into records.
  if (path.size() > MailAddress::kPathBytesMax) return say("recipient: longer than any address");
  PickupRecipient one;
  one.raw = path;
  std::ranges::replace_if(one.raw, is_control, '?');
  AddressRules rules = sender_rules(bare, utf8);
  rules.allow_null = false;
  one.fault = one.address.assign(path, rules);
  if (one.fault && !open_->lenient)
    return say("recipient: " + std::string(name_of(*one.fault)) + ": " + shown(path));
  open_->recipients.push_back(std::move(one));
  return std::nullopt;
}

AddressRules PickupReader::sender_rules(bool bare, bool utf8) const {
  return {.allow_null = true,
          .allow_no_domain = rules_.allow_no_domain,
          .allow_utf8 = utf8,
          .bare = bare,
          .allow_loose_dots = rules_.allow_loose_dots};
}

}  // namespace sluice::net
