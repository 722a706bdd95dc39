// Opening and closing of blocks: which record a block fills, and where `<domain>` blocks go.
#include <algorithm>

#include "policy/base/ascii.h"
#include "policy/base/assert.h"
#include "policy/config/loader.h"

namespace sluice::config {
namespace {

/// Block argument without quotes; of attributes the one that names the block.
std::string block_argument(std::string_view text) {
  if (const auto attributes = parse_attributes(text)) {
    for (const std::string_view name : {"name", "path", "dir", "address", "domain"}) {
      if (const std::string found = attribute(*attributes, name); !found.empty()) return found;
    }
  }
  static const ValueRules kAnything;
  // The command of a pipe keeps its quotes: a shell reads it.
  if (text.starts_with('|')) return std::string(text);
  Value value(text, kAnything, {});
  auto out = unquote(text, value);
  return out ? std::move(*out) : std::string(text);
}

template <class Record>
Record* append(std::vector<Record>& records, std::string_view name, Origin origin) {
  Record& record = records.emplace_back();
  record.name = name;
  record.origin = origin;
  return &record;
}

}  // namespace

void Loader::open_block(const Statement& statement) {
  const std::string tag = to_lower(statement.name);
  Frame frame;
  frame.tag = tag;
  frame.origin = here(statement.name);
  const BlockKind* kind = table_.find_block(tag);
  if (frames_.size() >= kBlockDepthMax) return error(statement.name, "too many blocks inside of each other");
  if (frames_.back().scope == Scope::Ignored) {
    frame.scope = Scope::Ignored;
    frames_.push_back(std::move(frame));
    return;
  }
  if (kind == nullptr) {
    const std::string_view nearest = table_.nearest_block(tag);
    unknown(statement.name, "unknown block <" + tag + '>', {},
            nearest.empty() ? std::string() : "did you mean <" + std::string(nearest) + ">?");
    frame.scope = Scope::Ignored;
    frames_.push_back(std::move(frame));
    return;
  }
  if ((kind->parents & in(frames_.back().scope)) == 0) {
    // A closing tag was forgotten when the block is fine one level up.
    const bool fits_above =
        frames_.size() > 1 && (kind->parents & in(frames_[frames_.size() - 2].scope)) != 0;
    const std::string& open = frames_.back().tag;
    error(statement.name, '<' + tag + "> cannot stand inside of " + describe(frames_.back().scope), {},
          fits_above ? "</" + open + "> seems to be missing before this line"
                     : "it belongs in " + describe(kind->parents));
    if (fits_above) {
      ++closed_early_[open];
      pop_frame();
    } else {
      frame.scope = Scope::Ignored;
      frames_.push_back(std::move(frame));
      return;
    }
  }
  note_pending(*kind, frame.origin);
  frame.kind = kind;
  frame.scope = kind->scope;
  const std::string argument = block_argument(statement.argument);
  const std::string_view at = statement.argument.empty() ? statement.name : statement.argument;
  if (argument.empty() && kind->argument == BlockKind::Argument::Required) {
    error(at, "argument missing", '<' + tag + ' ' + std::string(kind->argument_grammar) + '>');
    frame.scope = Scope::Ignored;
  } else {
    if (!argument.empty() && kind->argument == BlockKind::Argument::None) {
      report(Severity::Warning, at, '<' + tag + "> takes no argument");
    }
    if (!start_record(*kind, argument, at, frame)) frame.scope = Scope::Ignored;
  }
  frame.name = argument;
  frames_.push_back(std::move(frame));
}

void Loader::close_block(const Statement& statement) {
  const std::string tag = to_lower(statement.name);
  // Blocks of an outer file are not this file's to close; read_file() reports what stays open.
  std::size_t match = frames_.size();
  while (match > 1 && frames_[match - 1].tag != tag) --match;
  if (match <= 1 || frames_[match - 1].origin.file != position_.file) {
    // The block was closed for the sake of one that cannot stand inside of it; that was reported.
    if (const auto early = closed_early_.find(tag); early != closed_early_.end() && early->second > 0) {
      --early->second;
      return;
    }
    return error(statement.name, "</" + tag + "> without <" + tag + '>', {},
                 frames_.size() > 1 ? "open is <" + frames_.back().tag + '>' : "");
  }
  while (frames_.size() > match) {
    unclosed(frames_.back());
    pop_frame();
  }
  pop_frame();
}

void Loader::pop_frame() {
  SLUICE_ASSERT(frames_.size() > 1);
  frames_.pop_back();
}

bool Loader::start_record(const BlockKind& kind, std::string_view argument, std::string_view at,
                          Frame& frame) {
  Config& c = *config_;
  const Origin origin = frame.origin;
  switch (kind.scope) {
    case Scope::Source: return start_source(argument, frame);
    case Scope::Domain: return start_domain(argument, frame);
    case Scope::Vmta:
    case Scope::Pool: return start_identity(kind, argument, at, frame);
    case Scope::SmtpListener: return start_listener(argument, at, frame);
    case Scope::SmtpUser: frame.record = append(c.smtp_users, argument, origin); return true;
    case Scope::SourceGroup: frame.record = append(c.source_groups, argument, origin); return true;
    case Scope::ReplyList: frame.record = append(c.reply_lists, argument, origin); return true;
    case Scope::PatternList: frame.record = &append(c.pattern_lists, argument, origin)->patterns; return true;
    case Scope::RewriteList: frame.record = append(c.rewrite_lists, argument, origin); return true;
    case Scope::DomainKeyList: frame.record = append(c.domain_key_lists, argument, origin); return true;
    case Scope::Proxy: frame.record = append(c.proxies, argument, origin); return true;
    case Scope::MxRollupList: frame.record = &c.mx_rollups; return true;
    case Scope::BounceCategories: frame.record = &c.bounce_categories; return true;
    case Scope::Aliases:
    case Scope::HttpMgmt:
      frame.record = &c.globals;
      frame.assignments = &c.global_lines_;
      return true;
    case Scope::Dns: frame.record = &c.dns; return true;
    case Scope::Alerts: frame.record = &c.alerts; return true;
    case Scope::TransmissionsApi:
      if (!c.transmissions_api) c.transmissions_api.emplace();
      frame.record = &*c.transmissions_api;
      return true;
    case Scope::Vault:
      if (!c.vault) c.vault.emplace();
      frame.record = &*c.vault;
      return true;
    case Scope::BounceProcessor:
      if (!c.bounce_processor) c.bounce_processor.emplace();
      c.bounce_processor->origin = origin;
      frame.record = &*c.bounce_processor;
      return true;
    case Scope::FeedbackLoopProcessor:
      c.feedback_loop_processors.emplace_back().origin = origin;
      frame.record = &c.feedback_loop_processors.back();
      return true;
    case Scope::EmailPatterns: frame.record = frames_.back().record; return true;
    case Scope::AddressList:
      if (frames_.back().scope != Scope::Global) {
        frame.record = &static_cast<ReportProcessor*>(frames_.back().record)->addresses;
      } else if (argument.empty()) {
        error(at, "argument missing", "<address-list NAME>");
        return false;
      } else {
        frame.record = &append(c.address_lists, argument, origin)->entries;
      }
      return true;
    case Scope::AcctFile: {
      AcctFile& file = c.acct_files.emplace_back();
      file.origin = origin;
      if (argument.front() == '|')
        file.command = trim(argument.substr(1));
      else
        file.path = argument;
      frame.record = &file;
      return true;
    }
    case Scope::Spool: {
      Spool& spool = c.spools.emplace_back();
      spool.dir = argument;
      spool.origin = origin;
      frame.record = &spool;
      return true;
    }
    case Scope::ApiListener: {
      const auto address = Endpoint::parse(argument);
      if (!address) {
        error(at, "not an address with a port", "IP:PORT");
        return false;
      }
      c.api_listeners.push_back({*address, {}, origin});
      frame.record = &c.api_listeners.back();
      return true;
    }
    case Scope::BounceActions: start_bounce_actions(argument, frame); return true;
    case Scope::Signals:
    case Scope::SignalsFilter:
    case Scope::GmImprinter: report(Severity::Note, at, '<' + frame.tag + "> has no effect"); return true;
    case Scope::Global:
    case Scope::Ignored: return true;
  }
  return true;
}

bool Loader::start_source(std::string_view argument, Frame& frame) {
  SourceBlock& block = config_->sources.emplace_back();
  block.name = argument;
  block.cidr = Cidr::parse(argument);
  block.origin = frame.origin;
  source_scratch_ = SourceSettings();
  frame.record = &source_scratch_;
  frame.assignments = &block.assignments;
  return true;
}

bool Loader::start_identity(const BlockKind& kind, std::string_view argument, std::string_view at,
                            Frame& frame) {
  Config& c = *config_;
  const std::string key = to_lower(argument);
  const bool pool = kind.scope == Scope::Pool;
  if (pool ? c.vmta_ids_.contains(key) || key == kDefaultVmtaName : c.pool_ids_.contains(key)) {
    error(at, "\"" + std::string(argument) + "\" names both a virtual MTA and a pool");
    return false;
  }
  if (pool) {
    const auto [it, fresh] = c.pool_ids_.try_emplace(key, PoolId{static_cast<std::uint32_t>(c.pools.size())});
    if (fresh) {
      c.pools.push_back({std::string(argument), it->second, {}, frame.origin});
      c.layers_.of_pool.push_back(0);
    } else {
      report(Severity::Warning, at,
             "pool \"" + std::string(argument) + "\" is defined twice; the blocks are joined");
    }
    frame.record = &c.pools[it->second.raw()].settings;
    frame.layer = c.layers_.of_pool[it->second.raw()];
    return true;
  }
  VmtaId id = kDefaultVmta;
  if (key != kDefaultVmtaName) {
    const auto [it, fresh] = c.vmta_ids_.try_emplace(key, VmtaId{static_cast<std::uint32_t>(c.vmtas.size())});
    id = it->second;
    if (fresh) {
      c.vmtas.push_back({std::string(argument), id, {}, {}, frame.origin});
      c.layers_.of_vmta.push_back(0);
      c.vmta_lines_.emplace_back();
    } else {
      report(Severity::Warning, at,
             "virtual MTA \"" + std::string(argument) + "\" is defined twice; the blocks are joined");
    }
  }
  frame.record = &c.vmtas[id.raw()].settings;
  frame.assignments = &c.vmta_lines_[id.raw()];
  frame.layer = c.layers_.of_vmta[id.raw()];
  return true;
}

/// Layer that <domain> blocks of a virtual MTA or pool go to; made when the first one comes.
std::uint32_t Loader::layer_of(Frame& frame) {
  if (frame.scope == Scope::Global || frame.layer != 0) return frame.layer;
  auto& layers = config_->layers_;
  frame.layer = static_cast<std::uint32_t>(layers.layers.size());
  layers.layers.emplace_back();
  const std::string key = to_lower(frame.name);
  if (frame.scope == Scope::Pool)
    layers.of_pool[config_->pool_ids_.at(key).raw()] = frame.layer;
  else if (key == kDefaultVmtaName)
    layers.of_vmta[0] = frame.layer;
  else
    layers.of_vmta[config_->vmta_ids_.at(key).raw()] = frame.layer;
  return frame.layer;
}

bool Loader::start_domain(std::string_view argument, Frame& frame) {
  Frame& outer = frames_.back();
  DomainLayer& layer = config_->layers_.layers[layer_of(outer)];
  std::string where = "<domain " + std::string(argument) + '>';
  if (outer.scope != Scope::Global) where += " in <" + outer.tag + ' ' + outer.name + '>';
  layer.blocks.push_back({std::string(argument), std::move(where), {}, frame.origin});
  domain_scratch_ = DomainSettings();
  frame.record = &domain_scratch_;
  frame.assignments = &layer.blocks.back().assignments;
  return true;
}

/// A block without a name inside of another block is that block's own.
void Loader::start_bounce_actions(std::string_view argument, Frame& frame) {
  std::string name(argument);
  if (name.empty()) name = "{bounce-actions-" + std::to_string(++anonymous_) + '}';
  BounceActionList* list = append(config_->bounce_actions, name, frame.origin);
  Frame& outer = frames_.back();
  const Directive* row = table_.find("bounce-actions", Scope::Domain);
  SLUICE_ASSERT(row != nullptr);
  if (outer.scope == Scope::Domain) {
    outer.assignments->push_back({static_cast<std::uint32_t>(table_.index_of(*row)), name, frame.origin});
  } else if (outer.scope == Scope::Vmta || outer.scope == Scope::Pool) {
    apply_implicit(*row, name, outer);
  } else if (argument.empty()) {
    config_->globals.bounce_actions = name;
  }
  frame.record = list;
}

}  // namespace sluice::config
