#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "policy/config/facts.h"
#include "policy/config/proxies.h"
#include "policy/config/value.h"

namespace sluice::config {
namespace {

constexpr std::uint32_t kDkimBitsMin = 1024;      ///< verifiers ignore shorter keys (RFC 8301 3.2)
constexpr std::uint32_t kDkimBitsAdvised = 2048;  ///< what RFC 8301 asks signers for

class HostCheck {
 public:
  HostCheck(const Config& config, HostFacts& facts, FileSource& files)
      : config_(config), facts_(facts), files_(files) {}

  std::vector<Diagnostic> run() {
    check_start();
    check_keys();
    check_sources();
    check_ehlo_names();
    check_files();
    return in_order();
  }

  std::vector<Diagnostic> run_regexes() {
    check_regexes();
    return in_order();
  }

 private:
  std::vector<Diagnostic> in_order() {
    std::sort(out_.begin(), out_.end(), [](const Entry& a, const Entry& b) {
      return std::tuple(a.origin.file, a.origin.line, a.sequence) <
             std::tuple(b.origin.file, b.origin.line, b.sequence);
    });
    std::vector<Diagnostic> out;
    for (Entry& entry : out_) out.push_back(std::move(entry.diagnostic));
    return out;
  }

  struct Entry {
    Origin origin;
    std::size_t sequence = 0;
    Diagnostic diagnostic;
  };

  std::string line_of(Origin origin) {
    if (origin.line == 0 || origin.file >= config_.files.size()) return {};
    const auto [it, fresh] = texts_.try_emplace(origin.file);
    std::vector<std::string>& lines = it->second;
    if (fresh) {
      const std::string text = files_.read(config_.files[origin.file]).value_or("");
      for (const std::string_view line : split_at(text, '\n')) lines.emplace_back(line);
    }
    if (origin.line > lines.size()) return {};
    std::string line = lines[origin.line - 1];
    if (line.ends_with('\r')) line.pop_back();
    return line;
  }

  void add(Severity severity, Origin origin, std::string message, std::string suggestion = {}) {
    Diagnostic d;
    d.severity = severity;
    d.line = origin.line;
    if (origin.file < config_.files.size()) d.file = config_.files[origin.file];
    d.line_text = line_of(origin);
    d.message = std::move(message);
    d.suggestion = std::move(suggestion);
    out_.push_back({origin.line == 0 ? Origin{UINT32_MAX, 0} : origin, out_.size(), std::move(d)});
  }
  void warn(Origin origin, std::string message, std::string suggestion = {}) {
    add(Severity::Warning, origin, std::move(message), std::move(suggestion));
  }

  /// The line that decides about a directive of the top level.
  Origin origin_of(std::string_view directive) {
    for (const SettingOrigin& one : config_.explain_globals()) {
      if (one.directive == directive) return one.origin.value_or(Origin{});
    }
    return {};
  }

  /// What a start on this host would be refused for.
  void check_start() {
    const GlobalSettings& g = config_.globals;
    const bool no_user =
        std::ranges::none_of(kRunAsUsers, [this](const std::string& name) { return facts_.has_user(name); });
    if (!g.run_as_root && no_user) {
      add(facts_.is_root() ? Severity::Error : Severity::Warning, origin_of("run-as-root"),
          "run-as-root no: this host has no user \"" + kRunAsUsers.front() + "\" or \"" + kRunAsUsers.back() +
              "\", and a start as root would be refused",
          "useradd --system --home-dir / --shell /usr/sbin/nologin " + kRunAsUsers.front() +
              ", or run-as-root yes");
    }
    // Root makes it for the user it becomes.
    const bool is_made = !g.run_as_root && facts_.is_root();
    const std::size_t slash = g.log_file.rfind('/');
    if (!is_made && slash != std::string::npos && slash > 0 &&
        facts_.file(g.log_file.substr(0, slash)).kind == FileFact::Kind::Missing) {
      add(Severity::Error, origin_of("log-file"),
          "the folder of log-file \"" + g.log_file + "\" does not exist: a start would be refused",
          "make the folder");
    }
    const std::vector<IpAddress> local = facts_.local_addresses();
    for (const SmtpListener& listener : config_.listeners) {
      const IpAddress& address = listener.address.address();
      if (local.empty() || listener.immediate_tls || address.is_any() || address.is_loopback() ||
          listener.address.prefix_bits() != address.bit_count() ||
          std::ranges::find(local, address) != local.end())
        continue;
      warn(listener.origin,
           "listener address " + address.text() + " is not one of this host: a start would be refused",
           "`ip addr` shows what there is");
    }
  }

  void check_key(const DomainKey& key) {
    // A key of the external store, or one path for many domains: there is no file to look at.
    if (key.path.starts_with("{vault}") || key.path.find("${") != std::string::npos) return;
    if (!seen_keys_.insert({key.path, key.origin.line}).second) return;
    const std::string name = "DKIM key \"" + key.path + '"';
    switch (facts_.file(key.path).kind) {
      case FileFact::Kind::Missing: return warn(key.origin, name + " does not exist");
      case FileFact::Kind::Unreadable:
        return warn(key.origin, name + " cannot be read", "check its owner and mode");
      case FileFact::Kind::Folder: return warn(key.origin, name + " is a folder");
      case FileFact::Kind::File: break;
    }
    const KeyFact fact = facts_.key(key.path);
    switch (fact.kind) {
      case KeyFact::Kind::Rsa:
        if (fact.bits < kDkimBitsMin) {
          warn(key.origin,
               name + " has " + std::to_string(fact.bits) + " bits; receivers ignore keys under 1024",
               "make one of 2048 bits");
        } else if (fact.bits < kDkimBitsAdvised) {
          add(Severity::Note, key.origin,
              name + " has " + std::to_string(fact.bits) + " bits; 2048 are advised");
        }
        return;
      case KeyFact::Kind::Ed25519: return;
      case KeyFact::Kind::Other: return warn(key.origin, name + " is neither RSA nor Ed25519");
      case KeyFact::Kind::Encrypted:
        return warn(key.origin, name + " is protected by a password", "store it without one");
      case KeyFact::Kind::NotAKey:
        return warn(key.origin, name + " holds no private key", "PEM, PKCS #1 or #8");
    }
  }

  void check_keys() {
    for (const DomainKey& key : config_.globals.domain_key) check_key(key);
    for (const Vmta& vmta : config_.vmtas) {
      for (const DomainKey& key : vmta.settings.domain_key) check_key(key);
    }
    for (const Pool& pool : config_.pools) {
      for (const DomainKey& key : pool.settings.domain_key) check_key(key);
    }
    for (const DomainKeyList& list : config_.domain_key_lists) {
      for (const DomainKey& key : list.keys) check_key(key);
    }
    config_.for_each_domain_key([this](const DomainKey& key) { check_key(key); });
  }

  void check_sources() {
    std::vector<IpAddress> local = facts_.local_addresses();
    if (local.empty()) return;
    std::sort(local.begin(), local.end());
    // A network is a range: its first address, or the next one there is, tells.
    const auto has_one_of = [&local](const Cidr& network) {
      const auto next = std::lower_bound(local.begin(), local.end(), network.address());
      return next != local.end() && network.contains(*next);
    };
    const auto check = [&](const std::vector<SourceHost>& hosts) {
      for (const SourceHost& host : hosts) {
        // All of 127/8 belongs to a Linux host, though its interface shows one address of it.
        if (host.source.address().is_loopback()) continue;
        if (has_one_of(host.source)) continue;
        const std::string address = host.is_single() ? host.source.address().text() : host.source.text();
        warn(host.origin,
             host.is_single() ? "source IP " + address + " is not an address of this host"
                              : "no address of this host is in " + address,
             "connections from it will fail; `ip addr` shows what there is");
      }
    };
    check(config_.globals.smtp_source_host);
    for (const Vmta& vmta : config_.vmtas) check(vmta.settings.smtp_source_host);
    const auto check_proxied = [&](const std::vector<ProxySourceHost>& lines, Origin origin) {
      for (const ProxySourceHost& line : lines) {
        if (line.source.address().is_any() || has_one_of(line.source)) continue;
        warn(origin, "smtp-proxy-source-host: no address of this host is in " + line.source.text(),
             "its first argument says what to reach the proxy from; 0/0 leaves that to the system");
      }
    };
    check_proxied(config_.globals.smtp_proxy_source_host, {});
    for (const Vmta& vmta : config_.vmtas) check_proxied(vmta.settings.smtp_proxy_source_host, vmta.origin);
  }

  void check_ehlo_names() {
    std::map<std::string, Origin> names;
    const auto collect = [&](const std::vector<SourceHost>& hosts) {
      for (const SourceHost& host : hosts) {
        if (!host.ehlo.empty()) names.try_emplace(host.ehlo, host.origin);
      }
    };
    collect(config_.globals.smtp_source_host);
    for (const Vmta& vmta : config_.vmtas) collect(vmta.settings.smtp_source_host);
    const auto collect_proxied = [&](const std::vector<ProxySourceHost>& lines, Origin origin) {
      for (const ProxySourceHost& line : lines) names.try_emplace(line.ehlo, origin);
    };
    collect_proxied(config_.globals.smtp_proxy_source_host, {});
    for (const Vmta& vmta : config_.vmtas) collect_proxied(vmta.settings.smtp_proxy_source_host, vmta.origin);
    for (const Proxy& proxy : config_.proxies) {
      for (const std::string& text : proxy.client) {
        if (const auto client = parse_proxy_client(text)) names.try_emplace(client->ehlo, proxy.origin);
      }
    }
    for (const std::string& name : config_.globals.host_name) names.try_emplace(name, Origin{});
    std::vector<std::string> asked;
    for (const auto& [name, origin] : names) asked.push_back(name);
    const auto answers = facts_.resolve(asked, config_.globals.name_server);
    for (std::size_t i = 0; i < asked.size() && i < answers.size(); ++i) {
      if (answers[i] != HostFacts::Resolves::No) continue;
      warn(names[asked[i]], "EHLO name \"" + asked[i] + "\" does not resolve",
           "receivers check it; give it an A or AAAA record that fits the address's PTR");
    }
  }

  void check_readable(const std::string& path, Origin origin, std::string_view what) {
    if (path.empty() || path.starts_with("{vault}")) return;
    const FileFact fact = facts_.file(path);
    if (fact.kind == FileFact::Kind::File) return;
    warn(origin, std::string(what) + " \"" + path + '"' +
                     (fact.kind == FileFact::Kind::Missing  ? " does not exist"
                      : fact.kind == FileFact::Kind::Folder ? " is a folder"
                                                            : " cannot be read"));
  }

  /// `create`: the folder is made when it is missing.
  void check_folder(const std::string& path, Origin origin, std::string_view what, bool create) {
    if (path.empty()) return;
    const FileFact fact = facts_.file(path);
    const std::string name = std::string(what) + " \"" + path + '"';
    if (fact.kind == FileFact::Kind::File) return warn(origin, name + " is not a folder");
    if (fact.kind == FileFact::Kind::Missing) {
      if (!create) warn(origin, name + " does not exist");
    } else if (!fact.writable) {
      warn(origin, name + " cannot be written by the user that runs this check");
    }
  }

  void check_files() {
    for (const Spool& spool : config_.spools) check_folder(spool.dir, spool.origin, "spool", true);
    for (const AcctFile& file : config_.acct_files) check_folder(file.move_to, file.origin, "move-to", true);
    const GlobalSettings& g = config_.globals;
    if (g.pickup) {
      check_folder(g.pickup->dir, {}, "pickup", false);
      check_folder(g.pickup->bad_dir, {}, "pickup", false);
    }
    check_readable(g.smtp_server_tls.certificate.path, {}, "smtp-server-tls-certificate");
    check_readable(g.dsn_failed_body_template_from, {}, "dsn-failed-body-template-from");
    for (const std::string& path : g.include_headers_from) check_readable(path, {}, "include-headers-from");
    for (const SmtpListener& listener : config_.listeners)
      check_readable(listener.tls.certificate.path, listener.origin, "tls-certificate");
    for (const Vmta& vmta : config_.vmtas) {
      for (const std::string& path : vmta.settings.include_headers_from)
        check_readable(path, vmta.origin, "include-headers-from");
    }
    for (const AddressList& list : config_.address_lists) {
      for (const AddressEntry& entry : list.entries) {
        if (entry.kind == AddressEntry::Kind::File) check_readable(entry.text, entry.origin, "address-file");
      }
    }
  }

  void check_regex(const Regex& regex) {
    if (regex.text.empty()) return;
    if (const auto wrong = facts_.regex_error(regex.text))
      add(Severity::Error, regex.origin, "regular expression: " + *wrong);
  }

  void check_patterns(const std::vector<MessagePattern>& patterns) {
    for (const MessagePattern& pattern : patterns) {
      check_regex(pattern.pattern);
      check_patterns(pattern.nested);
    }
  }

  void check_regexes() {
    for (const ReplyList& list : config_.reply_lists) {
      for (const ReplyRule& rule : list.rules) check_regex(rule.pattern);
    }
    for (const BounceCategoryRule& rule : config_.bounce_categories) check_regex(rule.pattern);
    for (const PatternList& list : config_.pattern_lists) check_patterns(list.patterns);
    for (const BounceActionList& list : config_.bounce_actions) {
      for (const BounceAction& action : list.actions) {
        if (action.reply) check_regex(*action.reply);
      }
    }
    for (const AddressList& list : config_.address_lists) {
      for (const AddressEntry& entry : list.entries) {
        if (entry.kind == AddressEntry::Kind::Regex) check_regex({entry.text, entry.origin});
      }
    }
  }

  const Config& config_;
  HostFacts& facts_;
  FileSource& files_;
  std::unordered_map<std::uint32_t, std::vector<std::string>> texts_;
  std::set<std::pair<std::string, std::uint32_t>> seen_keys_;
  std::vector<Entry> out_;
};

}  // namespace

std::vector<Diagnostic> check_regexes(const Config& config, HostFacts& facts, FileSource& files) {
  return HostCheck(config, facts, files).run_regexes();
}

std::vector<Diagnostic> check_host(const Config& config, HostFacts& facts, FileSource& files) {
  return HostCheck(config, facts, files).run();
}

}  // namespace sluice::config
