#include "policy/report/report.h"

#include <algorithm>

#include "policy/base/assert.h"
#include "policy/base/base64.h"
#include "policy/base/utf8.h"
#include "policy/base/version.h"

namespace sluice::report {
namespace {

constexpr std::size_t kLineMax = 76;   // where a fold can be
constexpr std::size_t kWordMax = 900;  // RFC 5322 2.1.1: 998 with what stands in front

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) > 0x7e; });
}

/// One line: control characters become blanks, and other than ASCII '?' unless it is wanted and well-formed.
std::string clean(std::string_view text, bool utf8 = false) {
  const bool keep = utf8 && is_utf8(text);
  std::string out(text);
  for (char& c : out) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      c = ' ';
    } else if (byte > 0x7f && !keep) {
      c = '?';
    }
  }
  return out;
}

/// "Name: value" folded at blanks. Runs of blanks become one, as unfolding makes of them anyway.
void add_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(":");
  std::size_t column = name.size() + 1;
  bool first = true;
  while (!value.empty()) {
    const std::size_t begin = value.find_first_not_of(' ');
    if (begin == std::string_view::npos) break;
    value.remove_prefix(begin);
    const std::size_t size = std::min({value.find(' '), value.size(), kWordMax});
    if (!first && column + 1 + size > kLineMax) {
      out += "\r\n   ";
      column = 3;
    }
    out.append(" ").append(value.substr(0, size));
    column += 1 + size;
    value.remove_prefix(size);
    first = false;
  }
  out += "\r\n";
}

/// Unstructured text of a header field: encoded words (RFC 2047) where it is not ASCII.
std::string header_text(std::string_view text, bool utf8) {
  std::string out = clean(text, true);
  if (is_ascii(out) || (utf8 && is_utf8(out))) return out;
  constexpr std::size_t kWordBytes = 42;  // 56 in base64; an encoded word has at most 75 bytes
  std::string words;
  for (std::string_view rest = out; !rest.empty();) {
    std::size_t size = 0;
    while (size < rest.size()) {
      const std::size_t one = std::max<std::size_t>(1, utf8_front(rest.substr(size)));
      if (size + one > kWordBytes) break;
      size += one;
    }
    words.append(words.empty() ? "" : " ").append("=?utf-8?B?");
    words += encode_base64(rest.substr(0, size));
    words += "?=";
    rest.remove_prefix(size);
  }
  return words;
}

/// The body of a From field: only the name in front of an address is text that may be encoded.
std::string from_text(std::string_view text, bool utf8) {
  const std::size_t angle = text.rfind('<');
  if (angle == std::string_view::npos || angle == 0) return clean(text, utf8);
  std::string_view name = text.substr(0, angle);
  while (name.ends_with(' ')) name.remove_suffix(1);
  if (!is_ascii(name) && name.size() > 1 && name.starts_with('"') && name.ends_with('"')) {
    name = name.substr(1, name.size() - 2);
  }
  return header_text(name, utf8) + (name.empty() ? "" : " ") + clean(text.substr(angle), utf8);
}

/// Lines of text with CRLF, wrapped where they would be too long for mail.
void add_lines(std::string& out, std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min({text.find('\n'), text.size(), kWordMax});
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end < text.size() && text[end] == '\n' ? end + 1 : end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t at = out.size();
    out += line;
    std::replace_if(
        out.begin() + static_cast<std::ptrdiff_t>(at), out.end(),
        [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }, ' ');
    out += "\r\n";
  }
}

std::string_view sentence(Action action) {
  switch (action) {
    case Action::Failed: return "delivery failed; will not continue trying";
    case Action::Delayed: return "not delivered yet; will continue trying";
    case Action::Delivered: return "delivered";
    case Action::Relayed: return "handed over to a mail server that sends no reports about deliveries";
  }
  return {};
}

/// Without "smtp;" in front.
std::string_view words_of(std::string_view diagnostic) {
  const std::size_t colon = diagnostic.find(';');
  return colon == std::string_view::npos ? diagnostic : diagnostic.substr(colon + 1);
}

std::string own_words(const Facts& facts, std::span<const Fate> fates) {
  std::string out = "This is the mail server at " + clean(facts.host) + " (" + std::string(own_product()) +
                    ").\n\nIt reports on a message from <" + clean(facts.to, facts.utf8) +
                    "> that it took on\n" + clean(facts.arrival_date) + ". What became of it:\n\n";
  for (const Fate& fate : fates) {
    out.append("  <").append(clean(fate.recipient, facts.utf8)).append(">  ").append(sentence(fate.action));
    out += '\n';
    if (!fate.retried_until.empty()) out.append("    until ").append(clean(fate.retried_until)).append("\n");
    const std::string words = clean(words_of(fate.diagnostic).substr(0, kDiagnosticBytesMax));
    if (!words.empty() && fate.action != Action::Delivered) out.append("    ").append(words).append("\n");
  }
  out += "\nThe part that follows says the same for programs";
  switch (facts.returned) {
    case Returned::Nothing: out += ".\n"; break;
    case Returned::Headers: out += "; the last one is the header of the message.\n"; break;
    case Returned::Full: out += "; the last one is the message.\n"; break;
  }
  return out;
}

std::string templated(std::string_view form, const Facts& facts, const Fate& fate) {
  const std::string host = clean(facts.host), originator = clean(facts.to, facts.utf8),
                    subject = clean(facts.subject, true), recipient = clean(fate.recipient, facts.utf8),
                    response = clean(words_of(fate.diagnostic).substr(0, kDiagnosticBytesMax));
  return fill(form, {.host_name = host,
                     .originator = originator,
                     .subject = subject,
                     .recipient = recipient,
                     .date = facts.date,
                     .time_queued = facts.arrival_date,
                     .retry_after = facts.retry_after,
                     .bounce_after = facts.bounce_after,
                     .response = response});
}

/// No line of what was said or returned can be taken for it.
std::string boundary_of(const Facts& facts, std::string_view words) {
  std::string out = "report." + std::string(facts.id);
  const auto is_in = [&out](std::string_view text) {
    return text.find("--" + out) != std::string_view::npos;
  };
  while (is_in(facts.content) || is_in(words)) out += ".x";
  return out;
}

void add_status(std::string& out, const Facts& facts, std::span<const Fate> fates) {
  add_field(out, "Reporting-MTA", "dns;" + clean(facts.host));
  if (!facts.vmta.empty()) add_field(out, "X-PowerMTA-VirtualMTA", clean(facts.vmta));
  if (!facts.envelope_id.empty()) add_field(out, "Original-Envelope-Id", clean(facts.envelope_id));
  add_field(out, "Arrival-Date", clean(facts.arrival_date));
  const std::string_view type = facts.utf8 ? "utf-8;" : "rfc822;";
  for (const Fate& fate : fates) {
    out += "\r\n";
    if (!fate.original.empty()) add_field(out, "Original-Recipient", clean(fate.original));
    add_field(out, "Final-Recipient", std::string(type) + clean(fate.recipient, facts.utf8));
    add_field(out, "Action", name_of(fate.action));
    add_field(out, "Status", clean(fate.status));
    if (!fate.remote_mta.empty()) add_field(out, "Remote-MTA", "dns;" + clean(fate.remote_mta));
    if (!fate.diagnostic.empty()) {
      const bool typed = fate.diagnostic.find(';') != std::string_view::npos;
      const std::string_view kind =
          typed ? fate.diagnostic.substr(0, fate.diagnostic.find(';')) : std::string_view("x-pmta");
      add_field(out, "Diagnostic-Code",
                clean(kind) + "; " + clean(words_of(fate.diagnostic).substr(0, kDiagnosticBytesMax)));
    }
    if (!fate.retried_until.empty()) add_field(out, "Will-Retry-Until", clean(fate.retried_until));
    if (!fate.category.empty()) add_field(out, "X-PowerMTA-BounceCategory", clean(fate.category));
  }
}

void add_part(std::string& out, std::string_view boundary, std::string_view type, std::string_view content) {
  out.append("\r\n--").append(boundary).append("\r\nContent-Type: ").append(type).append("\r\n");
  if (!is_ascii(content)) out += "Content-Transfer-Encoding: 8bit\r\n";
  out.append("\r\n").append(content);
}

}  // namespace

std::string_view name_of(Action action) {
  switch (action) {
    case Action::Failed: return "failed";
    case Action::Delayed: return "delayed";
    case Action::Delivered: return "delivered";
    case Action::Relayed: return "relayed";
  }
  return {};
}

std::string text(const Facts& facts, std::span<const Fate> fates) {
  SLUICE_ASSERT(!fates.empty());
  const Fate& first = fates.front();
  const bool is_failure = first.action == Action::Failed;
  const Templates templates = is_failure ? facts.templates : Templates{};
  std::string words;
  add_lines(words,
            templates.body.empty() ? own_words(facts, fates) : templated(templates.body, facts, first));
  const std::string boundary = boundary_of(facts, words);
  std::string out;
  out.reserve(facts.content.size() + 2048 + 512 * fates.size());
  add_field(out, "From",
            templates.from.empty() ? from_text(facts.from, facts.utf8)
                                   : from_text(templated(templates.from, facts, first), facts.utf8));
  add_field(out, "To", clean(facts.to, facts.utf8));
  add_field(out, "Subject",
            templates.subject.empty() ? std::string("Delivery report")
                                      : header_text(templated(templates.subject, facts, first), facts.utf8));
  add_field(out, "Date", facts.date);
  add_field(out, "Message-ID", '<' + std::string(facts.id) + ".report@" + clean(facts.host) + '>');
  // RFC 3834 5: nobody's vacation program answers.
  out += "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n";
  out +=
      "Content-Type: multipart/report; report-type=delivery-status;\r\n   boundary=\"" + boundary + "\"\r\n";

  add_part(out, boundary, is_ascii(words) ? "text/plain; charset=us-ascii" : "text/plain; charset=utf-8",
           words);
  std::string status;
  add_status(status, facts, fates);
  const std::string_view status_type = facts.plain_text ? "text/plain"
                                       : facts.utf8     ? "message/global-delivery-status"
                                                        : "message/delivery-status";
  add_part(out, boundary, status_type, status);
  if (facts.returned == Returned::Headers) {
    add_part(out, boundary, facts.utf8 ? "message/global-headers" : "text/rfc822-headers", facts.content);
  } else if (facts.returned == Returned::Full) {
    add_part(out, boundary, facts.utf8 ? "message/global" : "message/rfc822", facts.content);
  }
  out.append("\r\n--").append(boundary).append("--\r\n");
  return out;
}

}  // namespace sluice::report
