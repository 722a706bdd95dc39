// `<virtual-mta>` and `<virtual-mta-pool>`.
#include "policy/config/host_names.h"
#include "policy/config/rows/row.h"
#include "policy/config/rows/rows.h"

namespace sluice::config::rows {
namespace {

void apply_host_name(Value& value, IdentitySettings& identity) {
  if (auto name = parse_host_name(value.text(), value)) identity.host_name = std::move(*name);
}

void apply_ehlo_name(Value& value, IdentitySettings& identity) {
  if (auto name = parse_ehlo_name(value.text(), value, value.text()))
    identity.ehlo_hostname = std::move(*name);
}

}  // namespace

void append_identity(std::vector<Directive>& out) {
  using I = IdentitySettings;
  add(out, more<&I::smtp_source_host>("smtp-source-host", "source address and its EHLO name",
                                      {.default_text = "the global ones", .scopes = in(Scope::Vmta)}));
  add(out, more<&I::smtp_source_host>("smtp-source-ip", "source address",
                                      {.since = Since::Field,
                                       .flags = kDeprecated | kHidden,
                                       .grammar = "IP",
                                       .replacement = "smtp-source-host",
                                       .scopes = in(Scope::Vmta)}));
  add(out, more<&I::smtp_proxy_source_host>("smtp-proxy-source-host", "source address behind a proxy",
                                            {.since = Since::GuideR5, .scopes = in(Scope::Vmta)}));
  add(out, one<&I::proxy_protocol>("proxy-protocol", "version of the PROXY protocol",
                                   {.since = Since::GuideR5, .min = 1, .max = 2, .scopes = in(Scope::Vmta)}));
  add(out, read_by<&apply_host_name>(one<&I::host_name>(
               "host-name", "EHLO name where no source host gives one",
               {.grammar = "DOMAIN", .default_text = "the global one", .scopes = in(Scope::Vmta)})));
  add(out, read_by<&apply_ehlo_name>(one<&I::ehlo_hostname>("ehlo-hostname", "EHLO name of all sources",
                                                            {.since = Since::Spelling,
                                                             .flags = kHidden,
                                                             .grammar = "DOMAIN",
                                                             .replacement = "smtp-source-host IP HOST",
                                                             .scopes = in(Scope::Vmta)})));
  add(out, more<&I::domain_key>("domain-key", "DKIM key, searched before the global ones"));
  add(out, read_by<&apply_tuned<Path<&I::max_smtp_out>>>(
               one<&I::max_smtp_out>("max-smtp-out", "connections of all queues together")));
  add(out,
      one<&I::max_smtp_msg_rate>("max-smtp-msg-rate", "recipients attempted per time, all queues together"));
  add(out, one<&I::max_smtp_data_volume_rate>("max-smtp-data-volume-rate",
                                              "bytes delivered per time, all queues together"));
  add(out, more<&I::cold_virtual_mta>("cold-virtual-mta", "virtual MTA that is being warmed up",
                                      {.grammar = "VMTA"}));
  add(out, more<&I::include_headers_from>("include-headers-from", "file with headers added to each message",
                                          {.grammar = "FILE"}));
  add(out, one<&I::rewrite_list>("rewrite-list", "rewriting of sender addresses", {.grammar = "NAME"}));
  add(out, one<&I::use_proxy>("use-proxy", "proxies, in order of preference", {.grammar = "NAME[,NAME...]"}));
  add(out, one<&I::enable_signals>("enable-signals", "accepted for compatibility",
                                   {.grammar = "BOOLEAN[,subaccount=N]|NAME", .default_text = "no"}));
  add(out, more<&I::members>("virtual-mta", "member of the pool", {.scopes = in(Scope::Pool)}));
}

}  // namespace sluice::config::rows
