// What is missing, what names nothing, and what loads but probably does not mean what it seems to.
#include <algorithm>
#include <unordered_set>

#include "policy/base/ascii.h"
#include "policy/base/mail_address.h"
#include "policy/config/loader.h"
#include "policy/config/pattern_checks.h"
#include "policy/local/macros.h"

namespace sluice::config {
namespace {

// One name for one directory, as far as the text tells.
std::string plain_path(std::string_view path) {
  std::string out;
  for (const char c : path) {
    if (c != '/' || !out.ends_with('/')) out += c;
  }
  if (out.size() > 1 && out.ends_with('/')) out.pop_back();
  return out;
}

}  // namespace

void Finisher::missing(Origin where, std::string_view what, std::string_view name,
                       std::vector<std::string_view> known) {
  const std::string_view nearest = nearest_name(name, known);
  // A part of a configuration may name what another part defines.
  reporter_.add(where, 0,
                {reporter_.options().fragment ? Severity::Warning : Severity::Error,
                 std::string(what) + " \"" + std::string(name) + "\" is not defined" +
                     (reporter_.options().fragment ? " here" : ""),
                 {},
                 nearest.empty() ? std::string() : "did you mean \"" + std::string(nearest) + "\"?"});
}

bool Finisher::is_identity(std::string_view name) const {
  return config_.find_vmta(name).has_value() || config_.find_pool(name).has_value();
}

std::vector<std::string_view> Finisher::identity_names() const {
  std::vector<std::string_view> out;
  for (const Vmta& vmta : config_.vmtas) out.push_back(vmta.name);
  for (const Pool& pool : config_.pools) out.push_back(pool.name);
  return out;
}

void Finisher::check_required() {
  GlobalSettings& globals = config_.globals;
  if (config_.listeners.empty()) {
    SmtpListener listener;
    if (globals.smtp_ip)
      listener.address = Cidr(*globals.smtp_ip, globals.smtp_ip->is_any() ? 0 : globals.smtp_ip->bit_count());
    listener.port = globals.smtp_port.value_or(25);
    config_.listeners.push_back(std::move(listener));
  }
  if (globals.control_socket.empty()) globals.control_socket = globals.run_dir + "/control";
  if (reporter_.options().fragment) return;
  if (globals.log_file.empty()) error({}, "No logging file specified", "log-file FILE");
  for (auto one = config_.spools.begin(); one != config_.spools.end(); ++one) {
    one->dir = plain_path(one->dir);
    const auto twice =
        std::find_if(config_.spools.begin(), one, [&](const Spool& s) { return s.dir == one->dir; });
    if (twice != one)
      error(one->origin, "the spool " + one->dir + " is named twice", "one <spool> block per directory");
  }
  if (config_.spools.empty()) error({}, "no spool specified", "<spool DIR> ... </spool>");
  const bool writable = std::any_of(config_.spools.begin(), config_.spools.end(),
                                    [](const Spool& s) { return !s.deliver_only; });
  if (!config_.spools.empty() && !writable)
    error(config_.spools.front().origin, "every spool is deliver-only: nothing can be accepted");
  if (globals.pickup && plain_path(globals.pickup->dir) == plain_path(globals.pickup->bad_dir)) {
    error({}, "pickup: what cannot be taken would go to where it is taken from",
          "pickup DIR BADDIR, two folders");
  }
  if (globals.postmaster.empty()) warn({}, "no postmaster specified", "postmaster ADDRESS");
}

void Finisher::check_domain_references(const DomainLayer& layer) {
  for (const DomainBlock& block : layer.blocks) {
    for (const Assignment& assignment : block.assignments) {
      const std::string_view name = table_.rows()[assignment.row].name;
      const std::string& value = assignment.value;
      if (value == "\"\"") continue;
      if (name == "smtp-pattern-list" && value.find_first_of(" \t\"") == std::string::npos) {
        std::vector<std::string_view> known;
        for (const ReplyList& list : config_.reply_lists) known.push_back(list.name);
        if (config_.find_reply_list(value) == nullptr)
          missing(assignment.origin, "smtp-pattern-list", value, std::move(known));
      } else if (name == "bounce-actions" && config_.find_bounce_actions(value) == nullptr) {
        std::vector<std::string_view> known;
        for (const BounceActionList& list : config_.bounce_actions) known.push_back(list.name);
        missing(assignment.origin, "bounce-actions", value, std::move(known));
      } else if (name == "reroute-to-virtual-mta" || name == "backoff-reroute-to-virtual-mta" ||
                 name == "route-to-pool") {
        if (!is_identity(value)) missing(assignment.origin, "virtual MTA or pool", value, identity_names());
      }
    }
  }
}

void Finisher::check_source_references() {
  for (const SourceBlock& block : config_.sources) {
    for (const Assignment& assignment : block.assignments) {
      const std::string_view name = table_.rows()[assignment.row].name;
      const std::string& value = assignment.value;
      if (value == "\"\"") continue;
      if (name == "default-virtual-mta" && value != "by-smtp-source-ip" && !is_identity(value)) {
        missing(assignment.origin, "virtual MTA or pool", value, identity_names());
      } else if (name == "pattern-list") {
        const PatternList* list = config_.find_pattern_list(value);
        std::vector<std::string_view> known;
        for (const PatternList& candidate : config_.pattern_lists) known.push_back(candidate.name);
        if (list == nullptr) missing(assignment.origin, "pattern-list", value, std::move(known));
      } else if (name == "rewrite-list" && config_.find_rewrite_list(value) == nullptr) {
        std::vector<std::string_view> known;
        for (const RewriteList& list : config_.rewrite_lists) known.push_back(list.name);
        missing(assignment.origin, "rewrite-list", value, std::move(known));
      } else if (name == "suppression-lists") {
        for (const std::string_view item : split_list(value)) {
          std::vector<std::string_view> known;
          for (const AddressList& list : config_.address_lists) known.push_back(list.name);
          if (config_.find_address_list(item) == nullptr)
            missing(assignment.origin, "address-list", item, std::move(known));
        }
      } else if (name == "source-group") {
        std::vector<std::string_view> known;
        for (const SourceGroup& group : config_.source_groups) known.push_back(group.name);
        if (std::none_of(known.begin(), known.end(),
                         [&](std::string_view item) { return iequals(item, value); })) {
          missing(assignment.origin, "source-group", value, std::move(known));
        }
      }
    }
  }
}

void Finisher::check_references() {
  for (const DomainLayer& layer : config_.layers_.layers) check_domain_references(layer);
  check_source_references();
  std::vector<std::string_view> sources;
  for (const SourceBlock& block : config_.sources) {
    if (!block.cidr) sources.push_back(block.name);
  }
  for (const SmtpListener& listener : config_.listeners) {
    if (!listener.source.empty() && !config_.has_source(listener.source))
      missing(listener.origin, "source", listener.source, sources);
    if (!listener.default_virtual_mta.empty() && !is_identity(listener.default_virtual_mta)) {
      missing(listener.origin, "virtual MTA or pool", listener.default_virtual_mta, identity_names());
    }
  }
  for (const SmtpUser& user : config_.smtp_users) {
    if (user.source != "{auth}" && !config_.has_source(user.source))
      missing(user.origin, "source", user.source, sources);
  }
  const auto check_identity = [&](const IdentitySettings& settings, Origin origin) {
    for (const std::string& cold : settings.cold_virtual_mta) {
      if (!config_.find_vmta(cold)) missing(origin, "cold virtual MTA", cold, identity_names());
    }
    if (!settings.rewrite_list.empty() && config_.find_rewrite_list(settings.rewrite_list) == nullptr) {
      missing(origin, "rewrite-list", settings.rewrite_list, {});
    }
  };
  for (const Vmta& vmta : config_.vmtas) check_identity(vmta.settings, vmta.origin);
  for (const Pool& pool : config_.pools) check_identity(pool.settings, pool.origin);
  check_proxies();
  const std::string& fallback = config_.globals.invalid_virtual_mta_fallback;
  if (!fallback.empty() && !config_.find_vmta(fallback))
    missing({}, "virtual MTA", fallback, identity_names());
}

void Finisher::check_traps() {
  for (const AcctFile& file : config_.acct_files) {
    if (file.move_interval_given && file.move_to.empty() && !file.is_pipe() && !file.is_webhook()) {
      warn(file.origin,
           "move-interval without move-to: a new file begins every " + format_duration(file.move_interval) +
               " and stays in place",
           "PowerMTA ignores move-interval then; move-to DIR moves finished files");
    }
    if (file.is_webhook() && !file.move_to.empty()) warn(file.origin, "move-to has no effect on a webhook");
    for (const RecordFields& fields : file.record_fields) {
      if (std::find(file.records.begin(), file.records.end(), fields.type) == file.records.end()) {
        warn(fields.origin,
             "record-fields for " + std::string(short_name(fields.type)) +
                 " records, which this file does not write",
             "add " + std::string(short_name(fields.type)) + " to records");
      }
    }
    if (!file.queue_filter.empty() && std::all_of(file.queue_filter.begin(), file.queue_filter.end(),
                                                  [](const QueueFilter& f) { return f.negative; })) {
      warn(file.origin, "queue-filter only excludes: nothing is written", "add */* at its end");
    }
  }
  for (const HttpAccess& access : config_.globals.http_access) {
    if (access.client.prefix_bits() == 0 && access.level != AccessLevel::None) {
      warn(access.origin, "http-access opens the web monitor to everybody");
    }
  }
  check_shadowed_access();
  check_bounce_patterns();
  for (const ReplyList& list : config_.reply_lists) check_reply_list(list);
  for (const PatternList& list : config_.pattern_lists) check_message_patterns(list.patterns);
  check_domain_traps();
}

void Finisher::check_message_patterns(const std::vector<MessagePattern>& patterns) {
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    check_message_patterns(patterns[i].nested);
    for (std::size_t before = 0; before < i; ++before) {
      const MessagePattern& earlier = patterns[before];
      const bool any = earlier.kind == MessagePatternKind::Any;
      const bool same = earlier.kind == patterns[i].kind && iequals(earlier.header, patterns[i].header) &&
                        pattern_covers(earlier.pattern.text, patterns[i].pattern.text);
      if (!any && !same) continue;
      warn(patterns[i].origin, any ? "never reached: the * above matches everything"
                                   : "never reached: /" + earlier.pattern.text + "/ above matches all of it");
      if (any) return;
      break;
    }
  }
}

/// The first entry that matches decides, so one behind a wider one never does.
void Finisher::check_shadowed_access() {
  const std::vector<HttpAccess>& access = config_.globals.http_access;
  for (std::size_t i = 1; i < access.size(); ++i) {
    const auto wider = std::find_if(access.begin(), access.begin() + static_cast<std::ptrdiff_t>(i),
                                    [&](const HttpAccess& one) {
                                      return one.client.prefix_bits() <= access[i].client.prefix_bits() &&
                                             one.client.contains(access[i].client.address());
                                    });
    if (wider != access.begin() + static_cast<std::ptrdiff_t>(i))
      warn(access[i].origin, "never reached: http-access " + wider->client.text() + " above matches first");
  }
  const auto keys = [&](const std::vector<DomainKey>& list) {
    const auto all =
        std::find_if(list.begin(), list.end(), [](const DomainKey& key) { return key.domain == "*"; });
    if (all != list.end() && all + 1 != list.end() && (all + 1)->domain != "*")
      warn((all + 1)->origin, "never used: the domain-key for * above fits every domain",
           "put the one for * last");
  };
  keys(config_.globals.domain_key);
  for (const Vmta& vmta : config_.vmtas) keys(vmta.settings.domain_key);
}

void Finisher::check_pattern(const Regex& pattern, PatternSubject subject) {
  const std::string why = why_never_matches(pattern.text, subject);
  if (!why.empty()) warn(pattern.origin, "never matches: " + why);
}

void Finisher::check_bounce_patterns() {
  static constexpr std::size_t kComparedMax = 1000;  ///< each is held against all before it
  const std::vector<BounceCategoryRule>& rules = config_.bounce_categories;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    check_pattern(rules[i].pattern, PatternSubject::StatusDiag);
    if (i > kComparedMax) continue;
    for (std::size_t before = 0; before < i; ++before) {
      if (!pattern_covers(rules[before].pattern.text, rules[i].pattern.text)) continue;
      warn(rules[i].pattern.origin,
           rules[before].pattern.text.empty()
               ? "never reached: the empty pattern above matches everything"
               : "never reached: /" + rules[before].pattern.text + "/ above matches all of it");
      if (rules[before].pattern.text.empty()) return;  // one warning for all that follow
      break;
    }
  }
}

/// Of conflicting actions the first that matches counts, others add up: a rule is in vain when all it does is
/// decided by an earlier one that matches whenever it does.
void Finisher::check_reply_list(const ReplyList& list) {
  if (list.rules.empty()) warn(list.origin, "smtp-pattern-list \"" + list.name + "\" has no rules");
  const auto in_vain = [](const ReplyRule& earlier, const ReplyRule& later) {
    return (!later.mode || earlier.mode) && (!later.skip_mx || earlier.skip_mx || earlier.bounce_queue) &&
           (!later.bounce_queue || earlier.bounce_queue || earlier.skip_mx) &&
           (!later.bounce_recipient || earlier.bounce_recipient) &&
           (!later.defer_queue || earlier.defer_queue) &&
           (!later.disable_source_ip || earlier.disable_source_ip) &&
           (!later.retry_after || earlier.retry_after);
  };
  for (std::size_t i = 0; i < list.rules.size(); ++i) {
    const ReplyRule& rule = list.rules[i];
    check_pattern(rule.pattern, PatternSubject::Reply);
    for (std::size_t before = 0; before < i; ++before) {
      const ReplyRule& earlier = list.rules[before];
      if (!pattern_covers(earlier.pattern.text, rule.pattern.text) || !in_vain(earlier, rule)) continue;
      warn(rule.pattern.origin,
           earlier.pattern.text.empty()
               ? "never reached: the empty pattern above matches everything and sets the mode first"
               : "in vain: /" + earlier.pattern.text + "/ above matches first and does the same");
      break;
    }
  }
}

/// An identity that layer `l` belongs to: the VMTA itself, a member of the pool, {default} for the global
/// layer.
std::optional<VmtaId> Finisher::identity_of_layer(std::size_t l) const {
  if (l == 0) return kDefaultVmta;
  for (const Vmta& vmta : config_.vmtas) {
    const bool own = config_.layers_.of_vmta[vmta.id.raw()] == l;
    if (own || (vmta.domain_pool && config_.layers_.of_pool[vmta.domain_pool->raw()] == l)) return vmta.id;
  }
  return std::nullopt;
}

void Finisher::check_domain_traps() {
  // Only blocks that set one of these are flattened: a large file has thousands of others.
  static constexpr std::string_view kSuspects[] = {
      "require-starttls",  "type",     "http-delivery-url",        "command",
      "bcc-upon-delivery", "queue-to", "max-cold-virtual-mta-msg", "check-spf-outbound"};
  for (std::size_t l = 0; l < config_.layers_.layers.size(); ++l) {
    const auto vmta = identity_of_layer(l);
    if (!vmta) continue;
    for (const DomainBlock& block : config_.layers_.layers[l].blocks) {
      for (const Assignment& assignment : block.assignments) {
        const std::string_view name = table_.rows()[assignment.row].name;
        if (name == "max-smtp-out" && assignment.value == "0") {
          warn(assignment.origin, "max-smtp-out 0 opens no connection: the mail stays queued");
        }
        if (std::find(std::begin(kSuspects), std::end(kSuspects), name) == std::end(kSuspects)) continue;
        bool from_macro = false;
        const auto domains = expand(block.expression, block.origin, from_macro);
        const auto pattern = domains.empty() ? std::nullopt : DomainPattern::parse(domains.front());
        if (!pattern) continue;
        const std::string domain =
            pattern->kind == DomainPatternKind::Subdomains ? "x." + pattern->domain : pattern->domain;
        check_trap(name, assignment, config_.flatten(domain, *vmta), *vmta);
      }
    }
  }
  for (const MxRollup& rollup : config_.mx_rollups) {
    const bool wildcard = rollup.mx.kind != DomainPatternKind::Exact;
    if (wildcard && !rollup.by_ip && config_.flatten(rollup.target, kDefaultVmta).smtp_hosts.empty()) {
      warn(rollup.origin,
           "rollup queue \"" + rollup.target + "\" is named by a wildcard and needs smtp-hosts",
           "smtp-hosts lookup-mx:... in <domain " + rollup.target + ">, or rollup-by-ip");
    }
  }
}

void Finisher::check_trap(std::string_view name, const Assignment& assignment,
                          const DomainSettings& effective, VmtaId vmta) {
  if (name == "require-starttls" && effective.require_starttls && !effective.use_starttls) {
    warn(assignment.origin, "require-starttls with use-starttls no: nothing can be sent");
  } else if (name == "max-cold-virtual-mta-msg") {
    const Vmta& identity = config_.vmta(vmta);
    bool cold = !identity.settings.cold_virtual_mta.empty();
    if (identity.domain_pool)
      cold = cold || !config_.pool(*identity.domain_pool).settings.cold_virtual_mta.empty();
    if (vmta == kDefaultVmta) {
      for (const Vmta& any : config_.vmtas) cold = cold || !any.settings.cold_virtual_mta.empty();
    }
    if (!cold) warn(assignment.origin, "max-cold-virtual-mta-msg has no effect without cold-virtual-mta");
  } else if (name == "check-spf-outbound" && effective.check_spf_outbound) {
    const auto gives_one = [](const auto& settings) {
      return !settings.smtp_source_host.empty() || !settings.smtp_proxy_source_host.empty() ||
             !settings.use_proxy.empty();
    };
    bool fixed = gives_one(config_.globals) || gives_one(config_.vmta(vmta).settings);
    // Blocks of the top level are everybody's.
    for (const Vmta& any : config_.vmtas) fixed = fixed || (vmta == kDefaultVmta && gives_one(any.settings));
    for (const Pool& pool : config_.pools) {
      const bool has_it = std::ranges::any_of(pool.settings.members,
                                              [vmta](const PoolMember& one) { return one.id == vmta; });
      fixed = fixed || ((has_it || vmta == kDefaultVmta) && !pool.settings.use_proxy.empty());
    }
    if (!fixed) {
      warn(assignment.origin,
           "check-spf-outbound needs a source address, but virtual MTA \"" + config_.vmta(vmta).name +
               "\" has none: the one the system chooses is checked",
           "smtp-source-host IP NAME");
    }
  } else if (name == "type") {
    if (effective.type == QueueType::File && effective.file_destination.empty()) {
      warn(assignment.origin, "type file without file-destination");
    } else if (effective.type == QueueType::Pipe && effective.command.empty()) {
      warn(assignment.origin, "type pipe without command");
    } else if (effective.type == QueueType::HttpDelivery && effective.http_delivery_url.empty()) {
      warn(assignment.origin, "type http-delivery without http-delivery-url");
    }
  } else if (name == "http-delivery-url") {
    if (istarts_with(effective.http_delivery_url, "https:")) {
      warn(assignment.origin, "https is not available in this version: mail of this queue waits");
    }
  } else if (name == "command" && !effective.command.empty()) {
    const auto command = local::Command::parse(effective.command);
    if (!command) warn(assignment.origin, command.error() + ": mail of this queue waits");
  } else if (name == "bcc-upon-delivery" && !effective.bcc_upon_delivery.empty()) {
    if (!MailAddress::parse(effective.bcc_upon_delivery, {.bare = true})) {
      warn(assignment.origin,
           '"' + effective.bcc_upon_delivery + "\" is no mail address: no copies are sent");
    }
  } else if (name == "queue-to" && !effective.queue_to.empty()) {
    // A name with a dot may be a domain that resolves; a rollup's name or a bare word cannot.
    const std::string& target = effective.queue_to;
    const bool resolves = target.find('.') != std::string::npos && !target.ends_with(".rollup");
    if (!resolves && config_.flatten(target, vmta).smtp_hosts.empty() &&
        config_.flatten(target, vmta).type == QueueType::Smtp) {
      warn(assignment.origin, "queue-to \"" + target + "\" needs smtp-hosts in <domain " + target + '>');
    }
  }
}

}  // namespace sluice::config
