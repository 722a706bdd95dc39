// sluice-audit: was everything that was promised kept? Injected = delivered + bounced + queued, and nothing twice.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <queue>

#include "bench/audit/audit.h"
#include "bench/audit/ledger_reader.h"
#include "bench/audit/rate_check.h"
#include "bench/lib/arguments.h"
#include "bench/lib/csv.h"
#include "bench/lib/process.h"
#include "policy/base/ascii.h"

namespace sluice::bench {
namespace {

struct Options {
  std::vector<std::string> injected;
  std::vector<std::string> received;
  std::vector<std::string> accounting;
  std::vector<std::string> queue;
  std::vector<RateRule> rates;
  AuditOptions audit;
  std::optional<AuditKey> key;
  Duration slack = 5ms;
  std::uint64_t list = 20;
  bool json = false;
};

void declare(Arguments& arguments, Options& options) {
  const auto files = [&](const char* name, const char* help, std::vector<std::string>& into) {
    arguments.texts(name, "FILE", help, into);
  };
  arguments.section("What is compared (each option may be given again)");
  files("--injected", "ledger of sluice-load", options.injected);
  files("--received", "ledger of sluice-sink", options.received);
  files("--accounting", "accounting CSV; needs the columns type and rcpt", options.accounting);
  files("--queue", "queue listing, \"RECIPIENT [MESSAGE-ID]\" a line", options.queue);
  arguments.option("--queued-count", "N", "instead of a listing: how many recipients are queued",
                   [&](std::string_view text) {
                     return mapped(parse_number(text),
                                   [&](std::uint64_t count) { options.audit.queued_count = count; });
                   });
  arguments.option("--key", "KEY", "recipient, or message (id and recipient); chosen by what the files have",
                   [&](std::string_view text) -> Parsed<void> {
                     if (text != "recipient" && text != "message") return complain("recipient or message");
                     options.key = text == "message" ? AuditKey::MessageAndRecipient : AuditKey::Recipient;
                     return {};
                   });
  arguments.duration("--excuse-window",
                     "a copy is excused when the first one's connection was lost so soon (5s)",
                     options.audit.excuse_window);
  arguments.section("Limits, from the sink's ledgers");
  arguments.option("--rate", "RULE",
                   "\"messages gmail 100/s per-source\": no window of a second may hold more;\n"
                   "messages|connections, PROVIDER or *, RATE, [per-provider|per-source]",
                   [&](std::string_view text) {
                     return mapped(parse_rate_rule(text),
                                   [&](RateRule rule) { options.rates.push_back(std::move(rule)); });
                   });
  arguments.duration("--slack", "how much sooner than allowed an event may come (5ms)", options.slack);
  arguments.section("What is shown");
  arguments.number("--list", "N", "broken promises to list (20)", options.list, Audit::kFindingsMax);
  arguments.flag("--json", "figures as JSON", options.json);
  arguments.epilogue("Exit status: 0 all promises kept, 1 some broken, 2 files could not be read.");
}

// "S.0" and "S.1" are one sink's run: their session numbers do not meet.
std::uint32_t run_of_file(std::vector<std::string>& runs, const std::string& path) {
  const std::string prefix = path.substr(0, path.rfind('.'));
  const auto found = std::ranges::find(runs, prefix);
  if (found != runs.end()) return static_cast<std::uint32_t>(found - runs.begin());
  runs.push_back(prefix);
  return static_cast<std::uint32_t>(runs.size() - 1);
}

template <class Take>
Parsed<void> for_each_line(const std::vector<std::string>& paths, Take take) {
  for (const std::string& path : paths) {
    auto reader = LineReader::open(path);
    if (!reader) return complain(fmt::format("{}: {}", path, reader.error().text()));
    while (const auto line = reader->next()) take(path, *line);
    if (reader->failed()) return complain(fmt::format("{}: read error", path));
  }
  return {};
}

std::string_view without_brackets(std::string_view id) {
  id = trim(id);
  if (id.starts_with('<')) id.remove_prefix(1);
  if (id.ends_with('>')) id.remove_suffix(1);
  return id;
}

/// Where the columns of an accounting file are.
struct Columns {
  std::size_t type = 0;
  std::optional<std::size_t> recipient;
  std::optional<std::size_t> message;
};

Columns columns_of(const std::vector<std::string>& header) {
  Columns out;
  for (std::size_t i = 0; i < header.size(); ++i) {
    if (iequals(header[i], "rcpt")) out.recipient = i;
    if (iequals(header[i], "header_Message-ID")) out.message = i;
  }
  return out;
}

template <class Take>
Parsed<void> read_accounting(const std::string& path, Take take) {
  auto reader = LineReader::open(path);
  if (!reader) return complain(fmt::format("{}: {}", path, reader.error().text()));
  CsvReader csv;
  Columns columns;
  bool usable = true;
  const auto record = [&](const std::vector<std::string>& fields) {
    if (fields.front() == "type") {
      columns = columns_of(fields);
      usable = usable && columns.recipient.has_value();
      return;
    }
    if (!columns.recipient || fields.size() <= *columns.recipient) return;
    const bool has_message = columns.message && fields.size() > *columns.message;
    take(fields.front(), fields[*columns.recipient],
         has_message ? without_brackets(fields[*columns.message]) : std::string_view());
  };
  for (std::string_view piece = reader->next_piece(); !piece.empty(); piece = reader->next_piece()) {
    csv.feed(piece, record);
  }
  csv.finish(record);
  if (!usable) return complain(fmt::format("{}: the header has no column rcpt", path));
  return {};
}

// Do all accounting files tell message ids?
bool accounting_has_ids(const std::vector<std::string>& paths) {
  return std::ranges::all_of(paths, [](const std::string& path) {
    auto reader = LineReader::open(path);
    const auto first = reader ? reader->next() : std::nullopt;
    return first && to_lower(*first).find("header_message-id") != std::string::npos;
  });
}

Parsed<void> check_rates(const Options& options, std::vector<RateCheck>& checks) {
  struct Source {
    LineReader reader;
    std::string line;
    std::uint64_t time_us = 0;
  };
  std::vector<Source> sources;
  const auto advance = [](Source& source) {
    while (const auto text = source.reader.next()) {
      const auto line = parse_ledger_line(*text);
      if (!line) continue;
      source.line = *text;
      source.time_us = line->time_us;
      return true;
    }
    return false;
  };
  for (const std::string& path : options.received) {
    auto reader = LineReader::open(path);
    if (!reader) return complain(fmt::format("{}: {}", path, reader.error().text()));
    sources.push_back({*std::move(reader), {}, 0});
    if (!advance(sources.back())) sources.pop_back();
  }
  // Each ledger is in order of time; together they are by always taking the earliest.
  while (!sources.empty()) {
    const auto first = std::ranges::min_element(sources, {}, &Source::time_us);
    const auto line = parse_ledger_line(first->line);
    for (RateCheck& check : checks) check.take(*line);
    if (!advance(*first)) sources.erase(first);
  }
  return {};
}

Parsed<void> read_all(const Options& options, Audit& audit) {
  auto read = for_each_line(options.injected,
                            [&](const std::string&, std::string_view line) { audit.take_injected(line); });
  if (!read) return read;
  std::vector<std::string> runs;
  read = for_each_line(options.received, [&](const std::string& path, std::string_view line) {
    audit.take_received(line, run_of_file(runs, path));
  });
  if (!read) return read;
  for (const std::string& path : options.accounting) {
    read = read_accounting(path,
                           [&](std::string_view type, std::string_view recipient, std::string_view message) {
                             if (type.size() == 1) audit.take_record(type.front(), recipient, message);
                           });
    if (!read) return read;
  }
  return for_each_line(options.queue, [&](const std::string&, std::string_view line) {
    const auto words = split(trim(line), ' ');
    if (words.empty() || words[0].empty()) return;
    audit.take_queued(words[0], words.size() > 1 ? without_brackets(words[1]) : std::string_view());
  });
}

void print_text(const Options& options, const Audit& audit, const std::vector<RateCheck>& checks) {
  const AuditFigures& f = audit.figures();
  const std::uint64_t lost = f.violations[static_cast<std::size_t>(Violation::Lost)] +
                             f.violations[static_cast<std::size_t>(Violation::DeliveredNotReceived)];
  fmt::print("accepted {} = delivered {} + bounced {} + queued {} + lost {}\n", f.accepted, f.delivered,
             f.bounced, f.queued, lost);
  if (f.unknown + f.refused > 0) {
    fmt::print("unknown at injection {} (of which arrived {}), refused {}\n", f.unknown, f.unknown_arrived,
               f.refused);
  }
  fmt::print("duplicates {}: {} after a drop without reply, {} after a lost connection, {} without cause\n",
             f.duplicates, f.duplicates_dropped, f.duplicates_lost,
             f.violations[static_cast<std::size_t>(Violation::DuplicateNoCause)]);
  if (options.audit.have_accounting) {
    fmt::print("accounting records: d {} b {} t {} r {}\n", f.records_delivered, f.records_bounced,
               f.records_transient, f.records_received);
  }
  if (f.foreign + f.bad_lines + f.ambiguous > 0) {
    fmt::print("not judged: {} foreign, {} unreadable lines, {} ambiguous recipients\n", f.foreign,
               f.bad_lines, f.ambiguous);
  }
  for (const RateCheck& check : checks) {
    fmt::print("rate {}/{} {}: most in a window {}{}{}\n", check.rule().rate.events,
               duration_text(check.rule().rate.per),
               check.rule().provider.empty() ? "*" : check.rule().provider, check.worst().events,
               check.worst().where.empty() ? "" : " at ", check.worst().where);
  }
  std::size_t shown = 0;
  for (const Finding& one : audit.findings()) {
    if (shown++ >= options.list) break;
    fmt::print("{}: {} {}{}{}\n", name_of(one.violation), one.message, one.recipient,
               one.detail.empty() ? "" : ": ", one.detail);
  }
}

void print_json(const Audit& audit, const std::vector<RateCheck>& checks) {
  const AuditFigures& f = audit.figures();
  fmt::print(
      "{{\"accepted\":{},\"delivered\":{},\"bounced\":{},\"queued\":{},\"unknown\":{},\"unknown_arrived\":{},"
      "\"refused\":{},\"duplicates\":{},\"duplicates_dropped\":{},\"duplicates_lost\":{},\"foreign\":{},"
      "\"bad_lines\":{},\"violations\":{{",
      f.accepted, f.delivered, f.bounced, f.queued, f.unknown, f.unknown_arrived, f.refused, f.duplicates,
      f.duplicates_dropped, f.duplicates_lost, f.foreign, f.bad_lines);
  for (std::size_t i = 0; i < kViolations; ++i) {
    fmt::print("{}\"{}\":{}", i == 0 ? "" : ",", name_of(static_cast<Violation>(i)), f.violations[i]);
  }
  fmt::print("}},\"rates\":[");
  for (std::size_t i = 0; i < checks.size(); ++i) {
    fmt::print("{}{{\"most\":{},\"allowed\":{},\"broken_windows\":{}}}", i == 0 ? "" : ",",
               checks[i].worst().events, checks[i].rule().rate.events, checks[i].broken_windows());
  }
  fmt::print("]}}\n");
}

int start(int count, const char* const* words) {
  Options options;
  Arguments arguments("sluice-audit", "injected = delivered + bounced + queued, or tells what is missing");
  declare(arguments, options);
  if (const auto status = parse_or_exit_status(arguments, "sluice-audit", count, words)) return *status;
  if (options.injected.empty() && options.rates.empty()) {
    fmt::print(stderr, "sluice-audit: nothing to do: give --injected ledgers or a --rate rule; see --help\n");
    return 2;
  }
  options.audit.have_received = !options.received.empty();
  options.audit.have_accounting = !options.accounting.empty();
  const bool by_id = options.queue.empty() && accounting_has_ids(options.accounting);
  options.audit.key = options.key.value_or(by_id ? AuditKey::MessageAndRecipient : AuditKey::Recipient);
  Audit audit(options.audit);
  std::vector<RateCheck> checks;
  for (RateRule& rule : options.rates) {
    rule.slack = options.slack;
    checks.emplace_back(rule);
  }
  auto read = options.injected.empty() ? Parsed<void>() : read_all(options, audit);
  if (read && !checks.empty()) read = check_rates(options, checks);
  if (!read) {
    fmt::print(stderr, "sluice-audit: {}\n", read.error());
    return 2;
  }
  audit.finish();
  if (options.json) {
    print_json(audit, checks);
  } else {
    print_text(options, audit, checks);
  }
  const bool rates_kept =
      std::ranges::all_of(checks, [](const RateCheck& one) { return one.broken_windows() == 0; });
  return audit.figures().violations_in_all() == 0 && rates_kept ? 0 : 1;
}

}  // namespace
}  // namespace sluice::bench

int main(int count, char** words) { return sluice::bench::start(count, words); }
