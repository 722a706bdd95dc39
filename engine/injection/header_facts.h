#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/injection/client_rules.h"
#include "engine/spool/message.h"
#include "net/mime/header_scan.h"
#include "policy/identity/pattern_list.h"

namespace sluice::injection {

/// What one pass over the header section found. Views the message and the rules.
/// Thread: one shard. Memory: kept by reset().
struct HeaderFacts {
  /// A stretch of the message that does not travel on, or is replaced. In the order of the message.
  struct Cut {
    std::size_t offset = 0;
    std::size_t size = 0;
    std::string_view instead;
  };
  std::optional<std::string_view> virtual_mta;
  std::optional<std::string_view> job;
  std::optional<std::string_view> job_header;
  std::optional<std::string_view> env_id;
  std::optional<std::string_view> schedule;
  std::uint32_t hops = 0;
  bool has_date = false;
  bool has_message_id = false;
  bool too_large = false;  ///< net::HeaderScan's limits
  /// The message begins with text, not with a header: without an empty line in front, a receiver would take that
  /// text for part of the headers that are put before it.
  bool begins_with_text = false;
  std::vector<Cut> cuts;
  std::vector<net::HeaderField> froms;
  std::vector<net::HeaderField> auth_results;
  std::vector<identity::HeaderText> for_patterns;
  std::vector<spool::HeaderField> accounted;

  void reset();
  /// Goes over the header section of `text` once.
  void read(const HeaderTable& table, std::string_view text);
  /// Rewrites the domains of addresses in the From headers; `keep` holds the new texts.
  template <class Keep>
  void rewrite_from(const identity::RewriteList& list, Keep&& keep);
  /// The message without and with what the cuts say, behind whatever is in `pieces`.
  void append_pieces(std::string_view text, std::vector<std::span<const std::byte>>& pieces);

 private:
  [[nodiscard]] static std::string rewritten(const identity::RewriteList& list, std::string_view field);
};

template <class Keep>
void HeaderFacts::rewrite_from(const identity::RewriteList& list, Keep&& keep) {
  if (!list.changes_from_header()) return;
  for (const net::HeaderField& field : froms) {
    std::string text = rewritten(list, field.whole);
    if (!text.empty()) cuts.push_back({field.offset, field.whole.size(), keep(std::move(text))});
  }
}

}  // namespace sluice::injection
