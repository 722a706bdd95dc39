#pragma once
// The configuration as one immutable value. Start here: load_config() makes it, a shard asks it through
// DomainSettingsCache and Config::resolve_source().

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "policy/config/diagnostic.h"
#include "policy/config/domain_layer.h"
#include "policy/config/file_source.h"
#include "policy/settings/blocks.h"
#include "policy/settings/domain_settings.h"
#include "policy/settings/global_settings.h"
#include "policy/settings/source_settings.h"

namespace sluice::config {

/// One `<source X>` block as written.
struct SourceBlock {
  std::string name;          ///< as written: "0/0", "{auth}", "app1"
  std::optional<Cidr> cidr;  ///< empty: a named source
  std::vector<Assignment> assignments;
  Origin origin;
};

/// A line that gave a value, or would have.
struct SettingLine {
  std::string text;  ///< "max-smtp-out 20"; secrets are masked
  Origin origin;
  std::string block;  ///< "<domain gmail.com> in <virtual-mta a>"
};

/// Where one effective value comes from.
struct SettingOrigin {
  std::string_view directive;
  std::string value;             ///< as `sluice settings` prints it
  std::optional<Origin> origin;  ///< empty: the language's default
  std::string block;             ///< "<domain gmail.com> in <virtual-mta a>", "default"
  std::string_view follows;      ///< not empty: the value is that of this directive, where the text gave none
  std::vector<SettingLine> over;  ///< lines whose value this one replaced, the most general first
  std::vector<SettingLine> parts;  ///< what the named list says, line by line
  bool is_rule = false;            ///< a rule for some replies that stands beside the directive's value
};

/// Something of the text that has no effect, or none yet. The views live for ever.
struct PendingUse {
  std::string_view name;       ///< of a directive, or of a block that says nothing else
  std::string_view waits_for;  ///< a capability by its name; empty: it never has an effect
  std::string_view meanwhile;  ///< what Sluice does instead: "its mail is held"; empty: nothing
  Origin origin;               ///< where it stands first
  bool is_block = false;
  /// "use-starttls", "<alerts>".
  [[nodiscard]] std::string text() const {
    return is_block ? '<' + std::string(name) + '>' : std::string(name);
  }
};

/// A snapshot of the whole configuration.
/// Thread:   immutable after load_config; read from any shard without locks.
/// Lifetime: held by shared_ptr because shards swap to a newer snapshot at different moments.
class Config {
 public:
  GlobalSettings globals;
  std::vector<std::string>
      files;  ///< main file and includes, in the order first read; Origin::file indexes it
  std::vector<Spool> spools;
  std::vector<SmtpListener> listeners;  ///< never empty: 0.0.0.0:25 when nothing is configured
  std::vector<SourceBlock> sources;
  std::vector<SmtpUser> smtp_users;
  std::vector<SourceGroup> source_groups;
  std::vector<Vmta> vmtas;  ///< index = VmtaId; [0] is {default}
  std::vector<Pool> pools;  ///< index = PoolId
  std::vector<AcctFile> acct_files;
  std::vector<MxRollup> mx_rollups;
  std::vector<ReplyList> reply_lists;
  std::vector<PatternList> pattern_lists;
  std::vector<BounceCategoryRule> bounce_categories;  ///< file order; first match wins
  std::vector<AddressList> address_lists;
  std::vector<RewriteList> rewrite_lists;
  std::vector<DomainKeyList> domain_key_lists;
  std::vector<BounceActionList> bounce_actions;
  std::optional<ReportProcessor> bounce_processor;
  std::vector<ReportProcessor> feedback_loop_processors;
  DnsSettings dns;
  AlertSettings alerts;
  std::optional<TransmissionsApi> transmissions_api;
  std::vector<ApiListener> api_listeners;
  std::vector<Proxy> proxies;
  std::optional<Vault> vault;
  /// `domain-macro` after expansion, names in lower case.
  std::unordered_map<std::string, std::vector<std::string>> domain_macros;
  std::vector<PendingUse> pending;  ///< each directive and block once, in the order of the text
  /// Contents of `include-headers-from` and `address-file` files, by path; without those that could not be
  /// read.
  std::unordered_map<std::string, std::string> texts;

  /// Names compare without case.
  [[nodiscard]] std::optional<VmtaId> find_vmta(std::string_view name) const;
  [[nodiscard]] std::optional<PoolId> find_pool(std::string_view name) const;
  [[nodiscard]] const Vmta& vmta(VmtaId id) const { return vmtas[id.raw()]; }
  [[nodiscard]] const Pool& pool(PoolId id) const { return pools[id.raw()]; }
  [[nodiscard]] const ReplyList* find_reply_list(std::string_view name) const;
  [[nodiscard]] const PatternList* find_pattern_list(std::string_view name) const;
  [[nodiscard]] const AddressList* find_address_list(std::string_view name) const;
  [[nodiscard]] const RewriteList* find_rewrite_list(std::string_view name) const;
  [[nodiscard]] const BounceActionList* find_bounce_actions(std::string_view name) const;
  [[nodiscard]] const SmtpUser* find_smtp_user(std::string_view name) const;
  [[nodiscard]] const Proxy* find_proxy(std::string_view name) const;

  /// Rules for a client: every block whose network holds it, the more specific over the less specific, then
  /// the named source over all of them. An unknown name adds nothing.
  [[nodiscard]] SourceSettings resolve_source(const IpAddress& client,
                                              std::string_view named_source = {}) const;
  /// Only `<source NAME>`, for {pickup} and other entries without a client address.
  [[nodiscard]] SourceSettings resolve_named_source(std::string_view name) const;
  [[nodiscard]] bool has_source(std::string_view name) const;
  /// Every directive of a source with its origin.
  [[nodiscard]] std::vector<SettingOrigin> explain_source(const IpAddress& client,
                                                          std::string_view named_source = {}) const;

  /// Domains that some `mx-rollup` line names, each once, in file order.
  [[nodiscard]] std::vector<std::string> mx_rollup_providers() const;

  /// Effective settings of a queue. Walks the blocks each time: shards use DomainSettingsCache.
  [[nodiscard]] DomainSettings flatten(std::string_view domain, VmtaId vmta) const;
  [[nodiscard]] std::vector<SettingOrigin> explain(std::string_view domain, VmtaId vmta) const;
  /// The same for what stands in <virtual-mta> itself, and at the top level.
  [[nodiscard]] std::vector<SettingOrigin> explain_identity(VmtaId vmta) const;
  [[nodiscard]] std::vector<SettingOrigin> explain_globals() const;

  /// Keys that stand in <domain> blocks (`dkim-sign domain=... key-file=...`), each line once.
  void for_each_domain_key(const std::function<void(const DomainKey&)>& use) const;

  /// Whether any <domain> block has this directive: what nobody uses need not be looked up for every message.
  [[nodiscard]] bool some_domain_sets(std::string_view directive) const;

  /// The <domain> blocks of a virtual MTA and its pool; with {default}, those of the top level. Live as long
  /// as the configuration.
  [[nodiscard]] std::vector<const DomainBlock*> domain_blocks(VmtaId vmta) const;

  /// Blocks that make up the settings of a queue, from general to specific. VMTAs of one domain_scope() share
  /// them.
  using BlockChain = std::vector<const DomainBlock*>;
  void collect_blocks(std::string_view domain, VmtaId vmta, BlockChain& out) const;
  [[nodiscard]] static DomainSettings flatten(std::span<const DomainBlock* const> chain);
  /// Dense number of a distinct set of <domain> blocks; equal for all VMTAs without blocks of their own.
  [[nodiscard]] std::uint32_t domain_scope(VmtaId vmta) const { return domain_scopes_[vmta.raw()]; }

 private:
  friend class Finisher;
  friend class Loader;
  /// global < pool < VMTA.
  struct Layers {
    std::vector<DomainLayer> layers;     ///< [0] is the global one
    std::vector<std::uint32_t> of_vmta;  ///< by VmtaId; 0: none of its own
    std::vector<std::uint32_t> of_pool;  ///< by PoolId; 0: none of its own
  } layers_;
  std::vector<std::uint32_t> domain_scopes_;
  /// Lines of records that are filled as they are read; kept for explanations only.
  std::vector<Assignment> global_lines_;
  std::vector<std::vector<Assignment>> vmta_lines_;   ///< by VmtaId
  std::unordered_map<std::string, VmtaId> vmta_ids_;  ///< lower case
  std::unordered_map<std::string, PoolId> pool_ids_;
  /// Where lists and sources stand, by their names and networks. Made once everything is read.
  struct Index;
  std::shared_ptr<const Index> index_;
  void make_index();
  void explain_bounce_actions(std::vector<SettingOrigin>& settings) const;
  [[nodiscard]] std::vector<const SourceBlock*> source_chain(const IpAddress* client,
                                                             std::string_view name) const;
};

/// Effective settings of queues, remembered. One object per shard.
/// Thread:   one. Lifetime: keeps the snapshot alive; references stay valid as long as the cache.
/// Limits:   kQueuesMax remembered queue names; a lookup beyond that walks the patterns (about 1 us) instead
///           of one hash probe. Settings are held once per distinct chain of blocks, not per domain.
class DomainSettingsCache {
 public:
  static constexpr std::size_t kQueuesMax = 1u << 16;
  explicit DomainSettingsCache(std::shared_ptr<const Config> config);
  /// `domain` in lower case.
  [[nodiscard]] const DomainSettings& settings_for(std::string_view domain, VmtaId vmta);
  [[nodiscard]] const Config& config() const { return *config_; }
  /// Distinct settings held; for tests and the memory report.
  [[nodiscard]] std::size_t distinct() const { return flattened_.size(); }

 private:
  struct ChainHash {
    [[nodiscard]] std::size_t operator()(const Config::BlockChain& chain) const noexcept;
  };
  std::shared_ptr<const Config> config_;
  std::unordered_map<Config::BlockChain, std::unique_ptr<const DomainSettings>, ChainHash> flattened_;
  std::unordered_map<std::string, const DomainSettings*> queues_;
  Config::BlockChain scratch_;
  std::string key_;
};

struct LoadOptions {
  bool lenient = false;   ///< unknown directives and blocks are warnings
  bool fragment = false;  ///< a part of a configuration: nothing is required, names may be unknown
  /// URLs are not fetched: each is a warning, and names they may define may be unknown.
  bool skip_urls = false;
  /// Vendor defaults, read before the main file so that the user's lines win; empty: none. May be missing.
  std::string defaults_path;
};

struct LoadResult {
  std::shared_ptr<const Config> config;  ///< null when there is an error
  /// What was understood, errors or not: for a look at the rest, never to run with. Null: nothing could be read.
  std::shared_ptr<const Config> draft;
  std::vector<Diagnostic> diagnostics;   ///< in file order, at most kDiagnosticsMax
  /// Looked at as a part of a configuration: as was asked for, or because a URL was not fetched.
  bool is_fragment = false;
  [[nodiscard]] bool ok() const { return config != nullptr; }
};

inline constexpr std::size_t kDiagnosticsMax = 1000;
inline constexpr std::size_t kIncludeDepthMax = 16;
inline constexpr std::size_t kBlockDepthMax = 64;
inline constexpr std::size_t kFilesMax = 100'000;
inline constexpr std::size_t kMacroExpansionMax = 1'000'000;  ///< domains all macro expressions make together

/// Reads a configuration with everything it includes. Reports all errors of one run.
/// Errors: in the diagnostics; a file that cannot be read is one of them.
[[nodiscard]] LoadResult load_config(std::string_view main_path, FileSource& files,
                                     const LoadOptions& options = {});

}  // namespace sluice::config
