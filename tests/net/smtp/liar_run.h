#pragma once
// One seed, one run: a few dozen messages sent by the client to receivers that misbehave at random, over as many
// connections as it takes; whatever the client claims is held against the ledger.

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "net/smtp/client.h"
#include "tests/net/smtp/liar_peer.h"

namespace sluice::net::test {

/// A message on its way to recipients that have no final outcome yet.
struct LiarMail {
  std::uint32_t id = 0;
  std::uint32_t tries = 0;
  std::set<std::uint32_t> open;
  std::string text;  ///< without the last line, which names the try
};

struct LiarCounts {
  std::map<std::string, std::uint64_t> claims;
  std::uint64_t connections = 0;
  std::uint64_t transactions = 0;
  std::uint64_t ahead = 0;    ///< transactions added where more than the usual were under way
  std::uint64_t excused = 0;  ///< wrong claims that no client could have known to be wrong
};

class LiarRun {
 public:
  explicit LiarRun(std::uint64_t seed, bool keeps_transcript = false)
      : seed_(seed), chance_(seed), keeps_transcript_(keeps_transcript) {}
  void run();
  /// Broken promises, in words. After the first one the run has ended.
  [[nodiscard]] const std::vector<std::string>& faults() const { return faults_; }
  /// The last connection, line by line.
  [[nodiscard]] const std::string& transcript() const { return transcript_; }
  [[nodiscard]] const LiarCounts& counts() const { return counts_; }
  [[nodiscard]] const LiarLedger& ledger() const { return ledger_; }

 private:
  friend class LiarConnection;
  static constexpr std::uint32_t kMessages = 40;
  static constexpr std::uint32_t kTriesMax = 6;

  LiarMail make_mail(std::uint32_t id);
  void fault(const std::string& what) { faults_.push_back("seed " + std::to_string(seed_) + ": " + what); }

  std::uint64_t seed_;
  Random chance_;
  bool keeps_transcript_;
  LiarLedger ledger_;
  LiarCounts counts_;
  std::deque<LiarMail> waiting_;
  std::vector<std::string> faults_;
  std::string transcript_;
};

}  // namespace sluice::net::test
