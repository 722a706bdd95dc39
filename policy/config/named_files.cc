// Files whose contents belong to the configuration without being part of its text: read with it, so that a
// reload takes all or nothing, and whoever uses them needs no disk.
#include "policy/base/ascii.h"
#include "policy/config/loader.h"
#include "policy/config/sink_replies.h"
#include "policy/report/report.h"

namespace sluice::config {

void Loader::read_named_files() {
  const auto take = [this](const std::string& path, Origin asked_from, Severity severity,
                           std::string_view loss) {
    if (path.empty() || config_->texts.contains(path)) return;
    auto contents = files_.read(path);
    if (contents && contents->size() <= kConfigFileBytesMax) {
      config_->texts.emplace(path, std::move(*contents));
      return;
    }
    const std::string why = contents ? "it is too large" : std::string(name_of(contents.error().code));
    reporter_.add(asked_from, 0,
                  {severity, "cannot read \"" + path + "\": " + why + "; " + std::string(loss), {}, {}});
  };
  static constexpr std::string_view kNoHeaders = "its headers are not added";
  for (const std::string& path : config_->globals.include_headers_from)
    take(path, {}, Severity::Warning, kNoHeaders);
  const GlobalSettings& globals = config_->globals;
  take(globals.dsn_failed_body_template_from, Origin{}, Severity::Warning,
       "reports to senders have the usual text");
  const auto check_template = [this](std::string_view where, std::string_view text) {
    const std::string_view unknown = report::unknown_variable(text);
    if (unknown.empty()) return;
    reporter_.add(Origin{}, 0,
                  {Severity::Warning,
                   std::string(where) + ": ${" + std::string(unknown) + "} is no variable; it stays as it is",
                   {},
                   {}});
  };
  check_template("dsn-failed-from-template", globals.dsn_failed_from_template);
  check_template("dsn-failed-subject-template", globals.dsn_failed_subject_template);
  const auto body = config_->texts.find(globals.dsn_failed_body_template_from);
  if (body != config_->texts.end()) check_template("dsn-failed-body-template-from", body->second);
  for (const Vmta& one : config_->vmtas) {
    for (const std::string& path : one.settings.include_headers_from) {
      take(path, one.origin, Severity::Warning, kNoHeaders);
    }
  }
  for (const Pool& one : config_->pools) {
    for (const std::string& path : one.settings.include_headers_from) {
      take(path, one.origin, Severity::Warning, kNoHeaders);
    }
  }
  const DummySmtp& sink = config_->globals.dummy_smtp;
  take(sink.blacklist, {}, Severity::Warning, "the sink refuses nothing");
  if (const auto text = config_->texts.find(sink.blacklist); text != config_->texts.end()) {
    for (const SinkReplies::Problem& one : parse_sink_replies(text->second).problems) {
      reporter_.add({Severity::Warning, sink.blacklist + ':' + std::to_string(one.line) + ": " + one.why +
                                            "; the line is left out"});
    }
  }
  if (!sink.blacklist_bounce_method.empty() && !iequals(sink.blacklist_bounce_method, "random")) {
    reporter_.add({Severity::Warning, "dummy-smtp-blacklist-bounce-method " + sink.blacklist_bounce_method +
                                          " is not known: random is used"});
  }
  // Without its addresses a suppression list would let mail through that must not go out.
  const bool tolerant = options_.fragment;
  for (const AddressList& list : config_->address_lists) {
    for (const AddressEntry& entry : list.entries) {
      if (entry.kind != AddressEntry::Kind::File) continue;
      take(entry.text, entry.origin, tolerant ? Severity::Warning : Severity::Error,
           "the addresses in it are not on the list");
    }
  }
}

}  // namespace sluice::config
