// What is missing, what names nothing, and what loads but probably does not mean what it seems to.
#include <algorithm>
#include <unordered_set>

#include "policy/base/ascii.h"
#include "policy/base/mail_address.h"
#include "policy/config/loader.h"
#include "policy/local/macros.h"
#include "policy/settings/withheld.h"

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

template <class List>
auto names_in(const std::vector<List>& lists) {
  return [&lists] {
    std::vector<std::string_view> out;
    for (const List& list : lists) out.push_back(list.name);
    return out;
  };
}

}  // namespace

void Finisher::missing(Origin where, std::string_view what, std::string_view name, const Names& known,
                       std::string_view harmless) {
  // Advice costs a look at all names: not for what is not shown.
  const std::vector<std::string_view> names =
      known && !reporter_.full() ? known() : std::vector<std::string_view>();
  const std::string_view nearest = nearest_name(name, names);
  // A part of a configuration may name what another part defines.
  reporter_.add(where, 0,
                {reporter_.options().fragment || !harmless.empty() ? Severity::Warning : Severity::Error,
                 std::string(what) + " \"" + std::string(name) + "\" is not defined" +
                     (reporter_.options().fragment ? " here"
                      : harmless.empty()           ? std::string()
                                                   : ": " + std::string(harmless)),
                 {},
                 nearest.empty() ? std::string() : "did you mean \"" + std::string(nearest) + "\"?"});
}

bool Finisher::is_identity(std::string_view name) const {
  return config_.find_vmta(name).has_value() || config_.find_pool(name).has_value();
}

Finisher::Names Finisher::identity_names() const {
  return [this] {
    std::vector<std::string_view> out;
    for (const Vmta& vmta : config_.vmtas) out.push_back(vmta.name);
    for (const Pool& pool : config_.pools) out.push_back(pool.name);
    return out;
  };
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
  std::unordered_set<std::string> dirs;
  for (Spool& one : config_.spools) {
    one.dir = plain_path(one.dir);
    if (!dirs.insert(one.dir).second)
      error(one.origin, "the spool " + one.dir + " is named twice", "one <spool> block per directory");
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
        if (config_.find_reply_list(value) == nullptr)
          missing(assignment.origin, "smtp-pattern-list", value, names_in(config_.reply_lists),
                  "no rules hold for these replies");
      } else if (name == "bounce-actions" && config_.find_bounce_actions(value) == nullptr) {
        missing(assignment.origin, "bounce-actions", value, names_in(config_.bounce_actions));
      } else if (name == "reroute-to-virtual-mta" || name == "backoff-reroute-to-virtual-mta" ||
                 name == "route-to-pool" || name == "virtual-mta-pool") {
        if (!is_identity(value)) missing(assignment.origin, "virtual MTA or pool", value, identity_names());
      }
    }
  }
}

void Finisher::check_source_references() {
  std::unordered_set<std::string> groups;
  for (const SourceGroup& group : config_.source_groups) groups.insert(to_lower(group.name));
  for (const SourceBlock& block : config_.sources) {
    for (const Assignment& assignment : block.assignments) {
      const std::string_view name = table_.rows()[assignment.row].name;
      const std::string& value = assignment.value;
      if (value == "\"\"") continue;
      if (name == "default-virtual-mta" && value != "by-smtp-source-ip" && !is_identity(value)) {
        missing(assignment.origin, "virtual MTA or pool", value, identity_names());
      } else if (name == "pattern-list" && config_.find_pattern_list(value) == nullptr) {
        missing(assignment.origin, "pattern-list", value, names_in(config_.pattern_lists),
                "it chooses nothing");
      } else if (name == "rewrite-list" && config_.find_rewrite_list(value) == nullptr) {
        missing(assignment.origin, "rewrite-list", value, names_in(config_.rewrite_lists));
      } else if (name == "suppression-lists") {
        for (const std::string_view item : split_list(value)) {
          if (config_.find_address_list(item) == nullptr)
            missing(assignment.origin, "address-list", item, names_in(config_.address_lists));
        }
      } else if (name == "source-group" && !groups.contains(to_lower(value))) {
        missing(assignment.origin, "source-group", value, names_in(config_.source_groups));
      }
    }
  }
}

void Finisher::check_references() {
  for (const DomainLayer& layer : config_.layers_.layers) check_domain_references(layer);
  check_source_references();
  const Names sources = [this] {
    std::vector<std::string_view> out;
    for (const SourceBlock& block : config_.sources) {
      if (!block.cidr) out.push_back(block.name);
    }
    return out;
  };
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
  check_held_back();
  check_unused_sources();
  check_message_sizes();
  check_shadowed_access();
  check_bounce_patterns();
  for (const ReplyList& list : config_.reply_lists) check_reply_list(list);
  for (const PatternList& list : config_.pattern_lists) check_message_patterns(list.patterns);
  check_domain_traps();
}

/// For each layer an identity it belongs to: the VMTA itself, a member of the pool, {default} for the global one.
std::vector<std::optional<VmtaId>> Finisher::identities_of_layers() const {
  std::vector<std::optional<VmtaId>> out(config_.layers_.layers.size());
  for (const Vmta& vmta : config_.vmtas) {
    const auto take = [&](std::uint32_t layer) {
      if (layer != 0 && !out[layer]) out[layer] = vmta.id;
    };
    take(config_.layers_.of_vmta[vmta.id.raw()]);
    if (vmta.domain_pool) take(config_.layers_.of_pool[vmta.domain_pool->raw()]);
  }
  out.front() = kDefaultVmta;
  return out;
}

namespace {

template <class Settings>
bool gives_source(const Settings& settings) {
  return !settings.smtp_source_host.empty() || !settings.smtp_proxy_source_host.empty() ||
         !settings.use_proxy.empty();
}

}  // namespace

const Everybody& Finisher::everybody() {
  if (everybody_) return *everybody_;
  Everybody& out = everybody_.emplace();
  for (const Vmta& vmta : config_.vmtas) {
    out.some_are_cold = out.some_are_cold || !vmta.settings.cold_virtual_mta.empty();
    out.some_have_sources = out.some_have_sources || gives_source(vmta.settings);
  }
  out.proxied_by_pool.resize(config_.vmtas.size());
  for (const Pool& pool : config_.pools) {
    if (pool.settings.use_proxy.empty()) continue;
    out.proxied_by_pool[kDefaultVmta.raw()] = true;
    for (const PoolMember& member : pool.settings.members) out.proxied_by_pool[member.id.raw()] = true;
  }
  return out;
}

/// Blocks of the top level are everybody's, so {default} stands for all.
bool Finisher::may_be_cold(VmtaId vmta) {
  const Vmta& identity = config_.vmta(vmta);
  if (!identity.settings.cold_virtual_mta.empty()) return true;
  if (identity.domain_pool && !config_.pool(*identity.domain_pool).settings.cold_virtual_mta.empty())
    return true;
  return vmta == kDefaultVmta && everybody().some_are_cold;
}

bool Finisher::has_fixed_source(VmtaId vmta) {
  return gives_source(config_.globals) || gives_source(config_.vmta(vmta).settings) ||
         (vmta == kDefaultVmta && everybody().some_have_sources) || everybody().proxied_by_pool[vmta.raw()];
}

void Finisher::check_domain_traps() {
  // Only blocks that set one of these are flattened: a large file has thousands of others.
  static constexpr std::string_view kSuspects[] = {
      "require-starttls",  "type",     "http-delivery-url",        "command",           "auth-username",
      "bcc-upon-delivery", "queue-to", "max-cold-virtual-mta-msg", "check-spf-outbound"};
  const auto identities = identities_of_layers();
  for (std::size_t l = 0; l < config_.layers_.layers.size(); ++l) {
    const auto vmta = identities[l];
    if (!vmta) continue;
    const std::vector<DomainBlock>& blocks = config_.layers_.layers[l].blocks;
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      for (const Assignment& assignment : blocks[b].assignments) {
        const std::string_view name = table_.rows()[assignment.row].name;
        if (name == "max-smtp-out" && assignment.value == "0") {
          warn(assignment.origin, "max-smtp-out 0 opens no connection: the mail stays queued");
        }
        if (std::find(std::begin(kSuspects), std::end(kSuspects), name) == std::end(kSuspects)) continue;
        const std::optional<DomainPattern>& pattern = first_patterns_[l][b];
        if (!pattern) continue;
        const std::string domain =
            pattern->kind == DomainPatternKind::Subdomains ? "x." + pattern->domain : pattern->domain;
        check_trap(name, assignment, config_.flatten(domain, *vmta), *vmta);
      }
    }
  }
  for (const MxRollup& rollup : config_.mx_rollups) {
    const bool wildcard = rollup.mx.kind != DomainPatternKind::Exact;
    if (!wildcard || rollup.by_ip) continue;
    const DomainSettings target = config_.flatten(rollup.target, kDefaultVmta);
    if (target.smtp_hosts.empty() && target.queue_to.empty() && target.type == QueueType::Smtp) {
      warn(rollup.origin,
           "rollup queue \"" + rollup.target +
               "\" is named by a wildcard and needs smtp-hosts: until then domains keep their own queues",
           "smtp-hosts lookup-mx:... in <domain " + rollup.target + ">, or rollup-by-ip");
    }
  }
}

void Finisher::check_trap(std::string_view name, const Assignment& assignment,
                          const DomainSettings& effective, VmtaId vmta) {
  if (name == "require-starttls" && effective.require_starttls && !effective.use_starttls) {
    warn(assignment.origin, "require-starttls with use-starttls no: nothing can be sent");
  } else if (name == "require-starttls" || name == "auth-username") {
    const std::string_view why = withheld_reason(effective);
    if (why.empty() || (name == "auth-username" && effective.require_starttls)) return;
    if (effective.queue_to.empty()) {
      warn(assignment.origin, "mail it applies to is " + std::string(why));
    } else if (withheld_reason(config_.flatten(effective.queue_to, vmta)).empty()) {
      warn(assignment.origin,
           std::string(name) + " does not hold: mail of this domain waits in " + effective.queue_to +
               " and is sent as the settings of that queue say",
           std::string(name) + " in <domain " + effective.queue_to + '>');
    }
  } else if (name == "max-cold-virtual-mta-msg") {
    if (!may_be_cold(vmta))
      warn(assignment.origin, "max-cold-virtual-mta-msg has no effect without cold-virtual-mta");
  } else if (name == "check-spf-outbound" && effective.check_spf_outbound) {
    if (!has_fixed_source(vmta)) {
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
