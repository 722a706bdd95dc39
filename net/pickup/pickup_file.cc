#include "net/pickup/pickup_file.h"

#include <algorithm>

#include "net/smtp/command.h"
#include "policy/base/ascii.h"

namespace sluice::net {
namespace {

using Fault = std::unexpected<PickupFault>;

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

/// The lines of a file, without their ends.
class Lines {
 public:
  explicit Lines(std::string_view bytes) : rest_(bytes) {}
  [[nodiscard]] bool next(std::string_view& line) {
    if (rest_.empty()) return false;
    ++number_;
    const std::size_t end = std::min(rest_.find('\n'), rest_.size());
    line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    return true;
  }
  [[nodiscard]] std::size_t number() const { return number_; }
  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] Fault fault(std::string text) const { return Fault(PickupFault{number_, std::move(text)}); }

 private:
  std::string_view rest_;
  std::size_t number_ = 0;
};

/// Adds a line to a message; false: it holds a bare CR, which would be a line end to some servers only.
bool add_line(PickupMessage& message, std::string_view line) {
  if (line.find('\r') != std::string_view::npos) return false;
  BodyFacts& facts = message.facts;
  for (const char c : line) {
    facts.eight_bit |= static_cast<unsigned char>(c) > 0x7f;
    facts.has_nul |= c == '\0';
  }
  facts.has_dot_lines |= line.starts_with('.');
  facts.line_bytes_max = std::max<std::uint64_t>(facts.line_bytes_max, line.size());
  message.text += line;
  message.text += "\r\n";
  facts.bytes = message.text.size();
  return true;
}

constexpr std::string_view kBareCr = "a carriage return inside a line";
constexpr std::string_view kTooMany = "more than 5000 recipients";

class Reader {
 public:
  Reader(std::string_view bytes, const PickupRules& rules) : lines_(bytes), rules_(rules) {}

  std::expected<PickupFile, PickupFault> read() {
    std::string_view line;
    if (!lines_.next(line)) return Fault(PickupFault{1, "the file is empty"});
    const std::string_view word = line.substr(0, line.find(' '));
    for (const std::string_view verb : {"HELO", "EHLO", "MAIL", "XMRG", "XACK"}) {
      if (iequals(word, verb)) return batch(line);
    }
    return with_sender(line);
  }

 private:
  // --- x-sender and x-receiver lines, then the message.
  std::expected<PickupFile, PickupFault> with_sender(std::string_view line) {
    PickupMessage message;
    message.lenient = rules_.accept_invalid;
    std::optional<MailAddress> sender, instead;
    bool in_front = true;
    do {
      if (in_front) {
        const auto control = control_line(line, message, sender, instead);
        if (!control) return std::unexpected(control.error());
        in_front = *control;
        if (in_front) continue;
        if (!sender && !instead)
          return lines_.fault("no x-sender line in front of the message, and no batch SMTP");
        if (message.recipients.empty()) return lines_.fault("no x-receiver line in front of the message");
      }
      if (rules_.remove_dot && line.starts_with('.')) line.remove_prefix(1);
      if (!add_line(message, line)) return lines_.fault(std::string(kBareCr));
    } while (lines_.next(line));
    if (in_front) return lines_.fault("there is no message behind the x-sender and x-receiver lines");
    message.sender = instead ? std::move(*instead) : std::move(*sender);
    message.smtp_utf8 =
        message.sender.needs_utf8() ||
        std::ranges::any_of(message.recipients, [](const auto& one) { return one.address.needs_utf8(); });
    PickupFile out;
    out.messages.push_back(std::move(message));
    return out;
  }

  /// True: it was one of the lines in front.
  std::expected<bool, PickupFault> control_line(std::string_view line, PickupMessage& message,
                                                std::optional<MailAddress>& sender,
                                                std::optional<MailAddress>& instead) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return false;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = trimmed(line.substr(colon + 1));
    if (iequals(name, "x-receiver")) {
      if (message.recipients.size() == kPickupRecipientsMax) return lines_.fault(std::string(kTooMany));
      return add_recipient(message, value, !value.starts_with('<'), true);
    }
    if (iequals(name, "x-sender") || iequals(name, "x-sender-override")) {
      std::optional<MailAddress>& into = iequals(name, "x-sender") ? sender : instead;
      if (into) return lines_.fault("a second " + std::string(name) + " line");
      into.emplace();
      if (value.empty()) return true;  // the null path
      if (const auto wrong = into->assign(value, sender_rules(!value.starts_with('<'), true)))
        return lines_.fault(std::string(name) + ": " + std::string(name_of(*wrong)) + ": " + shown(value));
      return true;
    }
    const bool is_env_id = iequals(name, "x-envid");
    if (!is_env_id && !iequals(name, "x-job")) return false;
    std::string& into = is_env_id ? message.env_id : message.job;
    if (!into.empty()) return lines_.fault("a second " + std::string(name) + " line");
    if (!is_printable(value)) return lines_.fault(std::string(name) + ": control characters");
    if (is_env_id && value.size() > kEnvidBytesMax) return lines_.fault("x-envid: longer than 100 bytes");
    into = value;
    return true;
  }

  // --- Batch SMTP.
  std::expected<PickupFile, PickupFault> batch(std::string_view line) {
    file_.is_batch = true;
    bool quit = false;
    do {
      if (trimmed(line).empty()) continue;
      if (quit) return lines_.fault("something stands behind QUIT");
      if (const auto wrong = command(line, quit)) return std::unexpected(*wrong);
    } while (lines_.next(line));
    if (open_) return lines_.fault("the file ends before the message of its last MAIL");
    if (file_.messages.empty()) return lines_.fault("there is no message in it");
    return std::move(file_);
  }

  std::optional<PickupFault> command(std::string_view line, bool& quit) {
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
        file_.hello = parsed.argument.substr(0, 255);
        return std::nullopt;
      case Verb::Mail: return mail(parsed.argument);
      case Verb::Rcpt: return rcpt(parsed.argument);
      case Verb::Data: return data();
      case Verb::Rset: open_.reset(); return std::nullopt;
      case Verb::Noop: return std::nullopt;
      case Verb::Quit: quit = true; return std::nullopt;
      default: return say("not a command of batch SMTP: " + shown(line));
    }
  }

  std::optional<PickupFault> xack(std::string_view how) {
    if (!iequals(how, "ON") && !iequals(how, "OFF")) return say("XACK takes ON or OFF");
    lenient_ = iequals(how, "OFF");
    if (open_) open_->lenient = lenient_ || rules_.accept_invalid;
    return std::nullopt;
  }

  std::optional<PickupFault> mail(std::string_view argument) {
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

  std::optional<PickupFault> rcpt(std::string_view argument) {
    if (!open_) return say("RCPT without MAIL");
    const auto arguments = parse_rcpt(argument);
    if (!arguments) return say("RCPT: " + std::string(arguments.error().text));
    if (open_->recipients.size() == kPickupRecipientsMax) return say(std::string(kTooMany));
    const auto added = add_recipient(*open_, arguments->path, arguments->bare, open_->smtp_utf8);
    if (!added) return added.error();
    open_->recipients.back().notify = arguments->notify;
    open_->recipients.back().orcpt = arguments->orcpt;
    return std::nullopt;
  }

  std::optional<PickupFault> data() {
    if (!open_) return say("DATA without MAIL");
    if (open_->recipients.empty()) return say("DATA without RCPT");
    std::string_view line;
    while (lines_.next(line)) {
      if (line == ".") {
        file_.messages.push_back(std::move(*open_));
        open_.reset();
        return std::nullopt;
      }
      if (line.starts_with('.')) line.remove_prefix(1);
      if (!add_line(*open_, line)) return say(std::string(kBareCr));
    }
    return say("the message does not end with a line that is a single dot");
  }

  // --- Both.
  std::expected<bool, PickupFault> add_recipient(PickupMessage& message, std::string_view path, bool bare,
                                                 bool utf8) {
    // Also a recipient that is only let in to be bounced has to fit into records.
    if (path.size() > MailAddress::kPathBytesMax) return lines_.fault("recipient: longer than any address");
    PickupRecipient one;
    one.raw = path;
    std::ranges::replace_if(one.raw, is_control, '?');
    one.fault = one.address.assign(
        path, {.allow_no_domain = rules_.allow_no_domain, .allow_utf8 = utf8, .bare = bare});
    if (one.fault && !message.lenient)
      return lines_.fault("recipient: " + std::string(name_of(*one.fault)) + ": " + shown(path));
    message.recipients.push_back(std::move(one));
    return true;
  }
  [[nodiscard]] AddressRules sender_rules(bool bare, bool utf8) const {
    return {.allow_null = true, .allow_no_domain = rules_.allow_no_domain, .allow_utf8 = utf8, .bare = bare};
  }
  [[nodiscard]] PickupFault say(std::string text) const { return {lines_.number(), std::move(text)}; }

  Lines lines_;
  PickupRules rules_;
  PickupFile file_;
  std::optional<PickupMessage> open_;
  bool lenient_ = false;
};

}  // namespace

std::expected<PickupFile, PickupFault> parse_pickup(std::string_view bytes, const PickupRules& rules) {
  return Reader(bytes, rules).read();
}

}  // namespace sluice::net
