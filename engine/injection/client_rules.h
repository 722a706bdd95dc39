#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/queue/snapshot.h"
#include "policy/settings/source_settings.h"

namespace sluice::injection {

/// What a header field is to us, by its name: a set of bits.
struct HeaderUse {
  static constexpr std::uint32_t kVirtualMta = 1;  ///< names the virtual MTA
  static constexpr std::uint32_t kJob = 2;         ///< x-job
  static constexpr std::uint32_t kJobHeader = 4;   ///< jobid-header
  static constexpr std::uint32_t kEnvelopeId = 8;  ///< x-envid
  static constexpr std::uint32_t kSchedule = 16;   ///< x-schedule, to be obeyed
  static constexpr std::uint32_t kReceived = 32;
  static constexpr std::uint32_t kDate = 64;
  static constexpr std::uint32_t kMessageId = 128;
  static constexpr std::uint32_t kFrom = 256;
  static constexpr std::uint32_t kPattern = 512;       ///< the pattern list looks at it
  static constexpr std::uint32_t kAccounted = 1024;    ///< an accounting file shows it
  static constexpr std::uint32_t kAuthResults = 4096;  ///< does not travel on when it claims to be ours
  static constexpr std::uint32_t kRemove = 2048;       ///< does not travel on
};

/// The header fields somebody wants something of. Most fields of a message are none of them: that is one
/// array look-up. Thread: immutable once filled.
class HeaderTable {
 public:
  struct Entry {
    std::string name;            ///< lower case
    std::string_view accounted;  ///< with kAccounted: as the configuration spells it
    std::uint32_t use = 0;
  };
  Entry& add(std::string_view name, std::uint32_t use);
  /// Null: a field like any other.
  [[nodiscard]] const Entry* find(std::string_view name) const {
    return maybe_[slot(name)] ? search(name) : nullptr;
  }

 private:
  [[nodiscard]] static std::size_t slot(std::string_view name);
  [[nodiscard]] const Entry* search(std::string_view name) const;
  std::array<bool, 256> maybe_{};
  std::vector<Entry> entries_;
};

/// The rules of one client, ready for use: its `<source>` settings with the lists they name.
/// Thread: immutable once made. Lifetime: keeps the snapshot it was made from, whose lists it refers to. A
/// session keeps its rules to its end; a reload is for new connections.
struct ClientRules {
  ClientRules(std::shared_ptr<const queue::Snapshot> made_from, config::SourceSettings source,
              std::string_view default_of_listener);

  std::shared_ptr<const queue::Snapshot> snapshot;
  config::SourceSettings settings;
  std::string listener_virtual_mta;  ///< default of the listener; empty: none
  bool checks_sender = false;        ///< check-spf-inbound or check-iprev-inbound: MAIL waits for DNS
  HeaderTable headers;
  std::optional<identity::PatternLists::ListId> patterns;
  const identity::RewriteList* rewrite = nullptr;
  std::vector<const identity::AddressSet*> suppression;
  std::shared_ptr<queue::SourceGroupSlots> group;  ///< null: none
};

}  // namespace sluice::injection
