#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace sluice::queue {

/// Which queues an operator has paused: by name or pattern, and so also queues that do not exist yet.
///
/// Every rule pauses or resumes what its pattern matches, and of those that match a queue the newest decides: with
/// `*/m1` paused, resuming `a.example/m1` makes an exception of it. A new rule replaces all that it covers, so a pause
/// is taken back by its own pattern or by one that covers it, and nothing is kept that makes no difference.
/// Thread: one at a time; a const one on any. Cost: a look-up for names, and a match for each rule with a wildcard.
class PauseRules {
 public:
  static constexpr std::size_t kRulesMax = 10'000;
  static constexpr std::size_t kPatternBytesMax = 512;

  struct Rule {
    std::uint64_t number = 0;  ///< a newer one has a higher one
    bool pauses = true;
  };
  /// A rule that came or went, for whoever stores them.
  struct Change {
    std::string pattern;
    std::string value;  ///< to be given to restore(); empty: the rule is gone
  };

  /// "DOMAIN/VMTA" in lower case with `*` for any run of characters on either side; what the command language leaves
  /// out is added: `*` alone is every queue, and without a slash the virtual MTA is {default}.
  [[nodiscard]] static std::string whole_pattern(std::string_view pattern);
  /// Of two whole patterns: everything that `narrow` matches is matched by `wide`, too.
  [[nodiscard]] static bool covers(std::string_view wide, std::string_view narrow);
  /// Some name may match both.
  [[nodiscard]] static bool overlaps(std::string_view a, std::string_view b);

  /// A stored rule. What is damaged is left out.
  void restore(std::string_view pattern, std::string_view value);
  /// Pauses or resumes what `pattern` (whole) matches. Answers what has to be stored.
  [[nodiscard]] std::vector<Change> set(const std::string& pattern, bool paused);

  [[nodiscard]] bool is_paused(std::string_view queue) const;
  [[nodiscard]] bool empty() const { return named_.empty() && wild_.empty(); }
  [[nodiscard]] std::size_t size() const { return named_.size() + wild_.size(); }
  /// In the order they were made: the last one that matches decides.
  [[nodiscard]] std::vector<std::pair<std::string, bool>> all() const;

 private:
  std::vector<Change> add(const std::string& pattern, bool paused);
  [[nodiscard]] bool has_pause_below(std::string_view pattern, std::uint64_t number) const;
  void drop_idle_exceptions(std::vector<Change>& out);

  std::unordered_map<std::string, Rule> named_;                 // without a wildcard
  std::map<std::uint64_t, std::pair<std::string, bool>> wild_;  // by number
  std::uint64_t last_number_ = 0;
};

}  // namespace sluice::queue
