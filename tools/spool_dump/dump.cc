#include "tools/spool_dump/dump.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "engine/journal/event_codec.h"
#include "engine/journal/live_set.h"
#include "engine/log/bytes.h"
#include "engine/log/scan.h"
#include "engine/spool/message.h"

namespace sluice::spool_dump {
namespace {

constexpr std::size_t kBodyShownBytes = 160;

std::string time_text(WallTime time) {
  if (time == WallTime{}) return "-";
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z", fmt::gmtime(std::chrono::system_clock::to_time_t(time)),
                     time.time_since_epoch().count() % 1000);
}

// Whatever strangers put into addresses and replies: one line, printable.
std::string shown(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') {
      out += '\\';
      out += c;
    } else if (c >= ' ' && c != 0x7f) {
      out += c;
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

std::string id_text(MessageId id) {
  return fmt::format("{:016x}", id.raw());
}

std::string place_text(const spool::MessagePlace& place) {
  return fmt::format("{}:{}:{}+{}+{}", place.directory_shard, place.segment, place.offset, place.envelope_bytes,
                     place.body_bytes);
}

class Printer {
 public:
  Printer(Outcome& out, const Options& options) : out_(out), options_(options) {}

  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_.text), format, std::forward<Args>(args)...);
    out_.text += '\n';
  }
  void problem(std::uint64_t offset, std::uint64_t bytes, std::string_view why) {
    ++out_.problems;
    line("DAMAGED at {} ({} bytes): {}", offset, bytes, why);
  }

  void record(const log::RecordView& record) {
    ++out_.records;
    const bool understood = print(record);
    if (!understood) problem(record.offset, record.payload.size(), "record does not decode");
  }

 private:
  [[nodiscard]] bool print(const log::RecordView& record) {
    switch (record.type) {
      case log::RecordType::Message:
      case log::RecordType::MovedMessage: return message(record);
      case log::RecordType::Event: return event(record);
      case log::RecordType::Moved: return moved(record);
      case log::RecordType::State: return state(record);
      case log::RecordType::LiveMessage: return live(record);
      case log::RecordType::Position: return position(record);
      case log::RecordType::CheckpointEnd: return checkpoint_end(record);
      case log::RecordType::EarlyEnding: return false;
    }
    return false;
  }

  bool message(const log::RecordView& record) {
    const auto view = spool::MessageView::decode(record.payload);
    if (!view) return false;
    if (options_.check_only) return true;
    line("{:>10} {} {} received {} from <{}> body {} bytes flags {:#x} vmta \"{}\" job \"{}\"", record.offset,
         name_of(record.type), id_text(view->id), time_text(view->received), shown(view->orig), view->body.size(),
         view->flags.bits, shown(view->vmta), shown(view->job_id));
    for (std::uint32_t i = 0; i < view->recipient_count(); ++i) {
      const spool::Recipient one = view->recipient(i);
      line("           to[{}] <{}> vmta \"{}\" queue \"{}\" priority {} notify {:#x}", i, shown(one.address),
           shown(one.vmta), shown(one.queue), one.priority, one.notify.bits);
    }
    view->for_each_header([this](const spool::HeaderField& field) {
      line("           header {}: {}", shown(field.first), shown(field.second));
    });
    if (options_.bodies) {
      const auto part = view->body.first(std::min(view->body.size(), kBodyShownBytes));
      line("           body \"{}\"", shown({reinterpret_cast<const char*>(part.data()), part.size()}));
    }
    return true;
  }

  bool event(const log::RecordView& record) {
    const auto decoded = journal::decode_event(record.payload);
    if (!decoded) return false;
    if (options_.check_only) return true;
    constexpr std::string_view kKinds[] = {"", "received", "delivered", "bounced", "transient", "queue-transient"};
    const journal::Event& one = *decoded;
    std::string text = fmt::format("{:>10} {} {} [{}] {}", record.offset, kKinds[static_cast<std::size_t>(one.kind)],
                                   id_text(one.message), one.recipient, time_text(one.time_logged));
    const auto add = [&text](std::string_view name, std::string_view value) {
      if (!value.empty()) text += fmt::format(" {}=\"{}\"", name, shown(value));
    };
    add("orig", one.orig);
    add("rcpt", one.rcpt);
    add("orcpt", one.orcpt);
    add("queue", one.queue);
    add("vmta", one.vmta);
    add("pool", one.vmta_pool);
    add("job", one.job_id);
    add("env", one.env_id);
    add("action", one.dsn_action);
    add("status", one.dsn_status);
    add("diag", one.dsn_diag);
    add("mta", one.dsn_mta);
    add("bounceCat", one.bounce_cat);
    add("src", one.src_type);
    add("srcMta", one.src_mta);
    add("dlvSource", one.dlv_source_ip);
    add("dlvDestination", one.dlv_destination_ip);
    if (one.attempts != 0) text += fmt::format(" attempts={}", one.attempts);
    if (one.next_due != WallTime{}) text += " due=" + time_text(one.next_due);
    if (one.place != spool::MessagePlace{}) text += " at=" + place_text(one.place);
    for (const auto& [name, value] : one.headers) add("header_" + shown(name), value);
    line("{}", text);
    return true;
  }

  bool moved(const log::RecordView& record) {
    const auto decoded = journal::decode_moved(record.payload);
    if (!decoded) return false;
    if (!options_.check_only) {
      line("{:>10} moved {} from {} to {}", record.offset, id_text(decoded->message), place_text(decoded->from),
           place_text(decoded->to));
    }
    return true;
  }

  bool state(const log::RecordView& record) {
    const auto decoded = journal::decode_state(record.payload);
    if (!decoded) return false;
    if (!options_.check_only) {
      line("{:>10} state {} \"{}\" = \"{}\"", record.offset, time_text(decoded->time), shown(decoded->key),
           shown(decoded->value));
    }
    return true;
  }

  bool live(const log::RecordView& record) {
    journal::LiveSet set;
    if (!set.apply_checkpointed(record.payload)) return false;
    if (options_.check_only) return true;
    for (const journal::LiveSet::Message& one : set.messages()) {
      if (!one.used) continue;
      line("{:>10} live {} received {} at {} recipients {}", record.offset, id_text(one.id), time_text(one.received),
           place_text(one.place), one.recipient_count);
      for (std::uint32_t at = one.first; at != journal::LiveSet::kNone; at = set.recipient(at).next) {
        const journal::LiveSet::Recipient& to = set.recipient(at);
        line("           [{}] domain \"{}\" vmta \"{}\" queue \"{}\" attempts {} due {}{}{}", to.index,
             shown(set.names().text(to.domain)), shown(set.names().text(to.vmta)), shown(set.names().text(to.queue)),
             to.attempts, time_text(to.next_due), to.received ? "" : " not received yet", to.ended ? " ended" : "");
      }
    }
    return true;
  }

  bool position(const log::RecordView& record) {
    log::Decoder in(record.payload);
    std::uint32_t words[6] = {};
    for (std::uint32_t& word : words) word = in.number<std::uint32_t>();
    if (!in.ok() || in.left() != 0) return false;
    if (!options_.check_only) {
      line("{:>10} position directory {} journal {}:{} messages {}:{}[{}]", record.offset, words[0], words[1], words[2],
           words[3], words[4], words[5]);
    }
    return true;
  }

  bool checkpoint_end(const log::RecordView& record) {
    log::Decoder in(record.payload);
    const auto records = in.number<std::uint64_t>();
    const auto messages = in.number<std::uint64_t>();
    const auto recipients = in.number<std::uint64_t>();
    if (!in.ok() || in.left() != 0) return false;
    saw_end_ = true;
    if (!options_.check_only) {
      line("{:>10} end: {} records, {} messages, {} recipients", record.offset, records, messages, recipients);
    }
    return true;
  }

 public:
  bool saw_end_ = false;

 private:
  Outcome& out_;
  const Options& options_;
};

log::Role role_of(std::string_view name) {
  if (name.starts_with("evt-")) return log::Role::Events;
  return name.starts_with("checkpoint-") ? log::Role::Checkpoint : log::Role::Messages;
}

}  // namespace

Outcome dump(std::string_view name, std::span<const std::byte> file, const Options& options) {
  Outcome out;
  Printer print(out, options);
  Result<log::SegmentHeader> header = log::decode_segment_header(file);
  if (!header && header.error().code == Errc::Unsupported) {
    out.recognised = true;
    print.problem(0, file.size(), "written by another version of the format");
    return out;
  }
  if (!header) {
    const auto first = file.first(std::min(file.size(), log::kBlockBytes));
    const bool blank = std::ranges::all_of(first, [](std::byte one) { return one == std::byte{0}; });
    if (blank) {
      out.recognised = true;
      if (!options.check_only) print.line("blank: a segment that is ready to be used");
      return out;
    }
    const auto saved = file.size() <= log::kBlockBytes
                           ? std::nullopt
                           : log::salvage_segment_header(file.subspan(log::kBlockBytes), role_of(name), file.size());
    if (!saved) return out;
    print.problem(0, log::kBlockBytes, "segment header lost");
    header = *saved;
  }
  out.recognised = true;
  if (!options.check_only) {
    print.line("{} directory {} number {} incarnation {} first group {} created {}", name_of(header->role),
               header->shard, header->number, header->incarnation, header->first_sequence, time_text(header->created));
  }
  header->bytes = file.size();
  log::SegmentScanner scanner(*header);
  for (;;) {
    const auto need = scanner.need();
    const auto rest = file.subspan(std::min<std::uint64_t>(need.offset, file.size()));
    const auto step = scanner.step(rest);
    if (step == log::SegmentScanner::Step::End) break;
    if (step != log::SegmentScanner::Step::Group) continue;
    ++out.groups;
    const log::ScannedGroup& group = scanner.group();
    if (!options.check_only) {
      print.line("{:>10} group {} records {} bytes {} written {} durable up to {}", group.offset,
                 group.header.sequence, group.header.records, group.header.bytes, time_text(group.header.written),
                 group.header.committed);
    }
    for (const log::RecordView& record : group.records) print.record(record);
  }
  const auto verdict = scanner.verdict();
  for (const log::DamagedStretch& one : verdict.damaged) print.problem(one.offset, one.bytes, one.why);
  for (const log::DamagedStretch& one : verdict.torn) {
    // A checkpoint is complete before it gets its name; in a log the end may be torn by a crash.
    if (header->role == log::Role::Checkpoint) {
      print.problem(one.offset, one.bytes, one.why);
    } else if (!options.check_only) {
      print.line("torn at {} ({} bytes): never acknowledged", one.offset, one.bytes);
    }
  }
  if (header->role == log::Role::Checkpoint && !print.saw_end_) print.problem(file.size(), 0, "no end record");
  return out;
}

}  // namespace sluice::spool_dump
